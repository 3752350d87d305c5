"""Clips as model input: the frames of a video in order of time, augmented alike, padded to one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NotRequired, TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset

from flipdetect.data.dataset import Draw, FrameDataset, stream_seed
from flipdetect.errors import ConfigError
from flipdetect.records import FrameRecord

TIME_STREAM = 2
"""Sets the choice of a clip's frames apart from their augmentation."""


@dataclass(frozen=True)
class ClipDrawing:
    """How the frames of a video become one sample.

    Attributes:
        frames: of a clip, at most. Of a longer video so many are taken, spread evenly: one of each of as many equal
            stretches, at its middle in validation and drawn anew each time in training.
        reverse: chance that a clip runs backwards, in training; a turn stays one.

    Raises:
        ConfigError: if a value cannot work.
    """

    frames: int = 8
    reverse: float = 0.0

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ConfigError(f"data.clips.frames must be at least 1, got {self.frames}")
        if not 0 <= self.reverse <= 1:
            raise ConfigError(f"data.clips.reverse must lie in [0, 1], got {self.reverse}")


class ClipSample(TypedDict):
    """One clip of T = `ClipDrawing.frames` frames; a batch holds the same keys with a leading dimension B.

    Keys:
        image: (T, C, H, W) float32, normalised; zeros behind the last frame of a shorter video.
        present: (T,) bool, where there is a frame.
        target: () float32, 1 if any frame of the whole video is of the positive class.
        frame_target: (T,) float32, 1 for frames of the positive class; 0 where there is none.
        index: position of the video's middle frame in the data set's frames.
        pair: number of the pair within the epoch, which a clip shares with its twin; -1 outside of pairs.
        maps: (T, 3, ceil(H/8), ceil(W/8)) float32, as in `Sample`, and only where a frame's sample has them.
        has_maps: (T,) bool, beside `maps`.
    """

    image: torch.Tensor
    present: torch.Tensor
    target: torch.Tensor
    frame_target: torch.Tensor
    index: int
    pair: int
    maps: NotRequired[torch.Tensor]
    has_maps: NotRequired[torch.Tensor]


class ClipDataset(Dataset[ClipSample]):
    """The videos of some frames, each as one clip.

    Args:
        frames: of one side of the split; those of a video need not stand together.
        drawing: which frames of a video are taken.
        seed: base of the random choice of frames.
        training: whether frames and direction are drawn.

    Attributes:
        records: of each clip its first frame, with the clip's label: what samplers draw and pair clips by.
    """

    def __init__(self, frames: FrameDataset, drawing: ClipDrawing, *, seed: int = 0, training: bool = False) -> None:
        self._frames = frames
        self._drawing = drawing
        self._seed = seed
        self._training = training
        self._clips = clip_positions(frames.records)
        self._targets = tuple(max(frames.target(i) for i in clip) for clip in self._clips)
        self.records = tuple(
            _of_clip(frames, clip, target) for clip, target in zip(self._clips, self._targets, strict=True)
        )

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, draw: int | Draw) -> ClipSample:
        """The clip at an index; a plain int stands for epoch 0.

        Raises:
            FrameError: if a file has become unreadable since it was checked.
        """
        draw = draw if isinstance(draw, Draw) else Draw(0, draw)
        clip, seed = self._clips[draw.index], draw.stream(self._seed)
        chosen = self._choose(len(clip), seed)
        samples = [self._frames.sample(clip[place], seed) for place in chosen]
        missing = self._drawing.frames - len(samples)
        result = ClipSample(
            image=_padded([sample["image"] for sample in samples], missing),
            present=torch.arange(self._drawing.frames) < len(samples),
            target=torch.tensor(self._targets[draw.index]),
            frame_target=_padded([sample["target"] for sample in samples], missing),
            index=clip[len(clip) // 2],
            pair=-1 if draw.pair is None else draw.pair,
        )
        if "maps" in samples[0]:
            result["maps"] = _padded([sample["maps"] for sample in samples], missing)
            result["has_maps"] = _padded([sample["has_maps"] for sample in samples], missing)
        return result

    def _choose(self, count: int, seed: int) -> list[int]:
        """Places of the frames that are taken of `count`; the same for both twins of a pair."""
        if not self._training:
            return spread(count, self._drawing.frames)
        rng = np.random.default_rng(stream_seed(seed, TIME_STREAM))
        chosen = spread(count, self._drawing.frames, rng)
        return chosen[::-1] if rng.random() < self._drawing.reverse else chosen


def clip_positions(records: Sequence[FrameRecord]) -> tuple[tuple[int, ...], ...]:
    """Positions of the frames of each video, by frame number; videos as they first appear.

    Frames without a number keep their order, before those with one.
    """
    videos: dict[str, list[int]] = {}
    for position, record in enumerate(records):
        videos.setdefault(record.video, []).append(position)

    def number(position: int) -> int:
        frame = records[position].frame
        return -1 if frame is None else frame

    return tuple(tuple(sorted(positions, key=number)) for positions in videos.values())


def spread(count: int, most: int, rng: np.random.Generator | None = None) -> list[int]:
    """Places of at most `most` of `count` things in a row, one of each of as many equal stretches.

    Args:
        count: how many there are.
        most: how many are wanted; all of them, if there are no more.
        rng: draws the place within each stretch; None for its middle.
    """
    if count <= most:
        return list(range(count))
    if rng is None:
        return [(2 * place + 1) * count // (2 * most) for place in range(most)]
    edges = np.rint(np.linspace(0, count, most + 1)).astype(np.int64)
    return [int(place) for place in rng.integers(edges[:-1], edges[1:])]


def _of_clip(frames: FrameDataset, clip: tuple[int, ...], target: float) -> FrameRecord:
    """The first frame's record, with the label that the clip as a whole has."""
    labels = [frames.records[position].label for position in clip if frames.target(position) == target]
    return replace(frames.records[clip[0]], label=labels[0])


def _padded(parts: list[torch.Tensor], missing: int) -> torch.Tensor:
    return torch.stack([*parts, *[torch.zeros_like(parts[0])] * missing])
