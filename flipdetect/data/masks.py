"""Masks of rendered frames, and the coarse maps that the map head is trained on.

A mask is an RGB image of a quarter of its frame's size. Red is the share of a pixel covered by a visible sheet in the
air, green by the sheet's free edge, blue by hands; 255 is all of it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from flipdetect.data.cache import ChunkCache, DecodedFrames, decode_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.records import FrameRecord

logger = logging.getLogger(__name__)

Mask: TypeAlias = npt.NDArray[np.uint8]
MASK_COLUMN = "mask"
"""Column of `labels.csv`: path of the frame's mask, relative to the set's root; empty for none."""
CHANNELS = 3
KEPT_SHRINKS = (4, 2, 1)
"""Masks are kept at a quarter of the input size: finer than the maps, and a sixteenth of the frames' memory. If a
quarter is below `KEPT_MIN_SIDE` pixels, at half or full size."""
KEPT_MIN_SIDE = 8
MAP_STRIDE = 8
"""Pixels of the input for one position of the maps."""


@dataclass(frozen=True)
class Masks:
    """The masks of some frames, kept at a quarter of their size; `positions` in `kept` are by the frame's file."""

    spec: PreprocessSpec
    kept: DecodedFrames
    positions: dict[str, int]

    def __len__(self) -> int:
        return len(self.positions)

    def mask(self, record: FrameRecord) -> Mask | None:
        """The mask of a frame at input size, (height, width, 3) uint8; None if it has none."""
        position = self.positions.get(record.file)
        if position is None:
            return None
        size = (self.spec.width, self.spec.height)
        return np.asarray(cv2.resize(self.kept[position], size, interpolation=cv2.INTER_LINEAR), np.uint8)

    def no_maps(self) -> npt.NDArray[np.float32]:
        """The maps of a frame without a mask: zeros of the right shape."""
        rows, columns = (-(-side // MAP_STRIDE) for side in (self.spec.height, self.spec.width))
        return np.zeros((CHANNELS, rows, columns), np.float32)


def read_masks(
    records: Sequence[FrameRecord], root: Path, spec: PreprocessSpec, cache: ChunkCache | None = None
) -> Masks:
    """Decode the masks that records name, as `decode_frames` decodes frames; unusable ones are left out with a warning.

    Paths of masks are relative to `root`; a path that leads out of it is not followed.
    """
    folder = os.path.abspath(root)  # noqa: PTH100 - text, here and below: there may be very many
    named = {
        record.file: os.path.normpath(os.path.join(folder, mask))  # noqa: PTH118
        for record in records
        if (mask := record.extra.get(MASK_COLUMN))
    }
    # A downloaded data set must not make the program read other files; links are not resolved.
    below = os.path.join(folder, "")  # noqa: PTH118
    found = {frame: mask for frame, mask in named.items() if mask.startswith(below) and os.path.isfile(mask)}  # noqa: PTH113
    sides = (spec.height, spec.width)
    shrink = next(shrink for shrink in KEPT_SHRINKS if min(sides) >= KEPT_MIN_SIDE * shrink)
    height, width = (-(-side // shrink) for side in sides)
    black, one = (0.0,) * CHANNELS, (1.0,) * CHANNELS  # what a letterbox adds is not covered
    small = PreprocessSpec(height=height, width=width, channels=CHANNELS, fit=spec.fit, mean=black, std=one)
    kept = decode_frames(list(found.values()), small, cache)
    unusable = [mask for frame, mask in named.items() if frame not in found]
    unusable += [kept.files[i] for i in sorted(kept.failures)]
    if unusable:
        logger.warning(
            "%d of %d masks cannot be read, such as %s: their frames are trained on without maps.",
            len(unusable),
            len(named),
            unusable[0],
        )
    return Masks(spec, kept, {frame: i for i, frame in enumerate(found) if i not in kept.failures})


def coarse_maps(mask: Mask) -> npt.NDArray[np.float32]:
    """The covered share of each cell of 8 by 8 pixels: (H, W, 3) uint8 -> (3, ceil(H/8), ceil(W/8)) float32, 0 to 1.

    In the last row and column, the border pixels are repeated outwards.
    """
    below, right = -mask.shape[0] % MAP_STRIDE, -mask.shape[1] % MAP_STRIDE
    whole = cv2.copyMakeBorder(mask, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // MAP_STRIDE, whole.shape[0] // MAP_STRIDE)
    cells = cv2.resize(whole, size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], CHANNELS)
    return np.ascontiguousarray(cells.transpose(2, 0, 1), np.float32) / np.float32(255)
