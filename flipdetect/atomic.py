"""Write files whole or not at all: under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flipdetect.errors import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_REMEDIES = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "the quota is used up: delete files, or write to another disk",
    errno.EACCES: "write to a folder that is yours, or change its permissions",
    errno.EPERM: "write to a folder that is yours, or change its permissions",
    errno.EROFS: "write to another disk",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another path",
    errno.EEXIST: "a part of the path is a file, not a folder: choose another path",
    errno.EISDIR: "there is a folder of that name: choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that replaces `path` if the block succeeds, and is removed if it does not.

    Creates the folder if needed. The temporary name contains the process id, so that two processes never write to one
    file.

    Raises:
        OSError: if the folder cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """`replacing`, with errors that a user can act on; raises as `explaining`."""
    with explaining(path), replacing(path) as part:
        yield part


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Errors of a file being written that a user can act on.

    Raises:
        DataError: in place of the block's OSError (disk full, not writable, ...); names the file, the reason and what
            to do.
    """
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        remedy = _REMEDIES.get(error.errno or 0, "choose another path")
        raise DataError(f"{path} cannot be written: {reason}; {remedy}") from error


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other processes from writing a file or folder meanwhile, by a lock next to it that ends with the process.

    Raises:
        DataError: if another process holds it, or its folder cannot be written to.
    """
    path = path.resolve()
    lock = path.with_name(f".{path.name}.lock")
    while True:
        with explaining(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = lock.open("ab")
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(file.fileno()), lock.stat())
        except BlockingIOError as error:
            file.close()
            reason = "another run is writing it; wait for its end, or choose another path"
            raise DataError(f"{path} cannot be written: {reason}") from error
        except OSError as error:
            is_ours = error.errno != errno.ENOENT  # a file system without locks
        if is_ours:
            break
        file.close()  # removed by the run that ended just now
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        file.close()


def explained(error: OSError) -> str | None:
    """The file, the reason and what to do, of an error that is the disk's or the permissions'; None of any other."""
    if error.errno not in _REMEDIES or not isinstance(error.filename, str):
        return None
    path = Path(error.filename)
    name = re.sub(r"^\.(.+?)(\.part)?\.\d+\.part$", r"\1", path.name)  # of a temporary name, what it stands for
    return f"{path.with_name(name)}: {os.strerror(error.errno).lower()}; {_REMEDIES[error.errno]}"


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], *, line_end: str = "\n") -> None:
    """Write a table as UTF-8 CSV, atomically. File names that are not valid UTF-8 are written byte for byte.

    Raises:
        OSError: if the folder cannot be written to.
    """
    with replacing(path) as part, part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator=line_end)
        writer.writerow(columns)
        writer.writerows(rows)


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON, atomically: NaN and infinity, which JSON lacks, become null; numbers keep six decimals.

    Raises:
        OSError: if the file cannot be written.
    """
    write_text(path, json.dumps(_plain(value), indent=2, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
