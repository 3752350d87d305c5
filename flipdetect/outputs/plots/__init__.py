"""Pure functions from arrays to matplotlib figures; none uses pyplot's global state, so threads may draw."""

from flipdetect.outputs.plots.canvas import figure_to_array, save_figure
from flipdetect.outputs.plots.comparison import plot_robustness
from flipdetect.outputs.plots.curves import plot_confusion, plot_pr_curve
from flipdetect.outputs.plots.sheets import PicturePair, Spot, plot_batch, plot_mistakes, plot_pairs, plot_spots
from flipdetect.outputs.plots.strip import plot_flip_strip
from flipdetect.outputs.plots.training import plot_training_curves

__all__ = [
    "PicturePair",
    "Spot",
    "figure_to_array",
    "plot_batch",
    "plot_confusion",
    "plot_flip_strip",
    "plot_mistakes",
    "plot_pairs",
    "plot_pr_curve",
    "plot_robustness",
    "plot_spots",
    "plot_training_curves",
    "save_figure",
]
