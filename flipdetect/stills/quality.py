"""How good a picture of the pages a frame is: sharpness, exposure, hands, motion, and a fingerprint of the print.

    meter = FrameMeter()
    for frame, hands in frames:
        quality = meter(frame, hands)

Everything is measured at one size, so that figures do not depend on the size of the input.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from flipdetect.records import FrameQuality
from flipdetect.stills.fingerprint import GRID, encode_print
from flipdetect.stills.page_finder import PAGES_SIDE, Mask, PageFinder, darkest_of, scaled

SIDE = 480
"""Pixels of a frame's long side at which it is measured: lines of print are still apart."""

HAND = 0.35
"""Probability of a hand from which a pixel counts as covered."""

HAND_BORDER = 0.03
"""Of the frame's long side around a hand that is left out too: its outline, its shadow, and a coarse map's error."""

BLOCK = 16
"""Side in pixels of the blocks in which gradient energy is summed."""

ABOVE_NOISE = 5.0
"""Times the energy of bare paper that a block must have to tell anything: faint print has, paper has not."""

SHARPEST = 0.95
"""Quantile, over these blocks, that is the page's sharpness: lines of print are sharper than pictures and drawings."""

FEWEST_BLOCKS = 4

FLOOR = 0.05
"""Quantile of the blocks' energy that is noise: there is always some bare paper."""

COARSE = 1.0
"""Standard deviation in pixels of the blur against which detail is compared. With more, the result would depend more on
the size of the print than on its sharpness. Fingerprints are taken after it as well: noise goes, print stays."""

BLACK, BURNT = 40, 251
"""Brightness of paper (0 to 255) at or below which it is too dark to read, and from which on print fades out."""

PICTURE = 9
"""Side in pixels, at `PAGES_SIDE`, of a square that holds some bare paper even where pictures are."""

STILL_NOISE = 2.0
"""Change of brightness, of 255, that sensor and codec make at `PAGES_SIDE` without anything having moved."""

STEEPEST = 1.0
"""Slope of the logarithm of brightness beyond which an edge counts no more: it is a picture's, or the book's."""

OFFSET = 8.0
"""Added to brightness before ratios are taken, so that black is not infinitely far away."""


Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Slopes = tuple[Floats, Floats]


class _Before(NamedTuple):
    """The frame measured before."""

    small: Floats
    free: Mask


class FrameMeter:
    """Measures the frames of one video, in order.

    - Sharpness: gradient energy (Tenengrad: Krotkov, 1988; Pertuz, Puig and Garcia, Pattern Recognition 46, 2013) of a
      block of page, above the energy of bare paper, over the energy of the same block after a further blur, less 1 (the
      comparison with a blurred copy: Crete et al., SPIE 6492, 2007), of the sharpest of the blocks with print: how
      much there is to be lost. It depends little on what is printed, on contrast, or on light. Hands and what is near
      them are left out.
    - Exposure: share of the pages on which the paper is neither black nor burnt out.
    - Coverage: share of the pages under hands.
    - Motion: mean change of the pages' brightness where no hand was or is, beyond noise and a change of exposure.
    - Fingerprint: see `still_print`.
    """

    def __init__(self) -> None:
        self._finder = PageFinder()
        self._before: _Before | None = None

    def reset(self) -> None:
        """Forget the frames measured so far: another video begins."""
        self._finder = PageFinder()
        self._before = None

    def __call__(self, frame: NDArray[np.uint8], hands: ArrayLike | None = None) -> FrameQuality:
        """Measure a frame.

        Args:
            frame: (H, W, 3) uint8 RGB, of any size, upright.
            hands: (h, w) probabilities 0 to 1 of a hand, over the whole frame, at any resolution; None if unknown.

        Returns:
            Its quality; coverage is None without `hands`, motion None for the first frame.

        Raises:
            ValueError: if the frame is not (H, W, 3) uint8, or `hands` is not two-dimensional.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or frame.size == 0:
            raise ValueError(f"a frame must be (H, W, 3) uint8, got {frame.shape} {frame.dtype}; give RGB pictures")
        picture = scaled(frame, SIDE)
        # Halves are averaged several times as fast as quarters.
        small = scaled(scaled(picture, 2 * PAGES_SIDE), PAGES_SIDE)
        covered = _hand_mask(hands, small.shape[:2])
        near = covered if hands is None else _widened(covered)
        pages = self._finder.find(small, near)
        free = pages & ~near
        grey: Grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
        coarse = _slopes(_blurred(grey))
        coverage = None if hands is None else float(covered[pages].mean())
        # With everything covered there is nothing to measure but the hand; `coverage` says so.
        seen = free if free.any() else pages
        return FrameQuality(
            sharpness=_sharpness(grey, coarse, seen),
            exposure=_exposure(small, seen),
            coverage=coverage,
            motion=self._motion(small, seen),
            fingerprint=_fingerprint(grey, coarse, free),
        )

    def _motion(self, small: NDArray[np.uint8], free: Mask) -> float | None:
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        now = _Before(np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.7), np.float32), free)
        before, self._before = self._before, now
        if before is None or before.small.shape != now.small.shape:
            return None
        both = before.free & free
        old, new = before.small[both], now.small[both]
        if not old.size:
            old, new = before.small.ravel(), now.small.ravel()
        gain = float(np.median(new) + 1) / float(np.median(old) + 1)
        change = np.maximum(np.abs(new - gain * old) - STILL_NOISE, 0)
        return float(min(change.mean() / 255, 1.0))


def _hand_mask(hands: ArrayLike | None, shape: tuple[int, ...]) -> Mask:
    if hands is None:
        return np.zeros(shape, np.bool_)
    found = np.asarray(hands, np.float32)
    if found.ndim != 2 or found.size == 0:
        raise ValueError(f"a map of hands must be (h, w), got {found.shape}; leave out its other dimensions")
    return np.asarray(cv2.resize(found, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR) > HAND)


def _widened(mask: Mask) -> Mask:
    reach = 2 * round(HAND_BORDER * max(mask.shape)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)


@lru_cache(maxsize=32)
def _edges(cells: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(cells + 1,) pixels in which the edges of equal cells of a line of pixels lie, and how far into them."""
    edges = np.linspace(0, length, cells + 1)
    pixels = np.minimum(edges.astype(np.int64), length - 1)
    return pixels, edges - pixels


