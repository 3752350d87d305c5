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
from flipdetect.metrics.bootstrap import Estimate, bootstrap_ci

MOST_PARTS = 12
"""Of a column with more values, only the worst are shown with their figures."""
WORST_OF_MANY = 10
FEWEST_VIDEOS = 8
"""Shares of fewer videos are shown, but not called worse than the rest: their intervals mean little."""
RESAMPLES = 500
LEVEL = 0.95
FALSE_MARKS = 0.05
"""Chance that any part of a report is marked as worse without reason."""
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
        clearly_worse: whether it is worse than on the rest beyond chance, all comparisons of the report considered.
    """

    share: Estimate
    frames: int
    rest: float
    lower_is_better: bool = False
    clearly_worse: bool = False

    @property
    def gap(self) -> float:
        """By how much it is worse than on the rest."""
        return (self.share.value - self.rest) * (1 if self.lower_is_better else -1)

    @property
    def comparable(self) -> bool:
        """Whether it rests on enough videos, and there is a rest."""
        return self.share.videos >= FEWEST_VIDEOS and not math.isnan(self.rest)

    @property
    def looks_worse(self) -> bool:
        """Whether all of its interval is worse than the share on the rest, taken as exact."""
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
        rows: positions of the frames of each of them.
        shares, counts: share of frames told right and number of frames of every part, those not shown included.
    """

    key: str
    title: str
    shared: bool
    parts: tuple[Part, ...]
    rows: tuple[NDArray[np.int64], ...]
    shares: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def many(self) -> bool:
        """Whether only the worst parts are shown."""
        return len(self.shares) > len(self.parts)


def slicings(scored: Scored, judged: Judged, seed: int = 0) -> list[Slicing]:
    """Cut a set into parts in each way that its columns allow, and mark what is clearly worse than on the rest.

    What decides is the interval of the difference of a part's share and that of the rest, from the intervals of both
    (Zou and Donner, Statistics in Medicine 27, 2008). Of m comparisons some differ by chance: so these intervals are
    not of 95% but of 1 - 5%/m (Bonferroni), and the chance that any part is marked without reason is about 5% at most.

    Args:
        scored: the frames that could be read.
        judged: what was judged.
        seed: of the bootstrap.
    """
    whole = _Whole(scored, judged.threshold, seed)
    found = [_slicing(column, whole) for column in columns_of(scored, judged.slices)]
    level = 1 - FALSE_MARKS / max(len(comparisons(found)), 1)
    return [
        replace(
            each,
            parts=tuple(_marked(part, whole, rows, level) for part, rows in zip(each.parts, each.rows, strict=True)),
        )
        for each in found
    ]


def comparisons(found: Sequence[Slicing]) -> list[tuple[Slicing, Part, Compared]]:
    """Every share of a part that rests on enough videos to be compared."""
    return [
        (each, part, compared)
        for each in found
        for part in each.parts
        for compared in (part.found, part.alarms)
        if compared is not None and compared.comparable
    ]


def worst_parts(found: Sequence[Slicing]) -> list[tuple[Slicing, Part, Compared]]:
    """What a model is clearly worse at than on the rest, the widest gap first."""
    worse = [compared for compared in comparisons(found) if compared[2].clearly_worse]
    return sorted(worse, key=lambda each: -each[2].gap)


def suspects(found: Sequence[Slicing]) -> list[tuple[Slicing, Part, Compared]]:
    """What looks worse than the rest by its own interval, and may be chance among so many; the widest gap first."""
    some = [each for each in comparisons(found) if each[2].looks_worse and not each[2].clearly_worse]
    return sorted(some, key=lambda each: -each[2].gap)


@dataclass(frozen=True)
class _Whole:
    """The set that a part is of."""

    scored: Scored
    threshold: float
    seed: int

    @property
    def positive(self) -> NDArray[np.bool_]:
        return np.asarray(self.scored.targets == 1)

    @property
    def called(self) -> NDArray[np.bool_]:
        return np.asarray(self.scored.probabilities >= self.threshold)


