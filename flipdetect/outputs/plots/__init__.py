"""Pure functions from arrays to matplotlib figures; none uses pyplot's global state, so threads may draw."""

from flipdetect.outputs.plots.canvas import figure_to_array, save_figure
from flipdetect.outputs.plots.curves import plot_confusion, plot_pr_curve, plot_robustness
from flipdetect.outputs.plots.frames import (
    PicturePair,
    Spot,
    heat_over,
    maps_over,
    plot_batch,
    plot_flip_strip,
    plot_mistakes,
    plot_pairs,
    plot_spots,
)

__all__ = [
    "PicturePair",
    "Spot",
    "figure_to_array",
    "heat_over",
    "maps_over",
    "plot_batch",
    "plot_confusion",
    "plot_flip_strip",
    "plot_mistakes",
    "plot_pairs",
    "plot_pr_curve",
    "plot_robustness",
    "plot_spots",
    "save_figure",
]