def _averaged(values: Floats, size: tuple[int, int]) -> Floats:
    """Means over the cells of a grid of `size` (high, wide), split pixels by their share: as INTER_AREA, but quicker.

    Sums up to an edge come from the integral image, read between its pixels. A product of matrices would be as quick,
    but for the threads of NumPy's BLAS: they keep cores busy, waiting, that the decoder could use.
    """
    height, width = values.shape
    sums = cv2.integral(values, sdepth=cv2.CV_64F)
    pixels, inside = _edges(size[0], height)
    rows = np.diff(sums[pixels] + (sums[pixels + 1] - sums[pixels]) * inside[:, None], axis=0)
    pixels, inside = _edges(size[1], width)
    cells = np.diff(rows[:, pixels] + (rows[:, pixels + 1] - rows[:, pixels]) * inside, axis=1)
    return np.asarray(cells * (size[0] * size[1] / (height * width)), np.float32)


def _blurred(grey: Grey) -> Grey:
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), COARSE), np.uint8)


def _slopes(grey: Grey) -> Slopes:
    """Derivatives of brightness across and down, per pixel (Sobel's)."""
    across, down = (cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def _energy(slopes: Slopes, size: tuple[int, int]) -> Floats:
    """Mean squared slope of the blocks of a grid of `size` (high, wide)."""
    squares = slopes[0] * slopes[0]
    squares += slopes[1] * slopes[1]
    return _averaged(squares, size)


def _sharpness(grey: Grey, blurred: Slopes, seen: Mask) -> float:
    size = (max(1, grey.shape[0] // BLOCK), max(1, grey.shape[1] // BLOCK))
    share = _averaged(seen.astype(np.float32), size)
    inside = share > 0.8
    if int(inside.sum()) < FEWEST_BLOCKS:
        inside = share > 0
    fine, coarse = _energy(_slopes(grey), size)[inside], _energy(blurred, size)[inside]
    noise = np.quantile(fine, FLOOR)
    telling = fine > ABOVE_NOISE * noise
    if int(telling.sum()) < FEWEST_BLOCKS:
        telling = fine >= np.sort(fine)[-min(FEWEST_BLOCKS, len(fine))]
    ratios = (fine[telling] - noise) / (coarse[telling] + 1)
    return float(max(np.quantile(ratios, SHARPEST) - 1, 0))


def _exposure(small: NDArray[np.uint8], seen: Mask) -> float:
    darkest, brightest = darkest_of(small), cv2.max(cv2.max(small[..., 0], small[..., 1]), small[..., 2])
    # Print and pictures may be black; the paper around them may not.
    paper = cv2.dilate(brightest, np.ones((PICTURE, PICTURE), np.uint8))
    good = (paper > BLACK) & (darkest < BURNT)
    return float(good[seen].mean())


def _fingerprint(grey: Grey, blurred: Slopes, free: Mask) -> str:
    height, width = grey.shape
    slopes = np.asarray(cv2.magnitude(*blurred), np.float32)
    slopes /= grey + np.float32(OFFSET)
    np.minimum(slopes, np.float32(STEEPEST), out=slopes)
    # Pages end a little inside their outline: the edge of the book is in every picture.
    inner = cv2.erode(free.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    weight = cv2.resize(inner, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.float32)
    slopes *= weight
    seen, mean = _averaged(weight, (GRID, GRID)), _averaged(slopes, (GRID, GRID))
    return encode_print(np.asarray(mean / np.maximum(seen, 1e-6), np.float32), seen)
