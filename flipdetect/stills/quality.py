"""How good a picture of the pages a frame is: sharpness, exposure, hands, motion, and a fingerprint of the print.

    meter = FrameMeter()
    for frame, hands in frames:
        quality = meter(frame, hands)

Everything is measured at one size, so the values do not depend on the size of the input.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from flipdetect.pages.network import Mask
from flipdetect.records import DECIMALS, FrameQuality
from flipdetect.stills.fingerprint import GRID, encode_print
from flipdetect.stills.page_finder import PAGES_SIDE, PageFinder, scaled

SIDE = 480
"""Pixels of a frame's long side at which it is measured: lines of print are still separate."""

HAND = 0.35
"""Probability of a hand from which a pixel counts as covered."""

HAND_BORDER = 0.03
"""Margin around a hand, relative to the frame's long side, that is left out too: its outline, its shadow, and the error
of a coarse map."""

BLOCK = 16
"""Side in pixels of the blocks in which gradient energy is summed."""

ABOVE_NOISE = 5.0
"""Energy relative to bare paper that a block must have to count: faint print has it, paper has not."""

SHARPEST = 0.95
"""Quantile, over these blocks, that is the page's sharpness: lines of print are sharper than pictures and drawings."""

FEWEST_BLOCKS = 4

FLOOR = 0.05
"""Quantile of the blocks' energy that is noise: there is always some bare paper."""

COARSE = 1.0
"""Standard deviation in pixels of the blur against which detail is compared. With more, the result would depend more on
the size of the print than on its sharpness. Fingerprints are computed after it as well: noise goes, print stays."""

BLACK, BURNT = 40, 251
"""Brightness of paper (0 to 255) at or below which it is too dark to read, and from which on print fades out."""

PICTURE = 9
"""Side in pixels, at `PAGES_SIDE`, of a square that holds some bare paper even where pictures are."""

STILL_NOISE = 2.0
"""Change of brightness, of 255, that sensor and codec cause at `PAGES_SIDE` without any motion."""

STEEPEST = 1.0
"""Slope of the logarithm of brightness beyond which an edge counts no more: it is a picture's, or the book's."""

OFFSET = 8.0
"""Added to brightness before ratios are computed, so that black is not infinitely far away."""

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Slopes = tuple[Floats, Floats]


class FrameMeter:
    """Measures the frames of one video, in order.

    - Sharpness: gradient energy (Tenengrad: Krotkov, 1988; Pertuz, Puig and Garcia, Pattern Recognition 46, 2013) of a
      block of page, above the energy of bare paper, over the energy of the same block after a further blur, less 1 (the
      comparison with a blurred copy: Crete et al., SPIE 6492, 2007), of the sharpest of the blocks with print. It
      depends little on what is printed, on contrast, or on light. Hands and what is near them are left out.
    - Exposure: share of the pages on which the paper is neither black nor overexposed.
    - Coverage: share of the pages under hands.
    - Motion: mean change of the pages' brightness outside hands, beyond noise and a change of exposure.
    - Fingerprint: see `fingerprint`.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the frames measured so far: another video begins."""
        self._finder = PageFinder()
        self._before: tuple[Floats, Mask] | None = None

    def pause(self) -> None:
        """Frames were left out before the next one: nothing is known of motion at it."""
        self._before = None

    def __call__(self, frame: NDArray[np.uint8], hands: ArrayLike | None = None) -> FrameQuality:
        """Measure a frame.

        Args:
            frame: (H, W, 3) uint8 RGB, of any size, upright.
            hands: (h, w) probabilities 0 to 1 of a hand, over the whole frame, at any resolution; None if unknown.

        Returns:
            Its quality; coverage is None without `hands`, motion None for the first frame and after a pause.

        Raises:
            ModelError: if the network that finds pages cannot be loaded.
            ValueError: if the frame is not (H, W, 3) uint8, or `hands` is not two-dimensional.
        """
        picture = scaled(frame, SIDE)
        # Halves are averaged several times as fast as quarters.
        small = scaled(scaled(picture, 2 * PAGES_SIDE), PAGES_SIDE)
        covered: Mask = np.zeros(small.shape[:2], np.bool_)
        near = covered
        if hands is not None:
            covered, near = hidden_by(hands, small.shape[:2])
        pages = self._finder.find(picture)
        free = pages & ~near
        grey: Grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
        coarse = _slopes(np.asarray(cv2.GaussianBlur(grey, (0, 0), COARSE), np.uint8))
        # With everything covered there is nothing to measure but the hand; `coverage` says so.
        seen = free if free.any() else pages
        motion = self._motion(small, seen)
        # Print and pictures may be black; the paper around them may not.
        paper = cv2.dilate(small.max(axis=2), np.ones((PICTURE, PICTURE), np.uint8))
        good = (paper > BLACK) & (small.min(axis=2) < BURNT)
        return FrameQuality(
            # It has no upper end, and blurred frames may differ by little: digits, rather than decimals.
            sharpness=float(f"{_sharpness(grey, coarse, seen):.{DECIMALS}g}"),
            exposure=round(float(good[seen].mean()), DECIMALS),
            coverage=None if hands is None else round(float(covered[pages].mean()), DECIMALS),
            motion=None if motion is None else round(motion, DECIMALS),
            fingerprint=_fingerprint(grey, coarse, free),
        )

    def _motion(self, small: NDArray[np.uint8], free: Mask) -> float | None:
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.7), np.float32)
        before, self._before = self._before, (grey, free)
        if before is None or before[0].shape != grey.shape:
            return None
        both = before[1] & free
        old, new = before[0][both], grey[both]
        if not old.size:
            old, new = before[0].ravel(), grey.ravel()
        gain = float(np.median(new) + 1) / float(np.median(old) + 1)
        change = np.maximum(np.abs(new - gain * old) - STILL_NOISE, 0)
        return float(min(change.mean() / 255, 1.0))


