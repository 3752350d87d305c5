"""Class folders of a data set: MonReader's `training|testing/flip|notflip`, or just `flip|notflip`."""

from __future__ import annotations

import os
import unicodedata
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from flipdetect.records import ClassNames
from flipdetect.sources.folder import is_junk, natural_key

MANIFEST_NAME = "labels.csv"
# A supplied validation folder joins the training records: validation is drawn by group, like everything else.
SPLIT_FOLDERS = {
    "training": "train",
    "train": "train",
    "validation": "train",
    "valid": "train",
    "val": "train",
    "testing": "test",
    "test": "test",
}
# Archives wrap their data in a folder or two; deeper folders with these names are something else.
_MAX_WRAPPING = 4


@dataclass(frozen=True, slots=True)
class FolderRole:
    """The meaning of a folder of frames, by its place in the data set.

    Attributes:
        label: the class.
        supplied_split: "train" or "test"; None if the data set is not split in folders.
        subfolder: path from the class folder to the frames, with `/`; "" if they are in the class folder itself.
    """

    label: str
    supplied_split: str | None
    subfolder: str


def folder_role(parts: tuple[str, ...], classes: ClassNames) -> FolderRole | None:
    """Role of a folder by its path relative to the data set; None if it is not in a class folder."""
    split = supplied_split(parts)
    if split is not None:
        parts = parts[1:]
    label = class_of_folder(parts[0], classes) if parts else None
    return None if label is None else FolderRole(label, split, "/".join(parts[1:]))


def supplied_split(parts: tuple[str, ...]) -> str | None:
    """The split ("train" or "test") that a path relative to the data set names by its first folder; None if none."""
    return SPLIT_FOLDERS.get(parts[0].casefold()) if parts else None


def class_of_folder(name: str, classes: ClassNames) -> str | None:
    """Class of a folder name, ignoring case and Unicode form; None if it is of neither class."""
    if name in classes.names:
        return name
    for label in classes.names:
        if _plain(name) == _plain(label):
            return label
    return None


def find_data_root(folder: Path, classes: ClassNames) -> Path | None:
    """The folder at or below `folder` that holds class folders, split folders with them, or a manifest.

    Archives often wrap their contents (`images/training/flip`). The outermost such folder counts, the first one in
    natural order if there are several; None if there is none.
    """
    waiting = deque([(folder, 0)])
    while waiting:
        candidate, depth = waiting.popleft()
        subfolders = _subfolders(candidate)
        if (candidate / MANIFEST_NAME).is_file() or _holds_classes(candidate, subfolders, classes):
            return candidate
        if depth < _MAX_WRAPPING:
            waiting.extend((candidate / name, depth + 1) for name in subfolders)
    return None


def _holds_classes(folder: Path, subfolders: list[str], classes: ClassNames) -> bool:
    names = list(subfolders)
    for name in subfolders:
        if name.casefold() in SPLIT_FOLDERS:
            names += _subfolders(folder / name)
    return any(class_of_folder(name, classes) is not None for name in names)


def _subfolders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and not is_junk(entry.name)]
    except OSError:
        return []
    return sorted(names, key=lambda name: (natural_key(name), name))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
