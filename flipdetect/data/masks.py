"""What covers each place of a rendered frame: masks on disk, and the coarse maps that training learns from.

A mask is an RGB image of a quarter of its frame's size. Red is the share of a pixel covered by a visible sheet in the
air, green that of the sheet's free edge, blue that of hands; 255 is all of it.
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

from flipdetect.data.cache import DecodedFrames, decode_frames
from flipdetect.data.frame_set import Frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.records import FrameRecord

logger = logging.getLogger(__name__)

Mask: TypeAlias = npt.NDArray[np.uint8]
MASK_COLUMN = "mask"
"""Column of `labels.csv`: path of the frame's mask, relative to the set's root; empty for none."""
CHANNELS = 3
KEPT_SHRINKS = (4, 2, 1)
"""Masks are kept at a quarter of the input's size: finer than the maps, and a sixteenth of the frames' place. Of inputs
so small that a quarter is below `KEPT_MIN_SIDE`, at half or all of it."""
KEPT_MIN_SIDE = 8
MAP_STRIDE = 8
"""Pixels of the input for one position of the maps."""


@dataclass(frozen=True)
class Masks:
    """The masks of some frames, at hand by the frame's record.

    Attributes:
        spec: of the frames: size and fit, which masks share.
        kept: the masks at a quarter of that size.
        positions: position in `kept` by the frame's file.
    """

    spec: PreprocessSpec
    kept: Frames
    positions: dict[str, int]

    def __len__(self) -> int:
        return len(self.positions)

    def has(self, record: FrameRecord) -> bool:
        """Whether a frame has a mask."""
        return record.file in self.positions

    def mask(self, record: FrameRecord) -> Mask | None:
        """The mask of a frame at input size, (height, width, 3) uint8; None if it has none.

        Raises:
            FrameError: if the file has become unreadable since it was checked.
        """
        position = self.positions.get(record.file)
        if position is None:
            return None
        return self._enlarged(self.kept[position])

    def read(self, data: bytes) -> Mask:
        """A mask at input size, (height, width, 3) uint8, of a file's bytes.

        Raises:
            FrameError: if it cannot be decoded.
        """
        return self._enlarged(self.kept.spec.read(data))

    def _enlarged(self, kept: Mask) -> Mask:
        size = (self.spec.width, self.spec.height)
        return np.asarray(cv2.resize(kept, size, interpolation=cv2.INTER_LINEAR), np.uint8)

    def no_maps(self) -> npt.NDArray[np.float32]:
        """The maps of a frame without a mask: zeros of the right shape."""
        rows, columns = (-(-side // MAP_STRIDE) for side in (self.spec.height, self.spec.width))
        return np.zeros((CHANNELS, rows, columns), np.float32)


def read_masks(
    records: Sequence[FrameRecord],
    root: Path,
    spec: PreprocessSpec,
    *,
    cache_dir: Path | None,
    max_bytes: int,
    beside: Sequence[DecodedFrames] = (),
) -> Masks:
    """Decode the masks that records name, as `decode_frames` does frames; those that cannot be used are left out.

    Args:
        records: frames; those without a mask cost nothing.
        root: the folder that paths of masks are relative to; a path out of it is not followed.
        spec: of the frames.
        cache_dir, max_bytes, beside: as `decode_frames` takes them.
    """
    named, found = mask_files(records, root)
    kept = decode_frames(list(found.values()), kept_spec(spec), cache_dir=cache_dir, max_bytes=max_bytes, beside=beside)
    missing = [mask for frame, mask in named.items() if frame not in found]
    unusable = missing + [kept.files[i] for i in sorted(kept.failures)]
    if unusable:
        logger.warning(
            "%d of %d masks cannot be read, such as %s: their frames teach without maps.",
            len(unusable),
            len(named),
            unusable[0],
        )
    return Masks(spec, kept, {frame: i for i, frame in enumerate(found) if i not in kept.failures})


def mask_files(records: Sequence[FrameRecord], root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The masks that records name, and those of them that can be used: each by its frame's file."""
    folder = os.path.normpath(root)
    named = {
        record.file: os.path.normpath(os.path.join(folder, mask))  # noqa: PTH118 - text: there may be very many
        for record in records
        if (mask := record.extra.get(MASK_COLUMN))
    }
    # A set that was downloaded must not make the program read other files; links are not resolved.
    return named, {frame: mask for frame, mask in named.items() if _is_below(mask, folder) and os.path.isfile(mask)}  # noqa: PTH113


def _is_below(file: str, folder: str) -> bool:
    """Whether a file lies in a folder, as their normalised paths have it."""
    if folder == os.curdir:
        return not os.path.isabs(file) and file.split(os.sep, 1)[0] != os.pardir  # noqa: PTH117
    return file.startswith(os.path.join(folder, ""))  # noqa: PTH118


def coarse_maps(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What of each cell of 8 by 8 pixels is covered.

    Args:
        mask: (H, W, 3) uint8, 255 for what is covered.

    Returns:
        (3, ceil(H/8), ceil(W/8)) float32, 0 to 1. The last row and column stand for what is left, repeated outwards.
    """
    below, right = -mask.shape[0] % MAP_STRIDE, -mask.shape[1] % MAP_STRIDE
    whole = cv2.copyMakeBorder(mask, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // MAP_STRIDE, whole.shape[0] // MAP_STRIDE)
    cells = cv2.resize(whole, size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], CHANNELS)
    return np.ascontiguousarray(cells.transpose(2, 0, 1), np.float32) / np.float32(255)


def kept_spec(spec: PreprocessSpec) -> PreprocessSpec:
    """What masks are brought to: fitted as the frames that `spec` is of; nothing covers what a letterbox adds."""
    sides = (spec.height, spec.width)
    shrink = next(shrink for shrink in KEPT_SHRINKS if min(sides) >= KEPT_MIN_SIDE * shrink)
    height, width = (-(-side // shrink) for side in sides)
    black, one = (0.0,) * CHANNELS, (1.0,) * CHANNELS
    return PreprocessSpec(height=height, width=width, channels=CHANNELS, fit=spec.fit, mean=black, std=one)
