"""Decisions on frames and on clips as a picture, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from flipdetect.evaluation.sequences import ClipRow
from flipdetect.outputs.plots import figure_to_array, plot_confusion, save_figure
from flipdetect.outputs.plots.canvas import DPI, INK, new_figure
from flipdetect.records import ClassNames

TITLE_HEIGHT = 0.4
"""Inches above each matrix."""


def plot_frames_and_clips(row: ClipRow, classes: ClassNames) -> Figure:
    """The confusion matrices of frames (left) and of clips (right).

    Args:
        row: of one method on one set.
        classes: names of the two classes.
    """
    pictures = [figure_to_array(plot_confusion(each.matrix(), classes)) for each in (row.frames, row.clips)]
    height, width = pictures[0].shape[0] / DPI, pictures[0].shape[1] / DPI
    figure = new_figure(2 * width, height + TITLE_HEIGHT)
    titles = (f"frames, F1 {row.frames.f1:.3f}", f"clips by {row.method}, F1 {row.clips.f1:.3f}")
    for place, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        axes = figure.add_axes((place / 2, 0, 0.5, height / (height + TITLE_HEIGHT)))
        axes.imshow(picture, aspect="auto", interpolation="none")
        axes.set_axis_off()
        axes.set_title(title, fontsize=12, color=INK, pad=6)
    return figure


def save_matrices(rows: Sequence[ClipRow], classes: ClassNames, path: Path) -> None:
    """Write one PNG per row; several get a number behind the name, in the rows' order.

    Raises:
        OSError: if a file cannot be written.
    """
    for number, row in enumerate(rows, start=1):
        own = path if len(rows) == 1 else path.with_stem(f"{path.stem}-{number}")
        save_figure(plot_frames_and_clips(row, classes), own)
