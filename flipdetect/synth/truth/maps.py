"""Maps of what a frame shows where: sheet in the air, its free edge, hands. Dense truth teaches more than a label."""

from __future__ import annotations

import cv2
import numpy as np

from flipdetect.errors import DataError
from flipdetect.synth.clip import Clip, sheet_at, sheet_displacements, shows_motion
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.render.rasterizer import SUBPIXEL_BITS, fixed_point, strips
from flipdetect.synth.scene.scene import Source, sample_source
from flipdetect.synth.sheet import Floats
from flipdetect.synth.truth.silhouette import Mask, draw_outlines

SHRINK = 4
"""A map has a quarter of the frame's height and width: finer than any network predicts it."""

LIFTED = 0.05
"""Paper higher than this above where pages lie, in page widths, counts as in the air."""

EDGE_POINTS = 11
EDGE_WIDTH = 7
"""Of the line drawn along the free edge, in pixels of a 384 px frame."""


def draw_map(config: SynthConfig, clip: Clip, time: float) -> Mask:
    """The map of a clip's frame at `time` seconds.

    Returns:
        (h, w, 3) uint8, 255 where a pixel is covered as a whole: by a sheet in the air, by the line along its free
        edge, by hands. What a hand hides does not count as sheet or edge. A frame labelled "notflip" has no sheet in
        the air, even if a page stands off a little.
    """
    source, size = sample_source(config, clip.source), config.frame_size(clip.source)
    hands = draw_outlines(config, clip, time).covered
    sheet, edge = np.zeros_like(hands), np.zeros_like(hands)
    height, width = hands.shape
    view = clip.capture.view(time, size).carried(*clip.pushed(time))
    view = view.warped(np.diag([width / size[0], height / size[1], 1.0]))
    thick = max(1, round(EDGE_WIDTH * max(height, width) / 384))
    heights = np.linspace(-0.4995, 0.4995, EDGE_POINTS) * source.book.height
    lying = lying_heights(source, clip)
    moves = clip.is_flip and shows_motion(sheet_displacements(config, clip, time))
    for _, progress in clip.layers(time) if moves else ():
        paper = sheet_at(source, clip.style, progress)
        points = paper.points()
        middle: Floats = (points[:-1].mean(axis=1) + points[1:].mean(axis=1)) / 2
        rise = middle[:, 2] - np.interp(middle[:, 0], *lying)
        outlines = fixed_point(strips(view.project(points)))
        for index in np.flatnonzero(rise > LIFTED).tolist():
            cv2.fillConvexPoly(sheet, outlines[index], 1, cv2.LINE_8, SUBPIXEL_BITS)
        line = fixed_point(view.project(paper.edge_points(heights)))
        cv2.polylines(edge, [line.reshape(-1, 1, 2)], False, 1, thick, cv2.LINE_8, SUBPIXEL_BITS)
    free = 1 - hands
    fine = np.dstack([sheet * free, edge * free, hands]) * 255
    return np.asarray(cv2.resize(fine, (size[0] // SHRINK, size[1] // SHRINK), interpolation=cv2.INTER_AREA))


def encode_map(picture: Mask) -> bytes:
    """A map as the PNG file that a data set holds.

    Raises:
        DataError: if OpenCV cannot encode PNG.
    """
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise DataError("a map could not be encoded; install an OpenCV that writes PNG")
    return bytes(data.tobytes())


def lying_heights(source: Source, clip: Clip) -> tuple[Floats, Floats]:
    """Where pages lie across the book: x from left to right, and their height there. Thick books bow."""
    x, z = [], []
    for at in (1.0, 0.0):
        points = sheet_at(source, clip.style, at).points().mean(axis=1)
        x.append(points[:, 0])
        z.append(points[:, 2])
    across, height = np.concatenate(x), np.concatenate(z)
    order = np.argsort(across)
    return across[order], height[order]
