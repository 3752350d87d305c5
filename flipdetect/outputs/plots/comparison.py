"""Models side by side: how good against how fast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from flipdetect.outputs.plots.canvas import INK, SERIES_COLOURS, clean, new_figure, shorten

WIDTH, HEIGHT = 8.4, 3.9
STEPS = (1, 2, 5)


@dataclass(frozen=True)
class ComparedModel:
    """A model of a comparison.

    Attributes:
        name: of the model.
        f1, low, high: with its interval; NaN for bounds that are unknown.
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
    """F1 with its interval over the time for a frame; a dot's area grows with the number of parameters.

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
    axes.set_ylabel("F1, 95 % interval over videos", fontsize=10)
    clean(axes)
    return figure
