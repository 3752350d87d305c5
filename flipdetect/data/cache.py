"""Decoded frames on disk: each frame is decoded once, at the model's input size, and memory-mapped from then on.

One pass over the files both fills the cache and finds the files that cannot be decoded, so that training meets
no bad file after its first epoch has begun.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from flipdetect.atomic import replacing, write_text
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import FrameError

logger = logging.getLogger(__name__)

CACHE_VERSION = 1
"""Part of every key; raised when decoding or resizing changes what a file becomes."""

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DecodedFrames:
    """The frames of a list of files at working size, and the files that could not be decoded.

    Attributes:
        paths: the files, in the order given.
        spec: the preprocessing whose size they were brought to.
        failures: reason by position in `paths`.
        pixels: (N, height, width, channels) uint8, memory-mapped read-only; None if the cache is off, in which case
            frames are decoded each time they are asked for.
        file: the cache file behind `pixels`; None if there is none.
    """

    paths: tuple[Path, ...]
    spec: PreprocessSpec
    failures: dict[int, str]
    pixels: Frame | None
    file: Path | None = None

    def __getitem__(self, position: int) -> Frame:
        """(height, width, channels) uint8; a copy, free to be written to.

        Raises:
            FrameError: if the file could not be decoded.
        """
        if position in self.failures:
            raise FrameError(self.failures[position])
        if self.pixels is None:
            return self.spec.read(self.paths[position])
        return np.array(self.pixels[position])


def decode_frames(
    paths: Sequence[Path],
    spec: PreprocessSpec,
    *,
    cache_dir: Path | None,
    max_bytes: int = 8 << 30,
    workers: int | None = None,
    beside: Sequence[DecodedFrames] = (),
) -> DecodedFrames:
    """Decode all files once, in threads, into the cache; take them from there if they lie in it already.

    The key of a cache file covers the size-giving part of `spec` and each file's path, size and time of change.

    Args:
        paths: the frame files.
        spec: gives the size; its normalisation plays no part.
        cache_dir: where cache files lie; None decodes once to find bad files, and keeps nothing.
        max_bytes: limit for all cache files together. Older ones are deleted to make room; a set that alone is
            larger is not cached.
        workers: decoding threads; default: one per core.
        beside: sets in use at the same time, whose cache files must stay. Two that do not fit in together would else
            push each other out at every start.
    """
    shape = (len(paths), spec.height, spec.width, spec.channels)
    size = int(np.prod(shape, dtype=np.int64))
    kept = {frames.file for frames in beside if frames.file is not None and frames.file.exists()}
    max_bytes -= sum(path.stat().st_size for path in kept)
    if cache_dir is not None and size > max_bytes:
        logger.warning(
            "%d frames need %.1f GB decoded, more than the %.1f GB left in the cache: they are decoded anew in "
            "every epoch. Raise data.cache_gb to avoid that.",
            len(paths),
            size / 2**30,
            max_bytes / 2**30,
        )
        cache_dir = None
    if cache_dir is None or not paths:
        failures = {i: str(frame) for i, frame in _decode_all(paths, spec, workers) if isinstance(frame, FrameError)}
        return DecodedFrames(tuple(paths), spec, failures, None)
    target = cache_dir / f"{_key(paths, spec)}.npy"
    notes = target.with_suffix(".json")
    if not (target.exists() and notes.exists()):
        cache_dir.mkdir(parents=True, exist_ok=True)
        _make_room(cache_dir, max_bytes - size, kept)
        _fill(target, notes, paths, spec, workers)
    else:
        with suppress(OSError):
            os.utime(target)  # the oldest is deleted first: mark this one as used
    failures = {int(i): reason for i, reason in json.loads(notes.read_text("utf-8"))["failures"].items()}
    return DecodedFrames(tuple(paths), spec, failures, np.load(target, mmap_mode="r", allow_pickle=False), target)


def _key(paths: Sequence[Path], spec: PreprocessSpec) -> str:
    digest = hashlib.sha256(
        repr((CACHE_VERSION, spec.height, spec.width, spec.channels, spec.fit, spec.padding.tolist())).encode()
    )
    for path in paths:
        try:
            stat = path.stat()
            digest.update(repr((str(path.resolve()), stat.st_size, stat.st_mtime_ns)).encode())
        except OSError:
            digest.update(repr((str(path), "missing")).encode())
    return digest.hexdigest()[:32]


def _make_room(cache_dir: Path, allowed: int, kept: Set[Path]) -> None:
    """Delete the least recently used cache files, but for those kept, until the rest fits into `allowed` bytes."""
    used = {path: path.stat() for path in cache_dir.glob("*.npy") if path not in kept}
    total = sum(stat.st_size for stat in used.values())
    freed = 0
    for path, stat in sorted(used.items(), key=lambda item: item[1].st_mtime):
        if total - freed <= allowed:
            break
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        freed += stat.st_size


def _fill(target: Path, notes: Path, paths: Sequence[Path], spec: PreprocessSpec, workers: int | None) -> None:
    """Write the cache file, then its notes; a file without notes does not count."""
    shape = (len(paths), spec.height, spec.width, spec.channels)
    failures: dict[int, str] = {}
    with replacing(target) as part:
        pixels = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        for position, frame in _decode_all(paths, spec, workers):
            if isinstance(frame, FrameError):
                failures[position] = str(frame)
            else:
                pixels[position] = frame
        pixels.flush()
        del pixels
    write_text(notes, json.dumps({"frames": len(paths), "failures": failures}))


def _decode_all(
    paths: Sequence[Path], spec: PreprocessSpec, workers: int | None
) -> Iterator[tuple[int, Frame | FrameError]]:
    """Yield (position, frame or what was wrong with it) in order; a bounded number of frames is held at a time."""

    def attempt(path: Path) -> Frame | FrameError:
        try:
            return spec.read(path)
        except FrameError as error:
            return error

    count = workers or os.cpu_count() or 1
    bar = tqdm(total=len(paths), desc="decoding frames", unit="frame", file=sys.stderr, delay=2)
    with bar, ThreadPoolExecutor(count) as pool:
        queue = iter(enumerate(paths))
        pending = [(i, pool.submit(attempt, path)) for i, path in islice(queue, 8 * count)]
        while pending:
            position, result = pending.pop(0)
            yield position, result.result()
            bar.update()
            pending.extend((i, pool.submit(attempt, path)) for i, path in islice(queue, 1))
