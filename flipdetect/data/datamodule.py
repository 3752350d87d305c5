"""The LightningDataModule: a folder of labelled frames becomes grouped splits and augmented batches.

In the order in which Lightning calls it: `prepare_data` renders and decodes, `setup` indexes, splits and audits, the
`*_dataloader` methods give batches. `describe` and `split_csv` are what a run keeps of its data.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from flipdetect.data.audit.audit_report import NO_SHARED_VIDEO, sentences, warnings
from flipdetect.data.audit.findings import audit_frames, audit_split
from flipdetect.data.augment.chain import Augmentation
from flipdetect.data.augment.fused_warp import Transform
from flipdetect.data.cache import ChunkCache
from flipdetect.data.dataset import (
    FrameDataset,
    FrameSet,
    MixedFrames,
    Sample,
    read_set,
    stream_seed,
)
from flipdetect.data.grouped_splits import GroupChoice, split_records
from flipdetect.data.index import FrameIndex, index_frames
from flipdetect.data.loading import Balance, FrameLoader, ShareSampler, even_batch_size, loader_settings, train_sampler
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.rehearsal import RENDERED_CLASSES, EmbeddedData, MixIn, rehearsal_split
from flipdetect.data.splits import SPLITS, Split, read_split, write_split
from flipdetect.errors import ConfigError, DataError
from flipdetect.parameters import check_range
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.sources.naming import NamePattern

logger = logging.getLogger(__name__)

AuditDepth = Literal["quick", "full"]

RENDERED_STREAM = 1
"""Separates the augmentation's random streams of rendered frames from those of own frames."""


class _SplitFrames(NamedTuple):
    """A decoded data set and its split."""

    frames: FrameSet
    split: Split


