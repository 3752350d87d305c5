"""The LightningDataModule: a folder of labelled frames becomes grouped splits and augmented batches."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from flipdetect.data.audit.audit import audit_frames
from flipdetect.data.audit.split_table import NO_SHARED_VIDEO, audit_split
from flipdetect.data.augment import Augmentation, Transform
from flipdetect.data.cache import ChunkCache
from flipdetect.data.dataset import FrameDataset, FrameSet, Sample, read_set, start_worker, stream_seed
from flipdetect.data.index import FrameIndex, index_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.rehearsal import RENDERED_CLASSES, EmbeddedData, MixedFrames, MixIn
from flipdetect.data.samplers import (
    Balance,
    DrawSampler,
    EpochSampler,
    PairSampler,
    Pool,
    ShareSampler,
    epoch_counts,
    even_batch_size,
    twin_positions,
)
from flipdetect.data.split_file import read_split, write_split
from flipdetect.data.splits import SPLITS, GroupChoice, Split, split_records
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.sources.naming import NamePattern

logger = logging.getLogger(__name__)

RENDERED_STREAM = 1
"""Separates the augmentation's random streams of rendered frames from those of own frames."""
REHEARSAL_HELD_OUT = 0.3
"""Share of the rendered books that are not mixed in: their frames measure whether training forgets."""
MAX_WORKERS = 8
"""Loader processes; more do not help, because frames come decoded from the cache."""


class Encode(Protocol):
    """Replaces a data set of frames by one of the outputs of a network's frozen stages."""

    def __call__(self, frames: FrameDataset, *, training: bool) -> Dataset[Sample]:
        """The data set to train on, or to validate on during a fit."""


