"""Small pictures of all frames of a set, by which an audit compares them: grey for form, a coarse grid for colour."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from flipdetect.data.cache import decode_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.sources.image import decode_frame

SIDE = 64
"""Pixels of a miniature, across and down: whatever the frame's shape, it is stretched to a square."""
CELLS = 16
"""Cells of the colour grid, across and down."""
FLAT = 4.0
"""Standard deviation of grey levels (0 to 255) below which a frame shows nothing to compare: black, or covered."""
FOLDER = "miniatures"
"""Within the folder of decoded frames."""

_CHUNK = 256
_SPEC = PreprocessSpec(height=SIDE, width=SIDE, fit="stretch")


@dataclass(frozen=True)
class Miniatures:
    """Frames at a size at which thousands of them can be compared.

    Attributes:
        grey: (N, SIDE, SIDE) uint8.
        colour: (N, CELLS, CELLS, 2) uint8, the two colour axes of CIELAB around 128.
        failures: reason by position, for frames that could not be decoded; their miniatures are black.
    """

    grey: npt.NDArray[np.uint8]
    colour: npt.NDArray[np.uint8]
    failures: dict[int, str]

    @property
    def telling(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: whether there is enough in the picture to compare it by."""
        spread = [chunk.std(axis=(1, 2)) for chunk in np.array_split(self.grey, max(1, len(self.grey) // _CHUNK))]
        return np.concatenate(spread) >= FLAT


def read_miniatures(paths: Sequence[Path], cache_dir: Path | None = None, workers: int | None = None) -> Miniatures:
    """Decode all files at miniature size, in threads, with a progress bar; JPEGs are scaled while they are decoded.

    Args:
        paths: the frame files.
        cache_dir: where the decoded frames of training lie; miniatures are kept in a folder of their own in it, so that
            neither pushes the other out. None keeps nothing.
        workers: decoding threads; default: one per core.
    """
    if cache_dir is None:
        with tempfile.TemporaryDirectory(prefix="flipdetect-") as folder:
            return read_miniatures(paths, Path(folder), workers)
    frames = decode_frames(paths, _SPEC, cache_dir=cache_dir / FOLDER, workers=workers)
    grey = np.zeros((len(paths), SIDE, SIDE), np.uint8)
    colour = np.full((len(paths), CELLS, CELLS, 2), 128, np.uint8)
    for position in range(len(paths)):
        if position not in frames.failures:
            frame = frames[position]
            grey[position] = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            cells = cv2.resize(frame, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
            colour[position] = cv2.cvtColor(cells, cv2.COLOR_RGB2LAB)[..., 1:]
    return Miniatures(grey, colour, frames.failures)


def read_carefully(path: Path) -> npt.NDArray[np.uint8]:
    """(SIDE, SIDE) uint8 grey, of a frame decoded at several times that size: slower, and nearer to the picture.

    Raises:
        FrameError: if the file cannot be decoded.
    """
    frame = decode_frame(path, min_size=(4 * SIDE, 4 * SIDE))
    return np.asarray(cv2.cvtColor(_SPEC.resize(frame), cv2.COLOR_RGB2GRAY))
