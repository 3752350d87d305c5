"""Many small charts of one kind on one sheet: a video's probabilities, a change of frames at growing strength."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from flipdetect.outputs.plots.canvas import (
    INK,
    NEGATIVE_COLOUR,
    POSITIVE_COLOUR,
    SERIES_COLOURS,
    clean,
    new_figure,
    shorten,
)
from flipdetect.records import ClassNames

WIDTH = 11.4
"""Inches of a sheet."""
LEFT, RIGHT, GAP, TITLE, FOOT = 0.5, 0.12, 0.36, 0.34, 0.42
DASHED = (0, (5, 4))


@dataclass(frozen=True)
class VideoLine:
    """The scored frames of one video, in order.

    Attributes:
        name: of the video.
        frames: (N,) frame numbers.
        probabilities: (N,) 0 to 1.
        targets: (N,) 0 or 1.
    """

    name: str
    frames: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    targets: NDArray[np.int64]


@dataclass(frozen=True)
class StrengthCurve:
    """A figure under one kind of change, at several strengths.

    Attributes:
        title: the kind of change.
        axis: what the strengths are.
        strengths: (K,) ascending; that of clean frames is among them.
        clean: it.
        series: by name of the figure, (K,) value, low and high; NaN for bounds that are unknown.
    """

    title: str
    axis: str
    strengths: NDArray[np.float64]
    clean: float
    series: dict[str, NDArray[np.float64]]


def plot_videos(lines: Sequence[VideoLine], threshold: float, classes: ClassNames | None = None) -> Figure:
    """A small chart per video: probability over frame number, frames of the positive class filled.

    Args:
        lines: of at least one video.
        threshold: the decision threshold, a dashed line.
        classes: names of the two classes.
    """
    names = classes or ClassNames()
    figure, panels = _sheet(len(lines), columns=4, height=1.25, foot=0.72)
    for axes, line in zip(panels, lines, strict=True):
        axes.axhline(threshold, color=INK, linewidth=0.9, linestyle=DASHED)
        axes.plot(line.frames, line.probabilities, color=NEGATIVE_COLOUR, linewidth=1.0, zorder=2)
        for target, colour in ((0, NEGATIVE_COLOUR), (1, POSITIVE_COLOUR)):
            chosen = line.targets == target
            axes.plot(line.frames[chosen], line.probabilities[chosen], "o", color=colour, markersize=4,
                      markeredgecolor="white", markeredgewidth=0.5, zorder=3)  # fmt: skip
        right = int(((line.probabilities >= threshold) == (line.targets == 1)).sum())
        axes.set_title(f"{shorten(line.name, 24)}: {right} of {len(line.frames)} right", fontsize=8.5, color=INK,
                       loc="left", pad=4, parse_math=False)  # fmt: skip
        axes.set(ylim=(-0.05, 1.05), yticks=(0, 0.5, 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        clean(axes)
        axes.tick_params(labelsize=7.5)
    # The key stands below all charts, in the colours of the dots.
    foot = 0.18 / figure.get_figheight()
    figure.text(0.30, foot, f"● true {names.positive}", color=POSITIVE_COLOUR, fontsize=9, ha="center")
    figure.text(0.45, foot, f"● true {names.negative}", color=NEGATIVE_COLOUR, fontsize=9, ha="center")
    figure.text(0.66, foot, f"dashed: threshold {threshold:.3f}; across: frame number", color=INK, fontsize=9,
                ha="center")  # fmt: skip
    return figure


def plot_strengths(curves: Sequence[StrengthCurve]) -> Figure:
    """A chart per kind of change: each figure over the strength, with its interval; clean frames are marked.

    Args:
        curves: at least one.
    """
    figure, panels = _sheet(len(curves), columns=4, height=1.75, foot=0.95)
    for axes, curve in zip(panels, curves, strict=True):
        # Strengths stand at even steps: those of blur, noise and quality grow by factors.
        places = np.arange(len(curve.strengths))
        home = int(np.argmin(np.abs(curve.strengths - curve.clean)))
        for number, (name, values) in enumerate(curve.series.items()):
            colour = SERIES_COLOURS[number]
            value, low, high = values.T
            known = np.isfinite(low) & np.isfinite(high)
            axes.fill_between(places, low, high, where=known, color=colour, alpha=0.14, linewidth=0)
            axes.axhline(value[home], color=colour, linewidth=0.8, linestyle=DASHED)
            axes.plot(places, value, "o-", color=colour, linewidth=1.5, markersize=3.5, label=name)
            axes.plot(places[home], value[home], "D", color=colour, markersize=6, markeredgecolor="white", zorder=5)
        axes.set_title(curve.title, fontsize=10, color=INK, loc="left", pad=4)
        axes.set_xlabel(curve.axis, fontsize=8.5, labelpad=2)
        axes.set_xticks(places, [f"{strength:g}" for strength in curve.strengths])
        axes.set(ylim=(0, 1.03), yticks=(0, 0.25, 0.5, 0.75, 1))
        clean(axes)
        axes.tick_params(labelsize=7.5)
    if curves:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncols=4, fontsize=9, frameon=False)
    return figure


def plot_ranked(shares: NDArray[np.float64], counts: NDArray[np.int64], what: str) -> Figure:
    """Groups in the order of their share of right frames, the worst first: how uneven a model is.

    Args:
        shares: (N,) 0 to 1.
        counts: (N,) frames of each group.
        what: a group is, in the plural.
    """
    order = np.lexsort((-counts, shares))
    figure = new_figure(WIDTH, 2.5)
    axes = figure.add_axes((LEFT / WIDTH, 0.2, 1 - (LEFT + RIGHT) / WIDTH, 0.66))
    places = np.arange(1, len(shares) + 1)
    axes.fill_between(places, shares[order], step="mid", color=SERIES_COLOURS[0], alpha=0.18, linewidth=0)
    axes.step(places, shares[order], where="mid", color=SERIES_COLOURS[0], linewidth=1.5)
    axes.set(xlim=(0.5, len(shares) + 0.5), ylim=(0, 1.03))
    axes.set_xlabel(f"{what}, the worst first", fontsize=9.5)
    axes.set_title(f"share of frames told right in each of {len(shares):,} {what}", fontsize=10, color=INK, loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    clean(axes)
    return figure


def _sheet(count: int, columns: int, height: float, foot: float) -> tuple[Figure, list[Axes]]:
    """A figure with that many axes, `height` inches each."""
    columns = min(columns, max(count, 1))
    rows = math.ceil(max(count, 1) / columns)
    width = (WIDTH - LEFT - RIGHT - (columns - 1) * GAP) / columns
    step = height + TITLE + FOOT
    total = rows * step + foot - FOOT
    figure = new_figure(WIDTH, total)
    panels = []
    for position in range(count):
        row, column = divmod(position, columns)
        left = LEFT + column * (width + GAP)
        bottom = total - row * step - TITLE - height
        panels.append(figure.add_axes((left / WIDTH, bottom / total, width / WIDTH, height / total)))
    return figure, panels
