"""How far probabilities mean what they say. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Of K equal bins of probability.

    Attributes:
        means, shares: (K,) mean probability and share of positives of the frames in each; NaN in an empty one.
        counts: (K,) frames.
        error: expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015), 0 to 1.
    """

    means: NDArray[np.float64]
    shares: NDArray[np.float64]
    counts: NDArray[np.int64]
    error: float


def calibration_of(p: NDArray[np.float64], targets: NDArray[np.int64]) -> Calibration:
    """Probabilities (N,) and targets (N,) -> how well they agree."""
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        means = np.bincount(place, p, BINS) / counts
        shares = np.bincount(place, targets, BINS) / counts
    error = float(np.nansum(np.abs(means - shares) * counts) / counts.sum())
    return Calibration(means, shares, counts, error)


def calibration_dict(found: Calibration) -> dict[str, Any]:
    """As JSON types."""
    return {"expected_calibration_error": found.error}
