"""Whether two pictures show the same pages: aligned, then compared print by print. Slow and careful, for suspects."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.records import Still
from flipdetect.stills.fingerprint import decode_print
from flipdetect.stills.page_finder import PAGES_SIDE, find_pages, scaled
from flipdetect.stills.parameters import StillParameters
from flipdetect.stills.repeats import MUCH_PRINT, Prints

Floats = NDArray[np.float32]

SIDE = 960
"""Pixels of the long side at which pictures are compared: words can be told apart, if not read."""

FLAT = 6.0
"""Standard deviation in pixels of the blur that is taken off: light and the edges of shadows go, print stays."""

FEATURES, LEAST_MATCHES, REPROJECTION = 2000, 20, 4.0
"""ORB features of a picture, matches that must agree on one homography, and pixels by which they may miss it."""

LARGEST_ZOOM = 1.5
"""A homography that enlarges or shrinks the pages by more has matched something else."""

BLOCK, SEARCH = 40, 4
"""Side in pixels of the blocks that are compared, and pixels by which paper may lie differently."""

LEAST_PRINT, PRINT_NOISE = 0.006, 3.0
"""Standard deviation of brightness, relative to the paper's, from which a block has print; and in units of noise."""

LEAST_CROSSING, CROSSING_NOISE = 0.0012, 1.6
"""And mean slope per pixel in the direction in which there is least: a straight edge, as of a page, is no print."""

NOISE_QUANTILE = 0.25
"""Quantile, over the pages, of the second derivative's size that is noise: there is always some bare paper."""

SUSPECT_OWN, SUSPECT_PRINT = 0.3, 0.03
"""As `repeat_own_likeness` and `repeat_own_print`, for pictures to be worth a comparison."""

LOOKED_AT = 4
"""As many times as pictures are compared, fingerprints are looked at closely."""

LEAST_RESPONSE = 0.05
"""Of a phase correlation that found something: of other pages it reaches 0.03, of moved ones 0.4."""

LEAST_BLOCKS = 12
"""Printed blocks that are needed to say anything: a page number is in the same place on every page."""

LARGEST_CACHE = 24
"""Pictures kept ready for the next comparison."""


@dataclass(frozen=True)
class Agreement:
    """How far two pictures agree.

    Attributes:
        blocks: number of printed blocks compared.
        median: of the correlations of the blocks, -1 to 1; 0 without blocks.
        lower: their lower quartile.
    """

    blocks: int
    median: float
    lower: float


