"""The training side of a sharded set as a stream of samples, read shard by shard through WebDataset."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from flipdetect.data.dataset import Draw, FrameDataset, Sample, stream_seed
from flipdetect.data.shards import MASK_SUFFIX
from flipdetect.errors import ConfigError, FrameError
from flipdetect.sources.folder import FRAME_SUFFIXES

logger = logging.getLogger(__name__)

BUFFER = 256
"""Frames, as they are in the files, among which the next one is drawn. The shards are in random order, and so are the
frames in each, so that a small buffer will do."""
SHARD_STREAM = 3
"""Sets the order of shards apart from the augmentation of their frames."""


class ShardStream(IterableDataset[Sample]):
    """Augmented samples of the training side, in an order that follows from seed and epoch.

    A reader is a loader process, or a training process without any. Each takes whole shards; one reader alone reads
    every frame once. Several read as many frames each, so that none waits for another: of unequal shards, a few frames
    come twice or not at all in an epoch, other ones each time.

    Args:
        frames: of the training side; gives targets, augmentation and the size.
        shards: of the training side.
        batch_size: what each reader's share is a multiple of, if there are several.
        clock: tells the epoch.
        ranks, rank: training processes, and which one this is.
        workers: loader processes of each.
        seed: another seed, another order.

    Raises:
        ConfigError: if there are fewer shards than readers.
    """

    def __init__(
        self,
        frames: FrameDataset,
        shards: Sequence[Path],
        *,
        batch_size: int,
        clock: Callable[[], int],
        ranks: int = 1,
        rank: int = 0,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        readers = ranks * max(1, workers)
        if len(shards) < readers:
            raise ConfigError(
                f"{readers} processes cannot share {len(shards)} shards of the training side: set data.num_workers to "
                f"{max(0, len(shards) // ranks)} or less, or make more shards (scripts/make_shards.py --shard-frames)"
            )
        self._frames = frames
        self._positions = {record.file: i for i, record in enumerate(frames.records)}
        self._shards = [str(path) for path in shards]
        self._folder = Path(shards[0]).parent
        self._clock: Callable[[], int] | None = clock
        self._rank, self._workers, self._readers = rank, workers, readers
        self._seed = seed
        self._epoch = 0
        share = len(frames) // readers
        self._share = len(frames) if readers == 1 else max(1, share // batch_size) * min(batch_size, share)

    def __len__(self) -> int:
        """Samples of this training process in an epoch."""
        return self._share * max(1, self._workers)

    def start_epoch(self) -> None:
        """Take note of the epoch; to be called in the training process before loader processes start."""
        if self._clock is not None:
            self._epoch = self._clock()

    def __iter__(self) -> Iterator[Sample]:
        info = get_worker_info()
        reader = self._rank * max(1, self._workers) + (0 if info is None else info.id)
        order = np.random.default_rng((self._seed, SHARD_STREAM, self._epoch)).permutation(len(self._shards))
        own = [self._shards[i] for i in order[reader :: self._readers]]
        rng = random.Random(stream_seed(self._seed, SHARD_STREAM, self._epoch, reader))
        given = 0
        while given < self._share:
            before = given
            for sample in _shuffled(own, rng):
                result = self._sample(sample)
                if result is None:
                    continue
                yield result
                given += 1
                if given == self._share:
                    break
            if given == before or self._readers == 1:
                break

    def _sample(self, stored: dict[str, Any]) -> Sample | None:
        """The sample of what a shard holds of one frame; None, and a warning, if it cannot be used."""
        try:
            name = str(self._folder / json.loads(stored["json"])["path"])
            position = self._positions[name]
            suffix = next(key for key in stored if f".{key}" in FRAME_SUFFIXES)
            frame = self._frames.spec.read(stored[suffix])
            mask = self._frames.mask_of(stored[MASK_SUFFIX]) if MASK_SUFFIX in stored else None
        except (KeyError, ValueError, TypeError, StopIteration, FrameError) as error:
            logger.warning("A frame of the shard %s cannot be used (%s).", stored.get("__url__"), error)
            return None
        return self._frames.finish(position, frame, mask, Draw(self._epoch, position).stream(self._frames.seed))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_clock": None}


def _shuffled(shards: Sequence[str], rng: random.Random) -> Iterator[dict[str, Any]]:
    """What the shards hold, frame by frame, as bytes by suffix.

    The files are opened here: WebDataset would run what a shard's name has behind "pipe:" as a command.

    Raises:
        ConfigError: if WebDataset is not installed.
    """
    try:
        from webdataset import filters, tariterators
    except ImportError:
        raise ConfigError("data.shards needs WebDataset: pip install 'flipdetect[shards]'") from None

    def samples() -> Iterator[dict[str, Any]]:
        for path in shards:
            with Path(path).open("rb") as file:
                files = ({**found, "__url__": path} for found in tariterators.tar_file_iterator(file))
                yield from tariterators.group_by_keys(files)

    return iter(filters.shuffle(BUFFER, initial=BUFFER, rng=rng)(samples()))
