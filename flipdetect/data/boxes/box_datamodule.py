"""The LightningDataModule of object detection: annotated pictures become grouped splits and augmented batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from flipdetect.data.boxes.box_dataset import BoxAugmentation, BoxDataset, join
from flipdetect.data.boxes.box_index import EMPTY, BoxIndex, Format, index_boxes
from flipdetect.data.boxes.box_splits import check_boxes, split_boxes
from flipdetect.data.boxes.rendered_boxes import COLUMNS
from flipdetect.data.cache import DecodedFrames, decode_frames
from flipdetect.data.datamodule import AuditDepth, GroupedDataModule
from flipdetect.data.dataset import Transform
from flipdetect.data.grouped_splits import GroupChoice
from flipdetect.data.index import FrameIndex
from flipdetect.data.loading import EpochSampler
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.rehearsal import EmbeddedData
from flipdetect.data.splits import Split, read_split
from flipdetect.errors import DataError
from flipdetect.records import FrameRecord
from flipdetect.runs import DETECTION, KIND_KEY
from flipdetect.sources.folder import Problem
from flipdetect.sources.naming import NamePattern

logger = logging.getLogger(__name__)


class BoxDataModule(GroupedDataModule):
    """Training, validation and test pictures with boxes.

    Args:
        root: the data set's folder.
        format: of the annotations: "rendered" (labels.csv of the renderer), "voc", "coco", "yolo"; "auto": by the files
            that are there.
        classes: names of the classes, by label; null: those of the annotations. Boxes of others are left out.
        embedded: the rendered data set that is made if `root` is its folder; null never renders.
        naming: how video and source are read from a file name; null for `VideoID_Frame`. A picture whose name says
            nothing of a video is one by itself.
        preprocess: how a picture becomes model input.
        augment: albumentations transforms for training, on uint8 pictures at input size and their boxes; null for none.
        batch_size: pictures per batch and process.
        num_workers: loader processes for each training process; null chooses by the number of cores.
        prefetch: batches that each loader process prepares ahead; null: 2.
        pin_memory: whether batches are in page-locked memory; null: if there is a GPU.
        group_by: the unit that must not be divided by the split: "source", "video", or "auto".
        val_fraction: share of the pictures for validation.
        test_fraction: share of the pictures for test.
        split_file: a `splits.csv` to use instead of splitting.
        audit: "quick": videos, sources and files in two splits; "full": also copied pictures, which reads every picture
            once more.
        split_seed: seed of the split; separate from `seed`.
        seed: seed of shuffling and augmentation; null: that of `seed_everything`.
        cache_dir: where decoded pictures are kept; null decodes in every epoch.
        cache_gb: limit for all cached pictures together, in GiB.
    """

    collate = staticmethod(join)
    augmentation: BoxAugmentation | None

    def __init__(
        self,
        root: str = "data/embedded",
        format: Format = "auto",  # noqa: A002
        classes: list[str] | None = None,
        embedded: EmbeddedData | None = None,
        naming: NamePattern | None = None,
        preprocess: PreprocessSpec = PreprocessSpec(),  # noqa: B008 - frozen
        augment: list[Transform] | None = None,
        batch_size: int = 16,
        num_workers: int | None = None,
        prefetch: int | None = None,
        pin_memory: bool | None = None,
        group_by: GroupChoice = "auto",
        val_fraction: float = 0.15,
        test_fraction: float = 0.15,
        split_file: str | None = None,
        audit: AuditDepth = "quick",
        split_seed: int = 0,
        seed: int | None = None,
        cache_dir: str | None = "data/cache",
        cache_gb: float = 8.0,
    ) -> None:
        super().__init__(
            root=root, embedded=embedded, naming=naming, preprocess=preprocess,
            augmentation=BoxAugmentation(augment) if augment else None, batch_size=batch_size,
            num_workers=num_workers, prefetch=prefetch, pin_memory=pin_memory, group_by=group_by,
            val_fraction=val_fraction, test_fraction=test_fraction, split_file=split_file, audit=audit,
            split_seed=split_seed, seed=seed, cache_dir=cache_dir, cache_gb=cache_gb,
        )  # fmt: skip
        self.format = format
        self.classes = classes
        self._split: Split | None = None

    @property
    def _is_embedded(self) -> bool:
        return self.embedded is not None and self.root.resolve() == Path(self.embedded.root).resolve()

    @property
    def class_names(self) -> list[str]:
        """Names of the classes by label. Unless they are configured or known of rendered frames, reads annotations."""
        if self.classes:
            return list(self.classes)
        return list(COLUMNS.values()) if self._is_embedded else list(self.boxes.classes)

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

    @property
    def split(self) -> Split:
        """The split in use.

        Raises:
            RuntimeError: before `setup`.
        """
        if self._split is None:
            raise RuntimeError("the split exists after setup()")
        return self._split

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
