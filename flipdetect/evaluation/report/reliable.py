"""How far probabilities mean what they say. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """What was said against what was so, bin by bin; empty bins are left out.

    Attributes:
        low, high: (B,) bounds of the bins.
        confidence: (B,) mean probability of the positive class in each.
        frequency: (B,) share of positive frames in each.
        count: (B,) frames in each.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    confidence: NDArray[np.float64]
    frequency: NDArray[np.float64]
    count: NDArray[np.int64]

    @property
    def expected_error(self) -> float:
        """Expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015), 0 to 1."""
        return float((np.abs(self.frequency - self.confidence) * self.count).sum() / self.count.sum())

    def as_dict(self) -> dict[str, list[float]]:
        """Columns by name, as JSON types."""
        return {name: getattr(self, name).tolist() for name in ("low", "high", "confidence", "frequency", "count")}


def reliability(p: NDArray[np.float64], targets: NDArray[np.int64]) -> Reliability:
    """Probabilities (N,) and targets (N,) -> how well they agree."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    place = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    used = count > 0
    sums = [np.bincount(place, each, BINS)[used] / count[used] for each in (p, targets)]
    return Reliability(edges[:-1][used], edges[1:][used], sums[0], sums[1], count[used])
