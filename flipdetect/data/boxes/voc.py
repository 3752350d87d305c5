"""Pascal VOC: an XML file per picture, named like it (Everingham et al., 2010). Corners are taken as written."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree  # no DTD gets to it  # nosec B405
from pathlib import Path, PurePosixPath

from flipdetect.data.boxes.annotations import (
    Annotation,
    Annotations,
    NamedBox,
    PictureFinder,
    annotation_files,
    read_annotation,
)
from flipdetect.errors import DataError
from flipdetect.sources.folder import Problem

MAX_XML_BYTES = 4 * 1024 * 1024
"""Of one picture's XML; one with a hundred boxes has 30 kB."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")
OTHER_PICTURE = "annotation of another picture"


def read_voc(root: Path) -> Annotations:
    """The annotations of all XML files below a folder; pictures without one are left out and listed.

    Raises:
        DataError: if there is no XML file.
    """
    finder = PictureFinder(root)
    found = Annotations(problems=list(finder.problems))
    seen: dict[Path, Path] = {}
    for path in annotation_files(root, ".xml"):
        try:
            annotation = _read(path, finder)
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


def _read(path: Path, finder: PictureFinder) -> Annotation:
    """The annotation of an XML file; raises a `DataError` that says what is wrong with it."""
    tree = parse_xml(read_annotation(path, MAX_XML_BYTES))
    if tree.tag != "annotation":
        raise DataError(f"its outermost element is <{tree.tag[:40]}>, not <annotation>")
    picture = _picture(path, (tree.findtext("filename") or "").strip(), finder)
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


def _picture(path: Path, stated: str, finder: PictureFinder) -> Path:
    """By the name of the XML file; the name inside must not be that of another picture of the set."""
    own = finder.of(path)
    named = finder.named(stated) if stated else None
    if own is not None:
        if named is not None and named != own and PurePosixPath(stated).stem != path.stem:
            raise DataError(f"{OTHER_PICTURE}: <filename> is {stated}")
        return own
    if named is None:
        raise DataError(f"its picture is missing: neither {path.stem}.* nor {stated or 'a <filename>'} is in the set")
    return named


def _number(text: str | None, what: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise DataError(f"{what} is {(text or '').strip()[:40]!r}, not a number") from None
