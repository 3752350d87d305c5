"""Even light on a flat page, and the page in colour, in grey, or in black and white."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

MODES = ("colour", "grey", "bw")

COARSE = (48, 64)
"""Columns and rows at which the light is estimated."""
GUTTER = 0.07
"""Distance from the gutter, in page widths, over which its shade fades."""
PAPER = 0.9
"""Paper is at least this bright compared with the light; what is darker is print or a picture."""
MOST_GAIN = 2.5
WHITEST = 245.0


def even_light(page: Image, *, gutter_left: bool) -> Image:
    """A page (H, W, 3) uint8 with the light of lamp, gutter and soft shadows evened; the paper keeps its tint.

    The light is a smooth surface through what is paper: a cubic polynomial and the shade of the gutter, fitted again
    and again to what is not darker than it. Pictures and print are darker, and keep their contrast.

    Args:
        page: the picture.
        gutter_left: whether the gutter is at the left edge.
    """
    height, width = page.shape[:2]
    stroke = max(3, round(max(height, width) / 60)) | 1
    bare = cv2.dilate(cv2.resize(page, (max(COARSE[0], width // 2), max(COARSE[1], height // 2))),
                      np.ones((stroke // 2 | 1, stroke // 2 | 1), np.uint8))  # fmt: skip
    small = cv2.resize(bare, COARSE, interpolation=cv2.INTER_AREA).astype(np.float64)
    y, x = np.mgrid[0 : COARSE[1], 0 : COARSE[0]]
    basis = _basis((x.ravel() + 0.5) / COARSE[0], (y.ravel() + 0.5) / COARSE[1], gutter_left=gutter_left)
    values = small.reshape(-1, 3)
    tone = values.mean(axis=1)
    paper = tone > 0.6 * np.quantile(tone, 0.9)
    for _ in range(8):
        fitted = basis @ _least_squares(basis[paper], tone[paper])
        now = (tone > PAPER * fitted) & (tone < 1.15 * fitted)
        if now.sum() < 0.15 * len(tone) or (now == paper).all():
            break
        paper = now
    light = np.maximum(basis @ _least_squares(basis[paper], values[paper]), 8.0)
    white = np.median(values[paper], axis=0)
    white *= min(WHITEST / white.max(), 1.6)
    gain = np.clip(white / light, 0.7, MOST_GAIN).reshape(COARSE[1], COARSE[0], 3).astype(np.float32)
    gain = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(page * gain, 0, 255), np.uint8)


def in_mode(page: Image, mode: str) -> Image:
    """A page (H, W, 3) uint8 in one of `MODES`: as it is, or (H, W) uint8."""
    if mode == "colour":
        return page
    grey = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY)
    if mode == "grey":
        return np.asarray(grey)
    block = max(15, min(page.shape[:2]) // 25) | 1
    return np.asarray(
        cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, block, 14), np.uint8
    )


def _basis(x: NDArray[np.float64], y: NDArray[np.float64], *, gutter_left: bool) -> NDArray[np.float64]:
    """(N, 12): a cubic polynomial, and the shade of the gutter, which may change down the page."""
    shade = np.exp(-(x if gutter_left else 1 - x) / GUTTER)
    powers = [x**i * y**j for i in range(4) for j in range(4 - i)]
    return np.stack([*powers, shade, shade * y], axis=1)


def _least_squares(basis: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    ridge = np.eye(basis.shape[1]) * 1e-3
    return np.asarray(np.linalg.solve(basis.T @ basis + ridge, basis.T @ values))
