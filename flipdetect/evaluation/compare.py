"""Models side by side on the same frames: how good, how large, how fast, and which one to take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from flipdetect.evaluation.evaluate import Evaluation
from flipdetect.evaluation.footprint import Footprint
from flipdetect.evaluation.uncertainty import difference, evaluation_intervals, intervals_as_dict
from flipdetect.metrics.bootstrap import RESAMPLES, Estimate

MARGIN = 0.02
"""F1 that a smaller model may lack and still be as good as the best one for most purposes."""
MEGABYTE = 1_000_000
COMPARED = ("f1", "auroc")
COLUMNS = (
    "model", "frames", "videos", "threshold", "f1", "f1_low", "f1_high", "auroc", "auroc_low", "auroc_high",
    "f1_less_best", "f1_less_best_low", "f1_less_best_high", "auroc_less_best", "auroc_less_best_low",
    "auroc_less_best_high", "parameters", "file_bytes", "memory_bytes", "latency_ms", "latency_p95_ms", "engine",
    "training_seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """A model among others.

    Attributes:
        name: of the model.
        evaluation: of the frames that all judged.
        footprint: what it costs.
        training_seconds: of the fit; None if unknown.
    """

    name: str
    evaluation: Evaluation
    footprint: Footprint
    training_seconds: float | None = None


@dataclass(frozen=True)
class Recommendation:
    """Which model to take.

    Attributes:
        model: its name; None if none is small enough.
        why: a sentence.
    """

    model: str | None
    why: str


@dataclass(frozen=True)
class Comparison:
    """Models judged on the same frames.

    Attributes:
        models: in the order they were given.
        intervals: of each one's figures.
        best: name of the one with the highest F1.
        differences: of each one's figures from the best one's; the best's own are left out.
        recommendation: which to take.
    """

    models: tuple[Compared, ...]
    intervals: dict[str, dict[str, Estimate]]
    best: str
    differences: dict[str, dict[str, Estimate]]
    recommendation: Recommendation

    def table(self, style: str = "simple") -> str:
        """A line per model.

        Args:
            style: of tabulate, such as "github".
        """
        rows = []
        for each in self.models:
            own, cost, less = self.intervals[each.name], each.footprint, self.differences.get(each.name)
            rows.append([
                each.name, *(own[name].text() for name in COMPARED),
                "best" if less is None else less["f1"].text(signed=True),
                f"{cost.parameters / 1e6:.2f} M", f"{cost.file_bytes / MEGABYTE:.2f}",
                f"{cost.memory_bytes / MEGABYTE:.1f}", f"{cost.latency_ms:.1f}", clock(each.training_seconds),
            ])  # fmt: skip
        headers = [
            "model", "F1", "AUROC", "F1 less the best's", "parameters", "file, MB", "memory, MB",
            "ms a frame", "training",
        ]  # fmt: skip
        align = ["left", "left", "left", "left", *["right"] * 5]
        return tabulate(rows, headers=headers, tablefmt=style, colalign=align, disable_numparse=True)

    def rows(self) -> list[list[object]]:
        """The values of `COLUMNS`, a row per model; what is unknown is empty."""
        found = []
        for each in self.models:
            values: dict[str, object] = {
                "model": each.name,
                "frames": len(each.evaluation.judged),
                "videos": each.evaluation.videos,
                "threshold": each.evaluation.threshold,
                "training_seconds": each.training_seconds,
                **each.footprint.as_dict(),
            }
            values |= _bounds(self.intervals[each.name], "") | _bounds(
                self.differences.get(each.name, {}), "_less_best"
            )
            found.append([_cell(values.get(column)) for column in COLUMNS])
        return found

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return {
            "best": self.best,
            "recommended": self.recommendation.model,
            "why": self.recommendation.why,
            "models": [
                {
                    "model": each.name,
                    "frames": len(each.evaluation.judged),
                    "videos": each.evaluation.videos,
                    "threshold": each.evaluation.threshold,
                    "figures": each.evaluation.metrics,
                    "intervals": intervals_as_dict(self.intervals[each.name]),
                    "less_best": intervals_as_dict(self.differences.get(each.name, {})),
                    "training_seconds": each.training_seconds,
                    **each.footprint.as_dict(),
                }
                for each in self.models
            ],
        }


def compare(
    models: Sequence[Compared],
    *,
    max_megabytes: float | None = None,
    margin: float = MARGIN,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare models, and say which to take.

    Args:
        models: at least one, of different names, that judged the same frames.
        max_megabytes: the largest file to recommend; None for any.
        margin: F1 that a smaller model may lack and still be recommended.
        resamples: draws of videos for intervals.

    Raises:
        DataError: if two models did not judge the same frames.
    """
    best = max(models, key=lambda each: each.evaluation.metrics["f1"])
    intervals = {each.name: evaluation_intervals(each.evaluation, resamples=resamples) for each in models}
    differences = {
        each.name: difference(best.evaluation, each.evaluation, metrics=COMPARED, resamples=resamples)
        for each in models
        if each is not best
    }
    chosen = recommend(models, resamples=resamples, max_megabytes=max_megabytes, margin=margin)
    return Comparison(tuple(models), intervals, best.name, differences, chosen)


