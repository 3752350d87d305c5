"""Charts of a model's quality: precision against recall, confusion, the course of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from flipdetect.outputs.plots.canvas import (
    DPI,
    FAINT,
    INK,
    POSITIVE_COLOUR,
    SERIES_COLOURS,
    clean,
    figure_to_array,
    new_figure,
)
from flipdetect.records import ClassNames

TITLE_HEIGHT = 0.4
"""Inches above each of several matrices."""
ISO_F1 = (0.2, 0.4, 0.6, 0.8, 0.9)
# The value whose best epoch is marked in the training curves.
SELECTED_BY = "val_f1"


def confusion_matrix(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> NDArray[np.int64]:
    """(2, 2) int64 counts: rows are the true class, columns the predicted one, negative first.

    Args:
        probabilities: (N,) of the positive class; positive is predicted from `threshold` up.
        targets: (N,) 0 or 1.
        threshold: the decision threshold.
    """
    predicted = np.asarray(probabilities, dtype=np.float64) >= threshold
    truths = np.asarray(targets).astype(np.int64)
    return np.bincount(2 * truths + predicted, minlength=4).reshape(2, 2)


def plot_confusion(matrix: ArrayLike, classes: ClassNames | None = None) -> Figure:
    """The four counts, shaded by their share of the true class.

    Args:
        matrix: (2, 2) counts as `confusion_matrix` makes them.
        classes: names of the two classes.
    """
    counts = np.asarray(matrix, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(4.2, 3.9)
    axes = figure.add_axes((0.24, 0.05, 0.72, 0.74))
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for row in range(2):
        for column in range(2):
            colour = "white" if shares[row, column] > 0.55 else INK
            place: dict[str, Any] = {"ha": "center", "va": "center", "color": colour}
            axes.text(column, row - 0.07, f"{counts[row, column]:,}", fontsize=20, **place)
            axes.text(column, row + 0.2, f"{shares[row, column]:.1%}", fontsize=10, **place)
    names = (classes or ClassNames()).names
    axes.set_xticks([0, 1], names)
    axes.set_yticks([0, 1], names, rotation=90, va="center")
    axes.tick_params(length=0, labelsize=11, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xlabel("predicted", labelpad=8, fontsize=11)
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("true", fontsize=11)
    axes.spines[:].set_visible(False)
    axes.axhline(0.5, color="white", linewidth=3)
    axes.axvline(0.5, color="white", linewidth=3)
    return figure


def plot_matrices(matrices: Sequence[ArrayLike], titles: Sequence[str], classes: ClassNames | None = None) -> Figure:
    """Confusion matrices side by side.

    Args:
        matrices: (2, 2) counts each, as for `plot_confusion`.
        titles: one above each.
        classes: names of the two classes.
    """
    pictures = [figure_to_array(plot_confusion(each, classes)) for each in matrices]
    height, width = pictures[0].shape[0] / DPI, pictures[0].shape[1] / DPI
    figure = new_figure(len(pictures) * width, height + TITLE_HEIGHT)
    for place, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        axes = figure.add_axes((place / len(pictures), 0, 1 / len(pictures), height / (height + TITLE_HEIGHT)))
        axes.imshow(picture, aspect="auto", interpolation="none")
        axes.set_axis_off()
        axes.set_title(title, fontsize=12, color=INK, pad=6)
    return figure


def plot_pr_curve(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> Figure:
    """Precision against recall over all thresholds, lines of equal F1, and the point of the one in use.

    Args:
        probabilities: (N,) of the positive class.
        targets: (N,) 0 or 1.
        threshold: the decision threshold, marked on the curve.
    """
    recall, precision = _precision_recall(probabilities, targets)
    figure = new_figure(5.6, 4.6)
    axes = figure.add_axes((0.11, 0.12, 0.8, 0.79))
    _iso_f1_lines(axes)
    if recall.size:
        average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
        axes.step(np.append(0.0, recall), np.append(precision[0], precision), where="pre", color=SERIES_COLOURS[0])
        _mark_threshold(axes, confusion_matrix(probabilities, targets, threshold), threshold)
        axes.set_title(f"average precision {average:.3f}", fontsize=11, color=INK)
    else:
        axes.set_title("no positive frames: there is no curve", fontsize=11, color=INK)
    axes.set(xlim=(0.0, 1.02), ylim=(0.0, 1.04), xlabel="recall", ylabel="precision")
    clean(axes)
    return figure


def _precision_recall(probabilities: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and precision, (K,) each, at every distinct probability from the highest down."""
    scores = np.asarray(probabilities, dtype=np.float64)
    truths = np.asarray(targets, dtype=np.float64)
    if not truths.any():
        return np.empty(0), np.empty(0)
    order = np.argsort(-scores, kind="stable")
    cuts = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(truths[order])[cuts]
    return hits / truths.sum(), hits / (cuts + 1)


