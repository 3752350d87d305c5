"""What a detector found, as files: a table, JSON, COCO's results, drawn pictures; docs/outputs.md describes them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from flipdetect.atomic import explaining, write_csv, write_json, writing
from flipdetect.outputs.predictions import formula_safe
from flipdetect.records import DECIMALS, DetectionResult

COLUMNS = ("path", "label", "score", "x0", "y0", "x1", "y1", "error")
SCHEMA, VERSION = "flipdetect.boxes", 1
QUALITY = 90
"""Of JPEG and WebP pictures."""
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Of the classes, in order: Okabe and Ito's palette, as in the plots, but without matplotlib."""
LINE = 1 / 240
"""Width of a line, as a share of the picture's longer side."""
LETTER = 1 / 32
"""Height of the letters, likewise."""
GAP = 4


def print_box_table(pictures: Sequence[DetectionResult], stream: TextIO) -> None:
    """A CSV row per box, in pixels of the upright picture; one with `error` for a file that could not be read."""
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


def write_boxes(
    pictures: Sequence[DetectionResult], classes: Sequence[str], model: str, threshold: float, output: Path
) -> list[Path]:
    """Write the table and, next to it, `NAME.json` and `NAME.coco.json`, COCO's results; returns the paths.

    In both, images and categories are numbered from 1; the first has all pictures, those without a box included.

    Raises:
        DataError: if a file cannot be written.
    """
    own, coco = output.with_suffix(".json"), output.with_suffix(".coco.json")
    images: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    category = {name: number for number, name in enumerate(classes, 1)}
    for number, picture in enumerate(pictures, 1):
        edges = [[box.x0, box.y0, box.x1, box.y1] for box in picture.boxes]
        images.append({
            "id": number, "file_name": picture.path, "width": picture.width or None, "height": picture.height or None,
            "error": picture.error or None,
            "boxes": [
                {"label": box.label, "score": box.score, "box": place}
                for box, place in zip(picture.boxes, edges, strict=True)
            ],
        })  # fmt: skip
        for box, (x0, y0, x1, y1) in zip(picture.boxes, edges, strict=True):
            size = [round(x1 - x0, 2), round(y1 - y0, 2)]
            result = {"image_id": number, "category_id": category[box.label], "bbox": [x0, y0, *size]}
            results.append({**result, "score": box.score})
    categories = [{"id": number, "name": name} for name, number in category.items()]
    head = {"schema": SCHEMA, "version": VERSION, "model": model, "threshold": threshold}
    with explaining(output):
        write_csv(output, COLUMNS, box_rows(pictures))
    with explaining(own):
        write_json(own, {**head, "categories": categories, "images": images})
    with explaining(coco):
        write_json(coco, results)
    return [output, own, coco]


def save_picture(image: NDArray[np.uint8], path: Path) -> None:
    """Write a picture (H, W, 3) uint8 RGB in the format that the file's suffix names.

    Raises:
        DataError: if it cannot be written.
    """
    kind = Image.registered_extensions()[path.suffix.lower()]
    with writing(path) as part:
        Image.fromarray(image).save(part, format=kind, quality=QUALITY)


def draw_boxes(
    picture: NDArray[np.uint8],
    boxes: ArrayLike,
    labels: Sequence[int],
    names: Sequence[str],
    scores: Sequence[float] | None = None,
) -> NDArray[np.uint8]:
    """A copy of a picture with boxes, each in the colour of its class, with its name and score.

    Args:
        picture: (H, W, 3) uint8 RGB.
        boxes: (N, 4), (x0, y0, x1, y1) in pixels of the picture; the first is drawn on top.
        labels: (N,) positions in `names`.
        scores: (N,) 0 to 1; None for true boxes.
    """
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    longer = max(image.size)
    width = max(1, round(longer * LINE))
    font = ImageFont.load_default(size=max(8.0, longer * LETTER))
    numbered = list(enumerate(zip(np.asarray(boxes).reshape(-1, 4).tolist(), labels, strict=True)))
    for number, (corners, label) in reversed(numbered):
        colour = COLOURS[int(label) % len(COLOURS)]
        x0, y0, x1, y1 = corners
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=width)
        text = names[int(label)] if scores is None else f"{names[int(label)]} {float(scores[number]):.2f}"
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        high, wide = bottom - top + 2 * width, right - left + 2 * width
        # Above the box where there is room, else inside; within the picture.
        x, y = max(0, min(x0, image.width - wide)), y0 - high if y0 >= high else y0
        draw.rectangle((x, y, x + wide, y + high), fill=colour)
        draw.text((x + width - left, y + width - top), text, font=font, fill="white")
    return np.asarray(image)


def side_by_side(true: NDArray[np.uint8], found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two pictures (H, W, 3) uint8 of one size next to each other."""
    gap = np.full((true.shape[0], GAP, 3), 255, np.uint8)
    return np.hstack([true, gap, found])
