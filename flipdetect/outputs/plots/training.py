"""Charts of a training run: losses, metrics, learning rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flipdetect.outputs.plots.canvas import INK, SERIES_COLOURS, clean, new_figure

SELECTED_BY = "val_f1"
"""The metric whose best epoch is marked."""


def plot_training_curves(rows: Sequence[Mapping[str, str]]) -> Figure:
    """Losses, validation metrics and learning rates, from the rows of a CSV logger's file.

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
            points: dict[int, list[float]] = {}
            for row in rows:
                if row.get(name) and row.get(x):
                    points.setdefault(int(float(row[x])), []).append(float(row[name]))
            places = sorted(points)
            values = [float(np.mean(points[place])) for place in places]
            colour = SERIES_COLOURS[position % len(SERIES_COLOURS)]
            # A single epoch has no line to draw, only a point.
            marker = "o" if len(places) < 30 else ""
            axes.plot(places, values, color=colour, linewidth=1.6, marker=marker, ms=3.5, label=name)
            if name == SELECTED_BY and np.isfinite(values).any():
                best = int(np.nanargmax(values))
                label = f"best: {values[best]:.3f}"
                axes.plot(places[best], values[best], "*", color=colour, markersize=13, label=label)
        clean(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.set_title(title, fontsize=11, color=INK)
        axes.set_xlabel(x, fontsize=9.5)
        if axes.lines:
            axes.legend(fontsize=8.5, frameon=False)
    return figure
