"""Figures of parts of a set with their intervals, and which parts a model is clearly worse on. No torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flipdetect.evaluation.grouping import Key, group_members
from flipdetect.evaluation.report.keys import Column, columns_of
from flipdetect.evaluation.report.saved import Judged, Scored
from flipdetect.metrics.intervals import Interval, bootstrap_intervals

MOST_PARTS = 12
"""Of a column with more values, only the worst are shown with their figures."""
WORST_OF_MANY = 10
FEWEST_VIDEOS = 8
"""Shares of fewer videos are shown, but not called worse than the rest: their intervals mean little."""
RESAMPLES = 500
SEVERAL = 3
"""Frames from which a video that is told wrong throughout is no chance."""


@dataclass(frozen=True)
class Compared:
    """A share of a part's frames, against that of all other frames.

    Attributes:
        share: with its interval over videos; its `videos` are those that have such frames.
        frames: that it is a share of.
        rest: the same share of all other frames; NaN if there is none.
        lower_is_better: true of false alarms.
    """

    share: Interval
    frames: int
    rest: float
    lower_is_better: bool = False

    @property
    def gap(self) -> float:
        """By how much it is worse than on the rest."""
        return (self.share.value - self.rest) * (1 if self.lower_is_better else -1)

    @property
    def clearly_worse(self) -> bool:
        """Whether the whole interval is worse than on all other frames."""
        if self.share.videos < FEWEST_VIDEOS:
            return False
        return self.share.low > self.rest if self.lower_is_better else self.share.high < self.rest


@dataclass(frozen=True)
class Part:
    """Frames that share a value, and what the model makes of them.

    Parts are compared by the share of positive frames found, and by that of false alarms among the negative ones: F1
    and precision would also tell how many of a part's frames happen to be positive.

    Attributes:
        value: that they share.
        frames, videos, positives: counts.
        called: share of its frames called positive.
        right: share of its frames told right.
        found: recall; None without positive frames.
        alarms: share of false alarms; None without negative frames of its own.
        f1, auroc: NaN where a part has not the frames for it.
    """

    value: str
    frames: int
    videos: int
    positives: int
    called: float
    right: float
    found: Compared | None
    alarms: Compared | None
    f1: float
    auroc: float

    @property
    def clearly_worse(self) -> bool:
        """Whether one of the two shares is."""
        return any(each is not None and each.clearly_worse for each in (self.found, self.alarms))


@dataclass(frozen=True)
class Slicing:
    """The parts that one column cuts a set into.

    Attributes:
        key, title: as in `Column`.
        shared: whether frames of the negative class without a value stand in each part, and are not compared.
        parts: in the order of their values, or of many the worst, the worst first.
        shares, counts: share of frames told right and number of frames of every part, those not shown included.
    """

    key: str
    title: str
    shared: bool
    parts: tuple[Part, ...]
    shares: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def many(self) -> bool:
        """Whether only the worst parts are shown."""
        return len(self.shares) > len(self.parts)


def slicings(scored: Scored, judged: Judged, seed: int = 0) -> list[Slicing]:
    """Cut a set into parts in each way that its columns allow.

    Args:
        scored: the frames that could be read.
        judged: what was judged.
        seed: of the bootstrap.
    """
    return [_slicing(column, scored, judged, seed) for column in columns_of(scored, judged.slices)]


def comparisons(found: Sequence[Slicing]) -> list[tuple[Slicing, Part, Compared]]:
    """Every share of a part that rests on enough videos to be compared."""
    return [
        (each, part, compared)
        for each in found
        for part in each.parts
        for compared in (part.found, part.alarms)
        if compared is not None and compared.share.videos >= FEWEST_VIDEOS and not math.isnan(compared.rest)
    ]


def worst_parts(found: Sequence[Slicing]) -> list[tuple[Slicing, Part, Compared]]:
    """What a model is clearly worse at than on the rest, the widest gap first."""
    worse = [compared for compared in comparisons(found) if compared[2].clearly_worse]
    return sorted(worse, key=lambda each: -each[2].gap)


def _slicing(column: Column, scored: Scored, judged: Judged, seed: int) -> Slicing:
    positive = scored.targets == 1
    key: Key = column.group(column.cells, positive.tolist())
    members = {name[0]: np.array(rows) for name, rows in group_members([key], positive.tolist()).items()}
    has_value = np.array([place is not None for place in key.places])
    shared = bool((~has_value & ~positive).any() and (has_value & positive).any())
    right = (scored.probabilities >= judged.threshold) == positive
    shares = np.array([right[rows].mean() for rows in members.values()])
    counts = np.array([len(rows) for rows in members.values()])
    shown = list(members)
    if len(shown) > MOST_PARTS:
        # Of two parts with the same share, that with more frames says more.
        order = np.lexsort((-counts, shares))[:WORST_OF_MANY]
        shown = [shown[place] for place in order]
    whole = _Whole(scored, judged.threshold, seed, shared)
    return Slicing(
        column.key, column.title, shared, tuple(_part(name, members[name], whole) for name in shown), shares, counts
    )


@dataclass(frozen=True)
class _Whole:
    """The set that a part is of."""

    scored: Scored
    threshold: float
    seed: int
    shared: bool


def _part(name: str, rows: NDArray[np.int64], whole: _Whole) -> Part:
    scored = whole.scored
    inside = np.zeros(len(scored), bool)
    inside[rows] = True
    positive = scored.targets == 1
    called = scored.probabilities >= whole.threshold
    flips = positive[inside]
    both = 0 < flips.sum() < len(flips)
    return Part(
        value=name,
        frames=len(rows),
        videos=len({scored.videos[row] for row in rows}),
        positives=int(flips.sum()),
        called=float(called[inside].mean()),
        right=float((called == positive)[inside].mean()),
        found=_compared(called, inside & positive, ~inside & positive, whole),
        alarms=None if whole.shared else _compared(called, inside & ~positive, ~inside & ~positive, whole),
        f1=f1_of(called[inside], flips) if both else math.nan,
        auroc=auroc_of(scored.probabilities[inside], scored.targets[inside]),
    )


def _compared(
    called: NDArray[np.bool_], chosen: NDArray[np.bool_], others: NDArray[np.bool_], whole: _Whole
) -> Compared | None:
    """The share of chosen frames, all of one class, that are called positive."""
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return None
    rest = float(called[others].mean()) if others.any() else math.nan
    alarms = whole.scored.targets[rows[0]] == 0
    videos = [whole.scored.videos[row] for row in rows]
    # The share called right is a recall of frames that are all of one class; one without such videos has no bounds.
    right = called[rows] != alarms
    share = bootstrap_intervals(
        right.astype(np.float64), np.ones(len(rows)), videos, 0.5, metrics=("recall",), resamples=RESAMPLES,
        seed=whole.seed,
    )["recall"]  # fmt: skip
    if alarms:
        share = replace(share, value=1 - share.value, low=1 - share.high, high=1 - share.low)
    return Compared(share, len(rows), rest, lower_is_better=bool(alarms))


def f1_of(called: NDArray[np.bool_], truths: NDArray[np.bool_]) -> float:
    """F1 of decisions (N,) on frames (N,); NaN if none is positive and none called so."""
    total = int(called.sum()) + int(truths.sum())
    return 2 * int((called & truths).sum()) / total if total else math.nan


def auroc_of(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """Area under the ROC curve, by ranks (Mann and Whitney, 1947); NaN without frames of both classes."""
    positives = int(targets.sum())
    negatives = len(targets) - positives
    if not positives or not negatives:
        return math.nan
    _, places, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return float((ranks[targets == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


@dataclass(frozen=True)
class Evenness:
    """How errors fall on videos.

    Attributes:
        videos: how many there are.
        faultless: videos with every frame right.
        longer, hopeless: videos with `SEVERAL` frames or more, and those of them with every frame wrong.
        half: the fewest videos that half of the errors come from; 0 without errors.
        errors: frames told wrong.
        longest: frames of the video with most.
    """

    videos: int
    faultless: int
    longer: int
    hopeless: int
    half: int
    errors: int
    longest: int


def evenness(scored: Scored, threshold: float) -> Evenness:
    """Count errors by video."""
    wrong = (scored.probabilities >= threshold) != (scored.targets == 1)
    frames = Counter(scored.videos)
    errors = Counter(video for video, bad in zip(scored.videos, wrong.tolist(), strict=True) if bad)
    falling = np.cumsum(sorted(errors.values(), reverse=True))
    total = int(falling[-1]) if errors else 0
    half = int(np.searchsorted(2 * falling, total)) + 1 if errors else 0
    return Evenness(
        videos=len(frames),
        faultless=len(frames) - len(errors),
        longer=sum(count >= SEVERAL for count in frames.values()),
        hopeless=sum(count == frames[video] >= SEVERAL for video, count in errors.items()),
        half=half,
        errors=total,
        longest=max(frames.values(), default=0),
    )
