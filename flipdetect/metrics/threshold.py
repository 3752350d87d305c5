"""The decision threshold: best F1 or lowest cost of errors; metrics over all thresholds. NumPy alone.

In this room, probabilities are (N,) of the positive class, 0 to 1, and targets (N,) 0 or 1. A frame is predicted
positive if its probability is at least the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flipdetect.errors import ConfigError

Floats = NDArray[np.float64]

DEFAULT_THRESHOLD = 0.5
PLATEAU_LOSS = 0.01
"""F1 that a threshold may lose and still count as about as good as the best."""


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """A decision threshold, 0 to 1, and its F1 on the frames that it was chosen on."""

    threshold: float
    f1: float


@dataclass(frozen=True, slots=True)
class ThresholdCosts:
    """Costs of errors; only their ratio matters for the threshold.

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
        """The cheapest threshold if probabilities are calibrated."""
        return self.false_alarm / (self.false_alarm + self.missed_flip)


@dataclass(frozen=True)
class ThresholdCurve:
    """Metrics at each threshold.

    Attributes:
        thresholds, f1, precision, recall: (M,) float64; 0/0 counts as 0.
        plateau: lowest and highest threshold with an F1 within `PLATEAU_LOSS` of the best one; what lies between them
            may be worse.
    """

    thresholds: Floats
    f1: Floats
    precision: Floats
    recall: Floats
    plateau: tuple[float, float]


def choose_threshold(
    probabilities: ArrayLike, targets: ArrayLike, costs: ThresholdCosts | None = None
) -> ThresholdChoice:
    """Choose the threshold with the highest F1 of the positive class or, if costs are given, the lowest cost of errors.

    Every way to cut the sorted probabilities in two is tried, "all frames are positive" included. A threshold lies
    halfway between two neighbouring distinct probabilities; below the lowest it lies halfway to 0. Among equally good
    cuts, the one nearest 0.5 (with costs: `costs.bayes_threshold`) is taken, and the lower one if two are equally near.

    Raises:
        ValueError: as `checked_arrays`, or if there is no positive frame (F1 is then undefined).
    """
    thresholds, called, hits, positives = _cuts(probabilities, targets)
    f1 = 2.0 * hits / (called + positives)
    best, wanted = f1 == f1.max(), DEFAULT_THRESHOLD
    if costs is not None:
        cost = costs.missed_flip * (positives - hits) + costs.false_alarm * (called - hits)
        # Sums of costs differ by rounding where they are equal.
        best, wanted = cost <= cost.min() * (1 + 1e-12), costs.bayes_threshold
    # Thresholds fall along the cuts: reversed, the lower of two equally near ones comes first.
    places = np.flatnonzero(best)[::-1]
    place = places[np.argmin(np.abs(thresholds[places] - wanted))]
    return ThresholdChoice(threshold=float(thresholds[place]), f1=float(f1[place]))


def cost_at(probabilities: ArrayLike, targets: ArrayLike, threshold: float, costs: ThresholdCosts) -> float:
    """Cost of errors per frame at a threshold; N at least 1."""
    called = np.asarray(probabilities, dtype=np.float64) >= threshold
    truths = np.asarray(targets).astype(np.bool_)
    missed, alarms = int((truths & ~called).sum()), int((called & ~truths).sum())
    return (missed * costs.missed_flip + alarms * costs.false_alarm) / truths.size


def threshold_curve(probabilities: ArrayLike, targets: ArrayLike, points: int = 101) -> ThresholdCurve:
    """F1, precision and recall at `points` thresholds, evenly from 0 to 1.

    Raises:
        ValueError: as `choose_threshold`.
    """
    cuts, cut_called, cut_hits, positives = _cuts(probabilities, targets)
    cut_f1 = 2.0 * cut_hits / (cut_called + positives)
    good = cuts[cut_f1 >= cut_f1.max() - PLATEAU_LOSS]
    thresholds = np.linspace(0.0, 1.0, points)
    scores, truths = np.asarray(probabilities, dtype=np.float64), np.asarray(targets).astype(np.bool_)
    called = len(scores) - np.searchsorted(np.sort(scores), thresholds)
    hits = positives - np.searchsorted(np.sort(scores[truths]), thresholds)
    precision = np.divide(hits, called, out=np.zeros(points), where=called > 0)
    plateau = float(good.min()), float(good.max())
    f1, recall = (np.asarray(each, np.float64) for each in (2 * hits / (called + positives), hits / positives))
    return ThresholdCurve(thresholds, f1, precision, recall, plateau)


def confusion_matrix(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> NDArray[np.int64]:
    """(2, 2) int64 counts: rows are the true class, columns the predicted one, negative first."""
    predicted = np.asarray(probabilities, dtype=np.float64) >= threshold
    truths = np.asarray(targets).astype(np.int64)
    return np.bincount(2 * truths + predicted, minlength=4).reshape(2, 2)


def checked_arrays(probabilities: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
    """Both as (N,) float64.

    Raises:
        ValueError: if they do not have one length, are empty, or a value is NaN or outside its range.
    """
    scores, truths = np.asarray(probabilities, np.float64), np.asarray(targets, np.float64)
    if scores.ndim != 1 or scores.shape != truths.shape:
        raise ValueError(f"probabilities and targets must be two (N,) arrays, got {scores.shape} and {truths.shape}")
    if not scores.size:
        raise ValueError("there is no frame to evaluate")
    if not np.isin(truths, (0.0, 1.0)).all():
        raise ValueError(f"targets must be 0 or 1, got {np.unique(truths)[:5].tolist()}")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"probabilities must lie in [0, 1], got {scores.min():g} to {scores.max():g}")
    return scores, truths


def _cuts(probabilities: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats, Floats, float]:
    """All ways to cut sorted probabilities in two: (M,) falling thresholds, predicted positives, hits; positives."""
    scores, truths = checked_arrays(probabilities, targets)
    if not truths.any():
        raise ValueError(f"no threshold has an F1: none of the {truths.size} frames is positive")
    order = np.argsort(-scores, kind="stable")
    scores, truths = scores[order], truths[order]
    # A cut after position i calls the i + 1 highest positive; equal probabilities cannot be separated.
    cuts = np.flatnonzero(np.append(scores[1:] < scores[:-1], True))
    upper, lower = scores[cuts], np.append(scores[cuts[:-1] + 1], 0.0)
    middle = lower + (upper - lower) / 2.0
    # Between adjacent floats, `upper` itself.
    thresholds = np.where(middle > lower, middle, upper)
    return thresholds, (cuts + 1).astype(np.float64), np.cumsum(truths)[cuts], float(truths.sum())
