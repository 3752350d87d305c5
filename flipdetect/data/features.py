"""What the frozen stages of a network make of frames: computed once, kept on disk, trained on in seconds.

Frozen stages give the same output for the same input in every epoch. So they run once over each frame, and over a few
augmented copies of it, and training reads their outputs from a memory map instead of running them again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import albumentations
import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from flipdetect.atomic import write_text
from flipdetect.data.cachefolder import FEATURES, FEATURES_DONE, CacheFolder, delete_features
from flipdetect.data.contents import look_of
from flipdetect.data.dataset import Draw, FrameDataset, Sample, stream_seed
from flipdetect.data.loading import start_worker
from flipdetect.data.pairs import twin_positions
from flipdetect.errors import ConfigError
from flipdetect.progress import progress_bar
from flipdetect.records import FrameRecord

logger = logging.getLogger(__name__)

Encoder = Callable[[Tensor], list[Tensor]]
"""Frames (B, C, H, W) float32 -> what the frozen stages hand on, each (B, ...) floating."""

PROGRESS = "progress.json"
BATCH = 32
"""Frames encoded at a time."""
SAVE_EVERY = 32
"""Batches between two notes of how far it came, from which an interrupted run goes on."""


@dataclass(frozen=True)
class FeatureArrays:
    """Features of the copies of a set's frames, memory-mapped; cheap to hand to another process.

    Attributes:
        folder: holds one `.npy` file per output of the frozen stages, and `maps.npy` if samples have maps.
        frames: number of frames; row `copy * frames + index` holds a copy of a frame.
        copies: of each frame.
        outputs: number of outputs of the frozen stages.
        with_maps: whether the maps of each copy are there, too.
    """

    folder: Path
    frames: int
    copies: int
    outputs: int
    with_maps: bool
    _open: dict[str, npt.NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    def features(self, copy: int, index: int) -> list[Tensor]:
        """The outputs of the frozen stages for a copy of a frame, float32 without a batch dimension."""
        row = copy * self.frames + index
        return [torch.from_numpy(np.asarray(self._array(f"{n}")[row], np.float32)) for n in range(self.outputs)]

    def maps(self, copy: int, index: int) -> Tensor:
        """The maps (3, Hm, Wm) float32 of a copy of a frame, 0 to 1; they moved with its augmentation."""
        row = self._array("maps")[copy * self.frames + index]
        return torch.from_numpy(np.asarray(row, np.float32) / np.float32(255))

    def _array(self, name: str) -> npt.NDArray[Any]:
        if name not in self._open:
            self._open[name] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return self._open[name]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}


class FeatureDataset(Dataset[Sample]):
    """Samples that hold `features` instead of an `image`; takes the place of the data set that they were made of.

    Args:
        frames: the frames, their targets and their maps.
        arrays: their features.
    """

    def __init__(self, frames: FrameDataset, arrays: FeatureArrays) -> None:
        self.records = frames.records
        self._frames, self._arrays = frames, arrays
        masks = frames.has_masks()
        self._has_maps = torch.tensor(masks) if arrays.with_maps else None

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, draw: int | Draw) -> Sample:
        """The sample of a draw: one of the frame's copies, by chance; both halves of a pair have the same one."""
        draw = draw if isinstance(draw, Draw) else Draw(0, draw)
        copy = draw.stream(self._frames.seed) % self._arrays.copies
        sample = Sample(
            features=self._arrays.features(copy, draw.index),
            target=torch.tensor(self._frames.target(draw.index)),
            index=draw.index,
            pair=-1 if draw.pair is None else draw.pair,
        )
        if self._has_maps is not None:
            sample["maps"] = self._arrays.maps(copy, draw.index)
            sample["has_maps"] = self._has_maps[draw.index]
        return sample