class FrameDataModule(pl.LightningDataModule):
    """Labelled frames from a folder or a manifest, split by video or source.

    Args:
        root: the folder: `training|testing/<class>/...`, `<class>/...`, or one with a `labels.csv`.
        embedded: the data set to render if `root` is its folder; null for none.
        manifest: a CSV file `path,label,video,frame,source` that describes the set instead of folders.
        naming: how video, frame, label and source are read from a file name; null for `VideoID_Frame`. `one_film: true`
            if all frames are of one film: contiguous blocks of it are split.
        classes: names of the two classes; F1 is the positive one's.
        preprocess: how a frame becomes model input.
        augment: albumentations transforms for training, on uint8 frames at input size; null for none.
        batch_size: frames per batch and process.
        num_workers: loader processes for each training process; null chooses by the number of cores: none on two.
        prefetch: batches that each loader process prepares ahead; null: 2.
        pin_memory: whether batches are in page-locked memory, for faster copies to a GPU; null: if there is a GPU.
        mix_in: rendered frames mixed into the training frames; validation and test contain own frames only. Null for
            none.
        epoch_frames: training frames drawn in an epoch, rendered ones included. Frames of a small set are repeated with
            different augmentation; an epoch of a large set holds some of them. Null: each own frame once.
        balance: how often each training frame is drawn. "none": all equally often; "class": both classes equally often;
            "video": both classes, and within a class all videos, so that long clips do not outweigh short ones.
        pairs: draw twins, two frames of a rendered set that differ only in the turning sheet, next to each other and
            augmented alike. Ignored, with a line in the log, if no training frames are twins, or with `mix_in` or
            `balance`.
        group_by: the unit that must not be divided by the split. "auto": the source (book, person) if every frame has
            one and there are enough of them, else the video.
        val_fraction: share of the frames for validation.
        test_fraction: share of the frames for test.
        use_supplied_test: use the `testing/` folder of the set as the test split (it is audited for leaks).
        split_file: a `splits.csv` to use instead of splitting.
        audit: what is checked before training. "quick": videos, sources and files in two splits; "full": also copied
            pictures, and opposite labels of one picture, which reads every frame once more (docs/guides/audit.md).
        split_seed: seed of the split; separate from `seed`, so that runs with several seeds share one split.
        seed: seed of shuffling and augmentation; null: that of `seed_everything`.
        cache_dir: where decoded frames are kept; null decodes in every epoch.
        cache_gb: limit for all cached frames together, in GiB, and for all cached features.
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
        if num_workers is not None and num_workers < 0:
            raise ConfigError(f"data.num_workers must be null or at least 0, got {num_workers}")
        if prefetch is not None and prefetch < 1:
            raise ConfigError(f"data.prefetch must be null or at least 1, got {prefetch}")
        self.root = Path(root).expanduser()
        self.embedded = embedded
        self.manifest = Path(manifest).expanduser() if manifest else None
        self.naming = naming
        self.classes = classes
        self.preprocess = preprocess
        self.augmentation = Augmentation(augment) if augment else None
        self.batch_size = batch_size
        self.num_workers, self.prefetch, self.pin_memory = num_workers, prefetch, pin_memory
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
        self._cache = ChunkCache(self.cache_dir / "frames", self.cache_bytes) if self.cache_dir else None
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
        if self.mix_in is not None:
            self.mix_in.embedded.render_if_needed()
        if self._cache is not None:
            self._read()

    def setup(self, stage: str | None = None) -> None:
        """Index, decode and split, once, whatever the stage."""
        if self._split is not None:
            return
        self._own, self._rendered = self._read()
        self.index = self._own.index
        logger.log(logging.WARNING if self.index.warning else logging.INFO, "%s", self.index.summary())
        records = self.index.records
        if self.split_file is not None:
            self._split = read_split(self.split_file, records, root=self.root, classes=self.classes)
        else:
            self._split = split_records(
                records,
                classes=self.classes,
                val_fraction=self.val_fraction,
                test_fraction=self.test_fraction,
                group_by=self.group_by,
                seed=self.split_seed,
                use_supplied_test=self.use_supplied_test,
            )
        audit = (
            audit_frames(self._split, cache_dir=self.cache_dir) if self.audit == "full" else audit_split(self._split)
        )
        leaks = audit.warnings()
        for sentence in audit.sentences():
            if sentence != NO_SHARED_VIDEO or not self.index.warning:  # without videos, it would mean nothing
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
            "split": {name: sorted({record.video for record in self.split.of(name)}) for name in SPLITS},
            "classes": asdict(self.classes),
            "preprocess": self.preprocess.to_dict(),
            "naming": None if self.naming is None else asdict(self.naming),
            "drawing": {"epoch_frames": self.epoch_frames, "balance": self.balance, "pairs": self.pairs},
            "mix_in": None if self.mix_in is None else self.mix_in.describe(),
        }

    def val_videos(self) -> int:
        """Number of validation videos of the class that has fewer of them."""
        videos = {(record.label, record.video) for record in self.split.val}
        return min(sum(label == name for label, _ in videos) for name in self.classes.names)

    def dataset(self, records: Sequence[FrameRecord], augmentation: Augmentation | None = None) -> FrameDataset:
        """A data set over some of the indexed records."""
        if self._own is None:
            raise RuntimeError("data sets exist after setup()")
        return self._own.dataset(records, augmentation, seed=self.seed)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Shuffled, augmented batches; the last, smaller one is dropped if there are others."""
        if self._own is None:
            raise RuntimeError("data sets exist after setup()")
        with_maps = any(frames.masks for frames in (self._own, self._rendered) if frames is not None)
        own = self._own.dataset(self.split.train, self.augmentation, seed=self.seed, with_maps=with_maps)
        dataset: Dataset[Any] = self._encoded(own, training=True)
        if self._rendered is not None:
            seed = stream_seed(self.seed, RENDERED_STREAM)
            rendered = self._rendered.dataset(self.rehearsal.train, self.augmentation, seed=seed, with_maps=with_maps)
            dataset = MixedFrames(dataset, self._encoded(rendered, training=True))
        sampler = self._sampler(own.records, dataset)
        # The statistics of batch norm are worthless in a batch of one or two frames.
        return self._loader(dataset, self.batch_size, sampler=sampler, drop_last=len(sampler) >= self.batch_size)

    def val_dataloader(self) -> DataLoader[Sample]:
        """The validation split in order, not augmented; each process has its share."""
        return self._in_order(self.split.val)

    def test_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """The test split in order, not augmented; an empty list if there is none."""
        return self._in_order(self.split.test) if self.split.test else []

    @cached_property
    def rehearsal(self) -> Split:
        """The rendered frames that are mixed in (`train`), and those of other books (`val`), which are not."""
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
        """The rendered frames that are not mixed in, in order, not augmented; None if none are mixed in."""
        if self._rendered is None:
            return None
        frames = self._rendered.dataset(self.rehearsal.val, seed=self.seed)
        return self._loader(self._encoded(frames, training=False), self.batch_size)

    def loader_workers(self) -> int:
        """Loader processes of each training process."""
        workers: int = self._loading()["num_workers"]
        return workers

    def _encoded(self, frames: FrameDataset, *, training: bool) -> Dataset[Any]:
        """The frames, or their features during a fit with `CachedFeatures`."""
        return frames if self.encode is None else self.encode(frames, training=training)

    def _in_order(self, records: Sequence[FrameRecord]) -> DataLoader[Sample]:
        frames = self.dataset(records)
        dataset = self._encoded(frames, training=False)
        ranks, rank = self._ranks()
        if not 1 < ranks <= len(frames):
            return self._loader(dataset, self.batch_size)
        sampler = ShareSampler(dataset, num_replicas=ranks, rank=rank)
        return self._loader(dataset, even_batch_size(len(frames), ranks, self.batch_size), sampler=sampler)

    def _ranks(self) -> tuple[int, int]:
        """Number of processes that train together, and the number of this one."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def _sampler(self, own: Sequence[FrameRecord], dataset: Dataset[Any]) -> EpochSampler:
        """Draws from `dataset`: the own training frames, followed by the rendered ones."""
        ranks, rank = self._ranks()
        shared: dict[str, Any] = {"num_replicas": ranks, "rank": rank, "seed": self.seed}
        if self.pairs:
            twins = len(twin_positions(own))
            if self.mix_in is not None:
                reason = "data.mix_in is set"
            elif self.balance != "none":
                reason = f"data.balance is {self.balance}"
            elif not twins:
                reason = "no two training frames are twins"
            else:
                logger.info("Drawn in pairs of twins: %d of %d training frames.", 2 * twins, len(own))
                return PairSampler(dataset, own, epoch_frames=self.epoch_frames, **shared)
            logger.info("data.pairs is ignored: %s.", reason)
        if self.mix_in is None and self.epoch_frames is None and self.balance == "none":
            return EpochSampler(dataset, **shared)
        share = 0.0 if self.mix_in is None else self.mix_in.share
        counts = epoch_counts(len(own), epoch_frames=self.epoch_frames, share=share, ranks=ranks)
        logger.info(
            "An epoch: %d frames drawn from %d of your own, and %d rendered ones.", counts[0], len(own), counts[1]
        )
        pools = [(Pool(own, self.balance), counts[0])]
        if self._rendered is not None:
            pools.append((Pool(self.rehearsal.train, self.balance, first=len(own)), counts[1]))
        return DrawSampler(dataset, pools, **shared)

    def _loader(self, dataset: Dataset[Any], batch_size: int, **kwargs: Any) -> DataLoader[Sample]:
        return _LateLoader(dataset, batch_size=batch_size, worker_init_fn=start_worker, **self._loading(), **kwargs)

    def _loading(self) -> dict[str, Any]:
        processes = self.trainer.num_devices if self.trainer else 1
        return loader_settings(self.num_workers, self.prefetch, self.pin_memory, processes=processes)

    def _read(self) -> tuple[FrameSet, FrameSet | None]:
        """The own frames, and the rendered ones if any are mixed in."""
        index = index_frames(self.root, classes=self.classes, pattern=self.naming, manifest=self.manifest, check=False)
        own = read_set(index, self.preprocess, self.classes, self._cache)
        if self.mix_in is None:
            return own, None
        index = index_frames(Path(self.mix_in.embedded.root), classes=RENDERED_CLASSES, check=False)
        return own, read_set(index, self.preprocess, RENDERED_CLASSES, self._cache)


class _LateLoader(DataLoader[Sample]):
    """Draws its first frame when the first batch is asked for, not when it is iterated.

    Lightning makes the first iterator before it restores a resumed run: drawn then, the first epoch after resuming
    would repeat the frames of epoch 0.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        yield from super().__iter__()


