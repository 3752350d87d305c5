"""The LightningDataModule: a folder of labelled frames becomes grouped, augmented batches."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from flipdetect.data.audit import audit_split
from flipdetect.data.augment import Augmentation, Transform
from flipdetect.data.cache import DecodedFrames, decode_frames
from flipdetect.data.dataset import EpochSampler, FrameDataset, LateLoader, Sample
from flipdetect.data.embedded import EmbeddedData
from flipdetect.data.index import FrameIndex, Problem, index_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.splitfile import read_split, write_split
from flipdetect.data.splits import SIDES, Split, split_records
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.sources.naming import NamePattern

logger = logging.getLogger(__name__)

GroupBy = Literal["auto", "video", "source"]

# More do not help: the frames come decoded from the cache.
MAX_WORKERS = 8


class FrameDataModule(pl.LightningDataModule):
    """Labelled frames from a folder or a manifest, split by video or source.

    Args:
        root: the folder: `training|testing/<class>/...`, `<class>/...`, or one with a `labels.csv`.
        embedded: the data set to render if `root` is its folder; null for none.
        manifest: a CSV file `path,label,video,frame,source` that describes the set instead of folders.
        naming: pattern by which video, frame, label and source are read off a file name; null for `VideoID_Frame`.
        classes: names of the two classes; F1 is the positive one's.
        preprocess: what a frame becomes before the model sees it.
        augment: albumentations transforms for training, on uint8 frames at input size; null for none.
        batch_size: frames per batch and process.
        num_workers: loader processes; null chooses by the number of cores.
        group_by: what must not stand on two sides of the split. "auto" takes the source (book, person) if every
            frame has one, else the video.
        val_fraction, test_fraction: shares of the frames for validation and test.
        use_supplied_test: take a supplied `testing/` folder as the test set (it is audited for leaks).
        split_file: a `splits.csv` to use instead of splitting.
        split_seed: seed of the split; apart from `seed`, so that runs of several seeds share one split.
        seed: seed of shuffling and augmentation; null takes the one of `seed_everything`.
        cache_dir: where decoded frames are kept; null decodes in every epoch.
        cache_gb: limit for all cached sets together, in GiB.
    """

    def __init__(
        self,
        root: str = "data/embedded",
        embedded: EmbeddedData | None = None,
        manifest: str | None = None,
        naming: NamePattern | None = None,
        classes: ClassNames = ClassNames(),  # noqa: B008 - frozen
        preprocess: PreprocessSpec = PreprocessSpec(),  # noqa: B008 - frozen
        augment: list[Transform] | None = None,
        batch_size: int = 32,
        num_workers: int | None = None,
        group_by: GroupBy = "auto",
        val_fraction: float = 0.15,
        test_fraction: float = 0.15,
        use_supplied_test: bool = False,
        split_file: str | None = None,
        split_seed: int = 0,
        seed: int | None = None,
        cache_dir: str | None = "data/cache",
        cache_gb: float = 8.0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"data.batch_size must be at least 1, got {batch_size}")
        self.root = Path(root).expanduser()
        self.embedded = embedded
        self.manifest = Path(manifest).expanduser() if manifest else None
        self.naming = naming
        self.classes = classes
        self.preprocess = preprocess
        self.augmentation = Augmentation(augment) if augment else None
        self.batch_size = batch_size
        self.num_workers = _default_workers() if num_workers is None else num_workers
        self.group_by = group_by
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.use_supplied_test = use_supplied_test
        self.split_file = Path(split_file).expanduser() if split_file else None
        self.split_seed = split_seed
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed
        self.cache_dir = Path(cache_dir).expanduser() if cache_dir else None
        self.cache_bytes = int(cache_gb * 2**30)
        self.index: FrameIndex | None = None
        self._split: Split | None = None
        self._frames: DecodedFrames | None = None
        self._positions: dict[Path, int] = {}

    def prepare_data(self) -> None:
        """Render the embedded set if it is wanted and absent, and decode all frames into the cache.

        Lightning calls this in one process per machine; the others find the work done.
        """
        rendered = self.embedded is not None and self.embedded.ensure(self.root)
        if not rendered and not self.root.is_dir():
            known = f"; the embedded data is rendered for --data.root {self.embedded.root}" if self.embedded else ""
            raise DataError(
                f"data.root is no folder: {self.root}. Give the folder of your labelled frames with --data.root{known}"
            )
        if self.cache_dir is not None:
            self._read_frames()

    def setup(self, stage: str | None = None) -> None:
        """Index, decode and split, once, whatever the stage."""
        if self._split is not None:
            return
        self.index, self._frames = self._read_frames()
        self._positions = {path: i for i, path in enumerate(self._frames.paths)}
        logger.info("%s", self.index.summary())
        self._split = self._make_split(self.index.records)
        audit = audit_split(self._split)
        leaks = audit.warnings()
        for sentence in audit.sentences():
            logger.log(logging.WARNING if sentence in leaks else logging.INFO, "%s", sentence)

    @property
    def split(self) -> Split:
        """The split in use.

        Raises:
            RuntimeError: before `setup`.
        """
        if self._split is None:
            raise RuntimeError("the split exists after setup()")
        return self._split

    def split_csv(self, path: Path) -> None:
        """Write the split so that `data.split_file` can read it back."""
        write_split(self.split, path, self.index.root if self.index else self.root)

    def describe(self) -> dict[str, Any]:
        """What a checkpoint must know of the data: class names, preprocessing, naming, split; plain JSON types."""
        return {
            "split": {side: sorted({record.video for record in self.split.side(side)}) for side in SIDES},
            "classes": asdict(self.classes),
            "preprocess": self.preprocess.to_dict(),
            "naming": None if self.naming is None else asdict(self.naming),
        }

    def dataset(self, records: Sequence[FrameRecord], augmentation: Augmentation | None = None) -> FrameDataset:
        """A data set over some of the indexed records."""
        if self._frames is None:
            raise RuntimeError("data sets exist after setup()")
        positions = [self._positions[record.path] for record in records]
        return FrameDataset(records, self._frames, positions, self.classes, augmentation, self.seed)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Shuffled, augmented batches; the last, smaller one is left out where there are others."""
        dataset = self.dataset(self.split.train, self.augmentation)
        ranks, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler = EpochSampler(dataset, num_replicas=ranks, rank=rank, seed=self.seed)
        # A batch of one or two frames makes batch norm's statistics worthless.
        return self._loader(dataset, sampler=sampler, drop_last=len(dataset) >= ranks * self.batch_size)

    def val_dataloader(self) -> DataLoader[Sample]:
        """The validation side, in order, as it is."""
        return self._loader(self.dataset(self.split.val))

    def test_dataloader(self) -> DataLoader[Sample]:
        """The test side, in order, as it is."""
        return self._loader(self.dataset(self.split.test))

    def _loader(self, dataset: FrameDataset, **kwargs: Any) -> DataLoader[Sample]:
        return LateLoader(
            dataset,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=_start_worker,
            pin_memory=torch.cuda.is_available(),
            **kwargs,
        )

    def _read_frames(self) -> tuple[FrameIndex, DecodedFrames]:
        """Index the folder, decode its frames, and move what cannot be decoded from records to problems."""
        index = index_frames(self.root, classes=self.classes, pattern=self.naming, manifest=self.manifest, check=False)
        paths = [record.path for record in index.records]
        frames = decode_frames(paths, self.preprocess, cache_dir=self.cache_dir, max_bytes=self.cache_bytes)
        bad = tuple(Problem(paths[i], reason) for i, reason in sorted(frames.failures.items()))
        good = tuple(record for i, record in enumerate(index.records) if i not in frames.failures)
        if not good:
            raise DataError(f"none of the {len(paths)} frames under {self.root} can be read; first: {bad[0].reason}")
        return replace(index, records=good, problems=(*index.problems, *bad)), frames

    def _make_split(self, records: Sequence[FrameRecord]) -> Split:
        if self.split_file is not None:
            return read_split(self.split_file, records, root=self.root, classes=self.classes)
        group_by = self.group_by
        if group_by == "auto":
            group_by = "source" if all(record.source for record in records) else "video"
            logger.info("Splitting by %s (data.group_by: auto).", group_by)
        return split_records(
            records,
            classes=self.classes,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            group_by=group_by,
            seed=self.split_seed,
            use_supplied_test=self.use_supplied_test,
        )


def _default_workers() -> int:
    """Leave two cores to the model; with two or fewer, load in the training process itself.

    On two cores a loader process takes turns with the model's threads, which wait for each other: loading in between
    measured 1.2 times as fast for TinyCNN.
    """
    return max(0, min(MAX_WORKERS, (os.cpu_count() or 1) - 2))


def _start_worker(_: int) -> None:
    # OpenCV would start a thread per core in every worker and take them from the model.
    cv2.setNumThreads(0)
