"""A page turn as a strip of frames with the predicted probability under each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from flipdetect.outputs.plots.canvas import FAINT, INK, NEGATIVE_COLOUR, POSITIVE_COLOUR, new_figure
from flipdetect.records import ClassNames

# Inches.
FRAME_WIDTH = 1.05
GAP = 0.09
MARGIN = 0.14
LEFT = 0.62
TRUTH_BAND = 0.2
BARS = 0.95
# Shares of the frame's width, and of the bars' scale.
BAR_SHARE = 0.62
TICK_CLEARANCE = 0.16


def plot_flip_strip(
    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    probabilities: ArrayLike,
    threshold: float,
    truths: ArrayLike | None = None,
    classes: ClassNames | None = None,
) -> Figure:
    """Frames from left to right in time; under each a bar and a number, coloured where positive is predicted.

    Args:
        images: N frames (H, W, 3) uint8 RGB of one shape, or one array (N, H, W, 3).
        probabilities: (N,) of the positive class, 0 to 1.
        threshold: a dashed line; a frame is predicted positive from there up.
        truths: (N,) 0 or 1, drawn as a band between frames and bars; None leaves the band out.
        classes: names of the two classes.

    Raises:
        ValueError: if there is no image, or not one probability (and truth) per image.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    targets = None if truths is None else np.asarray(truths, dtype=np.int64)
    if not len(images) or len(images) != len(scores) or (targets is not None and len(targets) != len(scores)):
        raise ValueError(
            f"a probability per image is needed, got {len(images)} images, {len(scores)} probabilities"
            + ("" if targets is None else f" and {len(targets)} truths")
        )
    names = (classes or ClassNames()).names
    frame_height = FRAME_WIDTH * images[0].shape[0] / images[0].shape[1]
    band = 0.0 if targets is None else TRUTH_BAND
    width = LEFT + len(scores) * (FRAME_WIDTH + GAP) - GAP + MARGIN
    height = MARGIN + BARS + 0.1 + band + frame_height + MARGIN
    figure = new_figure(width, height)

    def place(left: float, bottom: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / width, bottom / height, wide / width, high / height))

    for position, (image, score) in enumerate(zip(images, scores, strict=True)):
        left = LEFT + position * (FRAME_WIDTH + GAP)
        axes = place(left, height - MARGIN - frame_height, FRAME_WIDTH, frame_height)
        _draw_frame(axes, image, positive=bool(score >= threshold))
        if targets is not None:
            band_axes = place(left, MARGIN + BARS + 0.1, FRAME_WIDTH, band)
            _draw_truth(band_axes, names[targets[position]], positive=bool(targets[position]))
    if targets is not None:
        figure.text(
            (LEFT - 0.08) / width, (MARGIN + BARS + 0.1 + band / 2) / height, "truth",
            fontsize=8, color=INK, ha="right", va="center_baseline",
        )  # fmt: skip
    bars = place(LEFT, MARGIN, width - LEFT - MARGIN, BARS)
    _draw_bars(bars, scores, threshold, f"p({names[1]})")
    return figure


def _draw_frame(axes: Axes, image: NDArray[np.uint8], *, positive: bool) -> None:
    axes.imshow(image, interpolation="antialiased", aspect="auto")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=POSITIVE_COLOUR if positive else FAINT, linewidth=2.5 if positive else 0.8)


def _draw_truth(axes: Axes, name: str, *, positive: bool) -> None:
    axes.set_axis_off()
    colour = POSITIVE_COLOUR if positive else NEGATIVE_COLOUR
    axes.add_patch(Rectangle((0, 0.12), 1, 0.7, transform=axes.transAxes, color=colour, alpha=0.18, linewidth=0))
    axes.text(0.5, 0.47, name, transform=axes.transAxes, fontsize=8, color=INK, ha="center", va="center_baseline")


def _draw_bars(axes: Axes, scores: NDArray[np.float64], threshold: float, label: str) -> None:
    pitch = FRAME_WIDTH + GAP
    centres = np.arange(len(scores)) * pitch + FRAME_WIDTH / 2
    colours = [POSITIVE_COLOUR if score >= threshold else NEGATIVE_COLOUR for score in scores]
    axes.bar(centres, scores, width=BAR_SHARE * FRAME_WIDTH, color=colours, zorder=3)
    for centre, score, colour in zip(centres, scores, colours, strict=True):
        axes.text(
            centre, score + 0.035, f"{score:.2f}", ha="center", va="bottom", fontsize=9.5, color=colour,
            weight="bold", zorder=5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    axes.axhline(threshold, color=INK, linewidth=0.9, linestyle=(0, (5, 4)), zorder=4)
    axes.set(xlim=(0, len(scores) * pitch - GAP), ylim=(0, 1.28), xticks=[])
    ends = [end for end in (0, 1) if abs(end - threshold) > TICK_CLEARANCE]
    axes.set_yticks([threshold, *ends], [f"{threshold:.2f}", *map(str, ends)], fontsize=8.5)
    axes.set_ylabel(label, fontsize=9, color=INK, y=0.4)
    axes.tick_params(length=0, colors=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
