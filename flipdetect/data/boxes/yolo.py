"""YOLO: a text file per picture, a line `class x y width height` per box in shares of it; names in data.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from flipdetect.data.boxes.annotations import Annotation, Annotations, NamedBox, PictureFinder, read_annotation
from flipdetect.errors import DataError
from flipdetect.sources.folder import Problem, walk_files

NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
"""Files with a name per line, where there is no data.yaml."""
NO_LABELS = {*NAME_LISTS, "readme.txt", "train.txt", "val.txt", "valid.txt", "test.txt"}
MAX_TEXT_BYTES = 4 * 1024 * 1024


def read_yolo(root: Path) -> Annotations:
    """The annotations below a folder; a picture without a text file is one without boxes.

    Raises:
        DataError: if the names of the classes are not found.
    """
    finder = PictureFinder(root)
    found = Annotations(problems=list(finder.problems), classes=class_names(root))
    pictures = {path: Annotation(path, relative=True) for path in finder.paths}
    folders, _ = walk_files(root, {".txt"})
    for path in (Path(name) for folder in folders for name in folder.paths()):
        if path.name.casefold() in NO_LABELS or path.name.casefold().startswith("readme"):
            continue
        picture = finder.of(path)
        if picture is None:
            found.problems.append(Problem(path, f"picture is missing: no picture {path.stem}.* is in the set"))
            continue
        try:
            lines = read_annotation(path, MAX_TEXT_BYTES).decode("utf-8-sig").splitlines()
        except (DataError, UnicodeDecodeError) as error:
            found.problems.append(Problem(path, f"unusable annotation: {error}"))
            del pictures[picture]  # it may have boxes
            continue
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                kind, x, y, width, height = (float(word) for word in line.split())
                label = int(kind)
            except (ValueError, OverflowError):
                found.problems.append(Problem(picture, f"unusable box: line {number} of {path.name} is {line[:60]!r}"))
                continue
            name = found.classes[label] if 0 <= label < len(found.classes) else f"class {label}"
            corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            pictures[picture].boxes.append(NamedBox(name, corners))
    found.pictures = list(pictures.values())
    return found


def class_names(root: Path) -> tuple[str, ...]:
    """The names of the classes by number, from `names` of data.yaml (or another YAML file), or from a list of names.

    Raises:
        DataError: if there is neither.
    """
    for path in sorted((*root.glob("*.yaml"), *root.glob("*.yml")), key=lambda path: (path.stem != "data", path.name)):
        try:
            content: Any = yaml.safe_load(read_annotation(path, MAX_TEXT_BYTES))
        except (DataError, yaml.YAMLError, ValueError, RecursionError):
            continue
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict) and all(isinstance(number, int) and number >= 0 for number in names):
            names = [names.get(number, f"class {number}") for number in range(max(names, default=-1) + 1)]
        if isinstance(names, list) and names:
            return tuple(str(name) for name in names)
    for name in NAME_LISTS:
        if (path := root / name).is_file():
            lines = read_annotation(path, MAX_TEXT_BYTES).decode("utf-8-sig", errors="replace").splitlines()
            return tuple(line.strip() for line in lines if line.strip())
    raise DataError(
        f"the names of the classes are not known: {root} has no data.yaml with names, and none of "
        f"{', '.join(NAME_LISTS)}; write a data.yaml with `names: [...]`"
    )
