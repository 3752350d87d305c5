"""Unpack a downloaded archive without trusting it."""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from flipdetect.errors import DataError
from flipdetect.progress import progress_bar
from flipdetect.sources.folder import Problem, is_junk

_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
)
_CHUNK_BYTES = 1 << 20
# Below this, a high ratio of compression is a small file of one colour, not an attack.
_RATIO_FREE_BYTES = 100 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold: entries, bytes in all, and bytes per byte of the archive."""

    entries: int = 2_000_000
    total_bytes: int = 500 << 30
    ratio: int = 200


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file in an archive; `flaw` says why it cannot be unpacked, if it cannot."""

    name: str
    flaw: Literal["", "link", "device", "encrypted file"]
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or (compressed) tar archive, whatever its name."""
    return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))


def unpack_archive(
    path: Path, target: Path, *, suffixes: Collection[str], limits: Limits = DEFAULT_LIMITS
) -> list[Problem]:
    """Unpack the files with the given suffixes (lower case) into the folder `target`, which must not exist.

    Links, devices, encrypted files and files that occur twice are left out and returned as problems. An entry
    whose name leads out of the folder makes the whole archive unacceptable.

    Raises:
        DataError: if the archive is damaged, dangerous, or larger than the limits.
    """
    problems: list[Problem] = []
    most = min(limits.total_bytes, max(_RATIO_FREE_BYTES, limits.ratio * path.stat().st_size))
    written = 0
    target.mkdir(parents=True)
    try:
        bar = progress_bar(_entries(path), desc="unpacking", unit="file", delay=2, leave=False)
        for count, entry in enumerate(bar):
            if count >= limits.entries:
                raise DataError(f"{path} holds more than {limits.entries:,} entries; refusing to unpack it")
            inner = _inner_path(entry.name, path)
            if any(is_junk(part) for part in inner.parts) or inner.suffix.lower() not in suffixes:
                continue
            place = target / inner
            if entry.flaw or place.exists():
                what = entry.flaw or "second file of this name"
                problems.append(Problem(Path(inner), f"is a {what} in the archive, which is not unpacked"))
                continue
            written += _write(entry, place, most - written, path)
    except _DAMAGE as error:
        raise DataError(
            f"{path} cannot be unpacked ({error or type(error).__name__}): download it again, or make room on the disk"
        ) from error
    return problems


def _entries(path: Path) -> Iterator[_Entry]:
    return _zip_entries(path) if zipfile.is_zipfile(path) else _tar_entries(path)


def _zip_entries(path: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            mode = info.external_attr >> 16
            flaw: Literal["", "link", "device", "encrypted file"] = ""
            if stat.S_ISLNK(mode):
                flaw = "link"
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                flaw = "device"
            elif info.flag_bits & 1:
                flaw = "encrypted file"
            yield _Entry(info.filename, flaw, partial(archive.open, info))


def _tar_entries(path: Path) -> Iterator[_Entry]:
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            if member.isdir():
                continue
            linked = member.issym() or member.islnk()
            flaw: Literal["", "link", "device"] = "link" if linked else "" if member.isfile() else "device"
            yield _Entry(member.name, flaw, partial(_tar_file, archive, member))


def _tar_file(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    if file is None:
        raise tarfile.ReadError(f"{member.name!r} holds no data")
    return file


def _inner_path(name: str, archive: Path) -> PurePosixPath:
    """Where an entry goes, relative to the target.

    Raises:
        DataError: if that is outside.
    """
    inner = PurePosixPath(name.replace("\\", "/"))
    drive = bool(inner.parts) and inner.parts[0].endswith(":")
    if inner.is_absolute() or ".." in inner.parts or drive or "\0" in name:
        raise DataError(
            f"{archive} holds the entry {name!r}, which would be written outside of the target folder: the "
            "archive is broken or malicious, and nothing of it is used"
        )
    return inner


def _write(entry: _Entry, place: Path, most: int, archive: Path) -> int:
    """Bytes written; what the archive's own table of contents says about sizes is not relied upon."""
    place.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with entry.open() as packed, place.open("xb") as file:
        while chunk := packed.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > most:
                raise DataError(
                    f"{archive} unpacks to far more than its size explains (at {entry.name!r}): refusing to "
                    "fill the disk; unpack it by hand if you trust it, and give the folder"
                )
            file.write(chunk)
    return written