@dataclass(frozen=True)
class FeatureCache:
    """Encodes data sets, or finds what was encoded before.

    Attributes:
        folder: where features are kept.
        max_bytes: limit for all features in the folder. The least recently used make room.
        workers: processes that decode and augment; 0 for none.
        in_use: folders that were handed out, which make no room.
    """

    folder: Path
    max_bytes: int
    workers: int = 0
    in_use: set[Path] = field(default_factory=set)

    def dataset(self, frames: FrameDataset, copies: int, plain: bool, encode: Encoder, identity: str) -> FeatureDataset:
        """A data set of features; they are computed if they are not there yet.

        What an interrupted run has computed is kept, and the next one goes on from there.

        Args:
            frames: of which the augmentation makes copies; without one, every copy is the frame as it is.
            copies: of each frame.
            plain: whether the first copy is the frame as it is; the others are augmented.
            encode: the frozen stages; called without gradients.
            identity: of the frozen stages, such as a digest of their weights.

        Raises:
            ConfigError: if the features take more room than `max_bytes` leaves beside those in use.
            OSError: if the folder cannot be written to.
        """
        folder = self.folder / FEATURES / self._key(frames, copies, plain, identity)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not (folder / FEATURES_DONE).is_file():
                self._compute(folder, frames, _Copies(frames, copies, plain), encode)
        self.in_use.add(folder)
        os.utime(folder / FEATURES_DONE)
        found = json.loads((folder / FEATURES_DONE).read_text("utf-8"))
        return FeatureDataset(frames, FeatureArrays(folder, len(frames), copies, found["outputs"], frames.with_maps))

    @staticmethod
    def _key(frames: FrameDataset, copies: int, plain: bool, identity: str) -> str:
        """A digest of all that the features depend on. Files are known by path, size and time of change, as to make."""
        chain = frames.augmentation
        facts = {
            "stages": identity,
            "preprocess": frames.spec.to_dict(),
            "augment": None if chain is None or (copies == 1 and plain) else albumentations.to_dict(chain.chain),
            "seed": frames.seed,
            "copies": copies,
            "plain": plain,
            "maps": frames.with_maps,
            "alike": _twin_streams(frames.records),
            "files": [(record.file, look_of(record.file)) for record in frames.records],
        }
        text = json.dumps(facts, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()

    def _compute(self, folder: Path, frames: FrameDataset, copies: _Copies, encode: Encoder) -> None:
        folder.mkdir(exist_ok=True)
        rows = len(copies)
        done = min(_rows_done(folder), rows - 1)
        batches = _batches(Subset(copies, range(done, rows)), self.workers)
        arrays: dict[str, npt.NDArray[Any]] = {}
        with progress_bar(total=rows, initial=done, desc="frozen stages", unit="frame", delay=2) as bar:
            for number, batch in enumerate(batches):
                with torch.inference_mode():
                    outputs = encode(batch["image"])
                content = {f"{n}": output.cpu().float().numpy().astype(np.float16) for n, output in enumerate(outputs)}
                if frames.with_maps:
                    content["maps"] = np.rint(batch["maps"].numpy() * 255).astype(np.uint8)
                if not arrays:
                    self._make_room(folder, sum(values[0].nbytes for values in content.values()) * rows)
                    arrays = {name: _open(folder / f"{name}.npy", rows, values) for name, values in content.items()}
                count = len(batch["image"])
                for name, values in content.items():
                    arrays[name][done : done + count] = values
                done += count
                bar.update(count)
                if number % SAVE_EVERY == SAVE_EVERY - 1:
                    _note(folder, arrays, done)
        _note(folder, arrays, done)
        write_text(folder / FEATURES_DONE, json.dumps({"outputs": len(arrays) - int(frames.with_maps)}))

    def _make_room(self, folder: Path, wanted: int) -> None:
        others = [kept for kept in CacheFolder(self.folder).features() if kept.path != folder]
        used = sum(kept.bytes for kept in others if kept.path in self.in_use)
        if used + wanted > self.max_bytes:
            raise ConfigError(
                f"the features of the frozen stages take {(used + wanted) / 2**30:.1f} GB, and data.cache_gb allows "
                f"{self.max_bytes / 2**30:.1f}; raise it, or lower the number of copies (CachedFeatures.copies)"
            )
        idle = sorted((kept for kept in others if kept.path not in self.in_use), key=lambda kept: kept.used_s)
        over = used + wanted + sum(kept.bytes for kept in idle) - self.max_bytes
        for kept in idle:
            if over > 0:
                delete_features(kept.path)
                over -= kept.bytes


class _Copies(Dataset[Sample]):
    """All copies of all frames in the order of rows; twins are augmented alike."""

    def __init__(self, frames: FrameDataset, copies: int, plain: bool) -> None:
        self._frames, self._copies, self._plain = frames, copies, plain
        self._stream = _twin_streams(frames.records)

    def __len__(self) -> int:
        return len(self._frames) * self._copies

    def __getitem__(self, row: int) -> Sample:
        copy, index = divmod(row, len(self._frames))
        plain = self._plain and copy == 0
        seed = None if plain else stream_seed(self._frames.seed, copy, self._stream[index])
        return self._frames.sample(index, seed)


def _batches(rows: Dataset[Sample], workers: int) -> Iterator[dict[str, Any]]:
    """Batches of `Sample`s; the next one is made in a thread while one is encoded."""
    batches = iter(DataLoader(rows, BATCH, num_workers=workers, worker_init_fn=start_worker))
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = pool.submit(next, batches, None)
            yield batch


def _twin_streams(records: Sequence[FrameRecord]) -> list[int]:
    """For each frame a number that it shares with its twin alone."""
    streams = list(range(len(records)))
    for one, other in twin_positions(records):
        streams[other] = one
    return streams


def _open(path: Path, rows: int, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array of all rows, as it was left by an interrupted run or new."""
    mode = "r+" if path.is_file() else "w+"
    return np.lib.format.open_memmap(path, mode, values.dtype, (rows, *values.shape[1:]))


def _note(folder: Path, arrays: dict[str, npt.NDArray[Any]], done: int) -> None:
    for array in arrays.values():
        array.flush()  # type: ignore[attr-defined]
    write_text(folder / PROGRESS, json.dumps({"rows": done}))


def _rows_done(folder: Path) -> int:
    """How many rows an interrupted run has left in a folder."""
    try:
        return int(json.loads((folder / PROGRESS).read_text("utf-8"))["rows"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
