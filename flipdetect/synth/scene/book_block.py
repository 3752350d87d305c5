"""The book below its open pages: cover, and the edges of all the other pages seen from the side."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from flipdetect.synth.animation.sheet import Floats, Sheet
from flipdetect.synth.camera.pinhole import Camera
from flipdetect.synth.render.light import linear
from flipdetect.synth.render.rasterizer import SUBPIXEL_BITS, Picture, fixed_point
from flipdetect.synth.scene.scene import Book

EDGE_LAYERS, END_LAYERS = 5, 3
"""Bands of lighter and darker paper along the fore-edge, and on the top and bottom of the block."""

EDGE_TONE, END_TONE = 0.72, 0.66
"""Light on paper seen from its edge, against paper seen flat."""

CREST_STEP = 4
"""Every how many rulings the top and bottom walls get a corner: their rim bends gently."""


@dataclass(frozen=True)
class Block:
    """Flat patches to be drawn in order: corners (N, 4, 3) in the world and linear colours (N, 3)."""

    corners: Floats
    colours: Picture


def build_block(book: Book, pages: tuple[Sheet, Sheet], paper: tuple[float, float, float]) -> Block:
    """The block below the left and right `pages`, of paper with a display colour."""
    corners: list[Floats] = []
    tones: list[float] = []
    half, colour = book.height / 2, linear(paper)
    for page, side in zip(pages, (-1, 1), strict=True):
        rim = np.array([page.edge_point(-half * 0.9999), page.edge_point(half * 0.9999)])
        _add_wall(corners, tones, rim, rim * [1, 1, 0] + [side * book.slant, 0, 0], EDGE_LAYERS, EDGE_TONE)
        points = page.points().reshape(-1, 3)
        for end in (half, -half):
            crest = points[np.abs(points[:, 1] - end) < 0.06]
            crest = crest[np.argsort(np.abs(crest[:, 0]))]
            crest = np.concatenate([crest[:-1:CREST_STEP], crest[-1:]])
            for first, second in pairwise(crest):
                rim = np.array([first, second])
                _add_wall(corners, tones, rim, rim * [1, 1, 0], END_LAYERS, END_TONE)
    colours = np.array(tones)[:, None] * colour
    if book.overhang:
        reach, far = 1 + book.overhang, half + book.overhang
        cover = np.array([[-reach, -far, 0], [reach, -far, 0], [reach, far, 0], [-reach, far, 0]])
        corners.insert(0, cover)
        colours = np.concatenate([[book.cover], colours])
    return Block(np.array(corners), np.asarray(colours, np.float32))


def draw_block(canvas: Picture, view: Camera, block: Block) -> None:
    """Draw the block into a canvas (H, W, 3), in place."""
    outlines = fixed_point(view.project(block.corners))
    for outline, colour in zip(outlines, block.colours.tolist(), strict=True):
        cv2.fillConvexPoly(canvas, outline, colour, cv2.LINE_8, SUBPIXEL_BITS)


def _add_wall(
    corners: list[Floats], tones: list[float], rim: Floats, foot: Floats, layers: int, brightness: float
) -> None:
    """Bands from a rim (2, 3) down to a foot (2, 3), darker towards the desk."""
    for layer in range(layers):
        high, low = layer / layers, (layer + 1) / layers
        corners.append(np.concatenate([rim + (foot - rim) * high, (rim + (foot - rim) * low)[::-1]]))
        tones.append(brightness * (1.08 if layer % 2 else 0.86) * (1 - 0.3 * high))
