"""Outputs of the frozen stages of a network: computed once, kept on disk, trained on in seconds.

Frozen stages give the same output for the same input in every epoch. So they run once over each frame, and over a few
augmented copies of it, and training reads their outputs from memory maps instead of running them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import albumentations
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from flipdetect.data.cache import Chunk, ChunkCache, Rows, digest, file_state
from flipdetect.data.dataset import Draw, FrameDataset, Sample, stream_seed
from flipdetect.data.loading import start_worker, twin_positions
from flipdetect.progress import progress_bar

Encoder = Callable[[Tensor], list[Tensor]]
"""Frames (B, C, H, W) float32 -> the outputs of the frozen stages, each (B, ...) floating."""

BATCH = 32
"""Frames encoded at a time."""
CHUNK_ROWS = 8 * BATCH
"""Rows stored in one file; an interrupted run continues from the last complete one."""

Item = TypeVar("Item")


class FeatureDataset(Dataset[Sample]):
    """Samples that hold `features` instead of an `image`; replaces the data set that the features were computed from.

    Args:
        rows: a record per row, with a field for each output of the frozen stages in `names`; row
            `copy * len(frames) + index` holds a copy of a frame.
    """

    def __init__(self, frames: FrameDataset, rows: Rows, copies: int, names: Sequence[str]) -> None:
        self.records = frames.records
        self._frames, self._rows, self._copies, self._names = frames, rows, copies, tuple(names)
        self._has_maps = torch.tensor(frames.has_masks()) if frames.with_maps else None

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, draw: int | Draw) -> Sample:
        """The sample of a draw: one of the frame's copies, at random; both frames of a pair have the same one."""
        draw = draw if isinstance(draw, Draw) else Draw(0, draw)
        copy = draw.stream(self._frames.seed) % self._copies
        row = self._rows[copy * len(self) + draw.index]
        sample = Sample(
            features=[torch.from_numpy(np.asarray(row[name], np.float32)) for name in self._names],
            target=torch.tensor(self._frames.target(draw.index)),
            index=draw.index,
            pair=-1 if draw.pair is None else draw.pair,
        )
        if self._has_maps is not None:
            sample["maps"] = torch.from_numpy(np.asarray(row["maps"], np.float32) / np.float32(255))
            sample["has_maps"] = self._has_maps[draw.index]
        return sample


def encode_frames(
    frames: FrameDataset,
    encode: Encoder,
    *,
    cache: ChunkCache,
    identity: str,
    copies: int = 1,
    plain: bool = True,
    workers: int = 0,
) -> FeatureDataset:
    """A data set of features, which are computed if they are not in the cache.

    Args:
        frames: whose augmentation makes the copies; without one, every copy is the frame as it is.
        encode: the frozen stages; called without gradients.
        identity: of the frozen stages, such as a digest of their weights.
        plain: whether the first copy is the frame as it is; the others are augmented.
        workers: processes that decode and augment.

    Raises:
        ConfigError: if the features do not fit into the cache.
    """
    twins = list(range(len(frames)))  # for each frame a number that it shares with its twin alone
    for one, other in twin_positions(frames.records):
        twins[other] = one
    chain = frames.augmentation
    transforms = [] if chain is None or (copies == 1 and plain) else chain.transforms
    key = digest(
        "features 2",  # 1: each transform drew the same numbers
        identity,
        frames.spec.to_dict(),
        albumentations.to_dict(albumentations.Compose(transforms)),
        (frames.seed, copies, plain, frames.with_maps, twins),
        [(record.file, file_state(record.file)) for record in frames.records],
    )
    rows = _Copies(frames, plain, twins)
    starts = range(0, copies * len(frames), CHUNK_ROWS)
    parts = [range(start, min(start + CHUNK_ROWS, copies * len(frames))) for start in starts]

    def make(numbers: Sequence[int]) -> Iterator[Chunk]:
        missing = [parts[number] for number in numbers]
        batches = [list(part[first : first + BATCH]) for part in missing for first in range(0, len(part), BATCH)]
        loader = DataLoader(rows, batch_sampler=batches, num_workers=workers, worker_init_fn=start_worker)
        loaded = _one_ahead(iter(loader))
        with progress_bar(total=sum(map(len, missing)), desc="frozen stages", unit="frame", delay=2) as bar:
            for part in missing:
                encoded = []
                for batch in islice(loaded, -(-len(part) // BATCH)):
                    encoded.append(_records(batch, encode, frames.with_maps))
                    bar.update(len(encoded[-1]))
                yield np.concatenate(encoded), {}

    keys = [f"{key}-{number}" for number in range(len(parts))]
    arrays = [array for array, _ in cache.chunks(keys, make)]
    names = [name for name in arrays[0].dtype.names or () if name != "maps"]
    paths = [cache.folder / f"{key}.npy" for key in keys]
    return FeatureDataset(frames, Rows(paths, CHUNK_ROWS, arrays), copies, names)


class _Copies(Dataset[Sample]):
    """All copies of all frames in the order of rows; twins are augmented alike."""

    def __init__(self, frames: FrameDataset, plain: bool, twins: Sequence[int]) -> None:
        self._frames, self._plain, self._twins = frames, plain, twins

    def __getitem__(self, row: int) -> Sample:
        copy, index = divmod(row, len(self._frames))
        plain = self._plain and copy == 0
        return self._frames.sample(index, None if plain else stream_seed(self._frames.seed, copy, self._twins[index]))


def _records(batch: dict[str, Any], encode: Encoder, with_maps: bool) -> npt.NDArray[Any]:
    """(B,) records with a field per output of the frozen stages, float16, and `maps`, uint8, if samples have maps."""
    with torch.inference_mode():
        outputs = encode(batch["image"])
    fields = {f"{n}": output.cpu().float().numpy().astype(np.float16) for n, output in enumerate(outputs)}
    if with_maps:
        fields["maps"] = np.rint(batch["maps"].numpy() * 255).astype(np.uint8)
    records = np.empty(len(batch["image"]), [(name, values.dtype, values.shape[1:]) for name, values in fields.items()])
    for name, values in fields.items():
        records[name] = values
    return records


def _one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The items; the next one is made in a thread while one is used."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, items, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, items, None)
            yield item
