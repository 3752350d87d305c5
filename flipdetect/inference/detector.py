"""What every detector that predicts has in common, whatever runs it. Without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flipdetect.data.preprocess import PreprocessSpec


class FoundBoxes(NamedTuple):
    """The boxes found in one picture, the surest first.

    Attributes:
        boxes: (N, 4) float32, (x0, y0, x1, y1) in pixels of the picture, upright.
        scores: (N,) float32, 0 to 1.
        labels: (N,) int64, positions in the detector's `classes`.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def above(self, threshold: float) -> FoundBoxes:
        """Those with at least this score."""
        kept = self.scores >= threshold
        return FoundBoxes(self.boxes[kept], self.scores[kept], self.labels[kept])


@dataclass(frozen=True, kw_only=True)
class Detector(ABC):
    """A trained detector, ready to predict.

    Attributes:
        classes: names, by label.
        preprocess: how a picture becomes model input.
        threshold: score from which a box is shown.
        path: its file.
    """

    classes: tuple[str, ...]
    preprocess: PreprocessSpec
    threshold: float
    path: Path

    @abstractmethod
    def find(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> list[FoundBoxes]:
        """The boxes in decoded pictures (H, W, 3) uint8 of any size; also those below the threshold."""
