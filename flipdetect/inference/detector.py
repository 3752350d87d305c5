"""`Detector`: a trained detector, whatever engine runs it. Decoded pictures in, boxes out. No torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError, ModelError
from flipdetect.inference.model import Frame, Inputs, batches, prepare_frame
from flipdetect.records import DECIMALS, FoundBox

PIXEL_DECIMALS = 2
"""Of edges of boxes, in all files."""


class FoundBoxes(NamedTuple):
    """The boxes found in one picture, the surest first.

    Attributes:
        boxes: (N, 4) float32, (x0, y0, x1, y1) in pixels of the picture, upright; whole numbers are edges of pixels.
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
    """A trained detector, ready to predict; see `TorchDetector` (PyTorch) and `OnnxDetector` (ONNX Runtime).

    Attributes:
        threshold: score from which a box is shown.
    """

    classes: tuple[str, ...]
    preprocess: PreprocessSpec
    threshold: float
    path: Path

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:  # also of NaN
            raise ModelError(f"its threshold is {self.threshold}, and must lie between 0 and 1")
        if not self.classes or len(set(self.classes)) < len(self.classes) or not all(self.classes):
            raise ModelError(f"its classes are {list(self.classes)}; different, non-empty names are needed")

    @property
    @abstractmethod
    def runs_on(self) -> str:
        """Engine and device, for the user."""

    @abstractmethod
    def boxes(self, inputs: Inputs) -> list[FoundBoxes]:
        """Preprocessed pictures (B, C, H, W) float32 -> the boxes in each, of any score, in pixels of the input."""

    def find(self, pictures: Sequence[Frame]) -> list[FoundBoxes]:
        """The boxes in decoded pictures (H, W, 3) uint8 of any size; also those below the threshold.

        Raises:
            FrameError: if a picture has another shape or dtype, or no pixels.
        """
        if not len(pictures):
            return []
        inputs = np.stack([prepare_frame(self.preprocess, picture) for picture in pictures])
        found = []
        for picture, each in zip(pictures, self.boxes(inputs), strict=True):
            boxes = self.preprocess.unplace_boxes(each.boxes, *picture.shape[:2])
            kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # not those in the padding alone
            found.append(FoundBoxes(boxes[kept], each.scores[kept], each.labels[kept]))
        return found

    def predict(
        self, frames: Frame | Iterable[Frame], threshold: float | None = None, batch_size: int = 4
    ) -> list[FoundBoxes]:
        """Find the objects in decoded pictures.

        Args:
            frames: one picture (H, W, 3) uint8 RGB, several of one size (N, H, W, 3), or an iterable of pictures whose
                sizes may differ; at most one batch is held in memory.
            threshold: the least score of a box, 0 to 1; None: the detector's own.

        Returns:
            The boxes in each picture, in its pixels, the surest first; a list of one for one picture.

        Raises:
            FrameError: if a picture has another shape or dtype, or no pixels.
            ConfigError: if the threshold is not between 0 and 1, or `batch_size` is below 1.
        """
        least = self.threshold if threshold is None else threshold
        if not 0 <= least <= 1:
            raise ConfigError(f"threshold must lie between 0 and 1, got {threshold}")
        return [each.above(least) for batch in batches(frames, batch_size) for each in self.find(batch)]

    def named(self, found: FoundBoxes) -> tuple[FoundBox, ...]:
        """Boxes with the names of their classes, rounded as files keep them."""
        columns = (found.boxes.tolist(), found.scores.tolist(), found.labels.tolist())
        return tuple(
            FoundBox(self.classes[label], round(score, DECIMALS), *(round(edge, PIXEL_DECIMALS) for edge in box))
            for box, score, label in zip(*columns, strict=True)
        )

    def checked(self, found: FoundBoxes) -> FoundBoxes:
        """Boxes as they are; raises ModelError if a number is not finite, or a label is none of its classes."""
        if not (np.isfinite(found.scores).all() and np.isfinite(found.boxes).all()):
            raise ModelError(
                f"{self.path} gives boxes or scores that are no numbers: its weights are damaged, or its training "
                "diverged; use another checkpoint"
            )
        if not ((found.labels >= 0) & (found.labels < len(self.classes))).all():
            raise ModelError(f"{self.path} gives labels beyond its {len(self.classes)} classes; its file was changed")
        return found
