"""Compare models on the same frames: how good, how large, how fast, and which one to take."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from flipdetect.data.datamodule import FrameDataModule
from flipdetect.data.grouped_splits import split_records
from flipdetect.data.splits import write_split
from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import SPLIT_FILE, Evaluation
from flipdetect.evaluation.footprint import Footprint
from flipdetect.evaluation.study import labelled_index
from flipdetect.evaluation.uncertainty import difference, estimates_as_dict, evaluation_ci
from flipdetect.metrics.bootstrap import RESAMPLES, Estimate
from flipdetect.sources.folder import name_below

MARGIN = 0.02
"""F1 that a smaller model may lack and still be as good as the best one for most purposes."""
MEGABYTE = 1_000_000
COMPARED = ("f1", "auroc")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A model to compare.

    Attributes:
        name: of the model.
        evaluation: of the frames that all models scored.
        footprint: its costs.
        training_seconds: of the fit; None if unknown.
    """

    name: str
    evaluation: Evaluation
    footprint: Footprint
    training_seconds: float | None = None

    @property
    def size(self) -> str:
        """Of its file, for readers."""
        return f"{self.footprint.file_bytes / MEGABYTE:.2f} MB"


@dataclass(frozen=True)
class Comparison:
    """Models compared on the same frames.

    Attributes:
        models: in the order they were given.
        ci: of each one's metrics.
        best: name of the one with the highest F1.
        differences: of the others' metrics from the best one's.
        recommended: the model to take; None if none is small enough.
        why: a sentence.
    """

    models: tuple[Candidate, ...]
    ci: dict[str, dict[str, Estimate]]
    best: str
    differences: dict[str, dict[str, Estimate]]
    recommended: str | None
    why: str

    def table(self, style: str = "simple") -> str:
        """A line per model, in a style of tabulate, such as "github"."""
        rows = []
        for each in self.models:
            cost, minus = each.footprint, self.differences.get(each.name)
            rows.append([
                each.name, *(self.ci[each.name][name].text() for name in COMPARED),
                "best" if minus is None else minus["f1"].text(signed=True),
                f"{cost.parameters / 1e6:.2f} M", f"{cost.file_bytes / MEGABYTE:.2f}",
                f"{cost.memory_bytes / MEGABYTE:.1f}", f"{cost.latency_ms:.1f}", duration(each.training_seconds),
            ])  # fmt: skip
        headers = [
            "model", "F1", "AUROC", "F1 minus the best's", "parameters", "file, MB", "memory, MB", "ms per frame",
            "training",
        ]  # fmt: skip
        align = ["left", "left", "left", "left", *["right"] * 5]
        return tabulate(rows, headers=headers, tablefmt=style, colalign=align, disable_numparse=True)

    def rows(self) -> list[dict[str, object]]:
        """A row per model for a CSV file; unknown values are empty."""
        found = []
        for each in self.models:
            row: dict[str, object] = {
                "model": each.name,
                "frames": len(each.evaluation.scored),
                "videos": each.evaluation.videos,
                "threshold": each.evaluation.threshold,
            }
            for suffix, estimates in (("", self.ci[each.name]), ("_less_best", self.differences.get(each.name, {}))):
                for name in COMPARED:
                    own = estimates.get(name, Estimate(math.nan, math.nan, math.nan, 0))
                    row |= {f"{name}{suffix}{end}": value for end, value in
                            (("", own.value), ("_low", own.low), ("_high", own.high))}  # fmt: skip
            row |= {**asdict(each.footprint), "training_seconds": each.training_seconds}
            found.append({name: _cell(value) for name, value in row.items()})
        return found

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        models = [
            {
                "model": each.name,
                "frames": len(each.evaluation.scored),
                "videos": each.evaluation.videos,
                "threshold": each.evaluation.threshold,
                "metrics": each.evaluation.metrics,
                "ci": estimates_as_dict(self.ci[each.name]),
                "less_best": estimates_as_dict(self.differences.get(each.name, {})),
                "training_seconds": each.training_seconds,
                **asdict(each.footprint),
            }
            for each in self.models
        ]
        return {"best": self.best, "recommended": self.recommended, "why": self.why, "models": models}


