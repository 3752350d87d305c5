"""Charts of how well probabilities tell two classes apart: ROC, scores per class, threshold, reliability."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from flipdetect.outputs.plots.canvas import (
    FAINT,
    INK,
    NEGATIVE_COLOUR,
    POSITIVE_COLOUR,
    SERIES_COLOURS,
    clean,
    new_figure,
)
from flipdetect.records import ClassNames

SIZE = (5.6, 4.6)
"""Inches of each chart, as those of `curves`."""
BOX = (0.11, 0.12, 0.8, 0.79)
BINS = 25
SOFT = "#8A8A8A"
_BOXED: dict[str, Any] = {"facecolor": "white", "edgecolor": POSITIVE_COLOUR, "boxstyle": "round,pad=0.5"}


def plot_roc_curve(probabilities: ArrayLike, targets: ArrayLike, threshold: float, auroc: float) -> Figure:
    """Share of positives found against share of false alarms, over all thresholds, and the point of the one in use.

    Args:
        probabilities: (N,) of the positive class.
        targets: (N,) 0 or 1.
        threshold: the decision threshold, marked on the curve.
        auroc: the area, for the title.
    """
    scores, truths = np.asarray(probabilities, np.float64), np.asarray(targets, np.float64)
    figure = new_figure(*SIZE)
    axes = figure.add_axes(BOX)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.text(0.62, 0.58, "chance", fontsize=8.5, color=SOFT, rotation=37, rotation_mode="anchor")
    if 0 < truths.sum() < len(truths):
        order = np.argsort(-scores, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
        found = np.cumsum(truths[order])[ends] / truths.sum()
        alarms = np.cumsum(1 - truths[order])[ends] / (1 - truths).sum()
        axes.plot(np.append(0.0, alarms), np.append(0.0, found), color=SERIES_COLOURS[0], linewidth=1.7)
        called = scores >= threshold
        point = (float(called[truths == 0].mean()), float(called[truths == 1].mean()))
        axes.plot(*point, "o", color=POSITIVE_COLOUR, markersize=8, markeredgecolor="white", zorder=5)
        text = f"threshold {threshold:.3f}\nfound {point[1]:.3f}\nfalse alarms {point[0]:.3f}"
        axes.text(0.97, 0.04, text, transform=axes.transAxes, fontsize=9.5, linespacing=1.45, color=INK, ha="right",
                  bbox=_BOXED)  # fmt: skip
        axes.set_title(f"AUROC {auroc:.3f}", fontsize=11, color=INK)
    else:
        axes.set_title("frames of one class: there is no curve", fontsize=11, color=INK)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03), xlabel="share of false alarms", ylabel="share found (recall)")
    clean(axes)
    return figure


def plot_score_histogram(
    probabilities: ArrayLike, targets: ArrayLike, threshold: float, classes: ClassNames | None = None
) -> Figure:
    """How probabilities are spread in each class, upwards for the positive and downwards for the negative one.

    Args:
        probabilities: (N,) of the positive class, 0 to 1.
        targets: (N,) 0 or 1.
        threshold: the decision threshold, drawn as a line.
        classes: names of the two classes.
    """
    scores, truths = np.asarray(probabilities, np.float64), np.asarray(targets)
    names = classes or ClassNames()
    edges = np.linspace(0.0, 1.0, BINS + 1)
    figure = new_figure(*SIZE)
    axes = figure.add_axes(BOX)
    highest = 1
    for target, sign, colour in ((1, 1, POSITIVE_COLOUR), (0, -1, NEGATIVE_COLOUR)):
        counts = np.histogram(scores[truths == target], edges)[0]
        highest = max(highest, int(counts.max()))
        axes.bar(edges[:-1], sign * counts, width=1 / BINS * 0.92, align="edge", color=colour, zorder=2)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (5, 4)), zorder=3)
    axes.set(xlim=(0, 1), ylim=(-1.15 * highest, 1.15 * highest), xlabel="probability", ylabel="frames")
    # Each where a model that works leaves room: flips have few low probabilities, the others few high ones.
    for x, y, side, name, colour in (
        (0.02, 0.96, "left", names.positive, POSITIVE_COLOUR),
        (0.98, 0.04, "right", names.negative, NEGATIVE_COLOUR),
    ):
        axes.text(x, y, f"true {name}", transform=axes.transAxes, ha=side, va="center", fontsize=10,
                  color=colour, weight="bold")  # fmt: skip
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    clean(axes)
    axes.set_title(f"dashed: threshold {threshold:.3f}", fontsize=11, color=INK)
    return figure


def plot_threshold_curve(
    thresholds: ArrayLike, figures: dict[str, ArrayLike], threshold: float, best: float | None = None
) -> Figure:
    """F1, precision and recall over thresholds.

    Args:
        thresholds: (K,) ascending.
        figures: by name, (K,) each; NaN where a figure is not defined. The first is drawn strongest.
        threshold: the one in use, drawn as a line.
        best: that which suits these frames best, if it is to be marked.
    """
    figure = new_figure(*SIZE)
    axes = figure.add_axes(BOX)
    x = np.asarray(thresholds, np.float64)
    for place, (name, values) in enumerate(figures.items()):
        axes.plot(x, np.asarray(values, np.float64), color=SERIES_COLOURS[place], linewidth=1.2 if place else 2.2,
                  label=name, zorder=3 - bool(place))  # fmt: skip
    axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (5, 4)), label=f"threshold {threshold:.3f}")
    if best is not None:
        axes.axvline(best, color=SOFT, linewidth=1.2, linestyle=(0, (1, 2)), label=f"best on these frames {best:.3f}")
    axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="threshold")
    clean(axes)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="upper center", ncols=3, fontsize=8.5, frameon=False,
        bbox_to_anchor=(0.51, 1.005), columnspacing=1.4,
    )  # fmt: skip
    axes.set_position((BOX[0], BOX[1], BOX[2], 0.74))
    return figure


def plot_reliability(
    low: ArrayLike, high: ArrayLike, confidence: ArrayLike, frequency: ArrayLike, count: ArrayLike
) -> Figure:
    """Of frames given about some probability, the share that is positive; on the dashed line it is as promised.

    Args:
        low, high: (K,) bounds of the bins, 0 to 1.
        confidence: (K,) mean probability of the frames in each.
        frequency: (K,) share of positives among them.
        count: (K,) frames, at least one in each; drawn as bars below.
    """
    start, end, x, y, n = (np.asarray(each, np.float64) for each in (low, high, confidence, frequency, count))
    error = float((np.abs(x - y) * n).sum() / n.sum())
    figure = new_figure(*SIZE)
    axes = figure.add_axes((BOX[0], 0.32, BOX[2], 0.59))
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.vlines(x, x, y, color=SERIES_COLOURS[0], linewidth=3, alpha=0.3)
    axes.plot(x, y, "o-", color=SERIES_COLOURS[0], linewidth=1.5, markersize=6, markeredgecolor="white")
    axes.set(xlim=(0, 1), ylim=(-0.03, 1.03), ylabel="share of positives")
    axes.set_title(f"expected calibration error {error:.3f}", fontsize=11, color=INK)
    clean(axes)
    axes.tick_params(labelbottom=False)
    below = figure.add_axes((BOX[0], BOX[1], BOX[2], 0.16))
    below.bar(start, n, width=(end - start) * 0.92, align="edge", color=NEGATIVE_COLOUR)
    below.set(xlim=(0, 1), xlabel="probability", ylabel="frames")
    below.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
    clean(below)
    return figure
