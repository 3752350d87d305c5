"""A grid of labelled frames, framed by whether a model told them right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from flipdetect.outputs.plots.canvas import INK, new_figure, shorten

# Bluish green and vermilion of Okabe and Ito's palette; a sign beside them tells, too.
RIGHT, WRONG = "#007A5A", "#C8321F"

# Inches.
TILE_AREA = 2.9
GAP, MARGIN = 0.2, 0.2
LINE = 0.17
TITLE = 0.42
FONT = 8.0
CHARACTER = 0.062
FULL_ROWS = (5, 6, 7)
"""Frames in a row: of these numbers the one that leaves the fewest places empty."""


@dataclass(frozen=True)
class Spot:
    """A frame, its label, and what a model says of it.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        name: of its file, folders before it.
        truth, predicted: names of classes.
        probability: of the positive class, 0 to 1.
    """

    picture: NDArray[np.uint8]
    name: str
    truth: str
    predicted: str
    probability: float | None


def plot_spots(spots: Sequence[Spot], title: str) -> Figure:
    """Frames in rows, green-framed where truth and prediction agree, red where they do not.

    Args:
        spots: in the order in which they are shown.
        title: over all of them.
    """
    if not spots:
        figure = new_figure(4.0, 1.0)
        figure.text(0.5, 0.5, "no frames", ha="center", va="center", color=INK)
        return figure
    aspect = float(np.median([spot.picture.shape[0] / spot.picture.shape[1] for spot in spots]))
    tile = math.sqrt(TILE_AREA / aspect), math.sqrt(TILE_AREA * aspect)
    columns = (
        min(FULL_ROWS, key=lambda each: (-len(spots) % each, -each)) if len(spots) > min(FULL_ROWS) else len(spots)
    )
    rows = math.ceil(len(spots) / columns)
    cell = tile[1] + 4 * LINE + 0.1
    width = max(columns * (tile[0] + GAP) - GAP + 2 * MARGIN, 5.5)
    height = rows * (cell + GAP) - GAP + 2 * MARGIN + TITLE
    figure = new_figure(width, height)
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, width), ylim=(0, height))
    page.set_axis_off()
    page.text(
        MARGIN, height - MARGIN, shorten(title, int(width / 0.088)), fontsize=11.5, color=INK, va="top",
        parse_math=False,
    )  # fmt: skip
    for position, spot in enumerate(spots):
        row, column = divmod(position, columns)
        bottom = height - MARGIN - TITLE - (row + 1) * cell - row * GAP
        _draw(page, spot, MARGIN + column * (tile[0] + GAP), bottom, tile)
    return figure


def _draw(page: Axes, spot: Spot, left: float, bottom: float, tile: tuple[float, float]) -> None:
    width, height = tile
    right = spot.truth == spot.predicted
    colour = RIGHT if right else WRONG
    page.imshow(
        spot.picture, extent=(left, left + width, bottom, bottom + height), aspect="auto", interpolation="antialiased"
    )
    page.add_patch(Rectangle((left, bottom), width, height, facecolor="none", edgecolor=colour, linewidth=3.2))
    probability = "" if spot.probability is None else f" {spot.probability:.2f}"
    folder, _, file = spot.name.rpartition("/")
    lines = (
        (f"{'✓' if right else '✗'} {spot.truth}", colour, "bold"),
        (f"says {spot.predicted}{probability}", colour, "normal"),
        (f"{folder}/" if folder else "", INK, "normal"),
        (file, INK, "normal"),
    )
    for place, (text, ink, weight) in enumerate(reversed(lines)):
        page.text(
            left, bottom + height + 0.06 + LINE * place, shorten(text, int(width / CHARACTER)), fontsize=FONT,
            color=ink, weight=weight, va="bottom", parse_math=False,
        )  # fmt: skip
