"""The decision threshold that maximises F1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """A decision threshold and what it reaches.

    Attributes:
        threshold: a frame is positive if its probability is at least this; 0 to 1.
        f1: of the positive class, on the frames that the threshold was chosen on.
    """

    threshold: float
    f1: float


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
    scores = np.asarray(probabilities, dtype=np.float64)
    truths = np.asarray(targets, dtype=np.float64)
    _check(scores, truths)

    order = np.argsort(-scores, kind="stable")
    scores, truths = scores[order], truths[order]
    # A cut after position i calls the i + 1 highest positive; equal probabilities cannot be told apart.
    cuts = np.flatnonzero(np.append(scores[1:] < scores[:-1], True))
    true_positives = np.cumsum(truths)[cuts]
    # 2TP + FP + FN is the frames called positive plus those that are.
    f1 = 2.0 * true_positives / (cuts + 1 + truths.sum())
    thresholds = _midpoints(scores[cuts], np.append(scores[cuts[:-1] + 1], 0.0))

    best = np.flatnonzero(f1 == f1.max())
    # Thresholds fall along the cuts: reversed, the lower of two equally near ones comes first.
    nearest = best[::-1][np.argmin(np.abs(thresholds[best[::-1]] - DEFAULT_THRESHOLD))]
    return ThresholdChoice(threshold=float(thresholds[nearest]), f1=float(f1[nearest]))


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
