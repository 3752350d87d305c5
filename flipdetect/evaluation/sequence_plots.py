"""Decisions on frames and on clips as a picture, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from flipdetect.evaluation.sequences import ClipRow
from flipdetect.outputs.plots import save_figure
from flipdetect.outputs.plots.curves import plot_matrices
from flipdetect.records import ClassNames


def plot_frames_and_clips(row: ClipRow, classes: ClassNames) -> Figure:
    """The confusion matrices of frames (left) and of clips (right).

    Args:
        row: of one method on one set.
        classes: names of the two classes.
    """
    titles = (f"frames, F1 {row.frames.f1:.3f}", f"clips by {row.method}, F1 {row.clips.f1:.3f}")
    return plot_matrices([row.frames.matrix(), row.clips.matrix()], titles, classes)


def save_matrices(rows: Sequence[ClipRow], classes: ClassNames, path: Path) -> None:
    """Write one PNG per row; several get a number behind the name, in the rows' order.

    Raises:
        OSError: if a file cannot be written.
    """
    for number, row in enumerate(rows, start=1):
        own = path if len(rows) == 1 else path.with_stem(f"{path.stem}-{number}")
        save_figure(plot_frames_and_clips(row, classes), own)
