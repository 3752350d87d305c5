"""What a model looks at, laid over the frame."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

OPACITY = 0.7
HEAT_FLOOR = 0.15
"""Heat below this share of the strongest is not shown: it would only veil the frame."""


def maps_over(frame: npt.NDArray[np.uint8], maps: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Lay maps over a frame as red, green and blue.

    Args:
        frame: (H, W, 3) or (H, W, 1) uint8.
        maps: (3, Hm, Wm) float32, 0 to 1.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = frame.shape[:2]
    cell = -(-height // maps.shape[1])
    size = (cell * maps.shape[2], cell * maps.shape[1])
    cover = cv2.resize(maps.transpose(1, 2, 0), size, interpolation=cv2.INTER_NEAREST)
    # A backbone that rounds sizes down has no position for the last few pixels.
    cover = cv2.copyMakeBorder(cover, 0, max(0, height - size[1]), 0, max(0, width - size[0]), cv2.BORDER_REPLICATE)
    cover = OPACITY * cover[:height, :width]
    mixed = frame * (1 - cover.max(axis=2, keepdims=True)) + 255 * cover
    return np.asarray(np.rint(mixed), np.uint8)


def heat_over(frame: npt.NDArray[np.uint8], heat: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Lay one map over a frame in the colours of glowing metal; where there is little heat the frame shows through.

    Args:
        frame: (H, W, 3) uint8 RGB.
        heat: (H, W) float32, 0 to 1.

    Returns:
        (H, W, 3) uint8.
    """
    strength = np.clip((heat - HEAT_FLOOR) / (1 - HEAT_FLOOR), 0, 1)[..., np.newaxis]
    colours = cv2.applyColorMap(np.rint(heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = OPACITY * np.sqrt(strength)
    return np.asarray(np.rint(frame * (1 - share) + colours * share), np.uint8)
