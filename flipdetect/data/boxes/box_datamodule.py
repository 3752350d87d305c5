"""The LightningDataModule of object detection: annotated pictures become grouped splits and augmented batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import albumentations
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from flipdetect.data.augment.chain import Augmentation, draw_from
from flipdetect.data.augment.fused_warp import Transform
from flipdetect.data.boxes.annotations import PictureBoxes
from flipdetect.data.boxes.box_index import EMPTY, BoxIndex, Format, check_boxes, index_boxes, split_boxes
from flipdetect.data.boxes.formats import BOX_COLUMNS
from flipdetect.data.cache import DecodedFrames, decode_frames
from flipdetect.data.datamodule import GroupedDataModule
from flipdetect.data.dataset import Draw
from flipdetect.data.index import FrameIndex
from flipdetect.data.loading import EpochSampler
from flipdetect.data.splits import Split, read_split
from flipdetect.errors import DataError
from flipdetect.records import FrameRecord
from flipdetect.runs import DETECTION, KIND_KEY
from flipdetect.sources.folder import Problem

logger = logging.getLogger(__name__)

SEEN = 0.3
"""Share of a box that must stay in the picture under augmentation; one of which less is left is dropped."""
LEAST_SIDE = 1.0
"""Pixels of the input; smaller boxes are dropped in training."""


class BoxSample(TypedDict):
    """One picture.

    Keys:
        image: (C, H, W) float32, normalised.
        targets: its boxes: `boxes` (N, 4) float32, (x0, y0, x1, y1) in pixels of the input, and `labels` (N,) int64.
        placement: (4,) float32, where the picture lies in the input; see `PreprocessSpec.placement`.
        size: (2,) int64, height and width of the picture.
        index: position in the data set's `records`.
    """

    image: torch.Tensor
    targets: dict[str, torch.Tensor]
    placement: torch.Tensor
    size: torch.Tensor
    index: int


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
        """An input (H, W, C) uint8 with boxes (N, 4) float32 in its pixels and labels (N,), moved alike."""
        draw_from(self.with_boxes, seed)
        result = self.with_boxes(image=frame, bboxes=boxes, labels=labels)
        found = np.asarray(result["bboxes"], np.float32).reshape(-1, 4)
        return self.kept(result["image"], frame), found, np.asarray(result["labels"], np.int64).reshape(-1)


class BoxDataset(Dataset[BoxSample]):
    """Pictures at input size with their boxes (by `FrameRecord.file`), augmented on request before normalisation."""

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
        """The sample at an index; an int stands for a draw in epoch 0."""
        draw = draw if isinstance(draw, Draw) else Draw(0, draw)
        spec, picture = self._frames.spec, self._boxes[draw.index]
        frame, labels = self._frames[int(self._positions[draw.index])], picture.labels
        limits = [spec.width, spec.height] * 2
        boxes = np.clip(spec.place_boxes(picture.boxes, *picture.size), 0, limits).astype(np.float32)
        if self.augmentation is not None:
            frame, boxes, labels = self.augmentation.augment(frame, boxes, labels, draw.stream(self.seed))
        return BoxSample(
            image=torch.from_numpy(spec.normalise(frame)),
            targets={"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels)},
            placement=torch.tensor(spec.placement(*picture.size), dtype=torch.float32),
            size=torch.tensor(picture.size),
            index=draw.index,
        )


def join(samples: Sequence[BoxSample]) -> dict[str, Any]:
    """A batch: the keys of `BoxSample` with a leading dimension B, and a list of targets."""
    stacked: dict[str, Any] = default_collate([{k: v for k, v in each.items() if k != "targets"} for each in samples])
    return {**stacked, "targets": [each["targets"] for each in samples]}


class BoxDataModule(GroupedDataModule):
    """Training, validation and test pictures with boxes.

    A picture whose name says nothing of a video is one by itself.

    Args:
        format: of the annotations: "rendered" (labels.csv of the renderer), "voc", "coco", "yolo"; "auto": by the files
            that are there.
        classes: names of the classes, by label; null: those of the annotations. Boxes of others are left out.
        batch_size: pictures per batch and process.
        kwargs: see `GroupedDataModule`; frames are pictures here, and `augment` also moves their boxes.
    """

    augmentation_class = BoxAugmentation
    collate = staticmethod(join)
    augmentation: BoxAugmentation | None

    def __init__(
        self,
        format: Format = "auto",  # noqa: A002
        classes: list[str] | None = None,
        batch_size: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **kwargs)
        self.format = format
        self.classes = classes

    @property
    def _is_embedded(self) -> bool:
        return self.embedded is not None and self.root.resolve() == Path(self.embedded.root).resolve()

    @property
    def class_names(self) -> list[str]:
        """Names of the classes by label. Unless they are configured or known of rendered frames, reads annotations."""
        if self.classes:
            return list(self.classes)
        return list(BOX_COLUMNS.values()) if self._is_embedded else list(self.boxes.classes)

    @cached_property
    def boxes(self) -> BoxIndex:
        """The pictures of `root` whose headers can be read, and their boxes.

        Raises:
            DataError: if there is no folder, no annotation, or no picture that can be used.
        """
        return index_boxes(self.root, self.format, self.classes or (), self.naming)

    @cached_property
    def _decoded(self) -> tuple[BoxIndex, DecodedFrames]:
        """The pictures that can be decoded, with their boxes; the others are among the problems."""
        found = self.boxes
        frames = decode_frames([record.file for record in found.frames.records], self.preprocess, self._cache)
        reasons = [(Path(frames.files[place]), reason) for place, reason in sorted(frames.failures.items())]
        bad = tuple(Problem(p, f"unreadable picture: {reason.removeprefix(f'{p}: ')}") for p, reason in reasons)
        good = tuple(record for place, record in enumerate(found.frames.records) if place not in frames.failures)
        if not good:
            raise DataError(f"none of the {len(frames.files)} pictures under {self.root} can be read: {bad[0].reason}")
        kept = replace(found.frames, records=good, problems=(*found.frames.problems, *bad))
        return replace(found, frames=kept), frames

    def prepare_data(self) -> None:
        """Render the embedded set if it is wanted and absent, and decode all pictures into the cache."""
        if self.embedded is not None:
            self.embedded.ensure(self.root)
        if self._cache is not None:
            _ = self._decoded

    def setup(self, stage: str | None = None) -> None:
        """Index, decode, split and audit, once, whatever the stage."""
        if self._split is not None:
            return
        found, _ = self._decoded
        logger.log(logging.WARNING if found.frames.problems else logging.INFO, "%s", found.summary())
        split = self._divided(found)
        self._audit(split)
        self._split = split

    def _divided(self, found: BoxIndex) -> Split:
        if self.split_file is None:
            return split_boxes(
                found,
                val_fraction=self.val_fraction,
                test_fraction=self.test_fraction,
                group_by=self.group_by,
                seed=self.split_seed,
            )
        split = read_split(self.split_file, found.frames.records, root=self.root, classes=EMPTY, both_classes=False)
        check_boxes(split, found)
        return split

    @property
    def index(self) -> FrameIndex:
        """The pictures that can be used, and what could not be used."""
        return self._decoded[0].frames

    def dataset(self, records: Sequence[FrameRecord], augmentation: BoxAugmentation | None = None) -> BoxDataset:
        """Some of the pictures, not augmented unless asked for."""
        found, frames = self._decoded
        return BoxDataset(records, frames, found.boxes, augmentation, self.seed)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled, augmented batches; the last, smaller one is dropped if there are others."""
        dataset = self.dataset(self.split.train, self.augmentation)
        processes: dict[str, Any] = self._processes()
        sampler = EpochSampler(dataset, seed=self.seed, **processes)
        return self._loader(dataset, self.batch_size, sampler=sampler, drop_last=len(sampler) >= self.batch_size)

    def describe(self) -> dict[str, Any]:
        """What a checkpoint must know of the data: as the base class, and the classes; plain JSON types."""
        return {**super().describe(), KIND_KEY: DETECTION, "classes": {"names": self.class_names}}
