"""A contact sheet: many labelled frames in one picture, to inspect a rendering."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.errors import DataError
from flipdetect.synth.animation.poses import CLASSES
from flipdetect.synth.config import RecordingConfig, SynthConfig
from flipdetect.synth.recording.recording import recording_truth, render_recording_frame
from flipdetect.synth.render.renderer import RenderedFrame, render_frame

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
        frame = render_frame(config, clip, int(rng.integers(config.frames_per_clip)))
        tiles.append(_tile(frame, f"{frame.truth.video} {frame.truth.displacement:.2f}"))
    return _joined(tiles, columns)


def recording_sheet(config: RecordingConfig, count: int, columns: int = 12) -> NDArray[np.uint8]:
    """`count` frames spread over a recording, in order, as one (h, w, 3) uint8 RGB picture.

    A green caption says "flip", a red one "notflip", followed by the second and the number of the spread.
    """
    tiles = []
    for time in np.linspace(0, config.seconds, count, endpoint=False):
        frame = render_recording_frame(config, float(time))
        spread = recording_truth(config, float(time)).spread
        tiles.append(_tile(frame, f"{time:.1f} s {'turning' if spread is None else f'spread {spread}'}"))
    return _joined(tiles, columns)


def _joined(tiles: list[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Tiles in rows; those of another shape stand in the left top corner of their place."""
    shape = np.max([tile.shape for tile in tiles], axis=0)
    places = [np.zeros(shape, np.uint8) for _ in range(len(tiles) + -len(tiles) % columns)]
    for place, tile in zip(places, tiles, strict=False):
        place[: tile.shape[0], : tile.shape[1]] = tile
    rows = [np.concatenate(places[first : first + columns], axis=1) for first in range(0, len(places), columns)]
    return np.concatenate(rows, axis=0)


def _tile(frame: RenderedFrame, text: str) -> NDArray[np.uint8]:
    height, width = frame.image.shape[:2]
    tile = np.zeros((height + CAPTION, width, 3), np.uint8)
    tile[:height] = frame.image
    tile[height:] = FLIP_COLOUR if frame.truth.label == CLASSES.positive else OTHER_COLOUR
    cv2.putText(tile, text, (4, height + CAPTION - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1)
    return tile


def write_sheet(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a contact sheet (h, w, 3) uint8 RGB as a PNG file.

    Raises:
        DataError: if it cannot be encoded.
    """
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise DataError(f"{path} could not be encoded; choose fewer frames with --count")
    path.write_bytes(data.tobytes())
