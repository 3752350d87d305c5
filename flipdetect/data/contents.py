"""What a file holds, known without reading it again: digests of files by path, size and time of change.

The decoded frames of the cache are found by the digest of a file's bytes, so that a file which was moved, copied or
touched is not decoded again. The bytes are read for the first decoding anyway; from then on, a file that looks
unchanged is taken to be unchanged, as `make` and `git` do.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

logger = logging.getLogger(__name__)

DIGEST_BYTES = 16
MAX_TABLE_BYTES = 512 << 20
"""About four million files. A table that has grown beyond it is begun anew, at the cost of reading the files once."""

Digest = bytes
Look = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""

_TABLE = (
    "CREATE TABLE IF NOT EXISTS files (folder BLOB, name BLOB, size INTEGER, changed INTEGER, digest BLOB, "
    "PRIMARY KEY (folder, name)) WITHOUT ROWID"
)


def digest_of(data: bytes) -> Digest:
    """BLAKE2b (Aumasson et al., 2013) of a file's bytes, 16 bytes long."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def look_of(file: str) -> Look | None:
    """What the file system says of a file without opening it; None if there is none."""
    try:
        status = os.stat(file)  # noqa: PTH116 - text is several times faster than Path here
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


class KnownFiles:
    """Digests of files that were read before, in one SQLite file, which several processes may use at a time.

    It holds nothing that could not be found out again: one that is damaged, or of a file system without locks, is
    left aside.

    Args:
        path: of the SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def digests(self, files: Sequence[str], looks: Sequence[Look | None]) -> list[Digest | None]:
        """Digest of each file that still looks as it did when it was read; None for others."""
        found: list[Digest | None] = [None] * len(files)
        if not self._path.is_file():
            return found
        folders: dict[str, dict[str, int]] = {}
        for position, file in enumerate(files):
            if looks[position] is not None:
                folder, name = os.path.split(os.path.abspath(file))  # noqa: PTH100 - links are not to be followed
                folders.setdefault(folder, {})[name] = position

        def look_up(table: sqlite3.Connection) -> None:
            for folder, names in folders.items():
                rows = table.execute("SELECT name, size, changed, digest FROM files WHERE folder = ?", (_text(folder),))
                for name, size, changed, digest in rows:
                    position = names.get(os.fsdecode(name), -1)
                    if position >= 0 and looks[position] == (size, changed):
                        found[position] = digest

        self._use(look_up)
        return found

    def remember(self, read: Iterable[tuple[str, Look, Digest]]) -> None:
        """Keep the digests of files that were read; each with how it looked before that."""
        if self._path.is_file() and self._path.stat().st_size > MAX_TABLE_BYTES:
            self._path.unlink(missing_ok=True)
        rows = []
        for file, (size, changed), digest in read:
            folder, name = os.path.split(os.path.abspath(file))  # noqa: PTH100
            rows.append((_text(folder), _text(name), size, changed, digest))
        self._use(lambda table: table.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows))

    def _use(self, job: Callable[[sqlite3.Connection], object]) -> None:
        try:
            with closing(sqlite3.connect(self._path, timeout=60)) as table, table:
                table.execute(_TABLE)
                job(table)
        except sqlite3.OperationalError as error:
            logger.warning("%s cannot be used (%s): files are read again to know them.", self._path, error)
        except sqlite3.DatabaseError as error:
            logger.warning("%s is damaged (%s) and is begun anew.", self._path, error)
            self._path.unlink(missing_ok=True)


def _text(name: str) -> bytes:
    """A name byte for byte: SQLite refuses text that is not UTF-8."""
    return os.fsencode(name)
