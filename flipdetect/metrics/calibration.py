"""Calibration of probabilities, and temperature scaling: NumPy and SciPy alone.

Of the frames to which a calibrated model gives 0.8, 80% are positive. Networks are rarely calibrated; dividing their
logits by one number, the temperature, corrects most of it and changes neither the order of frames nor which lie above
0.5 (Guo et al., 2017, "On calibration of modern neural networks"). Arrays are as in `flipdetect.metrics.threshold`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit, logit

from flipdetect.metrics.threshold import Floats, checked_arrays
from flipdetect.runs import NO_TEMPERATURE

TEMPERATURES = (0.05, 20.0)
"""Temperatures beyond these are effects of the number format."""
BINS = 15
"""As in Guo et al."""
LOGIT_LIMIT = 16.0
"""Float32 probabilities have no finer steps near 1."""


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: frequency against probability, bin by bin; empty bins are left out.

    Attributes:
        low, high: (B,) bounds of the bins.
        confidence: (B,) mean probability of the positive class in each bin.
        frequency: (B,) share of positive frames in each bin.
        count: (B,) int64, frames in each bin.
    """

    low: Floats
    high: Floats
    confidence: Floats
    frequency: Floats
    count: NDArray[np.int64]

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean distance of frequency and confidence, weighted by frames; 0 is best."""
        return float((np.abs(self.frequency - self.confidence) * self.count).sum() / self.count.sum())

    def as_dict(self) -> dict[str, list[float]]:
        """Columns by name, as JSON types."""
        return {name: getattr(self, name).tolist() for name in ("low", "high", "confidence", "frequency", "count")}


def reliability(probabilities: ArrayLike, targets: ArrayLike, bins: int = BINS) -> Reliability:
    """Sort N > 0 frames into equally wide bins by their probability; errors of `checked_arrays`."""
    scores, truths = checked_arrays(probabilities, targets)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    used = count > 0
    sums = [np.bincount(place, values, bins)[used] / count[used] for values in (scores, truths)]
    return Reliability(edges[:-1][used], edges[1:][used], sums[0], sums[1], count[used])


def calibration_metrics(probabilities: ArrayLike, targets: ArrayLike) -> dict[str, float]:
    """Three measures of calibration; lower is better.

    Returns:
        `ece` (of `reliability`), `brier` (mean squared distance of probability and target; Brier,
        1950) and `log_loss` (mean negative log likelihood, of probabilities no nearer than 1e-7 to 0 and 1).

    Raises:
        ValueError: as `reliability`.
    """
    scores, truths = checked_arrays(probabilities, targets)
    logits = logits_of(scores)
    return {
        "ece": reliability(scores, truths).expected_error,
        "brier": float(((scores - truths) ** 2).mean()),
        "log_loss": float(-(truths * log_expit(logits) + (1 - truths) * log_expit(-logits)).mean()),
    }


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """The temperature with the highest likelihood of the targets; on a validation split, never on test frames.

    Targets are moved in from 0 and 1 as by Platt (1999), to (n1 + 1) / (n1 + 2) and 1 / (n0 + 2) with n1 positive and
    n0 negative frames: otherwise a small split without errors would have temperature 0, and only probabilities 0 and 1.
    Logits (N,) beyond ±`LOGIT_LIMIT` are taken for that.

    Returns:
        Within `TEMPERATURES`; `NO_TEMPERATURE` if the logits do not rank positive frames above negative ones.

    Raises:
        ValueError: if arrays do not fit, or one of the classes is absent.
    """
    values, truths = np.asarray(logits, np.float64), np.asarray(targets, np.float64)
    if values.ndim != 1 or values.shape != truths.shape:
        raise ValueError(f"logits and targets must be two (N,) arrays, got {values.shape} and {truths.shape}")
    if np.isnan(values).any():
        raise ValueError(f"{int(np.isnan(values).sum())} logits are NaN")
    positives, negatives = int((truths == 1).sum()), int((truths == 0).sum())
    if not positives or not negatives or positives + negatives != len(truths):
        raise ValueError(f"a temperature needs frames of both classes, got {positives} positive, {negatives} negative")
    values = np.clip(values, -LOGIT_LIMIT, LOGIT_LIMIT)
    smooth = np.where(truths == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def slope(log_temperature: float) -> float:
        """Slope of the loss along the inverse temperature; it rises, since the loss is convex."""
        return float((values * (expit(values * math.exp(-log_temperature)) - smooth)).mean())

    from scipy.optimize import brentq

    cold, hot = (math.log(limit) for limit in TEMPERATURES)
    if slope(hot) >= 0:  # even the softest is too sharp
        return NO_TEMPERATURE if float((values * (0.5 - smooth)).mean()) >= 0 else TEMPERATURES[1]
    if slope(cold) <= 0:
        return TEMPERATURES[0]
    return float(math.exp(brentq(slope, cold, hot, xtol=1e-6)))


def calibrated(probabilities: ArrayLike, temperature: float) -> Floats:
    """Probabilities of any shape at a temperature above 0: the sigmoid of their logits divided by it."""
    scores = np.asarray(probabilities, np.float64)
    if temperature == NO_TEMPERATURE:
        return scores
    found: Floats = np.asarray(expit(logit(scores) / temperature))
    return found


def logits_of(probabilities: ArrayLike) -> Floats:
    """Logits of probabilities (N,), within ±`LOGIT_LIMIT`."""
    found: Floats = np.clip(logit(np.asarray(probabilities, np.float64)), -LOGIT_LIMIT, LOGIT_LIMIT)
    return found
