"""Pure functions from arrays to matplotlib figures; none touches pyplot's global state, so threads may draw."""

from flipdetect.outputs.plots.canvas import figure_to_array, save_figure
from flipdetect.outputs.plots.curves import (
    confusion_matrix,
    plot_confusion,
    plot_pr_curve,
    plot_training_curves,
)
from flipdetect.outputs.plots.pairs import PicturePair, plot_pairs
from flipdetect.outputs.plots.robustness import plot_robustness
from flipdetect.outputs.plots.sheets import plot_batch, plot_mistakes
from flipdetect.outputs.plots.spots import Spot, plot_spots
from flipdetect.outputs.plots.strip import plot_flip_strip

__all__ = [
    "PicturePair",
    "Spot",
    "confusion_matrix",
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
