"""Unpack a downloaded archive without trusting it."""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from flipdetect.errors import DataError
from flipdetect.progress import progress_bar
from flipdetect.sources.folder import Problem, is_junk

_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError,
    NotImplementedError,
)  # fmt: skip
_CHUNK_BYTES = 1 << 20
MAX_ENTRIES = 2_000_000
MAX_BYTES = 500 << 30
MAX_RATIO = 200
"""Unpacked bytes for each byte of the archive."""
RATIO_FREE_BYTES = 100 << 20
"""Below this size, a high ratio of compression is a small file of one colour, not an attack."""


class _Entry(NamedTuple):
    """A file in an archive; `flaw` is the reason why it is not unpacked, empty if it is."""

    name: str
    flaw: str
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or (compressed) tar archive, whatever its name."""
    return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))


def unpack_archive(path: Path, target: Path, *, suffixes: Collection[str]) -> list[Problem]:
    """Unpack the files with the given suffixes (lower case) into the folder `target`, which must not exist.

    Links, devices, encrypted files and files that occur twice are left out and returned as problems. An entry whose
    name leads out of the folder makes the whole archive unacceptable. Sizes in the archive's table of contents are not
    trusted.

    Raises:
        DataError: if the archive is damaged, dangerous, or too large.
    """
    problems: list[Problem] = []
    left = min(MAX_BYTES, max(RATIO_FREE_BYTES, MAX_RATIO * path.stat().st_size))
    target.mkdir(parents=True)
    try:
        bar = progress_bar(_entries(path), desc="unpacking", unit="file", delay=2, leave=False)
        for count, entry in enumerate(bar):
            if count >= MAX_ENTRIES:
                raise DataError(f"{path} holds more than {MAX_ENTRIES:,} entries; refusing to unpack it")
            inner = PurePosixPath(entry.name.replace("\\", "/"))
            drive = bool(inner.parts) and inner.parts[0].endswith(":")
            if inner.is_absolute() or ".." in inner.parts or drive or "\0" in entry.name:
                raise DataError(
                    f"{path} holds the entry {entry.name!r}, which would be written outside of the target folder: the "
                    "archive is broken or malicious, and nothing of it is used"
                )
            if any(is_junk(part) for part in inner.parts) or inner.suffix.lower() not in suffixes:
                continue
            place = target / inner
            packed = None if entry.flaw or place.exists() else entry.open()
            if packed is None:
                what = entry.flaw or "second file of this name"
                problems.append(Problem(Path(inner), f"is a {what} in the archive, which is not unpacked"))
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with packed, place.open("xb") as file:
                while chunk := packed.read(_CHUNK_BYTES):
                    left -= len(chunk)
                    if left < 0:
                        raise DataError(
                            f"{path} unpacks to far more than its size explains (at {entry.name!r}): refusing to fill "
                            "the disk; unpack it by hand if you trust it, and give the folder"
                        )
                    file.write(chunk)
    except _DAMAGE as error:
        raise DataError(
            f"{path} cannot be unpacked ({error or type(error).__name__}): download it again, or make room on the disk"
        ) from error
    return problems


def _entries(path: Path) -> Iterator[_Entry]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                mode = info.external_attr >> 16
                flaw = "encrypted file" if info.flag_bits & 1 else ""
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                    flaw = "link" if stat.S_ISLNK(mode) else "device"
                if not info.is_dir():
                    yield _Entry(info.filename, flaw, partial(archive.open, info))
        return
    with tarfile.open(path, "r:*") as tar:
        for member in tar:
            flaw = "link" if member.issym() or member.islnk() else "" if member.isfile() else "device"
            if not member.isdir():
                yield _Entry(member.name, flaw, partial(tar.extractfile, member))
