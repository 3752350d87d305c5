"""Frames and films that a URL or a table names: listed, and copied to this machine while they are read (fsspec)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import compress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from flipdetect.errors import DataError
from flipdetect.sources.folder import FRAME_SUFFIXES, VIDEO_SUFFIXES, is_junk, natural_key

TABLES = (".csv", ".parquet")
COLUMN = "path"
DOWNLOADS = 16
"""Files that are copied at a time."""


class Listing(NamedTuple):
    """Files below a place.

    Attributes:
        base: a folder's absolute path, or a URL.
        shown: what stands for `base` and the separator in messages.
        names: relative to `base`.
    """

    base: str
    shown: str
    names: list[str]


def is_url(given: str) -> bool:
    """Whether an input is a URL, not a local path."""
    return "://" in given


def open_place(url: str) -> tuple[Any, str]:
    """The file system (fsspec) of a URL or local path, and the path in it.

    Raises:
        DataError: if there is no such file system, or its package is not installed.
    """
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:
        raise DataError(f"{url} cannot be opened: {error}") from error
    return files, str(path).rstrip("/")


def list_place(given: str) -> Listing:
    """The frames and films that a table's column `path` names, or that are at and below a URL, in natural order.

    Args:
        given: a URL; or the URL or path of a table (.csv, .parquet), whose paths are relative to it, or URLs.

    Raises:
        DataError: if it cannot be read, names nothing, or the paths of a table do not lie below one place.
    """
    files, path = open_place(given)
    base = given.rstrip("/") if is_url(given) else str(Path(given).absolute())
    try:
        if PurePosixPath(path).suffix.lower() in TABLES:
            import pyarrow as pa
            from pyarrow import csv, parquet

            with files.open(path) as file:
                if path.lower().endswith(".csv"):
                    texts = csv.ConvertOptions(include_columns=[COLUMN], column_types={COLUMN: pa.string()})
                    table = csv.read_csv(file, convert_options=texts)
                else:
                    table = parquet.read_table(file, columns=[COLUMN])
            names = table.column(COLUMN).to_pylist()
            base = base.rpartition("/")[0]
            common = os.path.commonprefix(names).rpartition("/")[0]  # noqa: RUF071 - commonpath does not know URLs
            if is_url(common):
                base, names = common, [name[len(common) + 1 :] for name in names]
        else:
            found = files.find(path)
            if found == [path]:
                base, path = base.rpartition("/")[0], path.rpartition("/")[0]
            # Names stay as they are: an object's key may have `//` in it.
            below = [one[len(path) + 1 :] for one in found]
            readable = FRAME_SUFFIXES | VIDEO_SUFFIXES
            parts = [PurePosixPath(name) for name in below]
            good = [one.suffix.lower() in readable and not any(map(is_junk, one.parts)) for one in parts]
            names = sorted(compress(below, good), key=_walk_order)
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are of the latter two
        raise DataError(f"{given} cannot be read: {error}; give a folder, or a table with a column {COLUMN}") from error
    if not names:
        raise DataError(f"no frames and no videos in {given}; give a folder or a table that has some")
    outside = [name for name in names if is_url(name) or name.startswith("/") or ".." in name.split("/")]
    if outside and (is_url(base) or is_url(outside[0])):
        raise DataError(f"{given} names {outside[0]}, which is not below {base}; make a table for each place")
    return Listing(base, f"{base}/" if is_url(base) else "", names)


def _walk_order(name: str) -> list[tuple[int, Any, str]]:
    """As folders are walked: the files of a folder before those of its subfolders."""
    *folders, file = name.split("/")
    return [*((1, natural_key(folder), folder) for folder in folders), (0, natural_key(file), file)]


@contextmanager
def local_files(base: str, names: Sequence[str]) -> Iterator[Path]:
    """The folder on this machine that has these files: `base` itself, or a temporary copy of them.

    A file that does not exist is not in the copy either.

    Raises:
        DataError: as `open_place`.
        OSError: if a file cannot be copied.
    """
    if not is_url(base):
        yield Path(base)
        return
    files, root = open_place(base)
    with tempfile.TemporaryDirectory(prefix="flipdetect-") as folder:

        def copy(name: str) -> None:
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                files.get_file(f"{root}/{name}", str(target))

        with ThreadPoolExecutor(DOWNLOADS) as pool:
            list(pool.map(copy, names))
        yield Path(folder)