class GroupedDataModule(pl.LightningDataModule):
    """What data modules have in common: settings, the audit of a grouped split, batches in order, what a run keeps.

    Args:
        root: the data set's folder.
        embedded: the data set to render if `root` is its folder; null for none.
        naming: how video, frame, label and source are read from a file name; null for `VideoID_Frame`. `one_film: true`
            if all frames are of one film: contiguous blocks of it are split.
        preprocess: how a frame becomes model input.
        augment: albumentations transforms for training, on uint8 frames at input size; null for none.
        batch_size: frames per batch and process.
        num_workers: loader processes for each training process; null chooses by the number of cores: none on two.
        prefetch: batches that each loader process prepares ahead; null: 2.
        pin_memory: whether batches are in page-locked memory, for faster copies to a GPU; null: if there is a GPU.
        group_by: the unit that must not be divided by the split. "auto": the source (book, person) if every frame has
            one and there are enough of them, else the video.
        val_fraction: share of the frames for validation.
        test_fraction: share of the frames for test.
        split_file: a `splits.csv` to use instead of splitting.
        audit: what is checked before training. "quick": videos, sources and files in two splits; "full": also copied
            pictures, and opposite labels of one picture, which reads every frame once more (docs/guides/audit.md).
        split_seed: seed of the split; separate from `seed`, so that runs with several seeds share one split.
        seed: seed of shuffling and augmentation; null: that of `seed_everything`.
        cache_dir: where decoded frames are kept; null decodes in every epoch.
        cache_gb: limit for all cached frames together, in GiB, and for all cached features.
    """

    augmentation_class: type[Augmentation] = Augmentation
    collate: Callable[[list[Any]], Any] | None = None

    def __init__(
        self,
        root: str = "data/embedded",
        embedded: EmbeddedData | None = None,
        naming: NamePattern | None = None,
        preprocess: PreprocessSpec = PreprocessSpec(),  # noqa: B008 - frozen
        augment: list[Transform] | None = None,
        batch_size: int = 32,
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
        super().__init__()
        for name, value in (
            ("batch_size", batch_size), ("num_workers", num_workers), ("prefetch", prefetch), ("cache_gb", cache_gb),
        ):  # fmt: skip
            check_range(f"data.{name}", value)
        self.root = Path(root).expanduser()
        self.embedded = embedded
        self.naming = naming
        self.preprocess = preprocess
        self.augmentation = self.augmentation_class(augment) if augment else None
        if self.augmentation is not None:
            self.augmentation.check((preprocess.height, preprocess.width, preprocess.channels))
        self.batch_size = batch_size
        self.num_workers, self.prefetch, self.pin_memory = num_workers, prefetch, pin_memory
        self.group_by = group_by
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.split_file = Path(split_file).expanduser() if split_file else None
        self.audit = audit
        self.split_seed = split_seed
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed
        self.cache_dir = Path(cache_dir).expanduser() if cache_dir else None
        self.cache_bytes = int(cache_gb * 2**30)
        self._cache = ChunkCache(self.cache_dir / "frames", self.cache_bytes) if self.cache_dir else None
        self._split: Split | None = None  # until `setup`

    @property
    def index(self) -> FrameIndex:
        """The frames that can be used, and what could not be used."""
        raise NotImplementedError

    @property
    def split(self) -> Split:
        """The split in use; a `RuntimeError` before `setup`."""
        if self._split is None:
            raise RuntimeError("the split exists after setup()")
        return self._split

    def dataset(self, records: Sequence[FrameRecord]) -> Dataset[Any]:
        """Some of the frames as they are, not augmented."""
        raise NotImplementedError

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation split in order, not augmented; each process has its share."""
        return self._in_order(self.split.val)

    def test_dataloader(self) -> DataLoader[Any] | list[DataLoader[Any]]:
        """The test split in order, not augmented; an empty list if there is none."""
        return self._in_order(self.split.test) if self.split.test else []

    def loading(self) -> dict[str, Any]:
        """Loader processes and memory, as a `DataLoader` takes them; see `loader_settings`."""
        processes = self.trainer.num_devices if self.trainer else 1
        return loader_settings(self.num_workers, self.prefetch, self.pin_memory, processes=processes)

    def split_csv(self, path: Path) -> None:
        """Write the split so that `data.split_file` can read it back."""
        write_split(self.split, path, self.index.root)

    def describe(self) -> dict[str, Any]:
        """What a checkpoint must know of the data: preprocessing, naming, split; plain JSON types."""
        return {
            "split": {name: sorted({record.video for record in self.split.of(name)}) for name in SPLITS},
            "preprocess": self.preprocess.to_dict(),
            "naming": None if self.naming is None else asdict(self.naming),
        }

    def _audit(self, split: Split, *, unsaid: str = "") -> None:
        """Log what the audit of a split found, leaks as warnings, without one sentence."""
        audit = audit_frames(split, cache_dir=self.cache_dir) if self.audit == "full" else audit_split(split)
        leaks = warnings(audit)
        for sentence in sentences(audit):
            if sentence != unsaid:
                logger.log(logging.WARNING if sentence in leaks else logging.INFO, "%s", sentence)

    def _in_order(self, records: Sequence[FrameRecord]) -> DataLoader[Any]:
        dataset, processes = self._encoded(self.dataset(records), training=False), self._processes()
        if not 1 < processes["num_replicas"] <= len(records):
            return self._loader(dataset, self.batch_size)
        batch_size = even_batch_size(len(records), processes["num_replicas"], self.batch_size)
        return self._loader(dataset, batch_size, sampler=ShareSampler(dataset, **processes))

    def _encoded(self, frames: Dataset[Any], *, training: bool) -> Dataset[Any]:
        """The frames, or what is made of them before they become batches."""
        return frames

    def _processes(self) -> dict[str, int]:
        """Number of processes that train together, and the number of this one, as samplers take them."""
        trainer = self.trainer
        return {"num_replicas": trainer.world_size if trainer else 1, "rank": trainer.global_rank if trainer else 0}

    def _loader(self, dataset: Dataset[Any], batch_size: int, **settings: Any) -> DataLoader[Any]:
        return FrameLoader(dataset, batch_size=batch_size, collate_fn=self.collate, **self.loading(), **settings)


class FrameDataModule(GroupedDataModule):
    """Labelled frames from a folder or a manifest, split by video or source.

    The folder `root` is `training|testing/<class>/...`, `<class>/...`, or one with a `labels.csv`.

    Args:
        manifest: a CSV file `path,label,video,frame,source` that describes the set instead of folders.
        classes: names of the two classes; F1 is the positive one's.
        mix_in: rendered frames mixed into the training frames; validation and test contain own frames only. Null for
            none.
        epoch_frames: training frames drawn in an epoch, rendered ones included. Frames of a small set are repeated with
            different augmentation; an epoch of a large set holds some of them. Null: each own frame once.
        balance: how often each training frame is drawn. "none": all equally often; "class": both classes equally often;
            "video": both classes, and within a class all videos, so that long clips do not outweigh short ones.
        pairs: draw twins, two frames of a rendered set that differ only in the turning sheet, next to each other and
            augmented alike. Ignored, with a line in the log, if no training frames are twins, or with `mix_in` or
            `balance`.
        use_supplied_test: use the `testing/` folder of the set as the test split (it is audited for leaks).
        kwargs: see `GroupedDataModule`.
    """

    def __init__(
        self,
        manifest: str | None = None,
        classes: ClassNames = ClassNames(),  # noqa: B008 - frozen
        mix_in: MixIn | None = None,
        epoch_frames: int | None = None,
        balance: Balance = "none",
        pairs: bool = False,
        use_supplied_test: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_range("data.epoch_frames", epoch_frames)
        if pairs and self.batch_size % 2:
            raise ConfigError(f"data.pairs needs an even data.batch_size, got {self.batch_size}")
        self.manifest = Path(manifest).expanduser() if manifest else None
        self.classes = classes
        self.mix_in = mix_in if mix_in is not None and mix_in.share > 0 else None
        self.epoch_frames = epoch_frames
        self.balance = balance
        self.pairs = pairs
        self.use_supplied_test = use_supplied_test
        # Set by `CachedFeatures` during a fit: the outputs of a network's frozen stages in place of frames.
        self.encode: Callable[..., Dataset[Sample]] | None = None
        if self.mix_in is not None and Path(self.mix_in.embedded.root).resolve() == self.root.resolve():
            raise ConfigError(
                f"data.mix_in would mix {self.root} into itself; give the folder of your own frames with --data.root, "
                "or set data.mix_in to null"
            )

    def prepare_data(self) -> None:
        """Render the embedded set if it is wanted and absent, and decode all frames into the cache.

        Lightning calls this in one process per machine; the others find the work done.
        """
        if self._split is not None:
            return
        rendered = self.embedded is not None and self.embedded.ensure(self.root)
        if not rendered and not self.root.is_dir():
            known = f"; the embedded data is rendered for --data.root {self.embedded.root}" if self.embedded else ""
            raise DataError(
                f"data.root is no folder: {self.root}. Give the folder of your labelled frames with --data.root{known}"
            )
        if self.mix_in is not None:
            self.mix_in.embedded.render_if_needed()
        if self._cache is not None:
            _ = self._frames, self._rendered

    def setup(self, stage: str | None = None) -> None:
        """Index, decode, split and audit, once, whatever the stage."""
        if self._split is not None:
            return
        index = self._frames.index
        logger.log(logging.WARNING if index.warning else logging.INFO, "%s", index.summary())
        split = self._divided(index.records)
        self._audit(split, unsaid=NO_SHARED_VIDEO if index.warning else "")  # without videos, it would mean nothing
        self._split = split

    @cached_property
    def _frames(self) -> FrameSet:
        """The frames of `root`, decoded."""
        index = index_frames(self.root, classes=self.classes, pattern=self.naming, manifest=self.manifest, check=False)
        return read_set(index, self.preprocess, self.classes, self._cache)

    @cached_property
    def _rendered(self) -> _SplitFrames | None:
        """The frames of `mix_in`, of which `train` are mixed in and `val`, of other books, are not."""
        if self.mix_in is None:
            return None
        index = index_frames(Path(self.mix_in.embedded.root), classes=RENDERED_CLASSES, check=False)
        frames = read_set(index, self.preprocess, RENDERED_CLASSES, self._cache)
        return _SplitFrames(frames, rehearsal_split(frames.index.records))

    def _divided(self, records: Sequence[FrameRecord]) -> Split:
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

    @property
    def index(self) -> FrameIndex:
        """The frames of `root` that can be used, and what could not be used."""
        return self._frames.index

    def dataset(self, records: Sequence[FrameRecord]) -> FrameDataset:
        """Some of the own frames as they are, not augmented."""
        return self._frames.dataset(records, seed=self.seed)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Shuffled, augmented batches; the last, smaller one is dropped if there are others."""
        own, rendered = self.split.train, self._rendered
        with_maps = bool(self._frames.masks or (rendered and rendered.frames.masks))
        frames = self._frames.dataset(own, self.augmentation, seed=self.seed, with_maps=with_maps)
        dataset: Dataset[Any] = self._encoded(frames, training=True)
        if rendered is not None:
            seed = stream_seed(self.seed, RENDERED_STREAM)
            frames = rendered.frames.dataset(rendered.split.train, self.augmentation, seed=seed, with_maps=with_maps)
            dataset = MixedFrames(dataset, self._encoded(frames, training=True))
        sampler = train_sampler(
            dataset,
            own,
            rendered.split.train if rendered else (),
            share=self.mix_in.share if self.mix_in else 0.0,
            epoch_frames=self.epoch_frames,
            balance=self.balance,
            pairs=self.pairs,
            seed=self.seed,
            **self._processes(),
        )
        # The statistics of batch norm are worthless in a batch of one or two frames.
        return self._loader(dataset, self.batch_size, sampler=sampler, drop_last=len(sampler) >= self.batch_size)

    def rehearsal_dataloader(self) -> DataLoader[Sample] | None:
        """The rendered frames that are not mixed in, in order, not augmented; None if none are mixed in."""
        if self._rendered is None:
            return None
        frames = self._rendered.frames.dataset(self._rendered.split.val, seed=self.seed)
        return self._loader(self._encoded(frames, training=False), self.batch_size)

    def _encoded(self, frames: Dataset[Any], *, training: bool) -> Dataset[Any]:
        """The frames, or what a callback makes of them."""
        return frames if self.encode is None else self.encode(frames, training=training)

    def describe(self) -> dict[str, Any]:
        """What a checkpoint must know of the data: as the base class, classes, and how frames are drawn."""
        return {
            **super().describe(),
            "classes": asdict(self.classes),
            "drawing": {"epoch_frames": self.epoch_frames, "balance": self.balance, "pairs": self.pairs},
            "mix_in": None if self.mix_in is None else self.mix_in.describe(),
        }

    def val_videos(self) -> int:
        """Number of validation videos of the class that has fewer of them."""
        videos = {(record.label, record.video) for record in self.split.val}
        return min(sum(label == name for label, _ in videos) for name in self.classes.names)
