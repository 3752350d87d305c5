"""What object detectors have in common: losses in training, boxes in evaluation, and the choice among candidates.

Pictures are normalised tensors of one size (B, 3, H, W) float32; boxes are (x0, y0, x1, y1) in pixels of that input,
from its upper left corner; labels are positions in the list of class names, from 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

from flipdetect.models.base import Stage

LOWEST_SCORE = 0.05
"""Candidates below it are dropped before the suppression; average precision is that of the ones above."""
OVERLAP = 0.6
"""IoU above which the weaker of two boxes of one class is suppressed."""
MOST_CANDIDATES = 1000
"""Candidates that enter the suppression, the best ones."""
MOST_DETECTIONS = 100
"""Boxes per picture, as COCO counts them."""


class Boxes(TypedDict):
    """The true boxes of one picture.

    Keys:
        boxes: (N, 4) float32, N may be 0.
        labels: (N,) int64.
    """

    boxes: Tensor
    labels: Tensor


class Detections(TypedDict):
    """The boxes found in one picture, the surest first.

    Keys:
        boxes: (N, 4) float32, within the picture.
        scores: (N,) float32, 0 to 1.
        labels: (N,) int64.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class Candidates(NamedTuple):
    """What a dense detector says at each of its P positions, before the suppression.

    Attributes:
        boxes: (B, P, 4) float32.
        scores: (B, P, K) float32, 0 to 1, of each class.
    """

    boxes: Tensor
    scores: Tensor


class BoxModel(nn.Module, ABC):
    """An object detector.

    Attributes:
        backbone: the part that may be pretrained and frozen.
        num_classes: K, without a background.
        trained_statistics: mean and standard deviation per channel with which the backbone was pretrained; None if that
            is unknown.
    """

    backbone: nn.Module
    num_classes: int
    trained_statistics: tuple[Sequence[float], Sequence[float]] | None = None

    @abstractmethod
    def losses(self, images: Tensor, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """The parts of the loss, each () float32, by name; their sum is minimised. Only in training mode."""

    @abstractmethod
    def forward(self, images: Tensor) -> list[Detections]:
        """The boxes in each picture. Only in evaluation mode."""

    def backbone_stages(self) -> list[Stage]:
        """The backbone from input to output, in stages, for `flipdetect.callbacks.BackboneFreezing`."""
        return [(self.backbone,)]


class DenseBoxModel(BoxModel):
    """A detector of one stage, whose boxes are chosen among candidates at fixed positions: it can be exported."""

    @abstractmethod
    def candidates(self, images: Tensor) -> Candidates:
        """A box and a score per class at each position; tensors alone, no loop over pictures or boxes."""

    def forward(self, images: Tensor) -> list[Detections]:
        """The boxes in each picture, at most `MOST_DETECTIONS`. Only in evaluation mode."""
        boxes, scores = self.candidates(images)
        height, width = images.shape[-2:]
        return [select(*each, (height, width)) for each in zip(boxes, scores, strict=True)]


def select(boxes: Tensor, scores: Tensor, size: tuple[int, int]) -> Detections:
    """Non-maximum suppression, class by class, of the candidates of one picture.

    Boxes are (P, 4), scores (P, K) float32; `size` is the picture's (height, width), to which boxes are clipped.
    """
    likely = scores.flatten()
    kept = torch.nonzero(likely > LOWEST_SCORE).flatten()
    best, order = likely[kept].topk(min(MOST_CANDIDATES, len(kept)))
    kept = kept[order]
    place = torch.div(kept, scores.shape[1], rounding_mode="floor")
    labels = kept % scores.shape[1]
    found = clip_boxes_to_image(boxes[place], size)
    chosen = batched_nms(found, best, labels, OVERLAP)[:MOST_DETECTIONS]
    return Detections(boxes=found[chosen], scores=best[chosen], labels=labels[chosen])
