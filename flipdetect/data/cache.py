"""A cache on disk for arrays that are costly to make: decoded frames, thumbnails, outputs of frozen stages.

An array is kept in chunks of rows, one `.npy` file each, whose name is a digest of everything that the content depends
on. Files are read as memory maps. They are written under a temporary name and renamed: an interruption loses the chunk
in progress at most, and processes may read while another one writes. The folder can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from flipdetect.atomic import replacing
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError, FrameError
from flipdetect.progress import progress_bar

logger = logging.getLogger(__name__)

VERSION = 4
"""Part of every key; raised when decoding or resizing changes what a file becomes."""
CHUNK_BYTES = 64 << 20
"""Size of a chunk of frames: a few seconds of decoding."""

Chunk = tuple[npt.NDArray[Any], dict[str, str]]
"""Rows of an array, and notes that are stored with them."""


def digest(*facts: object) -> str:
    """A key of 32 hexadecimal digits for everything that a chunk depends on (values with a stable `repr`)."""
    return hashlib.blake2b(repr((VERSION, *facts)).encode(errors="surrogateescape"), digest_size=16).hexdigest()


def file_state(file: str) -> tuple[str, int, int] | None:
    """Absolute path, size in bytes and time of change in ns, which identify an unchanged file; None if it is absent."""
    try:
        status = os.stat(file)  # noqa: PTH116 - text is several times faster than Path here
    except (OSError, ValueError):
        return None
    return os.path.abspath(file), status.st_size, status.st_mtime_ns  # noqa: PTH100 - links are not to be followed


@dataclass
class ChunkCache:
    """Chunks in one folder, bounded in size; the least recently used ones are deleted to make room.

    Attributes:
        folder: where the files are; created when needed.
        max_bytes: limit for all files in the folder.
        in_use: files returned by this object, which are never deleted to make room.
    """

    folder: Path
    max_bytes: int = 8 << 30
    in_use: set[Path] = field(default_factory=set)

    def chunks(self, keys: Sequence[str], make: Callable[[Sequence[int]], Iterable[Chunk]]) -> list[Chunk]:
        """The chunk of each key: read from the folder, or made and stored.

        A process that finds chunks missing waits for another one that is writing, and then makes what is still missing.
        `make` yields the chunks for the given positions in `keys`, in that order; it is called once at most.

        Raises:
            ConfigError: if the chunks in use do not fit into `max_bytes` together.
            OSError: if the folder cannot be written to.
        """
        paths = [self.folder / f"{key}.npy" for key in keys]
        found = [_read(path) for path in paths]
        if any(chunk is None for chunk in found):
            with self._lock():
                for unfinished in self.folder.glob(".*.part"):  # of a process that was killed
                    unfinished.unlink(missing_ok=True)
                found = [chunk or _read(path) for chunk, path in zip(found, paths, strict=True)]
                missing = [number for number, chunk in enumerate(found) if chunk is None]
                for done, (number, (array, notes)) in enumerate(zip(missing, make(missing), strict=True)):
                    self._make_room(array.nbytes * (len(missing) - done), self.in_use.union(paths))
                    with replacing(paths[number]) as part, part.open("wb") as file:
                        np.save(file, array)
                        file.write(json.dumps(notes).encode())
                    found[number] = _read(paths[number])
        for path in paths:
            with suppress(OSError):
                os.utime(path)
        self.in_use.update(paths)
        return [chunk for chunk in found if chunk is not None]

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=1)
        except Timeout:
            logger.info("Waiting for another process that is filling the cache %s.", self.folder)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _make_room(self, wanted: int, needed: set[Path]) -> None:
        files = [(path, path.stat()) for path in self.folder.glob("*.npy")]
        used = sum(stat.st_size for path, stat in files if path in needed)
        if used + wanted > self.max_bytes:
            raise ConfigError(
                f"the cache {self.folder} would need {(used + wanted) / 2**30:.2f} GB for this data, and data.cache_gb "
                f"allows {self.max_bytes / 2**30:.2f}; raise data.cache_gb"
            )
        over = sum(stat.st_size for _, stat in files) + wanted - self.max_bytes
        for path, stat in sorted(files, key=lambda item: item[1].st_mtime_ns):
            if over > 0 and path not in needed:
                path.unlink(missing_ok=True)
                over -= stat.st_size


def _read(path: Path) -> Chunk | None:
    """A chunk as a memory map; None if it is absent, or damaged and therefore to be made again."""
    try:
        array = np.load(path, mmap_mode="r")
        with path.open("rb") as file:
            file.seek(array.offset + array.nbytes)
            return array, json.loads(file.read())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, SyntaxError, AttributeError) as error:
        logger.warning("The cache file %s is damaged (%s) and is made again.", path, error)
        path.unlink(missing_ok=True)
        return None


class Rows:
    """The rows of an array in chunks. Pickled, it is a list of paths: another process maps the files itself.

    All chunks but the last one have `per_chunk` rows. What is mapped stays readable when another process deletes the
    file.
    """

    def __init__(self, paths: Sequence[Path], per_chunk: int, arrays: Sequence[npt.NDArray[Any]]) -> None:
        self._paths, self._per_chunk = tuple(paths), per_chunk
        self._arrays = dict(enumerate(arrays))

    def __getitem__(self, row: int) -> Any:
        """The row, without copying it; raises an `OSError` if its file has been deleted before it was mapped."""
        number, row = divmod(row, self._per_chunk)
        if number not in self._arrays:
            self._arrays[number] = np.load(self._paths[number], mmap_mode="r")
        return self._arrays[number][row]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}


@dataclass(frozen=True)
class DecodedFrames:
    """The frames of a list of files at input size, and the files that could not be decoded.

    Attributes:
        files: paths as text, in the order given.
        spec: the preprocessing whose size they were brought to.
        failures: reason by position in `files`.
        rows: the cached frames, by position; None if frames are not cached, but decoded whenever they are asked for.
    """

    files: tuple[str, ...]
    spec: PreprocessSpec
    failures: dict[int, str]
    rows: Rows | None

    def __getitem__(self, position: int) -> npt.NDArray[np.uint8]:
        """(height, width, channels) uint8; a copy that may be written to.

        Raises:
            FrameError: if the file could not be decoded.
        """
        if position in self.failures:
            raise FrameError(self.failures[position])
        if self.rows is not None:
            with suppress(OSError):
                return np.array(self.rows[position])
        return self.spec.read(Path(self.files[position]))


def decode_frames(
    paths: Sequence[Path | str], spec: PreprocessSpec, cache: ChunkCache | None = None, workers: int | None = None
) -> DecodedFrames:
    """Decode all files once, in threads, or take them from the cache. Finds the files that cannot be decoded.

    A file that has been moved or touched is decoded again. Files added at the end of the list leave the chunks before
    them valid. If the cache is too small or cannot be written to, a warning is logged and nothing is cached.

    Args:
        spec: gives the size; its normalisation plays no part.
        cache: None decodes to find bad files, and keeps nothing.
        workers: decoding threads; None: one per core.
    """
    files = tuple(os.fspath(path) for path in paths)
    shape = (spec.height, spec.width, spec.channels)
    per_chunk = max(1, CHUNK_BYTES // int(np.prod(shape)))
    parts = [files[start : start + per_chunk] for start in range(0, len(files), per_chunk)]

    def decode_one(file: str) -> npt.NDArray[np.uint8] | str:
        try:
            return spec.read(Path(file))
        except FrameError as error:
            return str(error)

    def decode(numbers: Sequence[int]) -> Iterator[Chunk]:
        total = sum(len(parts[number]) for number in numbers)
        bar = progress_bar(total=total, desc="decoding frames", unit="frame", delay=2)
        with bar, ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            for number in numbers:
                array, notes = np.zeros((len(parts[number]), *shape), np.uint8), {}
                for row, result in enumerate(pool.map(decode_one, parts[number])):
                    if isinstance(result, str):
                        notes[str(row)] = result
                    else:
                        array[row] = result
                    bar.update()
                yield array, notes

    rows, chunks = None, None
    if cache is not None:
        facts = (*shape, spec.fit, spec.padding.tolist())
        keys = [digest("frames", facts, [(file, file_state(file)) for file in part]) for part in parts]
        try:
            chunks = cache.chunks(keys, decode)
            rows = Rows([cache.folder / f"{key}.npy" for key in keys], per_chunk, [array for array, _ in chunks])
        except (OSError, ConfigError) as error:
            logger.warning("Frames are not cached, but decoded in every epoch: %s", error)
    all_notes = [notes for _, notes in (decode(range(len(parts))) if chunks is None else chunks)]
    failures = {
        number * per_chunk + int(row): reason for number, notes in enumerate(all_notes) for row, reason in notes.items()
    }
    return DecodedFrames(files, spec, failures, rows)
