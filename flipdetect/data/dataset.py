"""Frames as model input, and the sampler that makes every epoch reproducible."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from flipdetect.data.augment import Augmentation
from flipdetect.data.cache import DecodedFrames
from flipdetect.records import ClassNames, FrameRecord


class Sample(TypedDict):
    """One frame; a batch holds the same keys with a leading dimension B.

    Keys:
        image: (C, H, W) float32, normalised.
        target: () float32, 1 for the positive class.
        index: position in the data set's `records`, by which a callback finds the file's name again.
    """

    image: torch.Tensor
    target: torch.Tensor
    index: int


@dataclass(frozen=True, slots=True)
class Draw:
    """A frame drawn in an epoch: the epoch is part of the draw because workers outlive epochs."""

    epoch: int
    index: int


class FrameDataset(Dataset[Sample]):
    """Labelled frames at working size, augmented if asked.

    Args:
        records: the frames of one side of the split.
        frames: decoded frames, in any order and number.
        positions: for each record, its position in `frames`.
        classes: gives the targets.
        augmentation: applied to the uint8 frame, before normalisation.
        seed: base of the augmentation's random streams.
    """

    def __init__(
        self,
        records: Sequence[FrameRecord],
        frames: DecodedFrames,
        positions: Sequence[int],
        classes: ClassNames,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.records = tuple(records)
        self._frames = frames
        self._positions = tuple(positions)
        self._targets = tuple(float(classes.target(record.label)) for record in self.records)
        self._augmentation = augmentation
        self._seed = seed

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, draw: int | Draw) -> Sample:
        """The sample at an index; a plain int stands for epoch 0.

        Raises:
            FrameError: if the file has become unreadable since it was checked.
        """
        epoch, index = (draw.epoch, draw.index) if isinstance(draw, Draw) else (0, draw)
        frame = self._frames[self._positions[index]]
        if self._augmentation is not None:
            frame = self._augmentation(frame, stream_seed(self._seed, epoch, index))
        return Sample(
            image=torch.from_numpy(self._frames.spec.normalise(frame)),
            target=torch.tensor(self._targets[index]),
            index=index,
        )


class EpochSampler(DistributedSampler[Any]):
    """Shuffles by (seed, epoch) alone and says which epoch a draw belongs to.

    Lightning calls `set_epoch` and, because this is a `DistributedSampler` already, leaves it in place when training
    in several processes; each then sees its own share.
    """

    def __iter__(self) -> Iterator[Draw]:
        return (Draw(self.epoch, int(index)) for index in super().__iter__())


class LateLoader(DataLoader[Sample]):
    """A loader that draws its first frame when the first batch is asked for, not when it is iterated.

    Lightning makes the first iterator before it restores a resumed run. Drawn then, the first epoch after resuming
    would repeat the frames of epoch 0.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches of `Sample`s."""
        yield from super().__iter__()


def stream_seed(*parts: int) -> int:
    """A seed of 32 bits from several numbers, equal on every machine and well spread for neighbouring numbers."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
