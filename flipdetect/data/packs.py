"""Decoded frames of one size on disk, in packs that are written once and memory-mapped, found by content.

A pack is a file of raw pixels, `<id>.frames`, and one that says what is in it, `<id>.json`, written last: without it
a pack does not count. Packs are never changed. Several processes may read them while one, which holds the lock of the
cache, writes further ones or deletes old ones: what is mapped stays readable.
"""

from __future__ import annotations

import json
import logging
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from flipdetect.atomic import write_text
from flipdetect.data.contents import DIGEST_BYTES, Digest
from flipdetect.data.frame_set import Frame

logger = logging.getLogger(__name__)

PACK_BYTES = 256 << 20
"""Frames are kept and deleted by so much at a time; what an interrupted filling has reached is kept, but for the last
pack."""
FRAMES_SUFFIX = ".frames"
NOTES_SUFFIX = ".json"

_ID = re.compile("[0-9a-f]{32}")  # so that no file of somebody else's is taken for a pack

Shape = tuple[int, int, int]


class Place(NamedTuple):
    """Where a frame lies: the pack's file, and its row."""

    pack: Path
    row: int


@dataclass
class Contents:
    """What a folder of packs holds.

    Attributes:
        places: of frames, by the digest of the file that each came from.
        failures: what is wrong with files that cannot be decoded, by their digest.
    """

    places: dict[Digest, Place] = field(default_factory=dict)
    failures: dict[Digest, str] = field(default_factory=dict)
    _of_pack: dict[Path, list[Digest]] = field(default_factory=dict)

    def __contains__(self, digest: Digest) -> bool:
        return digest in self.places or digest in self.failures

    def put(self, digest: Digest, place: Place) -> None:
        """Note where a frame lies."""
        self.places[digest] = place
        self._of_pack.setdefault(place.pack, []).append(digest)

    def forget(self, pack: Path) -> None:
        """Leave out what lies in a pack that is gone."""
        for digest in self._of_pack.pop(pack, ()):
            if self.places[digest].pack == pack:
                del self.places[digest]


def read_contents(folder: Path, shape: Shape) -> Contents:
    """What the packs in a folder hold; packs that are damaged are left out.

    Args:
        shape: of a frame.
    """
    contents = Contents()
    for notes in sorted(folder.glob(f"*{NOTES_SUFFIX}")):
        pack = notes.with_suffix(FRAMES_SUFFIX)
        try:
            found = json.loads(notes.read_text("utf-8"))
            joined = bytes.fromhex(found["frames"])
            digests = [joined[start : start + DIGEST_BYTES] for start in range(0, len(joined), DIGEST_BYTES)]
            if pack.stat().st_size != len(digests) * int(np.prod(shape)):
                raise ValueError("its size is not that of its frames")
            failures = {bytes.fromhex(digest): str(reason) for digest, reason in found["failures"].items()}
        except FileNotFoundError:
            continue  # another process has just deleted it
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("The cache file %s is damaged (%s) and is not used.", pack, error)
            continue
        for row, digest in enumerate(digests):
            contents.put(digest, Place(pack, row))
        contents.failures.update(failures)
    return contents


def map_pack(pack: Path, shape: Shape) -> Frame:
    """The frames of a pack, (N, height, width, channels) uint8, read-only and on disk.

    Raises:
        OSError, ValueError: if it is gone.
    """
    return np.asarray(np.memmap(pack, np.uint8, "r")).reshape(-1, *shape)


def touch(pack: Path) -> None:
    """Mark a pack as used: the one that was not used for longest is deleted first."""
    with suppress(OSError):
        os.utime(pack)


def delete_pack(pack: Path) -> None:
    """Delete a pack, its notes first."""
    pack.with_suffix(NOTES_SUFFIX).unlink(missing_ok=True)
    pack.unlink(missing_ok=True)


def packs_below(folder: Path) -> Iterator[Path]:
    """All packs of a cache, of frames of whatever size, and what an interrupted writer left of one."""
    return (path for path in folder.glob(f"*/*{FRAMES_SUFFIX}") if _ID.fullmatch(path.stem))


class PackWriter:
    """Writes one pack; it counts once `close` has been called.

    Args:
        folder: where; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{uuid.uuid4().hex}{FRAMES_SUFFIX}"
        self.digests: list[Digest] = []
        self.bytes = 0
        self._file: BinaryIO = self.path.open("xb")

    @staticmethod
    def size_for(wanted: int) -> int:
        """Bytes of the next pack, if frames of `wanted` bytes are still to come."""
        return min(PACK_BYTES, wanted)

    @property
    def full(self) -> bool:
        """Whether the pack is as large as a pack gets."""
        return self.bytes >= PACK_BYTES

    def add(self, digest: Digest, frame: Frame) -> Place:
        """Append a frame; where it lies.

        Raises:
            OSError: if the disk is full.
        """
        self._file.write(np.ascontiguousarray(frame).data)
        self.digests.append(digest)
        self.bytes += frame.nbytes
        return Place(self.path, len(self.digests) - 1)

    def close(self, failures: Mapping[Digest, str]) -> None:
        """Finish the pack, and note beside it what cannot be decoded."""
        self._file.close()
        notes = {
            "frames": b"".join(self.digests).hex(),
            "failures": {digest.hex(): reason for digest, reason in failures.items()},
        }
        write_text(self.path.with_suffix(NOTES_SUFFIX), json.dumps(notes))

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        delete_pack(self.path)
