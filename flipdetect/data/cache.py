"""Decoded frames on disk: each frame is decoded once, at the model's input size, and memory-mapped from then on.

One pass over the files both fills the cache and finds the files that cannot be decoded, so that training meets
no bad file after its first epoch has begun. Frames are found by the digest of their file's bytes and by the
preprocessing: a file that was moved, copied or touched is not decoded again, and a set that has grown by a few frames
costs those few.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from flipdetect.data.cachefolder import CacheFolder
from flipdetect.data.contents import Digest, KnownFiles, Look, digest_of, look_of
from flipdetect.data.packs import Frame, PackWriter, map_pack, read_contents, touch
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import FrameError
from flipdetect.sources.decode import read_bytes

logger = logging.getLogger(__name__)

CACHE_VERSION = 2
"""Part of every key; raised when decoding or resizing changes what a file becomes."""

NOWHERE = -1

Result = TypeVar("Result")


@dataclass(frozen=True)
class DecodedFrames:
    """The frames of a list of files at working size, and the files that could not be decoded.

    Cheap to hand to another process: what travels is where the frames lie.

    Attributes:
        files: paths as text, in the order given.
        spec: the preprocessing whose size they were brought to.
        failures: reason by position in `files`.
        packs: the cache files that hold the frames; empty if the cache is off.
        pack_of: (N,) int32, for each file its pack; `NOWHERE` if it is not cached, in which case the frame is decoded
            each time it is asked for.
        row_of: (N,) int32, for each file its row in the pack.
    """

    files: tuple[str, ...]
    spec: PreprocessSpec
    failures: dict[int, str]
    packs: tuple[Path, ...]
    pack_of: npt.NDArray[np.int32]
    row_of: npt.NDArray[np.int32]
    _mapped: dict[int, Frame | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def cached(self) -> int:
        """How many of the files need not be decoded again."""
        return int(np.count_nonzero(self.pack_of != NOWHERE)) + len(self.failures)

    def __getitem__(self, position: int) -> Frame:
        """(height, width, channels) uint8; a copy, free to be written to.

        Raises:
            FrameError: if the file could not be decoded.
        """
        if position in self.failures:
            raise FrameError(self.failures[position])
        pack = int(self.pack_of[position])
        mapped = None if pack == NOWHERE else self._map(pack)
        if mapped is None:
            return self.spec.read(Path(self.files[position]))
        return np.array(mapped[self.row_of[position]])

    def map_all(self) -> None:
        """Open all packs: what is open stays readable if another process makes room."""
        for pack in range(len(self.packs)):
            self._map(pack)

    def _map(self, pack: int) -> Frame | None:
        if pack not in self._mapped:
            shape = (self.spec.height, self.spec.width, self.spec.channels)
            try:
                self._mapped[pack] = map_pack(self.packs[pack], shape)
            except (OSError, ValueError) as error:
                logger.warning("The cache file %s is gone (%s): its frames are decoded anew.", self.packs[pack], error)
                self._mapped[pack] = None
        return self._mapped[pack]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}


def decode_frames(
    paths: Sequence[Path | str],
    spec: PreprocessSpec,
    *,
    cache_dir: Path | None,
    max_bytes: int = 8 << 30,
    workers: int | None = None,
    beside: Sequence[DecodedFrames] = (),
) -> DecodedFrames:
    """Decode all files once, in threads, into the cache; take them from there if they lie in it already.

    Several processes may do so at a time; where frames are missing, the others wait for the first and find its work.

    Args:
        paths: the frame files.
        spec: gives the size; its normalisation plays no part.
        cache_dir: the folder of the cache; None decodes once to find bad files, and keeps nothing.
        max_bytes: limit for all cached frames together. What was not used for longest is deleted to make room; a set
            that alone is larger is not cached.
        workers: decoding threads; default: one per core.
        beside: sets in use at the same time, whose frames must stay. Two that do not fit in together would else
            push each other out at every start.
    """
    files = tuple(os.fspath(path) for path in paths)
    size = len(files) * spec.height * spec.width * spec.channels
    kept = {pack for frames in beside for pack in frames.packs}
    left = max_bytes - sum(pack.stat().st_size for pack in kept if pack.exists())
    if cache_dir is not None and size > left:
        logger.warning(
            "%d frames need %.1f GB decoded, more than the %.1f GB left in the cache: they are decoded anew in "
            "every epoch. Raise data.cache_gb to avoid that.",
            len(files),
            size / 2**30,
            left / 2**30,
        )
        cache_dir = None
    if cache_dir is None or not files:
        return _uncached(files, spec, workers)
    filling = _Filling(files, spec, CacheFolder(cache_dir), max_bytes, kept)
    if filling.missing:
        try:
            with filling.folder.locked():
                filling.look()  # another process may have done the work meanwhile
                filling.fill(workers)
        except OSError as error:
            logger.warning(
                "The cache %s cannot be written (%s): %d frames are decoded anew in every epoch. Make room or correct "
                "data.cache_dir.",
                cache_dir,
                error,
                len(filling.missing),
            )
            filling.find_bad(workers)
    return filling.frames()


def spec_name(spec: PreprocessSpec) -> str:
    """Name of the folder for frames of a preprocessing: all that a decoded frame depends on besides its file."""
    facts = (CACHE_VERSION, spec.height, spec.width, spec.channels, spec.fit, spec.padding.tolist())
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:8]
    return f"{spec.width}x{spec.height}x{spec.channels}-{spec.fit}-{key}"


class _Filling:
    """One set on its way into the cache."""

    def __init__(
        self, files: tuple[str, ...], spec: PreprocessSpec, folder: CacheFolder, max_bytes: int, kept: set[Path]
    ) -> None:
        self.files = files
        self.spec = spec
        self.folder = folder
        self._max_bytes = max_bytes
        self._kept = set(kept)
        self._packs = folder.path / spec_name(spec)
        self._shape = (spec.height, spec.width, spec.channels)
        self._known = KnownFiles(folder.files)
        self._looks = [look_of(file) for file in files]
        self._unread: dict[int, str] = {}
        self.look()

    def look(self) -> None:
        """See what the cache holds."""
        self._digests = self._known.digests(self.files, self._looks)
        self._contents = read_contents(self._packs, self._shape)

    @property
    def missing(self) -> list[int]:
        """Positions of files that are not in the cache."""
        return [
            i for i, d in enumerate(self._digests) if (d is None or d not in self._contents) and i not in self._unread
        ]

    def fill(self, workers: int | None) -> None:
        """Read what is missing, and decode what is new, into packs.

        Raises:
            OSError: if the cache cannot be written.
        """
        missing = self.missing
        self.folder.tidy()
        for digest in self._digests:
            if digest is not None:
                self._use(digest)
        writer: PackWriter | None = None
        failures: dict[Digest, str] = {}
        read: list[tuple[str, Look, Digest]] = []
        try:
            for done, (position, found) in enumerate(_in_threads(self._attempt, missing, workers, "decoding frames")):
                if found.digest is None:
                    self._unread[position] = found.reason
                    continue
                self._digests[position] = found.digest
                look = self._looks[position]
                if look is not None:
                    read.append((self.files[position], look, found.digest))
                if found.digest in self._contents:
                    self._use(found.digest)
                    continue
                if found.frame is None:
                    failures[found.digest] = self._contents.failures[found.digest] = found.reason
                    continue
                if writer is None:
                    writer = self._new_pack((len(missing) - done) * found.frame.nbytes)
                self._contents.put(found.digest, writer.add(found.digest, found.frame))
                if writer.full:
                    writer.close(failures)
                    self._known.remember(read)
                    writer, failures, read = None, {}, []
            if writer is None and failures:
                writer = PackWriter(self._packs)
            if writer is not None:
                writer.close(failures)
            if read:
                self._known.remember(read)
        except BaseException:
            if writer is not None:
                self._contents.forget(writer.path)
                writer.discard()
            raise

    def _new_pack(self, most: int) -> PackWriter:
        """Make room for a pack and open it; packs of this set and of those beside it stay.

        Raises:
            OSError: if there is not enough room without them.
        """
        for pack in self.folder.make_room(self._max_bytes, PackWriter.size_for(most), self._kept):
            self._contents.forget(pack)
        writer = PackWriter(self._packs)
        self._kept.add(writer.path)
        return writer

    def _use(self, digest: Digest) -> None:
        """See to it that a frame that is cached already stays so."""
        if digest in self._contents.places:
            self._kept.add(self._contents.places[digest].pack)

    def _attempt(self, position: int) -> _Found:
        path = Path(self.files[position])
        try:
            data = read_bytes(path)
        except FrameError as error:
            return _Found(reason=str(error))
        digest = digest_of(data)
        if digest in self._contents:
            return _Found(digest)
        try:
            return _Found(digest, self.spec.read(data))
        except FrameError as error:
            # The reason is kept by content, and the name is that of whichever file has it.
            return _Found(digest, reason=str(error).split(": ", 1)[-1])

    def find_bad(self, workers: int | None) -> None:
        """Decode what is not cached, to find files that cannot be decoded."""
        missing = self.missing
        frames = _uncached(tuple(self.files[i] for i in missing), self.spec, workers)
        self._unread.update({missing[i]: reason for i, reason in frames.failures.items()})

    def frames(self) -> DecodedFrames:
        """The set as it now lies in the cache."""
        failures = dict(self._unread)
        numbers: dict[Path, int] = {}
        pack_of = np.full(len(self.files), NOWHERE, np.int32)
        row_of = np.zeros(len(self.files), np.int32)
        for position, digest in enumerate(self._digests):
            if digest is None or position in failures:
                continue
            place = self._contents.places.get(digest)
            if place is not None:
                pack_of[position] = numbers.setdefault(place.pack, len(numbers))
                row_of[position] = place.row
            elif digest in self._contents.failures:
                failures[position] = f"{self.files[position]}: {self._contents.failures[digest]}"
        for pack in numbers:
            touch(pack)
        frames = DecodedFrames(self.files, self.spec, failures, tuple(numbers), pack_of, row_of)
        frames.map_all()
        return frames


@dataclass(frozen=True, slots=True)
class _Found:
    """What reading a file gave: no digest if it could not be read, no frame if it was known or cannot be decoded."""

    digest: Digest | None = None
    frame: Frame | None = None
    reason: str = ""


def _uncached(files: tuple[str, ...], spec: PreprocessSpec, workers: int | None) -> DecodedFrames:
    """Decode all files to find those that cannot be decoded, and keep nothing."""

    def attempt(position: int) -> str | None:
        try:
            spec.read(Path(files[position]))
        except FrameError as error:
            return str(error)
        return None

    results = _in_threads(attempt, range(len(files)), workers, "checking frames")
    failures = {position: reason for position, reason in results if reason is not None}
    nowhere = np.full(len(files), NOWHERE, np.int32)
    return DecodedFrames(files, spec, failures, (), nowhere, nowhere)


def _in_threads(
    work: Callable[[int], Result], positions: Sequence[int], workers: int | None, what: str
) -> Iterator[tuple[int, Result]]:
    """Yield (position, result) in order; a bounded number of results is held at a time."""
    count = workers or os.cpu_count() or 1
    bar = tqdm(total=len(positions), desc=what, unit="frame", file=sys.stderr, delay=2)
    with bar, ThreadPoolExecutor(count) as pool:
        queue: Iterable[int] = iter(positions)
        pending = [(i, pool.submit(work, i)) for i in islice(queue, 8 * count)]
        while pending:
            position, result = pending.pop(0)
            yield position, result.result()
            bar.update()
            pending.extend((i, pool.submit(work, i)) for i in islice(queue, 1))
