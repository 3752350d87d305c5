"""Where in a frame the open pages lie: bright, nearly colourless, convex; remembered from frame to frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

PAGES_SIDE = 120
"""Pixels of the long side at which pages are searched: print blurs to grey there."""

CLOSING, OPENING = 9, 5
"""Sides in pixels of the squares that close pictures and print, and that remove what is narrow: a sleeve, a cable."""

SECOND_PIECE = 0.25
"""Pieces of paper with this share of the largest one's area are pages too: the gutter, or a shadow, may part them."""

LEAST_SHARE = 0.08
"""If the paper takes less of the frame than this, the whole frame counts as pages."""

UPDATE_WEIGHT = 0.1
"""Weight of a frame against those before it in the estimate of the pages: hands come and go, the book stays."""


class PageFinder:
    """Finds the pages in the frames of one video, using the frames before."""

    def __init__(self) -> None:
        self._paper: NDArray[np.float32] | None = None

    def find(self, small: NDArray[np.uint8], hands: Mask) -> Mask:
        """The pages in a frame, parts under hands included.

        Args:
            small: (h, w, 3) uint8 RGB with a long side of `PAGES_SIDE`.
            hands: (h, w) bool, where hands are in it.

        Returns:
            (h, w) bool, convex; all of the frame if no paper was found.
        """
        now = _paper_of(small, ~hands).astype(np.float32)
        if self._paper is None or self._paper.shape != now.shape:
            self._paper = now
        else:
            weight = np.where(hands, np.float32(0), np.float32(UPDATE_WEIGHT))
            self._paper = self._paper + weight * (now - self._paper)
        paper = self._paper > 0.5
        pages = np.zeros(paper.shape, np.uint8)
        points = cv2.findNonZero(paper.astype(np.uint8))
        if points is not None:
            cv2.fillConvexPoly(pages, cv2.convexHull(points), 1)
        return pages > 0 if pages.mean() >= LEAST_SHARE else np.ones(paper.shape, np.bool_)


def _paper_of(small: NDArray[np.uint8], seen: Mask) -> Mask:
    """Where a frame shows paper, among the pixels `seen`; print and pictures are filled in, small pieces left out.

    Paper is the brighter of the two classes of the darkest colour channel (Otsu, 1979). Skin and wood are dark in blue
    however bright they are: the darkest channel measures bright and colourless at once.
    """
    darkest = cv2.GaussianBlur(small.min(axis=2), (5, 5), 1.0)
    values = darkest[seen] if seen.any() else darkest.ravel()
    threshold, _ = cv2.threshold(values.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    bright = ((darkest > threshold) & seen).astype(np.uint8)
    filled = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((CLOSING, CLOSING), np.uint8))
    whole = cv2.morphologyEx(filled, cv2.MORPH_OPEN, np.ones((OPENING, OPENING), np.uint8))
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(whole)
    areas = facts[:, cv2.CC_STAT_AREA].astype(np.float64)
    areas[0] = 0.0
    large = (areas >= SECOND_PIECE * areas.max()) & (areas > 0)
    return np.asarray(large[pieces])


def scaled(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture (H, W, 3) uint8 resized to a long side of `side` pixels.

    Raises:
        ValueError: if it is not (H, W, 3) uint8.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        raise ValueError(f"a frame must be (H, W, 3) uint8, got {picture.shape} {picture.dtype}; give RGB pictures")
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    if factor == 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR))
