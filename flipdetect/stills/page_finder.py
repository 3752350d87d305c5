"""Where the open pages lie in the frames of a film."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.pages.network import Map, Mask, large_pieces, page_network

PAGES_SIDE = 120
"""Pixels of the long side of the masks of pages."""

LEAST_SHARE = 0.08
"""If the pages take less of the frame than this, the whole frame counts as pages."""

EVERY = 10
"""Frames of which the network sees one: hands come and go, the book stays."""

UPDATE_WEIGHT = 0.5
"""Weight of what the network says of a frame against what it said of those before."""


class PageFinder:
    """Finds the pages in the frames of one film, parts under hands included."""

    def __init__(self) -> None:
        self._logits: Map = np.empty((0, 0), np.float32)
        self._pages: Mask = np.empty((0, 0), np.bool_)
        self._count = 0

    def find(self, picture: NDArray[np.uint8]) -> Mask:
        """(h, w) bool, with a long side of `PAGES_SIDE`: the pages in a frame (H, W, 3) uint8 RGB.

        All of the frame if there are none.

        Raises:
            ModelError: if the network cannot be loaded.
            ValueError: if the frame is not (H, W, 3) uint8.
        """
        height, width = size_at(picture, PAGES_SIDE)
        is_first = self._pages.shape != (height, width)
        if is_first or self._count % EVERY == 0:
            found = page_network().maps(picture)[0]
            now = np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
            self._logits = now if is_first else self._logits + np.float32(UPDATE_WEIGHT) * (now - self._logits)
            pages = large_pieces(self._logits > 0)
            self._pages = pages if pages.mean() >= LEAST_SHARE else np.ones((height, width), np.bool_)
        self._count += 1
        return self._pages


def size_at(picture: NDArray[np.uint8], side: int) -> tuple[int, int]:
    """Height and width of a picture (H, W, 3) uint8 with a long side of `side` pixels.

    Raises:
        ValueError: if it is not (H, W, 3) uint8.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        raise ValueError(f"a frame must be (H, W, 3) uint8, got {picture.shape} {picture.dtype}; give RGB pictures")
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def scaled(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture (H, W, 3) uint8 resized to a long side of `side` pixels.

    Raises:
        ValueError: if it is not (H, W, 3) uint8.
    """
    height, width = size_at(picture, side)
    if (height, width) == picture.shape[:2]:
        return picture
    is_smaller = max(height, width) < max(picture.shape[:2])
    method = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method))