def loader_settings(
    workers: int | None = None,
    prefetch: int | None = None,
    pin: bool | None = None,
    *,
    processes: int = 1,
    cores: int | None = None,
) -> dict[str, Any]:
    """The arguments of a `DataLoader`; None is replaced by what suits the machine, and logged once.

    Two cores are left to the model; each training process gets its share of the others as loader processes, at most 8.
    On two cores, frames are loaded in the training process itself: a loader process would compete with the model's
    threads (loading in between measured 1.2 times as fast for TinyCNN). Memory is pinned if there is a GPU.

    Args:
        workers: as `num_workers` of `FrameDataModule`.
        prefetch: likewise.
        pin: as `pin_memory` of `FrameDataModule`.
        processes: that train on this machine.
        cores: that this program may use; None: those the system allows it.
    """
    if cores is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    chosen = max(0, min(MAX_WORKERS, cores // processes - 2)) if workers is None else workers
    settings = {
        "num_workers": chosen,
        "prefetch_factor": (prefetch or 2) if chosen else None,
        "pin_memory": torch.cuda.is_available() if pin is None else pin,
        "persistent_workers": chosen > 0,
    }
    how = f"{chosen} loader processes" if chosen else "in the training process"
    _log_once(f"Loading on {cores} cores: {how}{', into pinned memory' if settings['pin_memory'] else ''}.")
    return settings


@cache
def _log_once(message: str) -> None:
    logger.info("%s", message)