@dataclass(frozen=True, eq=False)
class _Flat:
    """A picture without its light: (h, w) float32 about 0, and where pages are, (h, w) bool."""

    print: Floats
    pages: NDArray[np.bool_]
    noise: float

    @cached_property
    def features(self) -> tuple[Any, Any]:
        """ORB key points on the pages, and their descriptors."""
        levels = np.clip(self.print * 400 + 128, 0, 255).astype(np.uint8)
        return cv2.ORB.create(nfeatures=FEATURES).detectAndCompute(levels, self.pages.astype(np.uint8))

    @cached_property
    def strength(self) -> tuple[Floats, Floats]:
        """How much print each block has: squared slope in its weaker direction (Shi and Tomasi, CVPR 1994), variance.

        Returns:
            Two arrays (rows, columns) float32, of the blocks that `_inner` cuts.
        """
        across, down = (cv2.Sobel(self.print, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
        xx, yy, xy = (_block_means(product) for product in (across * across, down * down, across * down))
        weaker = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy * xy)
        return np.asarray(weaker, np.float32), _block_means(self.print * self.print) - _block_means(self.print) ** 2

    def printed(self, noise: float) -> NDArray[np.bool_]:
        """(rows, columns) bool: whether a block has print, of both directions."""
        weaker, spread = self.strength
        crossing, most = max(LEAST_CROSSING, CROSSING_NOISE * noise), max(LEAST_PRINT, PRINT_NOISE * noise)
        return np.asarray((weaker >= crossing**2) & (spread >= most**2))

    def seen_through(self, matrix: NDArray[np.float64]) -> _Flat:
        """The picture where the pixels of another are, from which the homography (3, 3) leads here; 0 outside."""
        size = (self.print.shape[1], self.print.shape[0])
        inverse = cv2.WARP_INVERSE_MAP
        print_ = cv2.warpPerspective(self.print, matrix, size, flags=cv2.INTER_LINEAR | inverse)
        pages = cv2.warpPerspective(self.pages.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST | inverse)
        return _Flat(np.asarray(print_, np.float32), np.asarray(pages > 0), self.noise)


def _inner(picture: NDArray[Any]) -> NDArray[Any]:
    """The part of a picture that is cut into blocks, (rows, BLOCK, columns, BLOCK)."""
    rows, columns = (max(0, size - 2 * SEARCH) // BLOCK for size in picture.shape)
    part = picture[SEARCH : SEARCH + rows * BLOCK, SEARCH : SEARCH + columns * BLOCK]
    return part.reshape(rows, BLOCK, columns, BLOCK)


def _block_means(picture: Floats) -> Floats:
    return np.asarray(_inner(picture).mean(axis=(1, 3)))


def confirm_repeats(
    stills: Sequence[Still],
    fetch: Callable[[Still], NDArray[np.uint8]],
    parameters: StillParameters | None = None,
) -> list[Still]:
    """Stills whose `same_as` holds by the pictures themselves.

    Every still is compared with those stills before it that its fingerprint is most like, and with what `same_as`
    names. Where no picture agrees, or none has enough print to tell, `same_as` is dropped: a page kept twice is better
    than a page lost. Where one agrees that was not suspected before, as after the book was moved, it is set.

    Args:
        stills: of one video, in order, as `choose_stills` returned them.
        fetch: gives the picture of a still, (H, W, 3) uint8 RGB, at full resolution; called for suspects alone, more
            than once for some in a long video, and from several threads.
        parameters: see `StillParameters`; None for the defaults.

    Raises:
        ValueError: if a picture is not (H, W, 3) uint8.
    """
    settings = parameters or StillParameters()
    by_number = {still.spread: still for still in stills}
    suspects = _suspects(stills, settings)

    @lru_cache(maxsize=LARGEST_CACHE)
    def picture(number: int) -> _Flat:
        return _flattened(fetch(by_number[number]))

    def same(still: Still, earlier: Sequence[int]) -> int | None:
        """The first of the suspects whose picture shows the same pages."""
        agreeing = (number for number in earlier if _shows_same(picture(number), picture(still.spread), settings))
        return next(agreeing, None)

    # OpenCV and FFmpeg work outside of Python's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(same, stills, suspects))
    roots: dict[int, int] = {}
    for still, number in zip(stills, found, strict=True):
        if number is not None:
            roots[still.spread] = roots.get(number, number)
    return [replace(still, same_as=roots.get(still.spread)) for still in stills]


def compare_pictures(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Agreement:
    """How far the print of two pictures of one book agrees, block by block.

    The pages of the second are brought over those of the first by a homography from ORB features (Rublee et al.,
    ICCV 2011) with RANSAC, or by phase correlation, or left where they are, whichever agrees best. Then blocks with
    print are compared by normalised correlation, each at the best place within a few pixels, as paper is not flat.

    Args:
        first, second: (H, W, 3) uint8 RGB of one size.

    Raises:
        ValueError: if a picture is not (H, W, 3) uint8.
    """
    flat = _flattened(first), _flattened(second)
    if flat[0].print.shape != flat[1].print.shape:
        return Agreement(0, 0.0, 0.0)
    return max((_blocks(*flat, matrix) for matrix in _alignments(*flat)), key=lambda agreement: agreement.median)


def _suspects(stills: Sequence[Still], parameters: StillParameters) -> list[list[int]]:
    """For each still the numbers of those before it to compare it with, the likeliest first."""
    seen = [place for place, still in enumerate(stills) if still.measured is not None]
    steps = [decode_print(still.measured.fingerprint) for still in stills if still.measured is not None]
    found: list[list[int]] = [[] for _ in stills]
    if not steps:
        return found
    prints, numbers = Prints(np.stack(steps)), [stills[place].spread for place in seen]
    for late, place in enumerate(seen):
        named = stills[place].same_as
        likely = sorted(range(late), key=lambda early: -float(np.nan_to_num(prints.alike[early, late], nan=-1.0)))
        worth = [
            numbers[early]
            for early in likely[: LOOKED_AT * parameters.suspects]
            if numbers[early] != named and _is_suspect(prints, early, late, parameters)
        ]
        found[place] = ([named] if named in numbers else []) + worth[: parameters.suspects]
    return found


def _is_suspect(prints: Prints, early: int, late: int, parameters: StillParameters) -> bool:
    if not prints.alike[early, late] >= parameters.suspect_likeness:
        return False
    if prints.alike[early, late] >= parameters.repeat_likeness and prints.spread(early, late) >= MUCH_PRINT:
        return True
    if not prints.many:
        return prints.spread(early, late) >= MUCH_PRINT
    alike, more = prints.own(early, late)
    return alike >= SUSPECT_OWN and more >= SUSPECT_PRINT


def _shows_same(first: _Flat, second: _Flat, parameters: StillParameters) -> bool:
    """Whether one of the alignments makes two pictures agree; the costly ones are tried last."""
    if first.print.shape != second.print.shape:
        return False
    least = parameters.confirm_agreement
    for matrix in _alignments(first, second):
        found = _blocks(first, second, matrix, least)
        if found.blocks >= LEAST_BLOCKS and found.median >= least and found.lower >= least / 2:
            return True
    return False


def _flattened(picture: NDArray[np.uint8]) -> _Flat:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        raise ValueError(f"a picture must be (H, W, 3) uint8, got {picture.shape} {picture.dtype}; give RGB pictures")
    picture = scaled(picture, SIDE)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    light = cv2.GaussianBlur(grey, (0, 0), FLAT)
    flat = (cv2.GaussianBlur(grey, (0, 0), 1.0) - light) / (light + 8)
    size = (grey.shape[1], grey.shape[0])
    pages = (
        cv2.resize(find_pages(scaled(picture, PAGES_SIDE)).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    )
    rough = np.abs(cv2.Laplacian(flat, cv2.CV_32F))[pages]
    return _Flat(flat.astype(np.float32), pages, float(np.quantile(rough, NOISE_QUANTILE)))


def _alignments(first: _Flat, second: _Flat) -> Iterator[NDArray[np.float64] | None]:
    """Homographies (3, 3) from the first picture to the second that are worth trying; None for none at all."""
    yield None
    # At half size noise is less, and a pixel's error is within `SEARCH`.
    half = [
        cv2.resize(
            np.where(picture.pages, picture.print, np.float32(0)), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA
        )
        for picture in (first, second)
    ]
    (right, down), response = cv2.phaseCorrelate(half[0], half[1])
    if response >= LEAST_RESPONSE and max(abs(right), abs(down)) > 0.25:
        yield np.array([[1, 0, 2 * right], [0, 1, 2 * down], [0, 0, 1]], np.float64)
    matched = _matched(first, second)
    if matched is not None:
        yield matched


def _matched(first: _Flat, second: _Flat) -> NDArray[np.float64] | None:
    sides = [picture.features for picture in (first, second)]
    if any(descriptors is None or len(points) < LEAST_MATCHES for points, descriptors in sides):
        return None
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(sides[0][1], sides[1][1])
    if len(matches) < LEAST_MATCHES:
        return None
    ours = np.array([sides[0][0][match.queryIdx].pt for match in matches])
    theirs = np.array([sides[1][0][match.trainIdx].pt for match in matches])
    matrix, inliers = cv2.findHomography(ours, theirs, cv2.RANSAC, REPROJECTION)
    if matrix is None or int(inliers.sum()) < LEAST_MATCHES:
        return None
    zoom = abs(float(np.linalg.det(matrix[:2, :2]))) ** 0.5
    return np.asarray(matrix, np.float64) if 1 / LARGEST_ZOOM < zoom < LARGEST_ZOOM else None


def _blocks(first: _Flat, second: _Flat, matrix: NDArray[np.float64] | None, least: float = -1.0) -> Agreement:
    """Compare the printed blocks of the first picture with the second, seen through a homography if there is one.

    Once the median cannot reach `least` any more, the rest is left out.
    """
    there = second if matrix is None else second.seen_through(matrix)
    pages = (first.pages & there.pages).astype(np.uint8)
    inner = cv2.erode(pages, np.ones((BLOCK // 2, BLOCK // 2), np.uint8), borderValue=0) > 0
    noise = max(first.noise, second.noise)
    worth = _inner(inner).all(axis=(1, 3)) & (first.printed(noise) | there.printed(noise))
    found: list[float] = []
    places = np.argwhere(worth) * BLOCK
    for top, left in places.tolist():
        around = there.print[top : top + BLOCK + 2 * SEARCH, left : left + BLOCK + 2 * SEARCH]
        block = first.print[top + SEARCH : top + SEARCH + BLOCK, left + SEARCH : left + SEARCH + BLOCK]
        found.append(float(cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED).max()))
        if 2 * sum(value < least for value in found) > len(places):
            break
    if not found:
        return Agreement(0, 0.0, 0.0)
    return Agreement(len(places), float(np.median(found)), float(np.quantile(found, 0.25)))
