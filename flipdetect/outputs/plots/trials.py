"""The course of a sweep: each trial's value, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flipdetect.outputs.plots.canvas import FAINT, INK, POSITIVE_COLOUR, SERIES_COLOURS, clean, new_figure

COMPLETE, EARLY = "complete", "ended early"


def plot_trials(
    numbers: Sequence[int],
    values: Sequence[float | None],
    states: Sequence[str],
    *,
    metric: str,
    maximize: bool = True,
) -> Figure:
    """Dots for trials that were completed, rings for those ended early, crosses below for those that failed.

    Args:
        numbers: (N,) of the trials, ascending.
        values: (N,) of the metric; None if a trial has none.
        states: (N,) "complete", "ended early", or what else became of it.
        metric: its name.
        maximize: whether more is better.

    Raises:
        ValueError: if there is not one value and one state per trial.
    """
    if not len(numbers) == len(values) == len(states):
        raise ValueError(
            f"one value and state per trial is needed, got {len(numbers)}, {len(values)} and {len(states)}"
        )
    figure = new_figure(8.4, 3.8)
    axes = figure.add_axes((0.09, 0.14, 0.88, 0.76))
    known = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    places = np.array(numbers, dtype=np.int64)
    kinds = np.array(states, dtype=object)
    done = (kinds == COMPLETE) & np.isfinite(known)
    if done.any():
        running = (np.maximum if maximize else np.minimum).accumulate(known[done])
        axes.step(
            [*places[done], places[-1]], [*running, running[-1]], where="post", color=SERIES_COLOURS[0], label="best"
        )
        axes.plot(places[done], known[done], "o", color=SERIES_COLOURS[0], markersize=5.5, label=COMPLETE)
        best = int(np.argmax(known[done]) if maximize else np.argmin(known[done]))
        value = known[done][best]
        axes.plot(places[done][best], value, "*", color=POSITIVE_COLOUR, markersize=15, label=f"best: {value:.4f}")
    early = (kinds == EARLY) & np.isfinite(known)
    if early.any():
        axes.plot(places[early], known[early], "o", color=FAINT, markerfacecolor="white", markersize=5.5, label=EARLY)
    lost = ~(done | early)
    if lost.any():
        low = axes.get_ylim()[0] if (done | early).any() else 0.0
        axes.plot(places[lost], np.full(int(lost.sum()), low), "x", color=INK, markersize=6, label="no result")
    clean(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial", fontsize=9.5)
    axes.set_title(f"{metric}, best epoch of each trial", fontsize=11, color=INK, loc="left")
    if axes.lines:
        axes.legend(fontsize=8.5, frameon=False, loc="best")
    return figure
