"""What an annotation says of a picture, before and after it was checked; where the picture of an annotation lies."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flipdetect.errors import DataError
from flipdetect.sources.folder import Problem, walk_files

MAX_FILE_BYTES = 512 * 1024 * 1024
"""Of an annotation file: COCO's largest has 450 MB."""
_ROLES = {"images", "image", "img", "imgs", "jpegimages", "labels", "annotations", "annotation", "xml", "xmls"}
"""Folders that separate pictures from annotations, and say nothing else."""


class NamedBox(NamedTuple):
    """A box as a file states it, unchecked: (x0, y0, x1, y1) from the upper left, in pixels or shares of the sides."""

    name: str
    corners: tuple[float, float, float, float]


@dataclass(slots=True)
class Annotation:
    """What a file says of a picture, which need not exist; unchecked.

    Attributes:
        size: (height, width) of the picture as the file states it; None if it does not.
        relative: whether corners are shares of width and height instead of pixels.
        video, frame, source: as in `FrameRecord`, if the file states them.
    """

    path: Path
    boxes: list[NamedBox] = field(default_factory=list)
    size: tuple[int, int] | None = None
    relative: bool = False
    video: str | None = None
    frame: int | None = None
    source: str | None = None


@dataclass(slots=True)
class Annotations:
    """The annotations of a data set, what could not be used, and the format's own list of classes, if it has one."""

    pictures: list[Annotation] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    classes: tuple[str, ...] = ()


class PictureBoxes(NamedTuple):
    """The checked boxes of a picture.

    Attributes:
        boxes: (N, 4) float32, (x0, y0, x1, y1) in pixels of the upright picture; N may be 0.
        labels: (N,) int64, positions in the list of classes.
        size: (height, width) of the upright picture.
    """

    boxes: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    size: tuple[int, int]


class PictureFinder:
    """Finds the picture that an annotation file is about, by its name; `problems` are folders that can't be read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        folders, self.problems = walk_files(root)
        self.paths = [Path(path) for folder in folders for path in folder.paths()]
        self._by_stem: dict[str, list[Path]] = {}
        for path in self.paths:
            self._by_stem.setdefault(path.stem, []).append(path)

    def of(self, annotation: Path, stem: str | None = None) -> Path | None:
        """The picture named like an annotation file (or `stem`), in the folder that corresponds to its; None: none."""
        found = self._by_stem.get(annotation.stem if stem is None else stem, [])
        if len(found) > 1:
            place = _place(annotation, self.root)
            found = [path for path in found if _place(path, self.root) == place]
        return found[0] if len(found) == 1 else None

    def named(self, name: str) -> Path | None:
        """The picture of a file name, or of a path of which a part may be missing; None if there is none."""
        parts = Path(name.replace("\\", "/"))
        found = [path for path in self._by_stem.get(parts.stem, []) if path.name == parts.name]
        if len(found) > 1:
            found = [path for path in found if path.as_posix().endswith(parts.as_posix())]
        return found[0] if len(found) == 1 else None


def _place(path: Path, root: Path) -> tuple[str, ...]:
    parts = path.parent.relative_to(root).parts if path.is_relative_to(root) else path.parent.parts
    return tuple(part for part in parts if part.casefold() not in _ROLES)


def annotation_files(root: Path, suffix: str) -> list[Path]:
    """Files of a suffix below a folder, in natural order; a `DataError` if there are none."""
    folders, _ = walk_files(root, {suffix})
    found = [Path(path) for folder in folders for path in folder.paths()]
    if not found:
        raise DataError(f"there is no {suffix} file below {root}; correct data.root or data.format")
    return found


def read_annotation(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """The content of an annotation file; a `DataError` if it cannot be read, or is larger than `limit` bytes."""
    try:
        size = os.stat(path).st_size  # noqa: PTH116
        if size > limit:
            raise DataError(f"it has {size:,} bytes, the limit is {limit:,}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"it cannot be read ({error.strerror or error})") from error
