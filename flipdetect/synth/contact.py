"""A contact sheet: many frames on one labelled picture, to judge a rendering by eye."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.config import SynthConfig
from flipdetect.synth.render import RenderedFrame, render_frame
from flipdetect.synth.script import CLASSES

FLIP_COLOUR, OTHER_COLOUR = (0, 190, 60), (210, 40, 40)
CAPTION = 16


def contact_sheet(config: SynthConfig, count: int, columns: int = 10) -> NDArray[np.uint8]:
    """`count` random frames of a data set, half flips, as one (h, w, 3) uint8 RGB picture.

    A green caption says "flip", a red one "notflip", followed by the displacement in page widths.
    """
    rng = np.random.default_rng(config.seed)
    tiles = []
    for place in range(count):
        clip = 2 * int(rng.integers(config.clips // 2)) + place % 2
        tiles.append(_tile(render_frame(config, clip, int(rng.integers(config.frames_per_clip)))))
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[first : first + columns], axis=1) for first in range(0, len(tiles), columns)]
    return np.concatenate(rows, axis=0)


def _tile(frame: RenderedFrame) -> NDArray[np.uint8]:
    height, width = frame.image.shape[:2]
    tile = np.zeros((height + CAPTION, width, 3), np.uint8)
    tile[:height] = frame.image
    tile[height:] = FLIP_COLOUR if frame.truth.label == CLASSES.positive else OTHER_COLOUR
    text = f"{frame.truth.video} {frame.truth.displacement:.2f}"
    cv2.putText(tile, text, (4, height + CAPTION - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1)
    return tile
