"""The figures of a set of scored frames."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike

from flipdetect.metrics.frame import FrameMetrics
from flipdetect.metrics.threshold import best_f1_threshold

ORACLE = "best_f1_oracle"
"""F1 at the threshold that suits the judged frames best, with their labels known: a bound, not a result."""


def frame_figures(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> dict[str, float]:
    """All metrics of `FrameMetrics` at a threshold, and the oracle's F1.

    Args:
        probabilities: (N,) of the positive class, 0 to 1; N at least 1.
        targets: (N,) 0 or 1.
        threshold: from this probability on, a frame is called positive.

    Returns:
        The metrics by name; `best_f1_oracle` is NaN if no frame is positive.

    Raises:
        ValueError: if the two do not fit each other, or a probability is outside [0, 1].
    """
    scores, truths = np.asarray(probabilities, dtype=np.float64), np.asarray(targets, dtype=np.int64)
    metrics = FrameMetrics()
    metrics.update(torch.from_numpy(scores), torch.from_numpy(truths))
    best = best_f1_threshold(scores, truths).f1 if truths.any() else math.nan
    return {**metrics.compute(threshold), ORACLE: best}
