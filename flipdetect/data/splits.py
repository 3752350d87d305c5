"""The split of a data set: which frames train, validate and test; `splits.csv` keeps it next to a checkpoint."""

from __future__ import annotations

import csv
import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from flipdetect.atomic import write_csv
from flipdetect.errors import DataError
from flipdetect.records import ClassNames, FrameRecord

logger = logging.getLogger(__name__)

GroupBy = Literal["video", "source"]
SPLITS = ("train", "val", "test")
COLUMNS = ("path", "label", "video", "source", "split")
# Split files are also made by hand.
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_NAMES_SHOWN = 3


@dataclass(frozen=True)
class Split:
    """Records divided into training, validation and test.

    Attributes:
        assigned: "train", "val" or "test" for each record.
        group_by: the unit that was kept together; None if the split was not made by grouping here.
        notes: what a reader of the split should know.
    """

    records: tuple[FrameRecord, ...]
    assigned: tuple[str, ...]
    classes: ClassNames
    group_by: GroupBy | None = None
    notes: tuple[str, ...] = ()

    def of(self, name: str) -> tuple[FrameRecord, ...]:
        """The records of "train", "val" or "test", in their order."""
        return tuple(record for record, split in zip(self.records, self.assigned, strict=True) if split == name)

    @cached_property
    def train(self) -> tuple[FrameRecord, ...]:
        """Records to train on."""
        return self.of("train")

    @cached_property
    def val(self) -> tuple[FrameRecord, ...]:
        """Records to choose the epoch and the threshold by."""
        return self.of("val")

    @cached_property
    def test(self) -> tuple[FrameRecord, ...]:
        """Records to report the final metrics on; empty if no test split was asked for."""
        return self.of("test")


def check_classes(split: Split, needed: Iterable[str] = SPLITS) -> None:
    """Raise a `DataError` if one of the needed splits lacks frames of a class."""
    for name in needed:
        frames = Counter(record.label for record in split.of(name))
        for label in split.classes.names:
            if not frames[label]:
                found = ", ".join(f"{count:,} of {name}" for name, count in sorted(frames.items())) or "no frames"
                raise DataError(
                    f"the {name} split has no frame of {label!r} (it has {found}); each split needs both classes: add "
                    "clips to it, or split without a split file or a supplied test set"
                )


def write_split(split: Split, path: Path, root: Path) -> None:
    """Write a split as CSV with the columns `path,label,video,source,split`, atomically.

    Paths are relative to `root`, with `/`, so that the file fits the same data set elsewhere.
    """
    rows = (
        (_relative(record.path, root), record.label, record.video, record.source or "", name)
        for record, name in zip(split.records, split.assigned, strict=True)
    )
    write_csv(path, COLUMNS, rows)


def read_split(
    path: Path, records: Sequence[FrameRecord], root: Path, classes: ClassNames, *, both_classes: bool = True
) -> Split:
    """Apply a split file to the records of a data set.

    Only the columns `path` and `split` are required. A file made by hand may put a video, or even a file, into two
    splits: see `audit_split`. Frames of the data set that the file does not name are left out, and files that the data
    set does not have are ignored; both are logged and kept as `Split.notes`.

    Raises:
        DataError: if the file cannot be read; with `both_classes` also if train, val, or a test split that it names
            lacks a class.
    """
    # Path.resolve would follow links, and access the disk for each file; text is faster.
    by_path = {os.path.abspath(record.file): record for record in records}  # noqa: PTH100
    chosen: list[FrameRecord] = []
    assigned: list[str] = []
    missing: list[str] = []
    relabelled: list[str] = []
    for name, label, split_name in read_split_rows(path):
        record = by_path.get(os.path.abspath(os.path.join(root, name)))  # noqa: PTH100, PTH118
        if record is None:
            missing.append(name)
            continue
        if label and label != record.label:
            relabelled.append(name)
        chosen.append(record)
        assigned.append(split_name)
    named = {id(record) for record in chosen}
    extra = [_relative(record.path, root) for record in records if id(record) not in named]
    notes = []
    for names, what in (
        (missing, f"files in {path.name} are not in the data set, or not usable, and are ignored"),
        (extra, f"frames of the data set are not in {path.name} and are left out"),
        (relabelled, f"files have another label in {path.name} than in the data set, which is used"),
    ):
        if names:
            notes.append(f"{len(names):,} {what}: {some(names)}")
            logger.warning("%s", notes[-1])
    if not chosen:
        raise DataError(
            f"none of the {len(missing):,} files that {path} names is in the data set in {root}"
            f"{f' (for instance {missing[0]})' if missing else ''}; paths must be relative to that folder"
        )
    split = Split(tuple(chosen), tuple(assigned), classes, None, tuple(notes))
    if both_classes:
        check_classes(split, SPLITS if "test" in assigned else ("train", "val"))
    return split


def read_split_rows(path: Path) -> list[tuple[str, str, str]]:
    """(path, label or "", split) of each row of a split file; raises a `DataError` if it cannot be read."""
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
                name = _SPLIT_NAMES.get((row["split"] or "").strip().lower())
                if name is None:
                    wrong[f"line {reader.line_num}: {row['split'] or ''!r}"] += 1
                else:
                    rows.append(((row["path"] or "").strip().replace("\\", "/"), row.get("label") or "", name))
    except (OSError, csv.Error) as error:
        raise DataError(f"the split file {path} cannot be read ({error}); correct data.split_file") from None
    if wrong:
        raise DataError(
            f"{path} has {len(wrong):,} rows whose split is none of train, val, test "
            f"({'; '.join(list(wrong)[:_NAMES_SHOWN])}); correct them or delete the rows"
        )
    return rows


def some(names: Sequence[str]) -> str:
    """The first few names, for a sentence."""
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")


def _relative(path: Path, root: Path) -> str:
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return Path(os.path.relpath(path, root)).as_posix()
