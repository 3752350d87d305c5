"""A model's quality under changed frames, as bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from flipdetect.outputs.plots.canvas import FAINT, INK, SERIES_COLOURS, clean, new_figure, shorten

# Inches.
WIDTH = 9.2
ROW = 0.3
TOP, BOTTOM = 0.86, 0.5
LEFT, RIGHT, GAP = 1.75, 0.2, 0.35
BAR = 0.62
CLEAN_COLOUR = "#7F7F7F"
TITLE_LENGTH = 96
ROOM_FOR_TEXT = 0.32  # of the axis, for a value and its change


def plot_robustness(names: Sequence[str], f1: ArrayLike, auroc: ArrayLike, title: str) -> Figure:
    """Two panels of horizontal bars, F1 and AUROC, a row per condition; a dashed line continues the first, clean one.

    Each bar carries its value and, but for the first, its change against clean frames.

    Args:
        names: of N conditions, clean frames first.
        f1: (N,) F1 at the stored threshold, 0 to 1; NaN leaves a row empty.
        auroc: (N,) 0 to 1.
        title: which model, on which set.

    Raises:
        ValueError: if there is no condition, or not one value of each per condition.
    """
    values = [np.asarray(each, dtype=np.float64) for each in (f1, auroc)]
    if not names or any(each.shape != (len(names),) for each in values):
        raise ValueError(
            f"one F1 and AUROC per condition is needed, got {len(names)} conditions, values of "
            f"shapes {values[0].shape} and {values[1].shape}"
        )
    height = TOP + ROW * len(names) + BOTTOM
    panel = (WIDTH - LEFT - RIGHT - GAP) / 2
    figure = new_figure(WIDTH, height)
    figure.text(
        0.12 / WIDTH, 1 - 0.3 / height, shorten(title, TITLE_LENGTH), fontsize=12, color=INK, ha="left", va="center",
        parse_math=False,
    )  # fmt: skip
    for place, (series, heading) in enumerate(
        zip(values, ("F1 at the stored threshold", "AUROC (chance: 0.5)"), strict=True)
    ):
        left = LEFT + place * (panel + GAP)
        axes = figure.add_axes((left / WIDTH, BOTTOM / height, panel / WIDTH, ROW * len(names) / height))
        _draw(axes, series, SERIES_COLOURS[place])
        axes.set_title(heading, fontsize=10, color=INK, loc="left", pad=5)
        axes.set_yticks(range(len(names)), names if place == 0 else [""] * len(names), fontsize=9)
    return figure


def _draw(axes: Axes, values: NDArray[np.float64], colour: str) -> None:
    rows = range(len(values))
    axes.barh(rows, np.nan_to_num(values), height=BAR, color=[CLEAN_COLOUR, *[colour] * (len(values) - 1)], zorder=2)
    if np.isfinite(values[0]):
        axes.axvline(values[0], color=INK, linewidth=0.9, linestyle=(0, (5, 4)), zorder=3)
    for row, value in zip(rows, values, strict=True):
        text = "not defined" if np.isnan(value) else f"{value:.3f}"
        if row and np.isfinite(value - values[0]):
            text += f"  {value - values[0]:+.3f}"
        # What does not fit into a short bar stands behind it.
        fits = value >= ROOM_FOR_TEXT
        start = 0.0 if fits or np.isnan(value) else value
        colour_of_text = "white" if fits else INK
        axes.text(start + 0.015, row, text, fontsize=8.5, color=colour_of_text, va="center_baseline", zorder=4)
    axes.set(xlim=(0.0, 1.0), ylim=(len(values) - 0.5, -0.5))
    clean(axes)
    axes.grid(visible=False, axis="y")
    axes.tick_params(length=0, axis="y")
    axes.spines["left"].set_color(FAINT)
