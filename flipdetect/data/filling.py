"""A set on its way into the cache: what it holds already, and what has to be read and decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flipdetect.data.cachefolder import CacheFolder
from flipdetect.data.contents import Digest, KnownFiles, Look, digest_of, look_of
from flipdetect.data.decoded import NOWHERE, DecodedFrames, check_frames, in_threads
from flipdetect.data.frame_set import Frame
from flipdetect.data.packs import PackWriter, read_contents, touch
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import FrameError
from flipdetect.sources.image import read_bytes

CACHE_VERSION = 2
"""Part of every key; raised when decoding or resizing changes what a file becomes."""


def spec_name(spec: PreprocessSpec) -> str:
    """Name of the folder for frames of a preprocessing: all that a decoded frame depends on besides its file."""
    facts = (CACHE_VERSION, spec.height, spec.width, spec.channels, spec.fit, spec.padding.tolist())
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:8]
    return f"{spec.width}x{spec.height}x{spec.channels}-{spec.fit}-{key}"


class Filling:
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
            for done, (position, found) in enumerate(in_threads(self._attempt, missing, workers, "decoding frames")):
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
        frames = check_frames(tuple(self.files[i] for i in missing), self.spec, workers)
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
