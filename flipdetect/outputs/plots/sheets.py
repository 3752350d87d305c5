"""Contact sheets: a batch as the model sees it, and the frames that it gets most wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from flipdetect.outputs.plots.canvas import INK, NEGATIVE_COLOUR, POSITIVE_COLOUR, new_figure, shorten
from flipdetect.records import ClassNames

TILE_AREA = 3.0  # square inches per frame, whatever its shape
LINE_HEIGHT = 0.16  # inches, at the font size below
FONT_SIZE = 7.5
CHARACTER_WIDTH = 0.064  # inches, a little above the average of the font at that size
GAP = 0.12
MAX_COLUMNS = 8


def plot_batch(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], titles: Sequence[str]) -> Figure:
    """A contact sheet with a title over each frame.

    Args:
        images: N frames (H, W, 3) uint8 RGB, or one array (N, H, W, 3).
        titles: N short texts; too long ones are cut in the middle.

    Raises:
        ValueError: if there is not one title per image.
    """
    return _sheet(images, [(title,) for title in titles], [INK] * len(titles))


def plot_mistakes(
    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    names: Sequence[str],
    truths: ArrayLike,
    probabilities: ArrayLike,
    classes: ClassNames | None = None,
) -> Figure:
    """A contact sheet of wrongly predicted frames, the most confidently wrong first.

    Args:
        images: N frames (H, W, 3) uint8 RGB, or one array (N, H, W, 3).
        names: N file names.
        truths: (N,) 0 or 1.
        probabilities: (N,) of the positive class.
        classes: names of the two classes.

    Raises:
        ValueError: if the four do not have one length.
    """
    targets = np.asarray(truths, dtype=np.int64)
    scores = np.asarray(probabilities, dtype=np.float64)
    if not len(images) == len(names) == len(targets) == len(scores):
        raise ValueError(
            f"one name, truth and probability per image is needed, got {len(images)} images, "
            f"{len(names)} names, {len(targets)} truths and {len(scores)} probabilities"
        )
    labels = (classes or ClassNames()).names
    order = np.argsort(-np.abs(scores - targets), kind="stable")
    folders = any("/" in name for name in names)
    captions = [_caption(names[i], f"{labels[targets[i]]}, p = {scores[i]:.2f}", folders) for i in order]
    colours = [POSITIVE_COLOUR if targets[i] else NEGATIVE_COLOUR for i in order]
    return _sheet([images[i] for i in order], captions, colours, empty="no mistakes")


def _caption(name: str, verdict: str, folders: bool) -> tuple[str, ...]:
    """Folder, file name and verdict, a line each: in one line, the shortening would eat the video's number."""
    folder, _, file = name.rpartition("/")
    return (folder, file, verdict) if folders else (file, verdict)


def _sheet(
    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    captions: Sequence[tuple[str, ...]],
    colours: Sequence[str],
    empty: str = "no frames",
) -> Figure:
    if len(images) != len(captions):
        raise ValueError(f"one title per image is needed, got {len(images)} images and {len(captions)} titles")
    if not len(images):
        figure = new_figure(4.0, 1.0)
        figure.text(0.5, 0.5, empty, ha="center", va="center", color=INK)
        return figure
    columns = min(MAX_COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    aspect = float(np.median([image.shape[0] / image.shape[1] for image in images]))
    tile_width = math.sqrt(TILE_AREA / aspect)
    tile_height = tile_width * aspect
    caption_height = LINE_HEIGHT * len(captions[0]) + 0.06
    width = columns * (tile_width + GAP) + GAP
    height = rows * (tile_height + caption_height + GAP) + GAP
    figure = new_figure(width, height)
    for position, (image, caption, colour) in enumerate(zip(images, captions, colours, strict=True)):
        row, column = divmod(position, columns)
        left = GAP + column * (tile_width + GAP)
        bottom = height - (row + 1) * (tile_height + caption_height + GAP)
        box = (left / width, bottom / height, tile_width / width, tile_height / height)
        axes = figure.add_axes(box)
        _tile(axes, image, caption, colour, characters=int(tile_width / CHARACTER_WIDTH))
    return figure


def _tile(axes: Axes, image: NDArray[np.uint8], caption: tuple[str, ...], colour: str, characters: int) -> None:
    axes.imshow(image, interpolation="antialiased")
    axes.set_axis_off()
    # A dollar sign in a file name is no formula.
    text = "\n".join(shorten(line, characters) for line in caption)
    axes.set_title(text, fontsize=FONT_SIZE, color=colour, pad=3, linespacing=1.15, parse_math=False)