def _iso_f1_lines(axes: Axes) -> None:
    for f1 in ISO_F1:
        recall = np.linspace(f1 / (2 - f1), 1.0, 60)
        precision = f1 * recall / (2 * recall - f1)
        axes.plot(recall, precision, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            f"F1 {f1:.1f}",
            (1.0, f1 / (2 - f1)),
            xytext=(12, 0),
            textcoords="offset points",
            fontsize=8,
            color="#8A8A8A",
            va="center",
            annotation_clip=False,
        )


def _mark_threshold(axes: Axes, matrix: NDArray[np.int64], threshold: float) -> None:
    (_, false_positives), (misses, hits) = matrix.tolist()
    recall = hits / max(hits + misses, 1)
    precision = hits / max(hits + false_positives, 1)
    f1 = 2 * hits / max(2 * hits + misses + false_positives, 1)
    axes.plot([recall], [precision], "o", color=POSITIVE_COLOUR, markersize=8, markeredgecolor="white", zorder=5)
    axes.text(
        0.03,
        0.04,
        f"threshold {threshold:.3f}\nprecision {precision:.3f}\nrecall {recall:.3f}\nF1 {f1:.3f}",
        transform=axes.transAxes,
        fontsize=9.5,
        linespacing=1.45,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": POSITIVE_COLOUR, "boxstyle": "round,pad=0.5"},
        zorder=6,
    )


def plot_training_curves(rows: Sequence[Mapping[str, str]]) -> Figure:
    """Losses, metrics and learning rates over a training, from the rows of a CSV logger's file.

    Args:
        rows: as `csv.DictReader` gives them: `epoch`, `step`, and columns such as `train_loss`, `val_f1`,
            `lr-AdamW`; an empty cell was not logged in that row. Unknown columns are left out.
    """
    columns = sorted({name for row in rows for name in row if name})
    losses = [name for name in columns if name.endswith("_loss")]
    metrics = [name for name in columns if name.startswith("val_") and name not in losses]
    rates = [name for name in columns if name.startswith("lr")]
    figure = new_figure(12.5, 3.6)
    panels = figure.subplots(1, 3, gridspec_kw={"left": 0.05, "right": 0.985, "bottom": 0.14, "top": 0.9})
    for axes, names, title, x in zip(
        panels, (losses, metrics, rates), ("loss", "validation", "learning rate"), ("epoch", "epoch", "step"),
        strict=True,
    ):  # fmt: skip
        for position, name in enumerate(names):
            _draw_series(axes, rows, name, x, SERIES_COLOURS[position % len(SERIES_COLOURS)])
        clean(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.set_title(title, fontsize=11, color=INK)
        axes.set_xlabel(x, fontsize=9.5)
        if axes.lines:
            axes.legend(fontsize=8.5, frameon=False)
    return figure


def _draw_series(axes: Axes, rows: Sequence[Mapping[str, str]], name: str, x: str, colour: str) -> None:
    points: dict[int, list[float]] = {}
    for row in rows:
        if row.get(name) and row.get(x):
            points.setdefault(int(float(row[x])), []).append(float(row[name]))
    if not points:
        return
    places = sorted(points)
    values = [float(np.mean(points[place])) for place in places]
    # A single epoch has no line to draw, only a point.
    axes.plot(places, values, color=colour, linewidth=1.6, marker="o" if len(places) < 30 else "", ms=3.5, label=name)
    if name == SELECTED_BY and np.isfinite(values).any():
        best = int(np.nanargmax(values))
        axes.plot(places[best], values[best], "*", color=colour, markersize=13, label=f"best: {values[best]:.3f}")
