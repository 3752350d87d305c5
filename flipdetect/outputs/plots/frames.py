"""Pictures made of frames: contact sheets, and what a model looks at laid over a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from flipdetect.outputs.plots.canvas import FAINT, INK, NEGATIVE_COLOUR, POSITIVE_COLOUR, new_figure, shorten
from flipdetect.records import ClassNames

Picture = NDArray[np.uint8]
Line = tuple[str, str]
"""Text and colour of a line of a caption."""

# Inches of a contact sheet.
TILE_AREA = 3.0
LINE_HEIGHT = 0.165
CHARACTER = 0.064
GAP, INNER, MARGIN, TITLE = 0.2, 0.05, 0.15, 0.4
WIDEST = 18.0
FONT = 7.5

OPACITY = 0.7
HEAT_FLOOR = 0.15
"""Heat below this share of the strongest is not shown: it would only veil the frame."""


@dataclass(frozen=True)
class Tile:
    """Pictures (H, W, 3) uint8 RGB side by side, the lines above each of them, a line above all, and a border's colour.

    All tiles of a sheet have equally many lines.
    """

    pictures: Sequence[Picture]
    captions: Sequence[Sequence[Line]]
    title: Line | None = None
    border: str | None = None


def plot_batch(images: Sequence[Picture] | Picture, titles: Sequence[str]) -> Figure:
    """A contact sheet of frames (H, W, 3) uint8 RGB, or (N, H, W, 3), each with a title above it."""
    tiles = [Tile([image], [[(title, INK)]]) for image, title in zip(images, titles, strict=True)]
    return plot_tiles(tiles, empty="no frames")


def plot_mistakes(
    images: Sequence[Picture] | Picture,
    names: Sequence[str],
    truths: ArrayLike,
    probabilities: ArrayLike,
    classes: ClassNames | None = None,
) -> Figure:
    """A contact sheet of wrongly classified frames (H, W, 3) uint8 RGB, or (N, H, W, 3), the surest errors first."""
    targets, scores = np.asarray(truths, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
    labels = (classes or ClassNames()).names
    has_folders = any("/" in name for name in names)
    tiles = []
    for image, name, target, score in zip(images, names, targets.tolist(), scores.tolist(), strict=True):
        colour = POSITIVE_COLOUR if target else NEGATIVE_COLOUR
        folder, _, file = name.rpartition("/")
        lines = [folder] * has_folders + [file, f"{labels[target]}, p = {score:.2f}"]
        tiles.append(Tile([image], [[(line, colour) for line in lines]]))
    order = np.argsort(-np.abs(scores - targets), kind="stable")
    return plot_tiles([tiles[place] for place in order], empty="no mistakes")


def plot_tiles(tiles: Sequence[Tile], title: str = "", *, empty: str) -> Figure:
    """Tiles row by row, all of one size; too long lines lose their middle."""
    if not tiles:
        figure = new_figure(5.0, 1.0)
        figure.text(0.5, 0.5, empty, ha="center", va="center", color=INK, parse_math=False)
        return figure
    aspect = float(np.median([each.shape[0] / each.shape[1] for tile in tiles for each in tile.pictures]))
    width, height = math.sqrt(TILE_AREA / aspect), math.sqrt(TILE_AREA * aspect)
    pictures = max(len(tile.pictures) for tile in tiles)
    lines = max(len(caption) for tile in tiles for caption in tile.captions) + (tiles[0].title is not None)
    cell = pictures * (width + INNER) - INNER, height + LINE_HEIGHT * lines + 0.08
    most = max(1, min(len(tiles), int((WIDEST - 2 * MARGIN + GAP) / (cell[0] + GAP))))
    rows = math.ceil(len(tiles) / most)
    columns = math.ceil(len(tiles) / rows)
    total = (
        max(columns * (cell[0] + GAP) - GAP + 2 * MARGIN, 5.0 if title else 0.0),
        rows * (cell[1] + GAP) - GAP + 2 * MARGIN + (TITLE if title else 0.0),
    )
    figure = new_figure(*total)
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, total[0]), ylim=(0, total[1]))
    page.set_axis_off()
    if title:
        text = shorten(title, int(total[0] / 0.088))
        page.text(MARGIN, total[1] - MARGIN, text, fontsize=11.5, color=INK, va="top", parse_math=False)
    for position, tile in enumerate(tiles):
        row, column = divmod(position, columns)
        left = MARGIN + column * (cell[0] + GAP)
        bottom = total[1] - MARGIN - (TITLE if title else 0.0) - (row + 1) * cell[1] - row * GAP
        for number, (picture, caption) in enumerate(zip(tile.pictures, tile.captions, strict=True)):
            start = left + number * (width + INNER)
            own = picture.shape[0] / picture.shape[1]
            wide, high = min(width, height / own), min(height, width * own)  # a picture of another shape keeps it
            across, up = start + (width - wide) / 2, bottom + (height - high) / 2
            extent = (across, across + wide, up, up + high)
            page.imshow(picture, extent=extent, aspect="auto", interpolation="antialiased")
            edge, line = (tile.border or FAINT), (2.4 if tile.border else 0.8)
            page.add_patch(Rectangle((start, bottom), width, height, facecolor="none", edgecolor=edge, linewidth=line))
            for place, (words, colour) in enumerate(reversed(list(caption))):
                _write(page, words, colour, start, bottom + height + LINE_HEIGHT * place, width)
        if tile.title is not None:
            above = bottom + height + LINE_HEIGHT * len(tile.captions[0])
            _write(page, *tile.title, left, above, len(tile.pictures) * width)
    return figure


def _write(page: Axes, text: str, colour: str, x: float, y: float, room: float) -> None:
    text = shorten(text, int(room / CHARACTER))
    page.text(x, y + 0.05, text, fontsize=FONT, color=colour, va="bottom", parse_math=False)


def maps_over(frame: Picture, maps: NDArray[np.float32]) -> Picture:
    """Lay maps (3, Hm, Wm) float32, 0 to 1, over a frame (H, W, 3) or (H, W, 1) uint8 as red, green and blue."""
    height, width = frame.shape[:2]
    cell = -(-height // maps.shape[1])
    size = (cell * maps.shape[2], cell * maps.shape[1])
    cover = cv2.resize(maps.transpose(1, 2, 0), size, interpolation=cv2.INTER_NEAREST)
    # A backbone that rounds sizes down has no position for the last few pixels.
    cover = cv2.copyMakeBorder(cover, 0, max(0, height - size[1]), 0, max(0, width - size[0]), cv2.BORDER_REPLICATE)
    cover = OPACITY * cover[:height, :width]
    mixed = frame * (1 - cover.max(axis=2, keepdims=True)) + 255 * cover
    return np.asarray(np.rint(mixed), np.uint8)


def heat_over(frame: Picture, heat: NDArray[np.float32]) -> Picture:
    """Lay a map (H, W) float32, 0 to 1, over a frame (H, W, 3) uint8; where there is little heat it shows through."""
    strength = np.clip((heat - HEAT_FLOOR) / (1 - HEAT_FLOOR), 0, 1)[..., np.newaxis]
    colours = cv2.applyColorMap(np.rint(heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = OPACITY * np.sqrt(strength)
    return np.asarray(np.rint(frame * (1 - share) + colours * share), np.uint8)
