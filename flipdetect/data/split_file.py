"""`splits.csv`: which file is on which side, written beside a checkpoint and read back."""

from __future__ import annotations

import csv
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from flipdetect.atomic import write_csv
from flipdetect.data.splits import SIDES, Split, check_sides
from flipdetect.errors import DataError
from flipdetect.records import ClassNames, FrameRecord

logger = logging.getLogger(__name__)

COLUMNS = ("path", "label", "video", "source", "split")
# Split files are also made by hand.
_SIDE_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_NAMES_SHOWN = 3


def write_split(split: Split, path: Path, root: Path) -> None:
    """Write a split as CSV with the columns `path,label,video,source,split`, atomically.

    Paths are relative to `root`, with `/`, so that the file fits the same data set elsewhere.

    Raises:
        OSError: if the file cannot be written.
    """
    rows = (
        (_relative(record.path, root), record.label, record.video, record.source or "", side)
        for record, side in zip(split.records, split.sides, strict=True)
    )
    write_csv(path, COLUMNS, rows)


def read_split(path: Path, records: Sequence[FrameRecord], root: Path, classes: ClassNames) -> Split:
    """Apply a split file to the records of a data set.

    The columns `path` and `split` are enough. A file made by hand may put a video, or even a file, on two
    sides: `audit_split` tells. Frames of the data set that the file does not name are left out, and files
    that the data set does not have are ignored; both are logged and kept as `Split.notes`.

    Args:
        path: the split file.
        records: the data set's records.
        root: the folder that the file's paths are relative to.
        classes: names of the two classes.

    Raises:
        DataError: if the file cannot be read, or train, val, or a test side that it names lacks a class.
    """
    by_path = {_absolute(record.file): record for record in records}
    chosen: list[FrameRecord] = []
    sides: list[str] = []
    missing: list[str] = []
    relabelled: list[str] = []
    for name, label, side in _rows(path):
        record = by_path.get(_absolute(os.path.join(root, name)))  # noqa: PTH118 - text, for speed
        if record is None:
            missing.append(name)
            continue
        if label and label != record.label:
            relabelled.append(name)
        chosen.append(record)
        sides.append(side)
    named = {id(record) for record in chosen}
    extra = [_relative(record.path, root) for record in records if id(record) not in named]
    notes = [
        *_note(missing, f"files in {path.name} are not in the data set, or not usable, and are ignored"),
        *_note(extra, f"frames of the data set are not in {path.name} and are left out"),
        *_note(relabelled, f"files have another label in {path.name} than in the data set, which counts"),
    ]
    for note in notes:
        logger.warning("%s", note)
    if not chosen:
        raise DataError(
            f"none of the {len(missing):,} files that {path} names is in the data set in {root}"
            f"{f' (for instance {missing[0]})' if missing else ''}; paths must be relative to that folder"
        )
    split = Split(tuple(chosen), tuple(sides), classes, None, tuple(notes))
    check_sides(split, SIDES if "test" in sides else ("train", "val"))
    return split


def _rows(path: Path) -> list[tuple[str, str, str]]:
    """(path, label or "", side) of each row."""
    rows: list[tuple[str, str, str]] = []
    wrong: Counter[str] = Counter()
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            if "path" not in columns or "split" not in columns:
                raise DataError(
                    f"{path} is no split file: its first line must name the columns path and split, "
                    f"separated by commas (found: {', '.join(columns)[:200] or '-'})"
                )
            for row in reader:
                side = _SIDE_NAMES.get((row["split"] or "").strip().lower())
                if side is None:
                    wrong[f"line {reader.line_num}: {row['split'] or ''!r}"] += 1
                else:
                    rows.append(((row["path"] or "").strip().replace("\\", "/"), row.get("label") or "", side))
    except (OSError, csv.Error) as error:
        raise DataError(f"the split file {path} cannot be read ({error}); correct data.split_file") from None
    if wrong:
        raise DataError(
            f"{path} has {len(wrong):,} rows whose split is none of train, val, test "
            f"({'; '.join(list(wrong)[:_NAMES_SHOWN])}); correct them or delete the rows"
        )
    return rows


def _note(names: list[str], what: str) -> list[str]:
    if not names:
        return []
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    return [f"{len(names):,} {what}: {shown}"]


def _absolute(path: str) -> str:
    # Path.resolve would follow links, and ask the disk about each file.
    return os.path.abspath(path)  # noqa: PTH100


def _relative(path: Path, root: Path) -> str:
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return Path(os.path.relpath(path, root)).as_posix()
