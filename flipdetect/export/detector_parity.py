"""How far two detectors find the same objects: the check of an export. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from flipdetect.errors import ModelError
from flipdetect.inference.detector import Detector, FoundBoxes
from flipdetect.inference.model import Inputs

PIXELS, SCORE = 1.0, 1e-3
"""Edges of one detection may differ by so many pixels of the network's input, and its score by so much."""


@dataclass(frozen=True)
class DetectionParity:
    """How much the detections of two detectors agree.

    Attributes:
        frames: number of pictures compared.
        detections: number of detections of both, each pair counted once.
        same: how many of them both have, within the limits.
    """

    frames: int
    detections: int
    same: int

    @property
    def share(self) -> float:
        """`same` among `detections`, 0 to 1; 1 if neither finds anything."""
        return self.same / self.detections if self.detections else 1.0


def compare_detectors(
    one: Detector,
    other: Detector,
    frames: Inputs,
    *,
    least_score: float = 0.0,
    pixels: float = PIXELS,
    score: float = SCORE,
) -> DetectionParity:
    """Compare two detectors with the same preprocessing on pictures (N, C, H, W) float32.

    Args:
        one, other: the detectors.
        frames: the pictures.
        least_score: detections that have a lower score in both are not compared.
        pixels: by which the edges of one detection may differ.
        score: by which its score may differ.

    Raises:
        ModelError: if there is no picture.
    """
    if not len(frames):
        raise ModelError("detectors cannot be compared without a picture")
    total = same = 0
    for frame in frames:
        (left,), (right,) = one.boxes(frame[np.newaxis]), other.boxes(frame[np.newaxis])
        pairs = matched(left, right, pixels, score)
        high = np.maximum(left.scores[pairs[:, 0]], right.scores[pairs[:, 1]]) >= least_score
        alone = [np.delete(found.scores, pairs[:, side]) for side, found in enumerate((left, right))]
        same += int(high.sum())
        total += int(high.sum()) + sum(int((scores >= least_score).sum()) for scores in alone)
    return DetectionParity(len(frames), total, same)


def matched(left: FoundBoxes, right: FoundBoxes, pixels: float, score: float) -> npt.NDArray[np.int64]:
    """As many pairs as possible of detections with one label whose edges and scores differ little, each in one pair.

    Returns:
        (M, 2) int64, positions in `left` and `right`.
    """
    fits = np.abs(left.boxes[:, None] - right.boxes).max(axis=2, initial=0) <= pixels
    fits &= np.abs(left.scores[:, None] - right.scores) <= score
    fits &= left.labels[:, None] == right.labels
    pairs = np.stack(linear_sum_assignment(fits, maximize=True), axis=1)
    return np.asarray(pairs[fits[pairs[:, 0], pairs[:, 1]]])
