"""Frames as model input, and the sampler that makes every epoch reproducible."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from flipdetect.data.augment import Augmentation
from flipdetect.data.frame_set import Frame, Frames
from flipdetect.data.masks import Mask, Masks, coarse_maps
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.records import ClassNames, FrameRecord


class Sample(TypedDict):
    """One frame; a batch holds the same keys with a leading dimension B.

    Keys:
        image: (C, H, W) float32, normalised. Absent where there are `features`.
        features: what the frozen stages of a network hand on of the frame, each (...) float32; see
            `flipdetect.data.features`.
        target: () float32, 1 for the positive class.
        index: position in the data set's `records`, by which a callback finds the file's name again.
        pair: number of the pair within the epoch, which a frame shares with its twin; -1 outside of pairs.
        maps: (3, ceil(H/8), ceil(W/8)) float32, what of each place is covered by a sheet in the air, by its free edge
            and by hands, 0 to 1. Only in training, and only if some frame of the set has a mask.
        has_maps: () bool, whether the frame has a mask; if not, its maps are zeros that say nothing. Beside `maps`.
    """

    image: NotRequired[torch.Tensor]
    features: NotRequired[list[torch.Tensor]]
    target: torch.Tensor
    index: int
    pair: int
    maps: NotRequired[torch.Tensor]
    has_maps: NotRequired[torch.Tensor]


@dataclass(frozen=True, slots=True)
class Draw:
    """A frame drawn in an epoch: the epoch is part of the draw because workers outlive epochs.

    Attributes:
        epoch: from 0.
        index: position in the data set.
        repeat: how often the frame was drawn before in this epoch, by any process.
        pair: number of the pair within the epoch that the draw is a half of; both halves are augmented alike. None
            outside of pairs.
    """

    epoch: int
    index: int
    repeat: int = 0
    pair: int | None = None

    def stream(self, seed: int) -> int:
        """Seed of the augmentation: another one for every draw, but one for both halves of a pair."""
        if self.pair is not None:
            return stream_seed(seed, self.epoch, -1 - self.pair)  # below 0 there is no index
        again = (self.repeat,) if self.repeat else ()
        return stream_seed(seed, self.epoch, self.index, *again)


class FrameDataset(Dataset[Sample]):
    """Labelled frames at working size, augmented if asked.

    Args:
        records: the frames of one side of the split.
        frames: decoded frames, in any order and number.
        positions: for each record, its position in `frames`.
        classes: gives the targets.
        augmentation: applied to the uint8 frame, before normalisation.
        seed: base of the augmentation's random streams.
        masks: gives the maps; None for samples without maps.
    """

    def __init__(
        self,
        records: Sequence[FrameRecord],
        frames: Frames,
        positions: Sequence[int],
        classes: ClassNames,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        masks: Masks | None = None,
    ) -> None:
        self.records = tuple(records)
        self._frames = frames
        # Arrays, not tuples: loader processes share their pages, which counting references would copy.
        self._positions = np.asarray(positions, np.int64)
        self._targets = np.array([classes.target(record.label) for record in self.records], np.float32)
        self._augmentation = augmentation
        self.seed = seed
        self._masks = masks

    @property
    def spec(self) -> PreprocessSpec:
        """What a frame becomes before the model sees it."""
        return self._frames.spec

    @property
    def augmentation(self) -> Augmentation | None:
        """What is done to frames before normalisation."""
        return self._augmentation

    @property
    def with_maps(self) -> bool:
        """Whether samples hold maps."""
        return self._masks is not None

    def has_masks(self) -> list[bool]:
        """Of each frame, whether its maps are known."""
        return [self._masks is not None and self._masks.has(record) for record in self.records]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, draw: int | Draw) -> Sample:
        """The sample at an index; a plain int stands for epoch 0.

        Raises:
            FrameError: if the file has become unreadable since it was checked.
        """
        draw = draw if isinstance(draw, Draw) else Draw(0, draw)
        sample = self.sample(draw.index, draw.stream(self.seed))
        sample["pair"] = -1 if draw.pair is None else draw.pair
        return sample

    def target(self, index: int) -> float:
        """1.0 if the frame at an index is of the positive class, else 0.0."""
        return float(self._targets[index])

    def sample(self, index: int, seed: int | None) -> Sample:
        """The sample at an index, outside of pairs, augmented with the random numbers of a seed (None: as it is).

        Raises:
            FrameError: if the file has become unreadable since it was checked.
        """
        frame = self._frames[int(self._positions[index])]
        mask = None if self._masks is None else self._masks.mask(self.records[index])
        return self.finish(index, frame, mask, seed)

    def mask_of(self, data: bytes) -> Mask | None:
        """The mask (height, width, 3) uint8 that a file's bytes hold; None if samples have no maps.

        Raises:
            FrameError: if it cannot be decoded.
        """
        return None if self._masks is None else self._masks.read(data)

    def finish(self, index: int, frame: Frame, mask: Mask | None, seed: int | None) -> Sample:
        """The sample of a frame that was read already, (height, width, channels) uint8, and of its mask if it has one.

        Args:
            index: of its record.
            seed: of the augmentation; None leaves the frame as it is.
        """
        if self._augmentation is not None and seed is not None:
            if mask is None:
                frame = self._augmentation(frame, seed)
            else:
                frame, mask = self._augmentation.with_mask(frame, mask, seed)
        sample = Sample(
            image=torch.from_numpy(self._frames.spec.normalise(frame)),
            target=torch.tensor(self._targets[index]),
            index=index,
            pair=-1,
        )
        if self._masks is not None:
            maps = self._masks.no_maps() if mask is None else coarse_maps(mask)
            sample["maps"] = torch.from_numpy(maps)
            sample["has_maps"] = torch.tensor(mask is not None)
        return sample


class EpochSampler(DistributedSampler[Any]):
    """Shuffles by (seed, epoch) alone and says which epoch a draw belongs to.

    Lightning calls `set_epoch` and, because this is a `DistributedSampler` already, leaves it in place when training
    in several processes; each then sees its own share.
    """

    def __iter__(self) -> Iterator[Draw]:
        return (Draw(self.epoch, int(index)) for index in super().__iter__())


class ShareSampler(DistributedSampler[Any]):
    """What is judged, in order; of several processes each takes its share.

    Lightning's own would repeat frames until all shares are alike, and the metrics would count them twice.
    """

    def __init__(self, dataset: Dataset[Any], *, num_replicas: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)
        self._share = range(rank, len(dataset), num_replicas)  # type: ignore[arg-type]
        self.total_size = len(dataset)  # type: ignore[arg-type]
        self.num_samples = len(self._share)

    def __iter__(self) -> Iterator[int]:
        return iter(self._share)


def even_batch_size(frames: int, ranks: int, batch_size: int) -> int:
    """The batch size, or the next one with which the shares of all processes make equally many batches.

    With a batch more than another, a process would wait for the others in vain.
    """
    largest, smallest = -(-frames // ranks), frames // ranks
    while smallest and -(-largest // batch_size) != -(-smallest // batch_size):
        batch_size += 1
    return batch_size


class LateLoader(DataLoader[Sample]):
    """A loader that draws its first frame when the first batch is asked for, not when it is iterated.

    Lightning makes the first iterator before it restores a resumed run. Drawn then, the first epoch after resuming
    would repeat the frames of epoch 0.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches of `Sample`s."""
        start_epoch = getattr(self.dataset, "start_epoch", None)
        if start_epoch is not None:
            start_epoch()
        yield from super().__iter__()


def stream_seed(*parts: int) -> int:
    """A seed of 32 bits from several numbers, equal on every machine and well spread for neighbouring numbers."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
