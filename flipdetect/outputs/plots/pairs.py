"""Pairs of frames that have too much in common, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from flipdetect.outputs.plots.canvas import FAINT, INK, new_figure, shorten

# Inches.
TILE_AREA = 3.2
INNER, GAP = 0.05, 0.3
LINE = 0.165
MARGIN = 0.2
FONT = 8.0
CHARACTER = 0.06
MAX_COLUMNS = 4


@dataclass(frozen=True)
class PicturePair:
    """Two frames to be shown beside each other.

    Attributes:
        pictures: (H, W, 3) uint8 RGB each.
        captions: lines over either frame, the same number for all pairs.
        title: what they have in common.
        colour: of the title and the frame around them.
    """

    pictures: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    captions: tuple[Sequence[str], Sequence[str]]
    title: str
    colour: str = INK


def plot_pairs(pairs: Sequence[PicturePair], title: str) -> Figure:
    """A sheet of pairs, row by row in their order; too long captions lose their middle.

    Args:
        pairs: what to show; none leaves a sheet that says so.
        title: over all of them.
    """
    if not pairs:
        figure = new_figure(5.0, 1.0)
        figure.text(0.5, 0.5, f"{title}: nothing to show", ha="center", va="center", color=INK, parse_math=False)
        return figure
    aspect = float(np.median([picture.shape[0] / picture.shape[1] for pair in pairs for picture in pair.pictures]))
    tile = math.sqrt(TILE_AREA / aspect), math.sqrt(TILE_AREA * aspect)
    lines = max(len(caption) for pair in pairs for caption in pair.captions)
    columns = min(MAX_COLUMNS, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    cell = 2 * tile[0] + INNER, tile[1] + LINE * (lines + 1) + 0.12
    width = max(columns * (cell[0] + GAP) - GAP + 2 * MARGIN, 4.5)
    height = rows * (cell[1] + GAP) - GAP + 2 * MARGIN + 0.35
    figure = new_figure(width, height)
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, width), ylim=(0, height))
    page.set_axis_off()
    page.text(MARGIN, height - MARGIN, title, fontsize=11.5, color=INK, va="top", parse_math=False)
    for position, pair in enumerate(pairs):
        row, column = divmod(position, columns)
        left = MARGIN + column * (cell[0] + GAP)
        bottom = height - MARGIN - 0.35 - (row + 1) * cell[1] - row * GAP
        _draw(page, pair, left, bottom, tile, lines)
    return figure


def _draw(page: Axes, pair: PicturePair, left: float, bottom: float, tile: tuple[float, float], lines: int) -> None:
    width, height = tile
    fits = int(width / CHARACTER)
    page.text(
        left, bottom + height + LINE * lines + 0.1, shorten(pair.title, 2 * fits), fontsize=FONT + 0.5,
        color=pair.colour, weight="bold", va="bottom", parse_math=False,
    )  # fmt: skip
    for number, (picture, caption) in enumerate(zip(pair.pictures, pair.captions, strict=True)):
        start = left + number * (width + INNER)
        page.imshow(
            picture, extent=(start, start + width, bottom, bottom + height), aspect="auto", interpolation="antialiased"
        )
        page.add_patch(Rectangle((start, bottom), width, height, facecolor="none", edgecolor=FAINT, linewidth=0.8))
        for place, line in enumerate(reversed(list(caption))):
            page.text(
                start, bottom + height + 0.05 + LINE * place, shorten(line, fits), fontsize=FONT, color=INK,
                va="bottom", parse_math=False,
            )  # fmt: skip
    page.add_patch(
        Rectangle(
            (left - 0.03, bottom - 0.03), 2 * width + INNER + 0.06, height + 0.06, facecolor="none",
            edgecolor=pair.colour, linewidth=1.6,
        )
    )  # fmt: skip
