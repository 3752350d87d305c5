"""The network that finds the pages, and the gutter between them, in a picture."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.onnx_session import open_session
from flipdetect.zoo import PAGE_NETWORK

Image = NDArray[np.uint8]
Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

LONG_SIDE = 256
"""Pixels of the long side of what the network sees; both sides are multiples of 32."""
STRIDE = 32

SECOND_PIECE = 0.25
"""Pieces with this share of the largest one's area are pages too: the gutter, or an arm, may part them."""


class PageNetwork:
    """The network that finds pages and gutter in a picture.

    Args:
        session: of ONNX Runtime, for a file with the input `image` (N, 3, h, w) float32 RGB of 0 to 255, and
            the output `maps` (N, 2, h / 4, w / 4).
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def maps(self, picture: Image) -> Map:
        """(2, h, w) float32 logits of page and of gutter, for a picture (H, W, 3) uint8 RGB.

        Pages are complete, as if no hand lay on them.
        """
        height, width = picture.shape[:2]
        factor = LONG_SIDE / max(height, width)
        size = [max(STRIDE, round(side * factor / STRIDE) * STRIDE) for side in (width, height)]
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).transpose(2, 0, 1).astype(np.float32)
        # The mean with what it says of the mirrored picture is better than either.
        (maps,) = self._session.run(["maps"], {"image": np.stack([small, small[..., ::-1]])})
        return np.asarray((maps[0] + maps[1][..., ::-1]) / 2)


@cache
def page_network() -> PageNetwork:
    """The pretrained one, loaded once; may be called from several threads.

    Raises:
        ModelError: if it cannot be loaded.
    """
    return PageNetwork(open_session(PAGE_NETWORK, threads=1))


def large_pieces(mask: Mask) -> Mask:
    """The connected pieces (h, w) bool of a mask that are not small against the largest one."""
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = facts[1:, cv2.CC_STAT_AREA]  # without the ground
    return np.isin(pieces, 1 + np.flatnonzero(areas >= SECOND_PIECE * areas.max(initial=0)))
