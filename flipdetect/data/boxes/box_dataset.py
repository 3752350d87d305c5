"""Pictures with boxes as model input: augmented together, and joined into batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import albumentations
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from flipdetect.data.boxes.annotations import PictureBoxes
from flipdetect.data.cache import DecodedFrames
from flipdetect.data.dataset import Augmentation, Draw, Transform
from flipdetect.errors import ConfigError
from flipdetect.records import FrameRecord

SEEN = 0.3
"""Share of a box that must stay in the picture under augmentation; one of which less is left is dropped."""
LEAST_SIDE = 1.0
"""Pixels of the input; smaller boxes are dropped in training."""


class BoxTargets(TypedDict):
    """The true boxes of one input.

    Keys:
        boxes: (N, 4) float32, (x0, y0, x1, y1) in pixels of the input; N may be 0.
        labels: (N,) int64.
    """

    boxes: torch.Tensor
    labels: torch.Tensor


class BoxSample(TypedDict):
    """One picture.

    Keys:
        image: (C, H, W) float32, normalised.
        targets: its boxes.
        placement: (4,) float32, where the picture lies in the input; see `PreprocessSpec.placement`.
        size: (2,) int64, height and width of the picture.
        index: position in the data set's `records`.
    """

    image: torch.Tensor
    targets: BoxTargets
    placement: torch.Tensor
    size: torch.Tensor
    index: int


class BoxBatch(TypedDict):
    """Pictures of a batch: as in `BoxSample`, with a leading dimension B, and a list of targets."""

    image: torch.Tensor
    targets: list[BoxTargets]
    placement: torch.Tensor
    size: torch.Tensor
    index: torch.Tensor


class BoxAugmentation(Augmentation):
    """A chain of albumentations transforms on uint8 inputs and their boxes.

    Rotation and shear enlarge boxes, because only their corners are known: leave them out where boxes must be tight.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        super().__init__(transforms)
        self.with_boxes = albumentations.Compose(
            list(transforms),
            bbox_params=albumentations.BboxParams(
                format="pascal_voc",
                label_fields=["labels"],
                min_visibility=SEEN,
                min_width=LEAST_SIDE,
                min_height=LEAST_SIDE,
                clip=True,
                filter_invalid_bboxes=True,
            ),
        )

    def augment(
        self, frame: npt.NDArray[np.uint8], boxes: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], seed: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """An input (H, W, C) uint8 with boxes (N, 4) float32 in its pixels and labels (N,), moved alike.

        Raises:
            ConfigError: if the chain changes the shape or type of the input.
        """
        self.with_boxes.set_random_seed(seed)
        result = self.with_boxes(image=frame, bboxes=boxes, labels=labels)
        changed = result["image"]
        if changed.shape != frame.shape or changed.dtype != np.uint8:
            raise ConfigError(
                f"data.augment turned an input of shape {frame.shape}, uint8, into {changed.shape}, {changed.dtype}; "
                "its transforms must keep size and type"
            )
        found = np.asarray(result["bboxes"], np.float32).reshape(-1, 4)
        return changed, found, np.asarray(result["labels"], np.int64).reshape(-1)


class BoxDataset(Dataset[BoxSample]):
    """Pictures at input size with their boxes, augmented on request.

    Args:
        records: the pictures of one part of the split.
        frames: decoded pictures, these among them.
        boxes: of each picture, by `FrameRecord.file`.
        augmentation: applied before normalisation; None for none.
        seed: base of the augmentation's random streams.
    """

    def __init__(
        self,
        records: Sequence[FrameRecord],
        frames: DecodedFrames,
        boxes: dict[str, PictureBoxes],
        augmentation: BoxAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.records = tuple(records)
        self.augmentation = augmentation
        self.seed = seed
        self._frames = frames
        self._boxes = [boxes[record.file] for record in self.records]
        positions = {file: position for position, file in enumerate(frames.files)}
        self._positions = np.array([positions[record.file] for record in self.records], np.int64)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, draw: int | Draw) -> BoxSample:
        """The sample at an index; an int stands for a draw in epoch 0.

        Raises:
            FrameError: if the file has become unreadable since it was checked.
        """
        draw = draw if isinstance(draw, Draw) else Draw(0, draw)
        spec, picture = self._frames.spec, self._boxes[draw.index]
        frame, labels = self._frames[int(self._positions[draw.index])], picture.labels
        limits = [spec.width, spec.height] * 2
        boxes = np.clip(spec.place_boxes(picture.boxes, *picture.size), 0, limits).astype(np.float32)
        if self.augmentation is not None:
            frame, boxes, labels = self.augmentation.augment(frame, boxes, labels, draw.stream(self.seed))
        return BoxSample(
            image=torch.from_numpy(spec.normalise(frame)),
            targets=BoxTargets(boxes=torch.from_numpy(boxes), labels=torch.from_numpy(labels)),
            placement=torch.tensor(spec.placement(*picture.size), dtype=torch.float32),
            size=torch.tensor(picture.size),
            index=draw.index,
        )


def join(samples: Sequence[BoxSample]) -> BoxBatch:
    """A batch of samples."""
    return BoxBatch(
        image=torch.stack([sample["image"] for sample in samples]),
        targets=[sample["targets"] for sample in samples],
        placement=torch.stack([sample["placement"] for sample in samples]),
        size=torch.stack([sample["size"] for sample in samples]),
        index=torch.tensor([sample["index"] for sample in samples]),
    )
