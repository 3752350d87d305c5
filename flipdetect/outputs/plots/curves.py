"""Charts of scores: precision and recall, ROC, threshold, probabilities, calibration, confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

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
"""Inches of a chart."""
BOX = (0.11, 0.12, 0.8, 0.79)
BINS = 25
SOFT = "#8A8A8A"
DASHED = (0, (5, 4))
ISO_F1 = (0.2, 0.4, 0.6, 0.8, 0.9)
_NOTE: dict[str, Any] = {
    "fontsize": 9.5, "linespacing": 1.45, "color": INK,
    "bbox": {"facecolor": "white", "edgecolor": POSITIVE_COLOUR, "boxstyle": "round,pad=0.5"}, "zorder": 6,
}  # fmt: skip


def plot_confusion(matrix: ArrayLike, classes: ClassNames | None = None) -> Figure:
    """The four counts, shaded by their share of the true class.

    Args:
        matrix: (2, 2) counts: rows are the true class, columns the predicted one, negative first.
    """
    return plot_matrices([matrix], [""], classes)


def plot_matrices(matrices: Sequence[ArrayLike], titles: Sequence[str], classes: ClassNames | None = None) -> Figure:
    """Confusion matrices side by side."""
    width, height = 4.2, 3.9
    total = height + (0.4 if any(titles) else 0.0)
    figure = new_figure(width * len(matrices), total)
    names = (classes or ClassNames()).names
    for number, (matrix, title) in enumerate(zip(matrices, titles, strict=True)):
        counts = np.asarray(matrix, dtype=np.int64)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        box = (number + 0.24) / len(matrices), 0.05 * height / total, 0.72 / len(matrices), 0.74 * height / total
        axes = figure.add_axes(box)
        axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        for row in range(2):
            for column in range(2):
                colour = "white" if shares[row, column] > 0.55 else INK
                place: dict[str, Any] = {"ha": "center", "va": "center", "color": colour}
                axes.text(column, row - 0.07, f"{counts[row, column]:,}", fontsize=20, **place)
                axes.text(column, row + 0.2, f"{shares[row, column]:.1%}", fontsize=10, **place)
        axes.set_xticks([0, 1], names)
        axes.set_yticks([0, 1], names, rotation=90, va="center")
        axes.tick_params(length=0, labelsize=11, top=False, labeltop=True, bottom=False, labelbottom=False)
        axes.set_xlabel("predicted", labelpad=8, fontsize=11)
        axes.xaxis.set_label_position("top")
        axes.set_ylabel("true", fontsize=11)
        axes.set_title(title, fontsize=12, color=INK, pad=12)
        axes.spines[:].set_visible(False)
        axes.axhline(0.5, color="white", linewidth=3)
        axes.axvline(0.5, color="white", linewidth=3)
    return figure


def plot_pr_curve(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> Figure:
    """Precision against recall over all thresholds, lines of equal F1, and the point of the threshold in use.

    Probabilities (N,) are those of the positive class.
    """
    figure, axes = _chart()
    for f1 in ISO_F1:
        recall = np.linspace(f1 / (2 - f1), 1.0, 60)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(f"F1 {f1:.1f}", (1.0, f1 / (2 - f1)), xytext=(12, 0), textcoords="offset points", fontsize=8,
                      color=SOFT, va="center", annotation_clip=False)  # fmt: skip
    hits, called, positives = _cuts(probabilities, targets)[:3]
    if positives:
        recall, precision = hits / positives, hits / called
        average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
        axes.step(np.append(0.0, recall), np.append(precision[0], precision), where="pre", color=SERIES_COLOURS[0])
        tp, fp, fn = _decided(probabilities, targets, threshold)[:3]
        point = tp / max(tp + fn, 1), tp / max(tp + fp, 1)
        axes.plot(*point, "o", color=POSITIVE_COLOUR, markersize=8, markeredgecolor="white", zorder=5)
        f1 = 2 * tp / max(2 * tp + fn + fp, 1)
        text = f"threshold {threshold:.3f}\nprecision {point[1]:.3f}\nrecall {point[0]:.3f}\nF1 {f1:.3f}"
        axes.text(0.03, 0.04, text, transform=axes.transAxes, **_NOTE)
        axes.set_title(f"average precision {average:.3f}", fontsize=11, color=INK)
    else:
        axes.set_title("no positive frames: there is no curve", fontsize=11, color=INK)
    axes.set(xlim=(0.0, 1.02), ylim=(0.0, 1.04), xlabel="recall", ylabel="precision")
    return figure


def plot_roc_curve(probabilities: ArrayLike, targets: ArrayLike, threshold: float, auroc: float) -> Figure:
    """True positive rate against false positive rate over all thresholds, and the point of the threshold in use.

    Probabilities (N,) are those of the positive class.
    """
    figure, axes = _chart()
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.text(0.62, 0.58, "chance", fontsize=8.5, color=SOFT, rotation=37, rotation_mode="anchor")
    hits, called, positives, negatives = _cuts(probabilities, targets)
    if positives and negatives:
        alarms = np.append(0.0, (called - hits) / negatives)
        axes.plot(alarms, np.append(0.0, hits / positives), color=SERIES_COLOURS[0], linewidth=1.7)
        tp, fp = _decided(probabilities, targets, threshold)[:2]
        point = fp / negatives, tp / positives
        axes.plot(*point, "o", color=POSITIVE_COLOUR, markersize=8, markeredgecolor="white", zorder=5)
        text = f"threshold {threshold:.3f}\nrecall {point[1]:.3f}\nfalse positives {point[0]:.3f}"
        axes.text(0.97, 0.04, text, transform=axes.transAxes, ha="right", **_NOTE)
        axes.set_title(f"AUROC {auroc:.3f}", fontsize=11, color=INK)
    else:
        axes.set_title("frames of one class: there is no curve", fontsize=11, color=INK)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03), xlabel="false positive rate", ylabel="true positive rate (recall)")
    return figure


def plot_score_histogram(
    probabilities: ArrayLike, targets: ArrayLike, threshold: float, classes: ClassNames | None = None
) -> Figure:
    """Histograms of the probabilities of each class, upwards for the positive and downwards for the negative one.

    Args:
        probabilities: (N,) of the positive class, 0 to 1.
    """
    scores, truths = np.asarray(probabilities, np.float64), np.asarray(targets)
    names = classes or ClassNames()
    edges = np.linspace(0.0, 1.0, BINS + 1)
    figure, axes = _chart()
    highest = 1
    for target, sign, colour in ((1, 1, POSITIVE_COLOUR), (0, -1, NEGATIVE_COLOUR)):
        counts = np.histogram(scores[truths == target], edges)[0]
        highest = max(highest, int(counts.max()))
        axes.bar(edges[:-1], sign * counts, width=1 / BINS * 0.92, align="edge", color=colour, zorder=2)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=DASHED, zorder=3)
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
    axes.set_title(f"dashed: threshold {threshold:.3f}", fontsize=11, color=INK)
    return figure


def plot_threshold_curve(thresholds: ArrayLike, metrics: Mapping[str, ArrayLike], threshold: float) -> Figure:
    """F1, precision and recall over thresholds.

    Args:
        thresholds: (K,) ascending.
        metrics: by name, (K,) each; NaN where one is not defined. The first is drawn strongest.
    """
    figure, axes = _chart()
    x = np.asarray(thresholds, np.float64)
    for place, (name, values) in enumerate(metrics.items()):
        axes.plot(x, np.asarray(values, np.float64), color=SERIES_COLOURS[place], linewidth=1.2 if place else 2.2,
                  label=name, zorder=3 - bool(place))  # fmt: skip
    axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=DASHED, label=f"threshold {threshold:.3f}")
    axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="threshold")
    figure.legend(
        *axes.get_legend_handles_labels(), loc="upper center", ncols=4, fontsize=8.5, frameon=False,
        bbox_to_anchor=(0.51, 1.005), columnspacing=1.4,
    )  # fmt: skip
    axes.set_position((BOX[0], BOX[1], BOX[2], 0.74))
    return figure


def plot_reliability(
    low: ArrayLike, high: ArrayLike, confidence: ArrayLike, frequency: ArrayLike, count: ArrayLike
) -> Figure:
    """For each bin of probabilities of positive frames; calibrated probabilities lie on the dashed line.

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


def _chart() -> tuple[Figure, Axes]:
    figure = new_figure(*SIZE)
    axes = figure.add_axes(BOX)
    clean(axes)
    return figure, axes


def _cuts(probabilities: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64], int, int]:
    """Hits and predicted positives (K,) at every distinct probability from the highest down; positives, negatives."""
    scores, truths = np.asarray(probabilities, np.float64), np.asarray(targets, np.float64)
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if scores.size else np.empty(0, np.int64)
    positives = int(truths.sum())
    return np.cumsum(truths[order])[ends], ends + 1, positives, len(truths) - positives


def _decided(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> tuple[int, int, int]:
    """True positives, false positives, false negatives."""
    called, truths = np.asarray(probabilities, np.float64) >= threshold, np.asarray(targets).astype(np.bool_)
    return int((called & truths).sum()), int((called & ~truths).sum()), int((~called & truths).sum())
