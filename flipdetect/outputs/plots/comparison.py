"""Comparisons: models by F1 and latency, a model on clean and on corrupted frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from flipdetect.outputs.plots.canvas import FAINT, INK, SERIES_COLOURS, clean, new_figure, shorten

WIDTH, HEIGHT = 8.4, 3.9
STEPS = (1, 2, 5)

# Inches, of the bars.
BARS_WIDTH = 9.2
ROW = 0.3
TOP, BOTTOM = 0.86, 0.5
LEFT, RIGHT, GAP = 1.75, 0.2, 0.35
BAR = 0.62
CLEAN_COLOUR = "#7F7F7F"
TITLE_LENGTH = 96
ROOM_FOR_TEXT = 0.32  # of the axis, for a value and its change


@dataclass(frozen=True)
class ComparedModel:
    """A model of a comparison.

    Attributes:
        name: of the model.
        f1, low, high: with its 95% CI; NaN for bounds that are unknown.
        parameters: how many.
        latency_ms: of one frame.
    """

    name: str
    f1: float
    low: float
    high: float
    parameters: int
    latency_ms: float


def plot_comparison(models: Sequence[ComparedModel]) -> Figure:
    """F1 with its 95% CI over the time for a frame; a dot's area grows with the number of parameters.

    Args:
        models: at least one.

    Raises:
        ValueError: if there is none.
    """
    if not models:
        raise ValueError("there is no model to compare")
    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.add_axes((0.08, 0.14, 0.89, 0.82))
    largest = max(each.parameters for each in models)
    lows, highs = [], []
    for number, each in enumerate(models):
        colour = SERIES_COLOURS[number % len(SERIES_COLOURS)]
        if math.isfinite(each.low):
            axes.plot([each.latency_ms] * 2, [each.low, each.high], color=colour, linewidth=2.2, solid_capstyle="round")
        lows.append(each.low if math.isfinite(each.low) else each.f1)
        highs.append(each.high if math.isfinite(each.high) else each.f1)
        size = 60 + 500 * math.sqrt(each.parameters / largest)
        axes.scatter([each.latency_ms], [each.f1], s=size, color=colour, edgecolor="white", linewidth=1.2, zorder=4)
        text = f"{shorten(each.name, 28)}\n{each.parameters / 1e6:.2f} M parameters"
        axes.annotate(text, (each.latency_ms, each.f1), xytext=(math.sqrt(size) / 2 + 6, 0), fontsize=9.5, color=INK,
                      textcoords="offset points", va="center", linespacing=1.35, parse_math=False)  # fmt: skip
    fastest, slowest = min(each.latency_ms for each in models), max(each.latency_ms for each in models)
    axes.set_xscale("log")
    axes.set(xlim=(fastest / 1.5, slowest * 2.6), ylim=(max(0.0, min(lows) - 0.05), min(1.02, max(highs) + 0.05)))
    ticks = [step * 10.0**power for power in range(-2, 5) for step in STEPS]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("milliseconds for a frame", fontsize=10)
    axes.set_ylabel("F1, 95% CI over videos", fontsize=10)
    clean(axes)
    return figure


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
    panel = (BARS_WIDTH - LEFT - RIGHT - GAP) / 2
    figure = new_figure(BARS_WIDTH, height)
    text = shorten(title, TITLE_LENGTH)
    figure.text(0.12 / BARS_WIDTH, 1 - 0.3 / height, text, fontsize=12, color=INK, va="center", parse_math=False)
    for place, (series, heading) in enumerate(
        zip(values, ("F1 at the stored threshold", "AUROC (chance: 0.5)"), strict=True)
    ):
        left = LEFT + place * (panel + GAP)
        axes = figure.add_axes((left / BARS_WIDTH, BOTTOM / height, panel / BARS_WIDTH, ROW * len(names) / height))
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