def recommend(
    models: Sequence[Compared], *, resamples: int, max_megabytes: float | None = None, margin: float = MARGIN
) -> Recommendation:
    """The smallest file whose F1 lies no more than a margin below that of the best model of allowed size, for sure.

    "For sure" is by the lower bound of the paired difference: where the data cannot tell, the best one is recommended.

    Args:
        models: that judged the same frames.
        resamples: draws of videos.
        max_megabytes: the largest file; None for any.
        margin: of F1.
    """
    allowed = [
        each for each in models if max_megabytes is None or each.footprint.file_bytes <= max_megabytes * MEGABYTE
    ]
    if not allowed:
        smallest = min(models, key=lambda each: each.footprint.file_bytes)
        return Recommendation(
            None, f"None has {max_megabytes:g} MB or less; the smallest is {smallest.name} with {_megabytes(smallest)}."
        )
    best = max(allowed, key=lambda each: each.evaluation.metrics["f1"])
    limit = "" if max_megabytes is None else f" among those of {max_megabytes:g} MB or less"
    rest = sorted((each for each in allowed if each is not best), key=lambda each: each.footprint.file_bytes)
    unsure = ""
    for other in rest:
        if other.footprint.file_bytes >= best.footprint.file_bytes:
            break
        less = difference(best.evaluation, other.evaluation, metrics=["f1"], resamples=resamples)["f1"]
        if less.is_bounded and less.low >= -margin:
            return Recommendation(
                other.name,
                f"Take {other.name} ({_megabytes(other)}): it is the smallest{limit} whose F1 is no more than "
                f"{margin:g} below that of {best.name} ({_megabytes(best)}): {less.text(signed=True)} on "
                f"{less.videos} videos.",
            )
        if less.is_bounded and less.high >= -margin:
            unsure = f"; whether {other.name} is as good, {less.videos} videos cannot tell ({less.text(signed=True)})"
    f1 = best.evaluation.metrics["f1"]
    return Recommendation(
        best.name, f"Take {best.name} ({_megabytes(best)}): it has the best F1{limit}, {f1:.3f}{unsure}."
    )


def clock(seconds: float | None) -> str:
    """A time as `3 min 33 s`; `-` if unknown."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _megabytes(model: Compared) -> str:
    return f"{model.footprint.file_bytes / MEGABYTE:.2f} MB"


def _bounds(intervals: dict[str, Estimate], suffix: str) -> dict[str, object]:
    return {
        f"{name}{suffix}{end}": value
        for name, each in intervals.items()
        for end, value in (("", each.value), ("_low", each.low), ("_high", each.high))
    }


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return "" if value is None else value
