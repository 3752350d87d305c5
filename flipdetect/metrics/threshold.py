"""The decision threshold: with the best F1, or with the lowest cost of mistakes; and how much depends on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flipdetect.errors import ConfigError

DEFAULT_THRESHOLD = 0.5
PLATEAU_LOSS = 0.01
"""F1 that a threshold may lose and still count as about as good as the best."""


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """A decision threshold and what it reaches.

    Attributes:
        threshold: a frame is positive if its probability is at least this; 0 to 1.
        f1: of the positive class, on the frames that the threshold was chosen on.
    """

    threshold: float
    f1: float


@dataclass(frozen=True, slots=True)
class ThresholdCosts:
    """What mistakes cost; only their ratio matters for the threshold.

    Attributes:
        missed_flip: of a positive frame that is not called so.
        false_alarm: of a negative frame that is called positive.

    Raises:
        ConfigError: if a cost is negative or infinite, or both are 0.
    """

    missed_flip: float = 1.0
    false_alarm: float = 1.0

    def __post_init__(self) -> None:
        costs = (self.missed_flip, self.false_alarm)
        if not all(math.isfinite(cost) and cost >= 0 for cost in costs) or not any(costs):
            raise ConfigError(
                f"threshold costs must be 0 or more, and not both 0, got missed_flip {costs[0]} and false_alarm "
                f"{costs[1]}; {{missed_flip: 5, false_alarm: 1}} says that a missed flip is as bad as five false alarms"
            )

    @property
    def bayes_threshold(self) -> float:
        """From this probability on, calling a frame positive is the cheaper bet, if probabilities are calibrated."""
        return self.false_alarm / (self.false_alarm + self.missed_flip)


@dataclass(frozen=True)
class ThresholdCurve:
    """What a decision reaches at each threshold.

    Attributes:
        thresholds, f1, precision, recall: (M,) float64; 0/0 counts as 0.
        plateau: lowest and highest threshold with an F1 within `PLATEAU_LOSS` of the best one; what lies between them
            may be worse.
    """

    thresholds: NDArray[np.float64]
    f1: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    plateau: tuple[float, float]


def best_f1_threshold(probabilities: ArrayLike, targets: ArrayLike) -> ThresholdChoice:
    """Choose the threshold with the highest F1 of the positive class.

    Every way to cut the sorted probabilities in two is tried (n log n in time), including "all frames are
    positive"; "none is" has an F1 of 0 and is left out. A threshold lies halfway between two neighbouring
    distinct probabilities, so that it favours neither side; below the lowest it lies halfway to 0. Among
    equally good cuts, the one nearest 0.5 is taken, and the lower one if two are equally near.

    Args:
        probabilities: (N,) of the positive class, in [0, 1].
        targets: (N,) 0 or 1.

    Returns:
        The threshold, and its F1 under the rule `probability >= threshold`.

    Raises:
        ValueError: if the two do not have one length, if there is no frame or no positive one (F1 is then
            undefined at every threshold), if a probability is NaN or outside [0, 1], or a target not 0 or 1.
    """
    cuts = _cuts(probabilities, targets)
    f1 = cuts.f1()
    best = np.flatnonzero(f1 == f1.max())
    nearest = _nearest(best, cuts.thresholds, DEFAULT_THRESHOLD)
    return ThresholdChoice(threshold=float(cuts.thresholds[nearest]), f1=float(f1[nearest]))


def cheapest_threshold(probabilities: ArrayLike, targets: ArrayLike, costs: ThresholdCosts) -> ThresholdChoice:
    """Choose the threshold with the lowest cost of mistakes; the same cuts are tried as by `best_f1_threshold`.

    Among equally cheap cuts, the one nearest `costs.bayes_threshold` is taken, and the lower one if two are equally
    near.

    Args:
        probabilities: (N,) of the positive class, in [0, 1].
        targets: (N,) 0 or 1.
        costs: of the two kinds of mistakes.

    Returns:
        The threshold, and its F1 under the rule `probability >= threshold`.

    Raises:
        ValueError: as `best_f1_threshold`.
    """
    cuts = _cuts(probabilities, targets)
    cost = cuts.cost(costs)
    # Sums of costs differ by rounding where they are equal.
    best = np.flatnonzero(cost <= cost.min() * (1 + 1e-12))
    nearest = _nearest(best, cuts.thresholds, costs.bayes_threshold)
    return ThresholdChoice(threshold=float(cuts.thresholds[nearest]), f1=float(cuts.f1()[nearest]))


def choose_threshold(
    probabilities: ArrayLike, targets: ArrayLike, costs: ThresholdCosts | None = None
) -> ThresholdChoice:
    """The cheapest threshold if costs are given, else the one with the best F1; arguments and errors are theirs."""
    if costs is None:
        return best_f1_threshold(probabilities, targets)
    return cheapest_threshold(probabilities, targets, costs)


def cost_at(probabilities: ArrayLike, targets: ArrayLike, threshold: float, costs: ThresholdCosts) -> float:
    """Cost of mistakes per frame at a threshold.

    Args:
        probabilities: (N,) of the positive class, in [0, 1]; N at least 1.
        targets: (N,) 0 or 1.
        threshold: of the decision.
        costs: of the two kinds of mistakes.
    """
    called = np.asarray(probabilities, dtype=np.float64) >= threshold
    truths = np.asarray(targets).astype(np.bool_)
    missed, alarms = int((truths & ~called).sum()), int((called & ~truths).sum())
    return (missed * costs.missed_flip + alarms * costs.false_alarm) / truths.size


def threshold_curve(probabilities: ArrayLike, targets: ArrayLike, points: int = 101) -> ThresholdCurve:
    """F1, precision and recall over the threshold.

    Args:
        probabilities: (N,) of the positive class, in [0, 1].
        targets: (N,) 0 or 1.
        points: thresholds, evenly from 0 to 1.

    Raises:
        ValueError: as `best_f1_threshold`.
    """
    scores, truths = _sorted(probabilities, targets)
    thresholds = np.linspace(0.0, 1.0, points)
    caught = np.append(0.0, np.cumsum(truths))
    # Sorted by falling score: as many are called as have at least the threshold.
    called = np.searchsorted(-scores, -thresholds, side="right")
    hits, positives = caught[called], truths.sum()
    precision = np.divide(hits, called, out=np.zeros(points), where=called > 0)
    cuts = _cuts(probabilities, targets)
    good = cuts.thresholds[cuts.f1() >= cuts.f1().max() - PLATEAU_LOSS]
    return ThresholdCurve(
        thresholds,
        2 * hits / (called + positives),
        precision,
        hits / positives,
        (float(good.min()), float(good.max())),
    )


def confusion_matrix(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> NDArray[np.int64]:
    """(2, 2) int64 counts: rows are the true class, columns the predicted one, negative first.

    Args:
        probabilities: (N,) of the positive class; positive is predicted from `threshold` up.
        targets: (N,) 0 or 1.
        threshold: of the decision.
    """
    predicted = np.asarray(probabilities, dtype=np.float64) >= threshold
    truths = np.asarray(targets).astype(np.int64)
    return np.bincount(2 * truths + predicted, minlength=4).reshape(2, 2)


@dataclass(frozen=True)
class _Cuts:
    """Every way to cut sorted probabilities in two.

    Attributes:
        thresholds: (M,) falling.
        called, hits: (M,) frames called positive, and how many of them are.
        positives: how many are in all.
    """

    thresholds: NDArray[np.float64]
    called: NDArray[np.float64]
    hits: NDArray[np.float64]
    positives: float

    def f1(self) -> NDArray[np.float64]:
        """2TP + FP + FN is the frames called positive plus those that are."""
        return 2.0 * self.hits / (self.called + self.positives)

    def cost(self, costs: ThresholdCosts) -> NDArray[np.float64]:
        """Of all mistakes."""
        return costs.missed_flip * (self.positives - self.hits) + costs.false_alarm * (self.called - self.hits)


def _cuts(probabilities: ArrayLike, targets: ArrayLike) -> _Cuts:
    scores, truths = _sorted(probabilities, targets)
    # A cut after position i calls the i + 1 highest positive; equal probabilities cannot be separated.
    cuts = np.flatnonzero(np.append(scores[1:] < scores[:-1], True))
    thresholds = _midpoints(scores[cuts], np.append(scores[cuts[:-1] + 1], 0.0))
    return _Cuts(thresholds, (cuts + 1).astype(np.float64), np.cumsum(truths)[cuts], float(truths.sum()))


def _sorted(probabilities: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scores = np.asarray(probabilities, dtype=np.float64)
    truths = np.asarray(targets, dtype=np.float64)
    _check(scores, truths)
    order = np.argsort(-scores, kind="stable")
    return scores[order], truths[order]


def _nearest(best: NDArray[np.int64], thresholds: NDArray[np.float64], wanted: float) -> int:
    # Thresholds fall along the cuts: reversed, the lower of two equally near ones comes first.
    return int(best[::-1][np.argmin(np.abs(thresholds[best[::-1]] - wanted))])


def _midpoints(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> NDArray[np.float64]:
    """Halfway from `lower` to `upper`, never as low as `lower`: between adjacent floats, `upper` itself."""
    middle = lower + (upper - lower) / 2.0
    return np.where(middle > lower, middle, upper)


def _check(scores: NDArray[np.float64], truths: NDArray[np.float64]) -> None:
    if scores.ndim != 1 or scores.shape != truths.shape:
        raise ValueError(f"probabilities and targets must be two (N,) arrays, got {scores.shape} and {truths.shape}")
    if not np.isin(truths, (0.0, 1.0)).all():
        raise ValueError(f"targets must be 0 or 1, got {np.unique(truths)[:5].tolist()}")
    if not truths.any():
        raise ValueError(f"no threshold has an F1: none of the {truths.size} frames is positive")
    if not ((scores >= 0.0) & (scores <= 1.0)).all():
        bad = scores[~((scores >= 0.0) & (scores <= 1.0))]
        raise ValueError(f"probabilities must lie in [0, 1], got {bad.size} that do not, for example {bad[0]}")
