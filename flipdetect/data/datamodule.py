"""The LightningDataModule: a folder of labelled frames becomes grouped, augmented batches."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from flipdetect.data.audit.audit import audit_frames
from flipdetect.data.audit.split_table import audit_split
from flipdetect.data.augment import Augmentation, Transform
from flipdetect.data.cache import DecodedFrames
from flipdetect.data.dataset import (
    EpochSampler,
    FrameDataset,
    LateLoader,
    Sample,
    ShareSampler,
    even_batch_size,
    stream_seed,
)
from flipdetect.data.drawing import Balance, DrawSampler, Pool, epoch_counts
from flipdetect.data.embedded import EmbeddedData
from flipdetect.data.index import FrameIndex, index_frames
from flipdetect.data.loading import Loading, ResolvedLoading, resolve_loading, start_worker
from flipdetect.data.pairs import PairSampler, twin_positions
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.reading import FrameSet, read_set
from flipdetect.data.rehearsal import RENDERED_CLASSES, MixedFrames, MixIn
from flipdetect.data.split_file import read_split, write_split
from flipdetect.data.splits import SIDES, GroupChoice, Split, split_records
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.sources.naming import NamePattern

logger = logging.getLogger(__name__)


class Encode(Protocol):
    """Turns a data set of frames into one of what the frozen stages of a network make of them."""

    def __call__(self, frames: FrameDataset, *, training: bool) -> Dataset[Sample]:
        """The data set to train on, or to validate on while a fit goes on."""


RENDERED_STREAM = 1
"""Sets the augmentation of frames mixed in apart from that of one's own."""

