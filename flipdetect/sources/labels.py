"""A manifest: a CSV file that describes each frame where folders and file names do not.

Columns `path,label,video,frame,source`; others are kept as text, and only `path` and `label` are required. Paths are
relative to the manifest's folder, or, if there is no such file, to the data root. A path that leaves both folders is
refused: a downloaded manifest must not make the program read other files of the machine.
"""

from __future__ import annotations

import csv
import os
import sys
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flipdetect.errors import DataError
from flipdetect.records import ClassNames
from flipdetect.sources.folder import Problem, is_junk, natural_key

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
    plain = {unicodedata.normalize("NFC", label).casefold(): label for label in classes.names}
    return plain.get(unicodedata.normalize("NFC", name).casefold())


def find_data_root(folder: Path, classes: ClassNames) -> Path | None:
    """The folder at or below `folder` that holds class folders, split folders with them, or a manifest.

    Archives often wrap their contents (`images/training/flip`). The outermost such folder counts, the first one in
    natural order if there are several; None if there is none.
    """
    waiting = deque([(folder, 0)])
    while waiting:
        candidate, depth = waiting.popleft()
        subfolders = _subfolders(candidate)
        splits = [name for name in subfolders if name.casefold() in SPLIT_FOLDERS]
        names = [*subfolders, *(inner for name in splits for inner in _subfolders(candidate / name))]
        if (candidate / MANIFEST_NAME).is_file() or any(class_of_folder(name, classes) is not None for name in names):
            return candidate
        if depth < _MAX_WRAPPING:
            waiting.extend((candidate / name, depth + 1) for name in subfolders)
    return None


def _subfolders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and not is_junk(entry.name)]
    except OSError:
        return []
    return sorted(names, key=lambda name: (natural_key(name), name))


COLUMNS = ("path", "label", "video", "frame", "source")


class FurtherColumns(Mapping[str, str]):
    """The values of a row's further columns, stored as one text: a dictionary would take five times the memory."""

    __slots__ = ("_names", "_text")
    _BETWEEN = "\x1f"  # ASCII's unit separator

    def __init__(self, names: tuple[str, ...], values: list[str]) -> None:
        self._names = names
        self._text = self._BETWEEN.join(value.replace(self._BETWEEN, " ") for value in values)

    def __getitem__(self, name: str) -> str:
        if name not in self._names:
            raise KeyError(name)
        return self._text.split(self._BETWEEN)[self._names.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One frame as the manifest describes it; None for empty fields.

    Attributes:
        path: the file, which need not exist.
        relative: `path` relative to the folder that it was found in, with `/`.
        line: number of the row's last line in the file, from 1.
        label: class name as written.
        video: id of the clip.
        frame: number within the video.
        source: book and desk, or person.
        extra: all other columns by lower-case name, as written.
    """

    path: Path
    relative: str
    line: int
    label: str
    video: str | None
    frame: int | None
    source: str | None
    extra: Mapping[str, str] = field(default_factory=dict)


def read_manifest(path: Path, root: Path | None = None) -> tuple[list[ManifestRow], list[Problem]]:
    """Read a manifest CSV (UTF-8, with or without byte order mark).

    Args:
        root: a further folder in which its files may be.

    Returns:
        All usable rows in file order, and a problem for each of the others.

    Raises:
        DataError: if the file cannot be read, or lacks a column.
    """
    rows: list[ManifestRow] = []
    problems: list[Problem] = []
    here = os.path.abspath(path.parent)  # noqa: PTH100 - Path.resolve would follow links
    folders = [path.parent] if root is None or os.path.abspath(root) == here else [path.parent, root]  # noqa: PTH100
    try:
        # Names that are not UTF-8 survive as surrogates, as they do in os.listdir.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            columns = [column.strip().lower() for column in next(reader, [])]
            missing = [column for column in ("path", "label") if column not in columns]
            if missing:
                raise DataError(
                    f"{path} has no column {missing[0]!r}; its first line must name the columns, separated "
                    f"by commas: {','.join(COLUMNS)} (found: {', '.join(columns)[:200] or '-'})"
                )
            further = tuple(sys.intern(column) for column in columns if column not in COLUMNS)
            for values in reader:
                fields = {name: value.strip() for name, value in zip(columns, values, strict=False)}
                if not any(fields.values()):
                    continue
                try:
                    rows.append(_row(fields, further, reader.line_num, folders))
                except ValueError as error:
                    reason = f"line {reader.line_num} of {path.name}: {error}"
                    problems.append(Problem(Path(fields.get("path") or path.name), reason))
    except (OSError, csv.Error) as error:
        raise DataError(f"the manifest {path} cannot be read ({error}); correct data.manifest or the file") from None
    return rows, problems


def _row(fields: dict[str, str], further: tuple[str, ...], line: int, folders: list[Path]) -> ManifestRow:
    """One row; a `ValueError` with the reason if it cannot be used."""
    if not fields.get("path"):
        raise ValueError("the path is empty")
    if not fields.get("label"):
        raise ValueError("the label is empty")
    frame = fields.get("frame") or None
    if frame is not None and not frame.lstrip("+-").isdecimal():
        raise ValueError(f"the frame number {frame!r} is no whole number")
    path, relative = _locate(fields["path"], folders)
    return ManifestRow(
        path=path,
        relative=relative,
        line=line,
        label=fields["label"],
        video=fields.get("video") or None,
        frame=None if frame is None else int(frame),
        source=fields.get("source") or None,
        extra=FurtherColumns(further, [fields.get(name, "") for name in further]) if further else {},
    )


def _locate(text: str, folders: list[Path]) -> tuple[Path, str]:
    """The file of a row, and its path relative to the folder that it is in; links are not resolved.

    Raises:
        ValueError: if it is outside of all `folders`.
    """
    text = text.replace("\\", "/")
    plain = os.path.normpath(text)
    if len(folders) == 1 and not os.path.isabs(plain) and plain.split(os.sep, 1)[0] != os.pardir:  # noqa: PTH117
        return folders[0] / plain, plain.replace(os.sep, "/")
    inside: list[tuple[Path, str]] = []
    for base in folders:
        joined = os.path.normpath(base / text)
        for folder in folders:
            relative = os.path.relpath(joined, folder)
            if relative != ".." and not relative.startswith(f"..{os.sep}"):
                inside.append((folder / relative, Path(relative).as_posix()))
                break
    if not inside:
        raise ValueError("the path leads out of the manifest's folder; set data.root to a folder that holds the file")
    for path, relative in inside[:-1]:
        if path.exists():
            return path, relative
    # With one candidate left there is nothing to choose: whether it exists is found when it is read.
    return inside[-1] if len(inside) == 1 or inside[-1][0].exists() else inside[0]
