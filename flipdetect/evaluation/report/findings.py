"""Everything a report says in numbers, computed from saved predictions. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipdetect.errors import DataError
from flipdetect.evaluation.report.parts import Compared, Evenness, Slicing, evenness, f1_of, slicings
from flipdetect.evaluation.report.saved import (
    PREDICTIONS,
    ROBUSTNESS,
    Judged,
    PicturedFrame,
    Scored,
    read_json,
    read_judged,
    read_pictured,
    read_scored,
)
from flipdetect.metrics.bootstrap import Estimate, bootstrap_ci
from flipdetect.metrics.calibration import Reliability, reliability
from flipdetect.metrics.clip import Confusion, clip_scores, clip_targets, confusion
from flipdetect.metrics.threshold import ThresholdChoice, best_f1_threshold

HEADLINES = ("f1", "precision", "recall", "accuracy", "auroc", "average_precision", "f1_at_0.5")
OF_CLIPS = ("f1", "precision", "recall", "accuracy", "auroc")
FEWEST_SOURCES = 10
"""Below so many, an interval over sources would mean nothing."""
GRID = np.linspace(0.0, 1.0, 201)
"""Thresholds of the sensitivity curve."""
TOLERANCE = 0.01
"""F1 that may be lost before a threshold counts as another."""


@dataclass(frozen=True)
class Clips:
    """How well the highest frame probability decides about whole videos.

    Attributes:
        how: "max".
        threshold: of a video's score; origin: where it comes from.
        counts: decisions.
        figures: names of `OF_CLIPS`.
    """

    how: str
    threshold: float
    origin: str
    counts: Confusion
    figures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Sensitivity:
    """What other thresholds would do on these frames.

    Attributes:
        thresholds: (K,) ascending.
        f1, precision, recall: (K,); NaN where none is defined.
        best: the one with the highest F1 here: a bound, chosen with the labels known.
        low, high: between them F1 is within `TOLERANCE` of that at the threshold in use.
    """

    thresholds: NDArray[np.float64]
    f1: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    best: ThresholdChoice | None
    low: float
    high: float


@dataclass(frozen=True)
class Findings:
    """All numbers of a report.

    Attributes:
        judged: what was judged.
        scored: the frames that could be read.
        unreadable: path and reason of the others.
        videos, sources: how many; 0 sources if they are unknown.
        headline: names of `HEADLINES`, over videos.
        over_sources: F1 with its interval over sources instead; None if there are few, or one per video.
        always: F1 of calling every frame positive: what no model should fall below.
        counts: decisions on frames.
        clips: one per aggregation.
        sensitivity: of the threshold.
        calibration: of the probabilities.
        slices: figures of parts.
        spread: how errors fall on videos.
        pictured: frames to show.
        robustness: as saved, if it was measured.
    """

    judged: Judged
    scored: Scored
    unreadable: tuple[tuple[str, str], ...]
    videos: int
    sources: int
    headline: Mapping[str, Estimate]
    over_sources: Estimate | None
    always: float
    counts: Confusion
    clips: tuple[Clips, ...]
    sensitivity: Sensitivity
    calibration: Reliability
    slices: tuple[Slicing, ...]
    spread: Evenness
    pictured: tuple[PicturedFrame, ...]
    robustness: Mapping[str, Any] | None

    @property
    def positives(self) -> int:
        """Frames that are of the positive class."""
        return int(self.scored.targets.sum())


def find(folder: Path, seed: int = 0) -> Findings:
    """Read what was saved in a folder, and compute everything.

    Args:
        folder: as `collect` has written it.
        seed: of the bootstraps.

    Raises:
        DataError: if a file is missing or cannot be understood, or no frame has a probability.
    """
    judged = read_judged(folder)
    everything = read_scored(folder / PREDICTIONS, judged.classes)
    scored = everything.readable()
    if not len(scored):
        raise DataError(f"no frame in {folder / PREDICTIONS} has a probability: there is nothing to report")
    p, targets, videos = scored.probabilities, scored.targets, list(scored.videos)
    share = float(targets.mean())
    robustness = folder / ROBUSTNESS
    return Findings(
        judged=judged,
        scored=scored,
        unreadable=everything.unreadable(),
        videos=len(set(videos)),
        sources=len(set(scored.sources) - {""}),
        headline=bootstrap_ci(p, targets, videos, judged.threshold, metrics=HEADLINES, seed=seed),
        over_sources=_over_sources(scored, judged.threshold, seed),
        always=2 * share / (1 + share),
        counts=confusion(p, targets, judged.threshold),
        clips=(_clips(scored, judged, seed),),
        sensitivity=_sensitivity(p, targets, judged.threshold),
        calibration=reliability(p, targets),
        slices=tuple(slicings(scored, judged, seed)),
        spread=evenness(scored, judged.threshold),
        pictured=tuple(read_pictured(folder)),
        robustness=read_json(robustness) if robustness.is_file() else None,
    )


def _over_sources(scored: Scored, threshold: float, seed: int) -> Estimate | None:
    sources = set(scored.sources)
    if "" in sources or not FEWEST_SOURCES <= len(sources) < len(set(scored.videos)):
        return None
    return bootstrap_ci(
        scored.probabilities, scored.targets, list(scored.sources), threshold, metrics=("f1",), seed=seed
    )["f1"]


def _clips(scored: Scored, judged: Judged, seed: int) -> Clips:
    how = "max"
    scores = clip_scores(scored.videos, scored.probabilities)
    targets = list(clip_targets(scored.videos, scored.targets).values())
    threshold, origin = judged.clip_thresholds.get(how, (judged.threshold, "that of frames"))
    values = np.array(list(scores.values()))
    figures = bootstrap_ci(values, targets, list(scores), threshold, metrics=OF_CLIPS, resamples=1000, seed=seed)
    return Clips(how, threshold, origin, confusion(values, targets, threshold), figures)


def _sensitivity(p: NDArray[np.float64], targets: NDArray[np.int64], threshold: float) -> Sensitivity:
    positives = np.sort(p[targets == 1])
    everything = np.sort(p)
    found = len(positives) - np.searchsorted(positives, GRID, side="left")
    called = len(everything) - np.searchsorted(everything, GRID, side="left")
    nothing = np.full(len(GRID), np.nan)
    precision = np.divide(found, called, out=nothing.copy(), where=called > 0)
    recall = np.divide(found, len(positives), out=nothing.copy(), where=np.full(len(GRID), len(positives) > 0))
    f1 = np.divide(2 * found, called + len(positives), out=nothing.copy(), where=called + len(positives) > 0)
    here = f1_of(p >= threshold, targets == 1)
    low, high = _plateau(f1, here, threshold)
    best = best_f1_threshold(p, targets) if len(positives) else None
    return Sensitivity(GRID, f1, precision, recall, best, low, high)


def _plateau(f1: NDArray[np.float64], here: float, threshold: float) -> tuple[float, float]:
    """The thresholds around the one in use between which F1 is lower by no more than `TOLERANCE`."""
    if math.isnan(here):
        return threshold, threshold
    fine = f1 >= here - TOLERANCE
    low = high = int(np.argmin(np.abs(GRID - threshold)))
    while low > 0 and fine[low - 1]:
        low -= 1
    while high < len(GRID) - 1 and fine[high + 1]:
        high += 1
    return min(float(GRID[low]), threshold), max(float(GRID[high]), threshold)


def as_dict(found: Findings) -> dict[str, Any]:
    """All numbers as JSON types, for `figures.json`; an interval is value, low, high and videos."""
    s = found.sensitivity
    return {
        "version": 1,
        # Where the frames lay on this machine is no finding.
        "judged": {name: value for name, value in asdict(found.judged).items() if name != "folder"},
        "frames": len(found.scored),
        "positives": found.positives,
        "unreadable": len(found.unreadable),
        "videos": found.videos,
        "sources": found.sources,
        "figures": {name: asdict(each) for name, each in found.headline.items()},
        "f1_over_sources": None if found.over_sources is None else asdict(found.over_sources),
        "f1_of_calling_all_positive": found.always,
        "frames_decided": found.counts.as_dict(),
        "clips": [
            {
                "how": each.how,
                "threshold": each.threshold,
                "threshold_from": each.origin,
                "decided": each.counts.as_dict(),
                "figures": {name: asdict(value) for name, value in each.figures.items()},
            }
            for each in found.clips
        ],
        "threshold": {
            "best_f1_oracle": None if s.best is None else s.best.f1,
            "best_threshold_oracle": None if s.best is None else s.best.threshold,
            "same_f1_from": s.low,
            "same_f1_to": s.high,
        },
        "calibration": {"ece": found.calibration.expected_error, "reliability": found.calibration.as_dict()},
        "errors_by_video": asdict(found.spread),
        "slices": list(slice_rows(found)),
    }


def slice_rows(found: Findings) -> Iterator[dict[str, Any]]:
    """A row per part that is shown, for `slices.csv` and `figures.json`."""
    for each in found.slices:
        for part in each.parts:
            yield {
                "key": each.key,
                "value": part.value,
                "frames": part.frames,
                "videos": part.videos,
                "positives": part.positives,
                "called_positive": part.called,
                "right": part.right,
                **_compared("recall", part.found),
                **_compared("false_alarms", part.alarms),
                "f1": part.f1,
                "auroc": part.auroc,
            }


def _compared(name: str, each: Compared | None) -> dict[str, Any]:
    share = None if each is None else each.share
    return {
        name: None if share is None else share.value,
        f"{name}_low": None if share is None else share.low,
        f"{name}_high": None if share is None else share.high,
        f"{name}_on_the_rest": None if each is None else each.rest,
        f"{name}_clearly_worse": each is not None and each.clearly_worse,
    }