def _slicing(column: Column, whole: _Whole) -> Slicing:
    positive = whole.positive
    key: Key = column.group(column.cells, positive.tolist())
    members = {name[0]: np.array(rows) for name, rows in group_members([key], positive.tolist()).items()}
    has_value = np.array([place is not None for place in key.places])
    shared = bool((~has_value & ~positive).any() and (has_value & positive).any())
    right = whole.called == positive
    shares = np.array([right[rows].mean() for rows in members.values()])
    counts = np.array([len(rows) for rows in members.values()])
    shown = list(members)
    if len(shown) > MOST_PARTS:
        # Of two parts with the same share, that with more frames says more.
        order = np.lexsort((-counts, shares))[:WORST_OF_MANY]
        shown = [shown[place] for place in order]
    parts = tuple(_part(name, members[name], whole, shared) for name in shown)
    return Slicing(column.key, column.title, shared, parts, tuple(members[name] for name in shown), shares, counts)


def _part(name: str, rows: NDArray[np.int64], whole: _Whole, shared: bool) -> Part:
    scored, positive, called = whole.scored, whole.positive, whole.called
    flips = positive[rows]
    both = 0 < flips.sum() < len(flips)
    return Part(
        value=name,
        frames=len(rows),
        videos=len({scored.videos[row] for row in rows}),
        positives=int(flips.sum()),
        called=float(called[rows].mean()),
        right=float((called == positive)[rows].mean()),
        found=_compared(rows, whole, of_positives=True),
        alarms=None if shared else _compared(rows, whole, of_positives=False),
        f1=f1_of(called[rows], flips) if both else math.nan,
        auroc=auroc_of(scored.probabilities[rows], scored.targets[rows]),
    )


def _compared(rows: NDArray[np.int64], whole: _Whole, *, of_positives: bool) -> Compared | None:
    """The share of a part's frames of one class that are called positive."""
    of_class = whole.positive == of_positives
    chosen = rows[of_class[rows]]
    if not len(chosen):
        return None
    others = of_class.copy()
    others[chosen] = False
    rest = float(whole.called[others].mean()) if others.any() else math.nan
    share = _share(chosen, whole, LEVEL, of_positives=of_positives)
    return Compared(share, len(chosen), rest, lower_is_better=not of_positives)


def _share(rows: NDArray[np.int64], whole: _Whole, level: float, *, of_positives: bool) -> Estimate:
    # The share called right is a recall, of frames that are all of one class.
    right = whole.called[rows] == of_positives
    videos = [whole.scored.videos[row] for row in rows]
    share = bootstrap_ci(
        right.astype(np.float64), np.ones(len(rows)), videos, 0.5, metrics=("recall",), resamples=RESAMPLES,
        seed=whole.seed,
    )["recall"]  # fmt: skip
    if of_positives:
        return share
    return replace(share, value=1 - share.value, low=1 - share.high, high=1 - share.low)


def _marked(part: Part, whole: _Whole, rows: NDArray[np.int64], level: float) -> Part:
    """The part with its shares marked if they are clearly worse, by intervals of that level."""

    def marked(each: Compared | None, *, of_positives: bool) -> Compared | None:
        if each is None or not each.comparable or not each.looks_worse:
            return each
        of_class = whole.positive == of_positives
        chosen = rows[of_class[rows]]
        of_class[chosen] = False
        share, rest = (
            _share(some, whole, level, of_positives=of_positives) for some in (chosen, np.flatnonzero(of_class))
        )
        return replace(each, clearly_worse=_differ(share, rest, lower_is_better=each.lower_is_better))

    return replace(part, found=marked(part.found, of_positives=True), alarms=marked(part.alarms, of_positives=False))


def _differ(share: Estimate, rest: Estimate, *, lower_is_better: bool) -> bool:
    """Whether the interval of the difference lies on the worse side of 0; never if a bound is not known."""
    worse, better = (share, rest) if lower_is_better else (rest, share)
    gap = worse.value - better.value
    slack = math.hypot(worse.value - worse.low, better.high - better.value)
    return gap > slack  # false if a bound is NaN


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
