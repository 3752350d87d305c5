"""What all plots share: colours, clean axes, figures as arrays, names that fit and can be drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from flipdetect.atomic import replacing

# Okabe and Ito's palette (2008): distinguishable for colour-blind readers, too.
POSITIVE_COLOUR = "#D55E00"
NEGATIVE_COLOUR = "#5B8DB8"
SERIES_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
INK = "#222222"
FAINT = "#B8B8B8"
DPI = 100
ELLIPSIS = "…"


def figure_to_array(figure: Figure) -> NDArray[np.uint8]:
    """Render a figure to (H, W, 3) uint8 RGB."""
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no type hints
    canvas.draw()
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    with replacing(path) as part:
        Image.fromarray(figure_to_array(figure)).save(part, format="png", optimize=True)


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of that many inches, attached to no window."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white")


def clean(axes: Axes, *, grid: bool = True) -> None:
    """Leave only the lines that a reader needs."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9, color=FAINT)
    if grid:
        axes.grid(color="#EBEBEB", linewidth=0.8)
        axes.set_axisbelow(True)


def shorten(name: str, length: int) -> str:
    """A name that can be drawn in at most `length` characters.

    Runs of characters that the plot's font lacks become one ellipsis. What is too long loses its middle, more
    of the front than of the end: the end of a frame's name has its number.
    """
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    drawn = ""
    for char in name:
        known = char.isprintable() and font.get_char_index(ord(char)) != 0
        if known or not drawn.endswith(ELLIPSIS):
            drawn += char if known else ELLIPSIS
    if len(drawn) <= length:
        return drawn
    back = (length - 1) * 2 // 3
    return drawn[: length - 1 - back] + ELLIPSIS + drawn[len(drawn) - back :]
