"""Boxes drawn into pictures: found ones with their scores, and true ones beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Of the classes, in order: Okabe and Ito's palette, as in the plots, but without matplotlib."""
LINE = 1 / 240
"""Width of a line, as a share of the picture's longer side."""
LETTER = 1 / 32
"""Height of the letters, likewise."""
GAP = 4


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
        names: of the classes.
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
