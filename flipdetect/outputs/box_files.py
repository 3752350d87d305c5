"""What a detector found, as files: a table, JSON, COCO's results, drawn pictures; docs/outputs.md describes them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.atomic import explaining, write_csv, write_json, writing
from flipdetect.outputs.predictions import formula_safe
from flipdetect.records import DECIMALS, DetectionResult

COLUMNS = ("path", "label", "score", "x0", "y0", "x1", "y1", "error")
SCHEMA, VERSION = "flipdetect.boxes", 1
QUALITY = 90
"""Of JPEG and WebP pictures."""


def write_box_table(pictures: Sequence[DetectionResult], output: Path) -> None:
    """A CSV row per box, in pixels of the upright picture; one with `error` for a file that could not be read.

    Raises:
        DataError: if the file cannot be written.
    """
    with explaining(output):
        write_csv(output, COLUMNS, box_rows(pictures))


def print_box_table(pictures: Sequence[DetectionResult], stream: TextIO) -> None:
    """The same table, to a stream."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(box_rows(pictures))


def box_rows(pictures: Sequence[DetectionResult]) -> list[tuple[object, ...]]:
    """Rows of `COLUMNS`."""
    rows: list[tuple[object, ...]] = []
    for picture in pictures:
        path = formula_safe(picture.path)
        if picture.error:
            rows.append((path, "", "", "", "", "", "", formula_safe(picture.error)))
        for box in picture.boxes:
            edges = (f"{edge:.2f}" for edge in (box.x0, box.y0, box.x1, box.y1))
            rows.append((path, formula_safe(box.label), f"{box.score:.{DECIMALS}f}", *edges, ""))
    return rows


def write_box_json(
    pictures: Sequence[DetectionResult], classes: Sequence[str], model: str, threshold: float, output: Path
) -> None:
    """All that was found, pictures without a box included, as JSON of the schema `flipdetect.boxes`.

    Raises:
        DataError: if the file cannot be written.
    """
    whole = {
        "schema": SCHEMA,
        "version": VERSION,
        "model": model,
        "threshold": threshold,
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, 1)],
        "images": [
            {
                "id": number,
                "file_name": picture.path,
                "width": picture.width or None,
                "height": picture.height or None,
                "error": picture.error or None,
                "boxes": [
                    {"label": box.label, "score": box.score, "box": [box.x0, box.y0, box.x1, box.y1]}
                    for box in picture.boxes
                ],
            }
            for number, picture in enumerate(pictures, 1)
        ],
    }
    with explaining(output):
        write_json(output, whole)


def write_coco_results(pictures: Sequence[DetectionResult], classes: Sequence[str], output: Path) -> None:
    """COCO's results: a list of `image_id`, `category_id`, `bbox` (x, y, width, height) and `score`.

    Images and categories are numbered from 1, as in `write_box_json`.

    Raises:
        DataError: if the file cannot be written.
    """
    category = {name: number for number, name in enumerate(classes, 1)}
    results: list[dict[str, Any]] = [
        {
            "image_id": number,
            "category_id": category[box.label],
            "bbox": [box.x0, box.y0, round(box.x1 - box.x0, 2), round(box.y1 - box.y0, 2)],
            "score": box.score,
        }
        for number, picture in enumerate(pictures, 1)
        for box in picture.boxes
    ]
    with explaining(output):
        write_json(output, results)


def save_picture(image: NDArray[np.uint8], path: Path) -> None:
    """Write a picture (H, W, 3) uint8 RGB in the format that the file's suffix names.

    Raises:
        DataError: if it cannot be written.
    """
    kind = Image.registered_extensions()[path.suffix.lower()]
    with writing(path) as part:
        Image.fromarray(image).save(part, format=kind, quality=QUALITY)