def hidden_by(hands: ArrayLike, shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    """Which pixels of a frame of a shape (h, w) hands cover, and which are there or near it.

    Args:
        hands: as for `FrameMeter`.
        shape: of the masks.

    Raises:
        ValueError: if `hands` is not two-dimensional.
    """
    found = np.asarray(hands, np.float32)
    if found.ndim != 2 or found.size == 0:
        raise ValueError(f"a map of hands must be (h, w), got {found.shape}; leave out its other dimensions")
    covered = np.asarray(cv2.resize(found, shape[::-1], interpolation=cv2.INTER_LINEAR) > HAND)
    reach = 2 * round(HAND_BORDER * max(shape)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return covered, cv2.dilate(covered.astype(np.uint8), disc) > 0


def _averaged(values: Floats, size: tuple[int, int]) -> Floats:
    """Means over the cells of a grid of `size` (high, wide), pixels on a border split by their share."""
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _slopes(grey: Grey) -> Slopes:
    """Derivatives of brightness across and down, per pixel (Sobel's)."""
    across, down = (cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def _sharpness(grey: Grey, blurred: Slopes, seen: Mask) -> float:
    size = (max(1, grey.shape[0] // BLOCK), max(1, grey.shape[1] // BLOCK))
    share = _averaged(seen.astype(np.float32), size)
    inside = share > 0.8
    if int(inside.sum()) < FEWEST_BLOCKS:
        inside = share > 0
    fine, coarse = (_averaged(across * across + down * down, size)[inside] for across, down in (_slopes(grey), blurred))
    noise = np.quantile(fine, FLOOR)
    printed = fine > ABOVE_NOISE * noise
    if int(printed.sum()) < FEWEST_BLOCKS:
        printed = fine >= np.sort(fine)[-min(FEWEST_BLOCKS, len(fine))]
    ratios = (fine[printed] - noise) / (coarse[printed] + 1)
    return float(max(np.quantile(ratios, SHARPEST) - 1, 0))


def _fingerprint(grey: Grey, blurred: Slopes, free: Mask) -> str:
    slopes = np.asarray(cv2.magnitude(*blurred), np.float32)
    slopes = np.minimum(slopes / (grey + np.float32(OFFSET)), np.float32(STEEPEST))
    # Pages end a little inside their outline: the edge of the book is in every picture.
    inner = cv2.erode(free.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    weight = cv2.resize(inner, grey.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(np.float32)
    seen, mean = _averaged(weight, (GRID, GRID)), _averaged(slopes * weight, (GRID, GRID))
    return encode_print(np.asarray(mean / np.maximum(seen, 1e-6), np.float32), seen)
