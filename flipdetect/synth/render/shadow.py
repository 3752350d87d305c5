"""Shadows on desk and pages: thrown by the lamp, and the dimness close below a sheet."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.camera import Camera, Picture
from flipdetect.synth.hands.picture import PlacedHand
from flipdetect.synth.render.rasterizer import SUBPIXEL_BITS, Light, fixed_point, strips
from flipdetect.synth.sheet import Sheet

SHRINK = 2
"""Shadows are drawn at half size: they are soft."""

WIDE_BLUR = 3.0
"""From this many pixels on, blurring at a quarter of the size looks the same and is much quicker."""

RISES = ((0.02, 0.2), (0.2, 0.5), (0.5, 9.0))
"""Heights of paper, in page widths, whose shadows are equally soft."""

DIM_BELOW = 0.38
"""Light of the sky lost right below a sheet."""


def light_left(
    view: Camera, light: Light, plane: float, size: tuple[int, int], moving: Sheet, hands: list[PlacedHand]
) -> Picture:
    """Share of light left (H, W) float32 on desk and pages.

    Args:
        plane: height of the pages, in page widths; shadows are drawn as if all fell there.
    """
    small = view.warped(np.diag([1 / SHRINK, 1 / SHRINK, 1.0]))
    shape = (size[1] // SHRINK, size[0] // SHRINK)
    page_px = float(np.linalg.norm(small.matrix[:2, 0]) / abs(small.matrix[2, 3]))
    left = (1 - _thrown(small, light, plane, shape, moving, page_px)) * (
        1 - _closed_in(small, plane, shape, moving, page_px)
    )
    lamp = np.asarray(light.direction)
    for hand in hands:
        drop = hand.world[2] - plane * hand.world[3]
        shadow = hand.world - np.outer(np.append(lamp / lamp[2], 0), drop)
        solid = hand.picture.thumb if hand.track.below_book else hand.picture.alpha
        mask = cv2.warpPerspective(solid, small.matrix @ shadow, shape[::-1], flags=cv2.INTER_LINEAR)
        rise = max(hand.rise - plane, 0.0) + 0.06
        left *= 1 - _blur(mask, light.softness * rise * page_px) * np.float32(0.9 * (1 - light.ambient))
    return np.asarray(cv2.resize(left, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _thrown(view: Camera, light: Light, plane: float, shape: tuple[int, int], moving: Sheet, page_px: float) -> Picture:
    """Light lost (h, w) in the sheet's shadow, softer where the paper is higher."""
    points = moving.points()
    rise = (points[:-1, :, 2].max(axis=1) + points[1:, :, 2].max(axis=1)) / 2 - plane
    outlines = fixed_point(strips(view.project(light.shadow_of(points, plane))))
    strength = (1 - light.ambient) * (1 - 0.5 * light.through)
    dark = np.zeros(shape, np.float32)
    for low, high in RISES:
        chosen = np.flatnonzero((rise > low) & (rise <= high))
        if chosen.size:
            mask = np.zeros(shape, np.uint8)
            for index in chosen.tolist():
                cv2.fillConvexPoly(mask, outlines[index], 255, cv2.LINE_8, SUBPIXEL_BITS)
            soft = _blur(mask, light.softness * float(rise[chosen].mean()) * page_px)
            np.maximum(dark, soft * np.float32(strength / 255), out=dark)
    return dark


def _closed_in(view: Camera, plane: float, shape: tuple[int, int], moving: Sheet, page_px: float) -> Picture:
    """Light from the sky lost (h, w) below and close to the sheet."""
    points = moving.points()
    rise = points[:, :, 2].mean(axis=1) - plane
    below = points.copy()
    below[..., 2] = plane
    outlines = fixed_point(strips(view.project(below)))
    mask = np.zeros(shape, np.uint8)
    for index in np.flatnonzero(rise[:-1] > 0.015).tolist():
        level = 255 * float(np.clip(1 - rise[index] / 0.7, 0, 1))
        cv2.fillConvexPoly(mask, outlines[index], level, cv2.LINE_8, SUBPIXEL_BITS)
    return _blur(mask, 0.07 * page_px) * np.float32(DIM_BELOW / 255)


def _blur(mask: NDArray[Any], sigma: float) -> Picture:
    """A mask blurred by `sigma` pixels, at least a little."""
    if sigma < WIDE_BLUR:
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(sigma, 0.7)), np.float32)
    size = (max(1, mask.shape[1] // 2), max(1, mask.shape[0] // 2))
    half = cv2.GaussianBlur(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), (0, 0), sigma / 2)
    return np.asarray(cv2.resize(half, mask.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