def compare(
    models: Sequence[Candidate],
    *,
    max_megabytes: float | None = None,
    margin: float = MARGIN,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare models, and recommend one.

    It is the smallest file whose F1 is no more than a margin below that of the best model of allowed size, by the
    lower bound of the paired difference. If no difference is significant, the best one is recommended.

    Args:
        models: at least one, of different names, that scored the same frames.
        max_megabytes: the largest file to recommend; None for any.
        margin: F1 that a smaller model may lack and still be recommended.
        resamples: bootstrap draws of videos.

    Raises:
        DataError: if two models did not score the same frames.
    """
    best = max(models, key=_f1)
    ci = {each.name: evaluation_ci(each.evaluation, resamples=resamples) for each in models}
    differences = {
        each.name: difference(best.evaluation, each.evaluation, metrics=COMPARED, resamples=resamples)
        for each in models
        if each is not best
    }
    recommended, why = _recommend(models, resamples, max_megabytes, margin)
    return Comparison(tuple(models), ci, best.name, differences, recommended, why)


def _recommend(
    models: Sequence[Candidate], resamples: int, max_megabytes: float | None, margin: float
) -> tuple[str | None, str]:
    by_size = sorted(models, key=lambda each: each.footprint.file_bytes)
    allowed = [e for e in by_size if max_megabytes is None or e.footprint.file_bytes <= max_megabytes * MEGABYTE]
    if not allowed:
        return None, f"None has {max_megabytes:g} MB or less; the smallest is {by_size[0].name} with {by_size[0].size}."
    best = max(allowed, key=_f1)
    limit = "" if max_megabytes is None else f" among those of {max_megabytes:g} MB or less"
    unsure = ""
    for other in allowed:
        if other.footprint.file_bytes >= best.footprint.file_bytes:
            break
        minus = difference(best.evaluation, other.evaluation, metrics=["f1"], resamples=resamples)["f1"]
        if minus.is_bounded and minus.low >= -margin:
            return other.name, (
                f"Take {other.name} ({other.size}): it is the smallest{limit} whose F1 is no more than {margin:g} "
                f"below that of {best.name} ({best.size}): {minus.text(signed=True)} on {minus.videos} videos."
            )
        if minus.is_bounded and minus.high >= -margin:
            unsure = f"; {minus.videos} videos do not show whether {other.name} is as good ({minus.text(signed=True)})"
    return best.name, f"Take {best.name} ({best.size}): it has the best F1{limit}, {_f1(best):.3f}{unsure}."


def duration(seconds: float | None) -> str:
    """A time as `3 min 33 s`; `-` if unknown."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _f1(model: Candidate) -> float:
    return model.evaluation.metrics["f1"]


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return "" if value is None else value


@dataclass(frozen=True)
class SharedSplit:
    """A labelled data set and the split that all models are compared on.

    Attributes:
        root: folder of the data set.
        path: the split file.
        manifest: CSV that describes the data set; None for its folders.

    Raises:
        DataError: if there is no split file.
    """

    root: Path
    path: Path
    manifest: Path | None = None

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise DataError(
                f"there is no split file {self.path}; name the {SPLIT_FILE} of a training run with --split-file"
            )

    def values(self) -> dict[str, Any]:
        """Dotted names and values of a configuration that uses it."""
        named = {"data.root": str(self.root), "data.split_file": str(self.path)}
        return named if self.manifest is None else named | {"data.manifest": str(self.manifest)}


def shared_split(data: FrameDataModule, folder: Path) -> SharedSplit:
    """The split that a data module would train with, as a file; the same one each time.

    Args:
        data: as configured.
        folder: where the file is written; its name follows from the frames and the settings.

    Raises:
        DataError: if the frames cannot be split, or the split has no test frames.
    """
    index = labelled_index(data)
    if data.split_file is not None:
        return SharedSplit(data.root, data.split_file, data.manifest)
    settings = {
        "val_fraction": data.val_fraction,
        "test_fraction": data.test_fraction,
        "group_by": data.group_by,
        "seed": data.split_seed,
        "use_supplied_test": data.use_supplied_test,
    }
    content = [[name_below(r.path, index.root), r.label, r.video, r.source] for r in index.records]
    digest = hashlib.sha256(json.dumps([settings, content]).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    path = folder / f"splits-{digest}.csv"
    if not path.is_file():
        split = split_records(index.records, classes=data.classes, **settings)  # type: ignore[arg-type]
        if not split.test:
            raise DataError("the split has no test frames to compare models on; set data.test_fraction above 0")
        write_split(split, path, index.root)
    return SharedSplit(data.root, path, data.manifest)


def check_unseen(model: Path, shared: SharedSplit) -> None:
    """Make sure that a trained model has not seen the test frames, as far as the split next to it shows.

    Raises:
        DataError: if it has.
    """
    own = model.with_name(SPLIT_FILE)
    if not own.is_file():
        logger.warning("%s has no %s next to it: it may have been trained on the test frames", model, SPLIT_FILE)
        return
    tables = []
    for path in (shared.path, own):
        try:
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                tables.append({row["path"]: row["split"] for row in csv.DictReader(file)})
        except (OSError, KeyError, csv.Error) as error:
            raise DataError(f"the split file {path} cannot be read: {error!r}") from error
    tested = {path for path, split in tables[0].items() if split == "test"}
    seen = [path for path, split in tables[1].items() if split != "test" and path in tested]
    if seen:
        raise DataError(
            f"{model} was trained or chosen on {len(seen):,} of the {len(tested):,} test frames (such as {seen[0]}); "
            f"compare on its own split with --split-file {own}, or train it again with --config"
        )
