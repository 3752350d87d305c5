"""Which frames of a labelled set are judged: all, or one side of a stored split."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from flipdetect.data.index import FrameIndex, index_frames
from flipdetect.data.split_file import read_split
from flipdetect.errors import DataError
from flipdetect.records import ClassNames
from flipdetect.sources.naming import NamePattern

logger = logging.getLogger(__name__)

SPLIT_FILE = "splits.csv"
"""Beside a checkpoint, the split that it was trained with."""


def select_frames(
    root: Path,
    classes: ClassNames,
    naming: NamePattern | None = None,
    *,
    manifest: Path | None = None,
    side: str | None = None,
    split_file: Path | None = None,
) -> FrameIndex:
    """The labelled frames of a folder, or those on one side of a split.

    Args:
        root: a data set as `index_frames` reads it.
        classes: names of the two classes.
        naming: how file names are read.
        manifest: CSV file that describes the set instead.
        side: "train", "val" or "test"; None for all frames.
        split_file: where the sides stand, as a training run wrote it; needed if `side` is given.

    Raises:
        DataError: if no frame can be used, a side is asked for without a file, or the file has none for this set.
    """
    index = index_frames(root, classes=classes, pattern=naming, manifest=manifest, check=False)
    if side is None:
        return index
    if split_file is None or not split_file.is_file():
        raise DataError(
            f"the {side} side of {root} was asked for, and there is no split file {split_file or ''}; name the "
            f"{SPLIT_FILE} of the training run with --split-file"
        )
    records = read_split(split_file, index.records, index.root, classes).of(side)
    if not records:
        raise DataError(f"{split_file} puts no frame of {root} on the {side} side; choose another side or file")
    return replace(index, records=records)
