"""COCO: JSON files with `images`, `annotations` and `categories` (Lin et al., 2014)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flipdetect.data.boxes.annotations import (
    Annotation,
    Annotations,
    NamedBox,
    PictureFinder,
    annotation_files,
    in_order_of_first_use,
    read_annotation,
)
from flipdetect.errors import DataError
from flipdetect.sources.folder import Problem

PARTS = ("images", "annotations", "categories")


def read_coco(root: Path) -> Annotations:
    """The annotations of all COCO files below a folder; other JSON files are passed over.

    Raises:
        DataError: if there is no COCO file.
    """
    finder = PictureFinder(root)
    found = Annotations(problems=list(finder.problems))
    seen: set[Path] = set()
    used = 0
    for path in annotation_files(root, ".json"):
        try:
            content = json.loads(read_annotation(path))
        except (DataError, ValueError, RecursionError) as error:
            found.problems.append(Problem(path, f"unusable annotation: {error}"))
            continue
        if not is_coco(content):
            continue
        used += 1
        _add(found, path, content, finder, seen)
    if not used:
        raise DataError(f"no JSON file below {root} has the lists {', '.join(PARTS)}; correct data.root or data.format")
    return found


def is_coco(content: Any) -> bool:
    """Whether a JSON document has COCO's lists."""
    return isinstance(content, dict) and all(isinstance(content.get(part), list) for part in PARTS)


def _add(found: Annotations, path: Path, content: dict[str, Any], finder: PictureFinder, seen: set[Path]) -> None:
    def problem(reason: str, of: Path | None = None) -> None:
        found.problems.append(Problem(of or path, reason))

    names: dict[Any, str] = {}
    for entry in content["categories"]:
        if isinstance(entry, dict) and "id" in entry and entry.get("name"):
            names[entry["id"]] = str(entry["name"])
        else:
            problem(f"unusable category: {str(entry)[:80]}")
    found.classes = in_order_of_first_use((*found.classes, *names.values()))
    pictures: dict[Any, Annotation] = {}
    for entry in content["images"]:
        name = str(entry.get("file_name") or "") if isinstance(entry, dict) else ""
        picture = finder.named(name) if name else None
        if picture is None:
            problem(f"picture is missing: {name[:80] or 'an entry without file_name'}")
        elif picture in seen:
            problem("second annotation of one picture", picture)
        else:
            seen.add(picture)
            size = (entry.get("height"), entry.get("width"))
            known = all(isinstance(side, int) and side > 0 for side in size)
            pictures[entry.get("id")] = Annotation(picture, size=size if known else None)
    listed = {entry.get("id") for entry in content["images"] if isinstance(entry, dict)}
    for number, entry in enumerate(content["annotations"]):
        if not isinstance(entry, dict) or entry.get("image_id") not in listed:
            problem(f"annotation of another picture: annotation {number} names an image_id that is not in the file")
            continue
        annotation = pictures.get(entry["image_id"])
        if annotation is None:
            continue  # its picture is listed already
        if entry.get("iscrowd"):
            problem(f"crowd: annotation {number} is a region with many objects, not a box", annotation.path)
            continue
        try:
            x, y, width, height = (float(value) for value in entry["bbox"])
        except (KeyError, TypeError, ValueError):
            problem(f"unusable box: annotation {number} has no bbox of four numbers", annotation.path)
            continue
        name = names.get(entry.get("category_id"), f"category {entry.get('category_id')}")
        annotation.boxes.append(NamedBox(name, (x, y, x + width, y + height)))
    found.pictures += pictures.values()
