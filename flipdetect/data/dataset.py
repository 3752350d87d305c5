"""Labelled frames as model input: a decoded data set, its augmentation, and the samples that a loader takes from it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset

from flipdetect.data.augment.chain import Augmentation
from flipdetect.data.cache import ChunkCache, DecodedFrames, decode_frames
from flipdetect.data.index import FrameIndex, Problem
from flipdetect.data.masks import Masks, coarse_maps, read_masks
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError
from flipdetect.records import ClassNames, FrameRecord


class Sample(TypedDict):
    """One frame; a batch holds the same keys with a leading dimension B.

    Keys:
        image: (C, H, W) float32, normalised. Absent where there are `features`.
        features: outputs of the frozen stages of a network for the frame, each (...) float32; see
            `flipdetect.data.features`.
        target: () float32, 1 for the positive class.
        index: position in the data set's `records`, by which a callback finds the file name.
        pair: number of the pair within the epoch, shared by a frame and its twin; -1 outside of pairs.
        maps: (3, ceil(H/8), ceil(W/8)) float32, share of each cell covered by a sheet in the air, by its free edge and
            by hands, 0 to 1. Only in training, and only if some frame of the set has a mask.
        has_maps: () bool, whether the frame has a mask; if not, its maps are zeros without meaning. With `maps`.
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
    """A frame drawn in an epoch. The epoch is part of it because loader processes outlive epochs.

    Attributes:
        repeat: how often the frame was drawn before in this epoch, by any process.
        pair: number of the pair within the epoch; both frames of a pair are augmented alike. None outside of pairs.
    """

    epoch: int
    index: int
    repeat: int = 0
    pair: int | None = None

    def stream(self, seed: int) -> int:
        """Seed of the augmentation: different for every draw, but the same for both frames of a pair."""
        if self.pair is not None:
            return stream_seed(seed, self.epoch, -1 - self.pair)  # no index is below 0
        again = (self.repeat,) if self.repeat else ()
        return stream_seed(seed, self.epoch, self.index, *again)


def stream_seed(*parts: int) -> int:
    """A 32-bit seed from several numbers, the same on every machine and well spread for neighbouring numbers."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=4).digest(), "little")


class FrameDataset(Dataset[Sample]):
    """Labelled frames at input size, augmented on request before normalisation.

    Args:
        frames: decoded frames, those of the records among them.
        seed: base of the augmentation's random streams.
        masks: gives the maps; None for samples without maps.
    """

    def __init__(
        self,
        records: Sequence[FrameRecord],
        frames: DecodedFrames,
        classes: ClassNames,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        masks: Masks | None = None,
    ) -> None:
        self.records = tuple(records)
        self.augmentation = augmentation
        self.seed = seed
        self._frames = frames
        self._masks = masks
        positions = {file: position for position, file in enumerate(frames.files)}
        # Arrays, not lists: loader processes share their memory pages, which reference counts would copy.
        self._positions = np.array([positions[record.file] for record in self.records], np.int64)
        self._targets = np.array([classes.target(record.label) for record in self.records], np.float32)

    @property
    def spec(self) -> PreprocessSpec:
        """How a frame becomes model input."""
        return self._frames.spec

    @property
    def with_maps(self) -> bool:
        """Whether samples hold maps."""
        return self._masks is not None

    def has_masks(self) -> list[bool]:
        """Of each frame, whether its maps are known."""
        return [self._masks is not None and record.file in self._masks.positions for record in self.records]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, draw: int | Draw) -> Sample:
        """The sample at an index; an int stands for a draw in epoch 0."""
        draw = draw if isinstance(draw, Draw) else Draw(0, draw)
        sample = self.sample(draw.index, draw.stream(self.seed))
        sample["pair"] = -1 if draw.pair is None else draw.pair
        return sample

    def target(self, index: int) -> float:
        """1.0 if the frame at an index is of the positive class, else 0.0."""
        return float(self._targets[index])

    def sample(self, index: int, seed: int | None) -> Sample:
        """The sample at an index, outside of pairs, augmented with random numbers from `seed`; None: not augmented."""
        frame = self._frames[int(self._positions[index])]
        mask = None if self._masks is None else self._masks.mask(self.records[index])
        if self.augmentation is not None and seed is not None:
            frame, mask = self.augmentation(frame, seed, mask)
        sample = Sample(
            image=torch.from_numpy(self.spec.normalise(frame)),
            target=torch.tensor(self._targets[index]),
            index=index,
            pair=-1,
        )
        if self._masks is not None:
            sample["maps"] = torch.from_numpy(self._masks.no_maps() if mask is None else coarse_maps(mask))
            sample["has_maps"] = torch.tensor(mask is not None)
        return sample


class MixedFrames(Dataset[Sample]):
    """Two data sets, one after the other: own training frames, then rendered ones."""

    def __init__(self, own: Dataset[Sample], rendered: Dataset[Sample]) -> None:
        self._own: Any = own
        self._rendered: Any = rendered

    def __len__(self) -> int:
        return len(self._own) + len(self._rendered)

    def __getitem__(self, draw: Draw) -> Sample:
        """The sample of a draw; its `index` counts through both sets."""
        first = len(self._own)
        if draw.index < first:
            sample: Sample = self._own[draw]
            return sample
        sample = self._rendered[Draw(draw.epoch, draw.index - first, draw.repeat)]
        sample["index"] = draw.index
        return sample


@dataclass(frozen=True)
class FrameSet:
    """An indexed data set with its decoded frames; those that cannot be decoded are among the index's problems."""

    index: FrameIndex
    frames: DecodedFrames
    masks: Masks
    classes: ClassNames

    def dataset(
        self,
        records: Sequence[FrameRecord],
        augmentation: Augmentation | None = None,
        *,
        seed: int = 0,
        with_maps: bool = False,
    ) -> FrameDataset:
        """Some of the frames as a `FrameDataset`; `with_maps`: samples hold maps, zeros for frames without a mask."""
        masks = self.masks if with_maps else None
        return FrameDataset(records, self.frames, self.classes, augmentation, seed, masks)


def read_set(index: FrameIndex, spec: PreprocessSpec, classes: ClassNames, cache: ChunkCache | None = None) -> FrameSet:
    """Decode the frames and masks of an index; frames that cannot be decoded become problems of it.

    Raises:
        DataError: if no frame can be decoded.
    """
    frames = decode_frames([record.file for record in index.records], spec, cache)
    bad = tuple(Problem(Path(frames.files[i]), reason) for i, reason in sorted(frames.failures.items()))
    good = tuple(record for i, record in enumerate(index.records) if i not in frames.failures)
    if not good:
        raise DataError(
            f"none of the {len(frames.files)} frames under {index.root} can be read; first: {bad[0].reason}"
        )
    masks = read_masks(good, index.root, spec, cache)
    return FrameSet(replace(index, records=good, problems=(*index.problems, *bad)), frames, masks, classes)
