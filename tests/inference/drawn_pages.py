"""An open book drawn by hand: dark desk, white pages, words as dark bars; and a hand."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

WORD, LINE = (12, 46), 14


def draw_spread(pages: int, shape: tuple[int, int] = (540, 960), *, blank: bool = False) -> Picture:
    """The spread number `pages` (h, w, 3) uint8 RGB; equal numbers have equal print."""
    height, width = shape
    scale = width / 960
    picture = np.full((540, 960, 3), (70, 60, 50), np.uint8)
    for side in (0, 1):
        left = 120 + side * 360
        picture[60:480, left : left + 356] = 225
        if not blank:
            _print_page(np.random.default_rng([pages, side]), picture, left)
    picture[60:480, 474:482] = 150
    return np.asarray(cv2.resize(picture, (round(960 * scale), height), interpolation=cv2.INTER_AREA))


def _print_page(rng: np.random.Generator, picture: Picture, left: int) -> None:
    y = 90
    while y < 450:
        if rng.random() < 0.15:
            y += int(rng.integers(1, 5)) * LINE
            continue
        x, end = left + 30, left + int(rng.choice([326, 326, 326, rng.integers(120, 326)]))
        while x < end - WORD[0]:
            wide = int(min(rng.integers(*WORD), end - x))
            picture[y : y + 6, x : x + wide] = rng.integers(40, 90)
            x += wide + int(rng.integers(5, 12))
        y += LINE


def with_noise(picture: Picture, seed: int = 0, deviation: float = 2.0) -> Picture:
    """The picture as a phone's sensor sees it."""
    noise = np.random.default_rng(seed).normal(0, deviation, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def with_hand(picture: Picture, box: tuple[float, float, float, float]) -> tuple[Picture, NDArray[np.float32]]:
    """A hand over a part of the picture, given as shares (x0, y0, x1, y1), and its coarse map (14, 24)."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = box
    mask = np.zeros((height, width), np.uint8)
    mask[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)] = 1
    covered = np.where(mask[..., None] > 0, np.array([190, 140, 110], np.uint8), picture).astype(np.uint8)
    coarse = cv2.resize(mask.astype(np.float32), (24, 14), interpolation=cv2.INTER_AREA)
    return covered, np.asarray(coarse, np.float32)


def shifted(picture: Picture, right: float, down: float, turn: float = 0.0) -> Picture:
    """The picture of a camera that moved by pixels, and turned by radians."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), np.rad2deg(turn), 1.0)
    matrix[:, 2] += (right, down)
    return np.asarray(cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))