REHEARSAL_HELD_OUT = 0.3
"""Share of the rendered books that are not mixed in: on their frames is measured whether training forgets."""


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
        num_workers: loader processes for each training process; null chooses by the number of cores: none on two.
        prefetch: batches that each loader process has ready; null: 2.
        pin_memory: whether batches lie in page-locked memory, from which a GPU copies; null: where there is a GPU.
        mix_in: rendered frames that come among the training frames; validation and test stay one's own. Null for none.
        epoch_frames: training frames drawn in an epoch, rendered ones included: a small set's frames come several
            times, differently augmented, a large set's not all in one epoch. Null: each of one's own comes once.
        balance: how often each training frame is drawn. "none": all alike; "class": both classes alike; "video": both
            classes alike, and within a class all videos alike, so that a clip of 30 frames does not drown one of 2.
        pairs: twins, two frames of a rendered set that differ in the sheet alone, come side by side and are augmented
            alike. Left out, with a line in the log, if no training frames are twins, or with `mix_in` or `balance`.
        group_by: what must not stand on two sides of the split. "auto" takes the source (book, person) if every
            frame has one and there are enough of them, else the video.
        val_fraction: share of the frames for validation.
        test_fraction: share of the frames for test.
        use_supplied_test: take a supplied `testing/` folder as the test set (it is audited for leaks).
        split_file: a `splits.csv` to use instead of splitting.
        audit: what is looked for between the sides before training. "quick": shared videos, sources and files; "full":
            also copied pictures, opposite labels of one picture, and films cut in two, which reads every frame once
            more (docs/guides/audit.md).
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
        prefetch: int | None = None,
        pin_memory: bool | None = None,
        mix_in: MixIn | None = None,
        epoch_frames: int | None = None,
        balance: Balance = "none",
        pairs: bool = False,
        group_by: GroupChoice = "auto",
        val_fraction: float = 0.15,
        test_fraction: float = 0.15,
        use_supplied_test: bool = False,
        split_file: str | None = None,
        audit: Literal["quick", "full"] = "quick",
        split_seed: int = 0,
        seed: int | None = None,
        cache_dir: str | None = "data/cache",
        cache_gb: float = 8.0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"data.batch_size must be at least 1, got {batch_size}")
        if epoch_frames is not None and epoch_frames < 1:
            raise ConfigError(f"data.epoch_frames must be null or at least 1, got {epoch_frames}")
        if pairs and batch_size % 2:
            raise ConfigError(f"data.pairs needs an even data.batch_size, got {batch_size}")
        self.root = Path(root).expanduser()
        self.embedded = embedded
        self.manifest = Path(manifest).expanduser() if manifest else None
        self.naming = naming
        self.classes = classes
        self.preprocess = preprocess
        self.augmentation = Augmentation(augment) if augment else None
        self.batch_size = batch_size
        self.loading = Loading(num_workers, prefetch, pin_memory)
        self.mix_in = mix_in if mix_in is not None and mix_in.share > 0 else None
        self.epoch_frames = epoch_frames
        self.balance = balance
        self.pairs = pairs
        self.group_by = group_by
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.use_supplied_test = use_supplied_test
        self.split_file = Path(split_file).expanduser() if split_file else None
        self.audit = audit
        self.split_seed = split_seed
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed
        self.cache_dir = Path(cache_dir).expanduser() if cache_dir else None
        self.cache_bytes = int(cache_gb * 2**30)
        self.encode: Encode | None = None
        self.index: FrameIndex | None = None
        self._split: Split | None = None
        self._own: FrameSet | None = None
        self._rendered: FrameSet | None = None
        if self.mix_in is not None and Path(self.mix_in.embedded.root).resolve() == self.root.resolve():
            raise ConfigError(
                f"data.mix_in would mix {self.root} into itself; give the folder of your own frames with --data.root, "
                "or set data.mix_in to null"
            )

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
        own = None if self.cache_dir is None else self._read_own()
        if self.mix_in is not None:
            self.mix_in.embedded.render_if_needed()
        if own is not None:
            self._read_rendered(own)

    def setup(self, stage: str | None = None) -> None:
        """Index, decode and split, once, whatever the stage."""
        if self._split is not None:
            return
        self._own = self._read_own()
        self._rendered = self._read_rendered(self._own)
        self.index = self._own.index
        logger.info("%s", self.index.summary())
        self._split = self._make_split(self.index.records)
        audit = (
            audit_frames(self._split, cache_dir=self.cache_dir) if self.audit == "full" else audit_split(self._split)
        )
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
            "drawing": {"epoch_frames": self.epoch_frames, "balance": self.balance, "pairs": self.pairs},
            "mix_in": None if self.mix_in is None else self.mix_in.describe(),
        }

    def val_videos(self) -> int:
        """Videos of the validation side, of the class that has fewer of them."""
        videos = {(record.label, record.video) for record in self.split.val}
        return min(sum(label == name for label, _ in videos) for name in self.classes.names)

    def dataset(self, records: Sequence[FrameRecord], augmentation: Augmentation | None = None) -> FrameDataset:
        """A data set over some of the indexed records."""
        if self._own is None:
            raise RuntimeError("data sets exist after setup()")
        return self._own.dataset(records, augmentation, seed=self.seed)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Shuffled, augmented batches; the last, smaller one is left out where there are others."""
        if self._own is None:
            raise RuntimeError("data sets exist after setup()")
        ranks, rank = self._ranks()
        with_maps = any(frames.masks for frames in (self._own, self._rendered) if frames is not None)
        frames = self._own.dataset(self.split.train, self.augmentation, seed=self.seed, with_maps=with_maps)
        dataset: Dataset[Any] = self._encoded(frames, training=True)
        if self._rendered is not None:  # with an augmentation stream of their own
            seed = stream_seed(self.seed, RENDERED_STREAM)
            rehearsed = self.rehearsal.train
            rendered = self._rendered.dataset(rehearsed, self.augmentation, seed=seed, with_maps=with_maps)
            dataset = MixedFrames(dataset, self._encoded(rendered, training=True))
        sampler = self._sampler(frames, dataset, ranks, rank)
        # A batch of one or two frames makes batch norm's statistics worthless.
        return self._loader(dataset, self.batch_size, sampler=sampler, drop_last=len(sampler) >= self.batch_size)

    def val_dataloader(self) -> DataLoader[Sample]:
        """The validation side, in order, as it is; of several processes each has its share."""
        return self._judged(self.split.val)

    def test_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """The test side, in order, as it is; an empty list if the split has none."""
        return self._judged(self.split.test) if self.split.test else []

    @cached_property
    def rehearsal(self) -> Split:
        """The rendered frames that are mixed in (`train`), and those of other books that are left out of it (`val`)."""
        assert self._rendered is not None
        return split_records(
            self._rendered.index.records,
            classes=RENDERED_CLASSES,
            val_fraction=REHEARSAL_HELD_OUT,
            test_fraction=0.0,
            group_by="source",
            seed=0,
        )

    def rehearsal_dataloader(self) -> DataLoader[Sample] | None:
        """The rendered frames left out of training, in order, as they are; None if none are mixed in."""
        if self._rendered is None:
            return None
        frames = self._rendered.dataset(self.rehearsal.val, seed=self.seed)
        return self._loader(self._encoded(frames, training=False), self.batch_size)

    def _encoded(self, frames: FrameDataset, *, training: bool) -> Dataset[Any]:
        """The frames, or what takes their place while a fit with cached features goes on."""
        return frames if self.encode is None else self.encode(frames, training=training)

    def _judged(self, records: Sequence[FrameRecord]) -> DataLoader[Sample]:
        frames = self.dataset(records)
        dataset = self._encoded(frames, training=False)
        ranks, rank = self._ranks()
        if not 1 < ranks <= len(frames):
            return self._loader(dataset, self.batch_size)
        sampler = ShareSampler(dataset, num_replicas=ranks, rank=rank)
        return self._loader(dataset, even_batch_size(len(frames), ranks, self.batch_size), sampler=sampler)

    def _ranks(self) -> tuple[int, int]:
        """Processes that train together, and which of them this is."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def _sampler(self, own: FrameDataset, dataset: Dataset[Any], ranks: int, rank: int) -> EpochSampler:
        if self.pairs and self._can_pair(own):
            return PairSampler(
                dataset,
                own.records,
                epoch_frames=self.epoch_frames,
                num_replicas=ranks,
                rank=rank,
                seed=self.seed,
            )
        if self.mix_in is None and self.epoch_frames is None and self.balance == "none":
            return EpochSampler(dataset, num_replicas=ranks, rank=rank, seed=self.seed)
        share = 0.0 if self.mix_in is None else self.mix_in.share
        counts = epoch_counts(len(own), epoch_frames=self.epoch_frames, share=share, ranks=ranks)
        logger.info(
            "An epoch: %d frames drawn from %d of your own, and %d rendered ones.", counts[0], len(own), counts[1]
        )
        pools = [(Pool(own.records, self.balance), counts[0])]
        if self._rendered is not None:
            pools.append((Pool(self.rehearsal.train, self.balance, first=len(own)), counts[1]))
        return DrawSampler(dataset, pools, num_replicas=ranks, rank=rank, seed=self.seed)

    def _can_pair(self, own: FrameDataset) -> bool:
        """Whether twins can be drawn together; says why not, and how many there are if so."""
        twins = len(twin_positions(own.records))
        if self.mix_in is not None or self.balance != "none":
            reason = "data.mix_in is set" if self.mix_in is not None else f"data.balance is {self.balance}"
            logger.info("data.pairs is left out: %s.", reason)
            return False
        if not twins:
            logger.info("data.pairs is left out: no two training frames are twins.")
            return False
        logger.info("Drawn in pairs of twins: %d of %d training frames.", 2 * twins, len(own))
        return True

    def _loader(self, dataset: Dataset[Any], batch_size: int, **kwargs: Any) -> DataLoader[Sample]:
        loading = self._resolved_loading()
        kwargs.setdefault("persistent_workers", loading.workers > 0)
        return LateLoader(
            dataset,
            batch_size=batch_size,
            num_workers=loading.workers,
            prefetch_factor=loading.prefetch,
            pin_memory=loading.pin,
            worker_init_fn=start_worker,
            **kwargs,
        )

    def loader_workers(self) -> int:
        """Loader processes of each training process."""
        return self._resolved_loading().workers

    def _resolved_loading(self) -> ResolvedLoading:
        return resolve_loading(self.loading, processes=self.trainer.num_devices if self.trainer else 1)

    def _read_own(self) -> FrameSet:
        index = index_frames(self.root, classes=self.classes, pattern=self.naming, manifest=self.manifest, check=False)
        return read_set(index, self.preprocess, self.classes, cache_dir=self.cache_dir, max_bytes=self.cache_bytes)

    def _read_rendered(self, own: FrameSet) -> FrameSet | None:
        """The rendered frames to mix in, if any are."""
        if self.mix_in is None:
            return None
        return read_set(
            index_frames(Path(self.mix_in.embedded.root), classes=RENDERED_CLASSES, check=False),
            self.preprocess,
            RENDERED_CLASSES,
            cache_dir=self.cache_dir,
            max_bytes=self.cache_bytes,
            beside=[frames for frames in (own.frames, own.masks.kept) if isinstance(frames, DecodedFrames)],
        )

    def _make_split(self, records: Sequence[FrameRecord]) -> Split:
        if self.split_file is not None:
            return read_split(self.split_file, records, root=self.root, classes=self.classes)
        return split_records(
            records,
            classes=self.classes,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            group_by=self.group_by,
            seed=self.split_seed,
            use_supplied_test=self.use_supplied_test,
        )
