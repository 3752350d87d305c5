"""The boxes of rendered frames, from labels.csv: of the book, the page that is being turned, and hands.

Where no page is being turned, the table has the box of the page that would be turned next. Whether that is the left or
the right one cannot be seen: it is no object to be found.
"""

from __future__ import annotations

import csv
from pathlib import Path

from flipdetect.data.boxes.annotations import Annotation, Annotations, NamedBox
from flipdetect.data.rehearsal import RENDERED_CLASSES
from flipdetect.errors import DataError
from flipdetect.sources.folder import Problem
from flipdetect.sources.labels import MANIFEST_NAME

PAGE = "page"
COLUMNS = {"book_box": "book", "page_box": PAGE, "hand_boxes": "hand"}
"""Class by column; a box is "x0 y0 x1 y1", several are separated by ";"."""


def read_rendered(root: Path) -> Annotations:
    """The boxes of a rendered data set.

    Raises:
        DataError: if it has no table with boxes.
    """
    table = root / MANIFEST_NAME
    found = Annotations(classes=tuple(COLUMNS.values()))
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"path", *COLUMNS} <= set(reader.fieldnames or ()):
                raise DataError(f"{table} has no columns path, {', '.join(COLUMNS)}; correct data.root or data.format")
            for row in reader:
                try:
                    found.pictures.append(_read(row, root))
                except (ValueError, TypeError, AttributeError) as error:
                    found.problems.append(Problem(table, f"unusable row: line {reader.line_num} ({error})"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read ({error}); correct data.root or data.format") from error
    return found


def _read(row: dict[str, str], root: Path) -> Annotation:
    annotation = Annotation(root / row["path"], video=row.get("video") or None, source=row.get("source") or None)
    if number := row.get("frame"):
        annotation.frame = int(number)
    for column, name in COLUMNS.items():
        if name == PAGE and row.get("label") != RENDERED_CLASSES.positive:
            continue
        for text in filter(None, row[column].split(";")):
            x0, y0, x1, y1 = (float(edge) for edge in text.split())
            annotation.boxes.append(NamedBox(name, (x0, y0, x1, y1)))
    return annotation
