"""The folder of a cache as a whole: its lock, its limit, what is in it, and how it is cleared."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from flipdetect.data.packs import NOTES_SUFFIX, delete_pack, packs_below

logger = logging.getLogger(__name__)

LOCK_NAME = ".lock"
FILES_NAME = "files.sqlite"
FEATURES, FEATURES_DONE = "features", "features.json"
"""Folder of what frozen stages made of frames, a folder each; and the file that says that one is complete."""
# Longer than it takes to see that somebody else is at work; short enough not to seem stuck.
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Kept:
    """Frames of one preprocessing in a cache: the folder's name, bytes, packs, and when one was last used."""

    name: str
    bytes: int
    packs: int
    used_s: float


@dataclass(frozen=True, slots=True)
class KeptFeatures:
    """What frozen stages made of a set (`flipdetect.data.features`): its folder, bytes, and when it was last used."""

    path: Path
    bytes: int
    used_s: float


@dataclass(frozen=True, slots=True)
class CacheFolder:
    """A cache on disk: a folder of packs for each preprocessing, and the table of known files.

    Attributes:
        path: the folder, which need not exist.
    """

    path: Path

    @property
    def files(self) -> Path:
        """The table of known files."""
        return self.path / FILES_NAME

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing; waits for one that does. The system frees the lock of one that dies.

        Raises:
            OSError: if the folder cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK_NAME)
        try:
            lock.acquire(timeout=_PATIENCE_S)
        except Timeout:
            logger.info("Another process is filling the cache in %s: waiting for it.", self.path)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def kept(self) -> list[Kept]:
        """What the cache holds, by preprocessing."""
        found: dict[str, list[os.stat_result]] = {}
        for pack in packs_below(self.path):
            with suppress(FileNotFoundError):
                found.setdefault(pack.parent.name, []).append(pack.stat())
        return [
            Kept(name, sum(s.st_size for s in stats), len(stats), max(s.st_mtime for s in stats))
            for name, stats in sorted(found.items())
        ]

    def features(self) -> list[KeptFeatures]:
        """What frozen stages made of sets of frames."""
        found = []
        for folder in sorted((self.path / FEATURES).glob("*/")):
            stats = [file.stat() for file in folder.glob("*") if file.is_file()]
            if stats:
                found.append(KeptFeatures(folder, sum(s.st_size for s in stats), max(s.st_mtime for s in stats)))
        return found

    def tidy(self) -> None:
        """Delete what a writer that was killed left behind; to be called under the lock."""
        for pack in packs_below(self.path):
            if not pack.with_suffix(NOTES_SUFFIX).exists():
                delete_pack(pack)

    def make_room(self, max_bytes: int, wanted: int, kept: Collection[Path]) -> set[Path]:
        """Delete the least recently used packs, but for those kept, until `wanted` bytes more fit in.

        Returns:
            The packs that are gone.

        Raises:
            OSError: if the kept ones leave too little room.
        """
        packs = {pack: pack.stat() for pack in packs_below(self.path)}
        over = sum(stat.st_size for stat in packs.values()) + wanted - max_bytes
        gone: set[Path] = set()
        for pack, stat in sorted(packs.items(), key=lambda item: item[1].st_mtime_ns):
            if over <= 0:
                break
            if pack not in kept:
                delete_pack(pack)
                gone.add(pack)
                over -= stat.st_size
        if over > 0:
            full = f"data.cache_gb is too small for the sets in use by {over / 2**30:.2f} GB"
            raise OSError(errno.ENOSPC, full)
        return gone

    def clear(self, unused_days: float = 0.0) -> int:
        """Delete packs and features that were not used for so many days; 0: all, and the table of known files.

        What is not of the cache stays. Trainings that run keep what they have opened.

        Returns:
            Bytes freed.

        Raises:
            OSError: if the folder cannot be written.
        """
        if not self.path.is_dir():
            return 0
        freed = 0
        with self.locked():
            before = time.time() - unused_days * 86400
            for pack in list(packs_below(self.path)):
                stat = pack.stat()
                if not unused_days or stat.st_mtime < before:
                    freed += stat.st_size
                    delete_pack(pack)
                    with suppress(OSError):  # others are still in it
                        pack.parent.rmdir()
            for features in self.features():
                if not unused_days or features.used_s < before:
                    freed += features.bytes
                    delete_features(features.path)
            if not unused_days and self.files.is_file():
                freed += self.files.stat().st_size
                self.files.unlink()
        return freed


def delete_features(folder: Path) -> None:
    """Delete features, what says that they are complete first. Trainings that run keep what they have opened."""
    (folder / FEATURES_DONE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_suffix(".lock").unlink(missing_ok=True)
