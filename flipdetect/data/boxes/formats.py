"""The formats of boxes: rendered sets, Pascal VOC, COCO and YOLO.

Pascal VOC (Everingham et al., 2010) has an XML file per picture, COCO (Lin et al., 2014) JSON files with `images`,
`annotations` and `categories`, YOLO a text file per picture with a line `class x y width height` per box, in shares of
it, and the names in data.yaml. Corners are taken as written.

A rendered set's labels.csv has boxes of the book, the page that is being turned, and hands. Where no page is being
turned, it has the box of the page that would be turned next. Whether that is the left or the right one cannot be seen:
it is no object to be found.
"""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree  # no DTD gets to it  # nosec B405
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from flipdetect.data.boxes.annotations import (
    Annotation,
    Annotations,
    NamedBox,
    PictureFinder,
    annotation_files,
    read_annotation,
)
from flipdetect.data.rehearsal import RENDERED_CLASSES
from flipdetect.errors import DataError
from flipdetect.sources.folder import Problem, walk_files
from flipdetect.sources.labels import MANIFEST_NAME

PAGE = "page"
BOX_COLUMNS = {"book_box": "book", "page_box": PAGE, "hand_boxes": "hand"}
"""Class by column; a box is "x0 y0 x1 y1", several are separated by ";"."""
MAX_BYTES = 4 * 1024 * 1024
"""Of one picture's file; one of XML with a hundred boxes has 30 kB."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")
OTHER_PICTURE = "annotation of another picture"
PARTS = ("images", "annotations", "categories")
NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
"""Files with a name per line, where there is no data.yaml."""
NO_LABELS = {*NAME_LISTS, "readme.txt", "train.txt", "val.txt", "valid.txt", "test.txt"}


def read_rendered(root: Path) -> Annotations:
    """The boxes of a rendered data set; a `DataError` if it has no table with boxes."""
    table = root / MANIFEST_NAME
    found = Annotations(classes=tuple(BOX_COLUMNS.values()))
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"path", *BOX_COLUMNS} <= set(reader.fieldnames or ()):
                raise DataError(
                    f"{table} has no columns path, {', '.join(BOX_COLUMNS)}; correct data.root or data.format"
                )
            for row in reader:
                try:
                    boxes = [
                        NamedBox(name, (float(x0), float(y0), float(x1), float(y1)))
                        for column, name in BOX_COLUMNS.items()
                        if name != PAGE or row.get("label") == RENDERED_CLASSES.positive
                        for x0, y0, x1, y1 in (text.split() for text in row[column].split(";") if text)
                    ]
                    frame = int(row["frame"]) if row.get("frame") else None
                    video, source = row.get("video") or None, row.get("source") or None
                    picture = Annotation(root / row["path"], boxes, video=video, frame=frame, source=source)
                    found.pictures.append(picture)
                except (ValueError, TypeError, AttributeError) as error:
                    found.problems.append(Problem(table, f"unusable row: line {reader.line_num} ({error})"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read ({error}); correct data.root or data.format") from error
    return found


def read_voc(root: Path) -> Annotations:
    """The annotations of all XML files below a folder, of which there must be one; pictures without one are listed."""
    finder = PictureFinder(root)
    found = Annotations(problems=list(finder.problems))
    seen: dict[Path, Path] = {}
    for path in annotation_files(root, ".xml"):
        try:
            annotation = _read_xml(path, finder)
        except DataError as error:
            found.problems.append(Problem(path, f"unusable annotation: {error}"))
            continue
        if annotation.path in seen:
            reason = f"second annotation of one picture: {seen[annotation.path].name} is about it, too"
            found.problems.append(Problem(path, reason))
            continue
        seen[annotation.path] = path
        found.pictures.append(annotation)
    found.problems += [Problem(path, "picture without an annotation") for path in finder.paths if path not in seen]
    return found


def _read_xml(path: Path, finder: PictureFinder) -> Annotation:
    """The annotation of an XML file; raises a `DataError` that says what is wrong with it."""
    tree = parse_xml(read_annotation(path, MAX_BYTES))
    if tree.tag != "annotation":
        raise DataError(f"its outermost element is <{tree.tag[:40]}>, not <annotation>")
    # The picture is named as the XML file; the name inside must not be that of another picture of the set.
    inside = (tree.findtext("filename") or "").strip()
    own, named = finder.of(path), finder.named(inside) if inside else None
    if own is not None and named not in (None, own) and PurePosixPath(inside).stem != path.stem:
        raise DataError(f"{OTHER_PICTURE}: <filename> is {inside}")
    picture = own or named
    if picture is None:
        raise DataError(f"its picture is missing: neither {path.stem}.* nor {inside or 'a <filename>'} is in the set")
    size = None
    if (stated := tree.find("size")) is not None:
        numbers = [_number(stated.findtext(name), f"size/{name}") for name in ("height", "width")]
        size = (int(numbers[0]), int(numbers[1])) if min(numbers) > 0 else None  # some tools write 0 for unknown
    annotation = Annotation(picture, size=size)
    for element in tree.iterfind("object"):
        box = element.find("bndbox")
        name = (element.findtext("name") or "").strip()
        if box is None or not name:
            raise DataError("an <object> lacks its <name> or <bndbox>")
        x0, y0, x1, y1 = (_number(box.findtext(corner), f"bndbox/{corner}") for corner in CORNERS)
        annotation.boxes.append(NamedBox(name, (x0, y0, x1, y1)))
    return annotation


def parse_xml(content: bytes) -> ElementTree.Element:
    """Parse an XML document that declares no entities, which could be expanded without end or name other files.

    Raises:
        DataError: if it has a document type declaration, is not in UTF-8, or no XML.
    """
    try:
        text = content.decode("utf-8-sig")  # the only encoding, or a declaration could hide in another
        if "<!" in text.replace("<!--", "").replace("<![CDATA[", ""):
            raise DataError("it has a document type declaration, which no annotation needs")
        return ElementTree.fromstring(text)  # nosec B314
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"it is no XML in UTF-8 ({error})") from error


def _number(text: str | None, what: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise DataError(f"{what} is {(text or '').strip()[:40]!r}, not a number") from None


def read_coco(root: Path) -> Annotations:
    """The annotations of all COCO files below a folder, of which there must be one; other JSON is passed over."""
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
        if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in PARTS):
            continue
        used += 1
        _add(found, path, content, finder, seen)
    if not used:
        raise DataError(f"no JSON file below {root} has the lists {', '.join(PARTS)}; correct data.root or data.format")
    annotated = {box.name for picture in found.pictures for box in picture.boxes}
    # Exports of annotation services also list the name of the whole set as a category.
    found.classes = tuple(name for name in found.classes if name in annotated)
    return found


def _add(found: Annotations, path: Path, content: dict[str, Any], finder: PictureFinder, seen: set[Path]) -> None:
    def problem(reason: str, of: Path | None = None) -> None:
        found.problems.append(Problem(of or path, reason))

    names: dict[Any, str] = {}
    for entry in content["categories"]:
        if isinstance(entry, dict) and "id" in entry and entry.get("name"):
            names[entry["id"]] = str(entry["name"])
        else:
            problem(f"unusable category: {str(entry)[:80]}")
    found.classes = tuple(dict.fromkeys((*found.classes, *names.values())))
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


def read_yolo(root: Path) -> Annotations:
    """The annotations below a folder; a picture without a text file is one without boxes. Errors of `class_names`."""
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
            lines = read_annotation(path, MAX_BYTES).decode("utf-8-sig").splitlines()
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
    """The names of the classes by number, from `names` of data.yaml (or another YAML file), or from a list of names."""
    for path in sorted((*root.glob("*.yaml"), *root.glob("*.yml")), key=lambda path: (path.stem != "data", path.name)):
        try:
            content: Any = yaml.safe_load(read_annotation(path, MAX_BYTES))
        except (DataError, yaml.YAMLError, ValueError, RecursionError):
            continue
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict) and all(isinstance(number, int) and number >= 0 for number in names):
            names = [names.get(number, f"class {number}") for number in range(max(names, default=-1) + 1)]
        if isinstance(names, list) and names:
            return tuple(str(name) for name in names)
    for name in NAME_LISTS:
        if (path := root / name).is_file():
            lines = read_annotation(path, MAX_BYTES).decode("utf-8-sig", errors="replace").splitlines()
            return tuple(line.strip() for line in lines if line.strip())
    raise DataError(
        f"the names of the classes are not known: {root} has no data.yaml with names, and none of "
        f"{', '.join(NAME_LISTS)}; write a data.yaml with `names: [...]`"
    )
