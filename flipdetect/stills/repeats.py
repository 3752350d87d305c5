"""Spreads that show the same pages: turned back to, or never left, as when a hand was taken for a turn.

Fingerprints name the suspects; their pictures are aligned, and compared print by print.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.pages.network import Mask
from flipdetect.records import Still
from flipdetect.stills.fingerprint import decode_print, likeness, mean_levels
from flipdetect.stills.page_finder import PageFinder, scaled
from flipdetect.stills.parameters import StillParameters

Floats = NDArray[np.float32]

MANY = 5
"""Spreads from which on their mean shows what all pages have: margins, the gutter, what lies around the book."""

OWN_LIKENESS = 0.3
"""Correlation of two fingerprints without that mean, from which the spreads are suspects."""

SIDE = 960
"""Pixels of the long side at which pictures are compared: words can be distinguished, if not read."""

LIGHT_BLUR = 6.0
"""Standard deviation in pixels of the blur that is subtracted: light and the edges of shadows go, print stays."""

FEATURES, LEAST_MATCHES, REPROJECTION = 2000, 20, 4.0
"""ORB features of a picture, matches that must agree on one homography, and pixels by which they may miss it."""

LARGEST_ZOOM = 1.5
"""A homography that enlarges or shrinks the pages by more has matched something else."""

LEAST_RESPONSE = 0.05
"""Of a phase correlation that found something: of other pages it reaches 0.03, of moved ones 0.4."""

BLOCK, SEARCH = 40, 4
"""Side in pixels of the blocks that are compared, and pixels by which paper may lie differently."""

LEAST_PRINT, PRINT_NOISE = 0.006, 3.0
"""Standard deviation of brightness, relative to the paper's, from which a block has print; and in units of noise."""

LEAST_CROSSING, CROSSING_NOISE = 0.0012, 1.6
"""The same for the mean slope per pixel in its weaker direction: a straight edge, as of a page, is no print."""

NOISE_QUANTILE = 0.25
"""Quantile, over the pages, of the second derivative's size that is noise: there is always some bare paper."""

LEAST_BLOCKS = 12
"""Printed blocks that a comparison needs: a page number is in the same place on every page."""

DOUBTED_AGREEMENT = (0.65, 0.5)
"""Median and lower quartile of the correlation of printed blocks from which two spreads show the same pages if no turn
was seen between them: in noisy pictures of the same pages it falls to this, of other pages it is 0.63 and 0.45 at
most."""

STRIPES = (BLOCK + 1, 1), (1, BLOCK + 1)
"""Width and height of the means that are subtracted so that lines of text, level or upright, do not count as alike."""

WORDS_AGREE = 0.5
"""Median correlation of printed blocks without these means from which the words are the same: of other pages with equal
lines it is 0.2 to 0.4, of the same pages without an arm on them 0.77 and more."""

CACHED = 24
"""Pictures kept ready for the next comparison."""


def find_repeats(
    stills: Sequence[Still],
    fetch: Callable[[Still], NDArray[np.uint8]],
    parameters: StillParameters | None = None,
    doubted: Collection[int] = (),
) -> list[Still]:
    """Stills that name in `same_as` the first spread with the same pages, if there is one before theirs.

    The picture of each still is compared with those before it whose fingerprints are most like its own. Where none
    has enough print, the spreads count as different: a page kept twice is better than a page lost.

    Args:
        stills: of one video, in order, as `choose_stills` returned them.
        fetch: gives the picture of a still, (H, W, 3) uint8 RGB; called for suspects alone, more than once for some
            in a long video, and from several threads.
        doubted: numbers of spreads that are compared with the one before them in any case.

    Raises:
        ValueError: if a picture is not (H, W, 3) uint8.
    """
    settings = parameters or StillParameters()
    by_number = {still.spread: still for still in stills}

    @lru_cache(maxsize=CACHED)
    def printed(number: int) -> _Print:
        return _Print.of(fetch(by_number[number]))

    def first_same(number: int, suspects: list[int]) -> int | None:
        def agree(other: int) -> bool:
            expected = number in doubted and other == before[number]
            least = DOUBTED_AGREEMENT if expected else (settings.confirm_agreement, settings.confirm_agreement / 2)
            return _agree(printed(other), printed(number), *least)

        return next(filter(agree, suspects), None)

    suspects = _suspects(stills, settings)
    before = {still.spread: earlier.spread for earlier, still in pairwise(s for s in stills if s.measured is not None)}
    for number in before.keys() & set(doubted):
        others = suspects.get(number, [])
        suspects[number] = [before[number], *(other for other in others if other != before[number])]
    # OpenCV and FFmpeg work outside of Python's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(suspects, pool.map(first_same, suspects.keys(), suspects.values()), strict=True))
    first: dict[int, int] = {}
    for number, same in sorted(found.items()):
        if same is not None:
            first[number] = first.get(same, same)
    return [replace(still, same_as=first.get(still.spread)) for still in stills]


def _suspects(stills: Sequence[Still], parameters: StillParameters) -> dict[int, list[int]]:
    """The spreads that may show the same pages as an earlier one, each with the earlier ones, the likeliest first."""
    measured = [still for still in stills if still.measured is not None]
    if not measured:
        return {}
    levels = np.stack([decode_print(still.measured.fingerprint) for still in measured if still.measured is not None])
    alike = likeness(levels)
    suspicious = alike >= parameters.suspect_likeness
    if len(levels) >= MANY:
        suspicious &= likeness(levels - mean_levels(levels)) >= OWN_LIKENESS
    found = {}
    for late, still in enumerate(measured):
        early = np.flatnonzero(suspicious[:late, late])
        early = early[np.argsort(-alike[early, late], kind="stable")][: parameters.suspects]
        if early.size:
            found[still.spread] = [measured[place].spread for place in early.tolist()]
    return found


def kept(stills: Sequence[Still]) -> list[Still]:
    """Of spreads that show the same pages, the best still; in the order in which pages were first seen.

    One still stands for every spread. Where none of its group has a frame, that is one without: pages are missing.

    Args:
        stills: of one video, as `choose_stills` or `find_repeats` returned them.
    """
    groups: dict[int, list[Still]] = {}
    for still in stills:
        groups.setdefault(still.spread if still.same_as is None else still.same_as, []).append(still)
    return [
        max(groups[number], key=lambda still: -1.0 if still.quality is None else still.quality)
        for number in sorted(groups)
    ]


@dataclass(frozen=True, eq=False)
class _Print:
    """A picture without its light: (h, w) float32 about 0, where pages are, (h, w) bool, and the noise of its paper."""

    ink: Floats
    pages: Mask
    noise: float

    @classmethod
    def of(cls, picture: NDArray[np.uint8]) -> _Print:
        picture = scaled(picture, SIDE)
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        light = cv2.GaussianBlur(grey, (0, 0), LIGHT_BLUR)
        ink = np.asarray((cv2.GaussianBlur(grey, (0, 0), 1.0) - light) / (light + 8), np.float32)
        found = PageFinder().find(picture).astype(np.uint8)
        pages = cv2.resize(found, ink.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        rough = np.abs(cv2.Laplacian(ink, cv2.CV_32F))[pages]
        return cls(ink, np.asarray(pages), float(np.quantile(rough, NOISE_QUANTILE)))

    @cached_property
    def features(self) -> tuple[Any, Any]:
        """ORB key points on the pages, and their descriptors."""
        levels = np.clip(self.ink * 400 + 128, 0, 255).astype(np.uint8)
        return cv2.ORB.create(nfeatures=FEATURES).detectAndCompute(levels, self.pages.astype(np.uint8))

    def blocks(self, noise: float) -> Mask:
        """(rows, columns) bool: whether a block has print, with slopes in both directions (Shi and Tomasi, 1994)."""
        crossing, most = max(LEAST_CROSSING, CROSSING_NOISE * noise), max(LEAST_PRINT, PRINT_NOISE * noise)
        weaker = _at_blocks(cv2.cornerMinEigenVal(self.ink, BLOCK, ksize=3) / 4)
        mean, square = (_at_blocks(cv2.blur(values, (BLOCK, BLOCK))) for values in (self.ink, self.ink * self.ink))
        return np.asarray((weaker >= crossing**2) & (square - mean**2 >= most**2))

    def seen_through(self, matrix: NDArray[np.float64]) -> _Print:
        """The picture where the pixels of another are, from which the homography (3, 3) leads here; 0 outside."""
        size, inverse = self.ink.shape[::-1], cv2.WARP_INVERSE_MAP
        ink = cv2.warpPerspective(self.ink, matrix, size, flags=cv2.INTER_LINEAR | inverse)
        pages = cv2.warpPerspective(self.pages.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST | inverse)
        return _Print(np.asarray(ink, np.float32), np.asarray(pages > 0), self.noise)


def _at_blocks(values: NDArray[Any]) -> NDArray[Any]:
    """Values (h, w) of a filter of `BLOCK` pixels at the centres of the blocks: (rows, columns)."""
    rows, columns = (max(0, size - 2 * SEARCH) // BLOCK * BLOCK for size in values.shape)
    half = SEARCH + BLOCK // 2
    return values[half : half + rows : BLOCK, half : half + columns : BLOCK]


def _agree(first: _Print, second: _Print, least: float, quartile: float) -> bool:
    """Whether two pictures show the same pages under one of the alignments, of which the costly ones come last.

    Printed blocks are compared by normalised correlation, each at the best place within a few pixels, as paper is not
    flat.
    """
    if first.ink.shape != second.ink.shape:
        return False
    noise = max(first.noise, second.noise)
    for matrix in _alignments(first, second):
        there = second if matrix is None else second.seen_through(matrix)
        # Blocks at least a quarter of their side inside the pages of both.
        inside = cv2.erode((first.pages & there.pages).astype(np.uint8), np.ones((BLOCK * 3 // 2,) * 2), borderValue=0)
        places = np.argwhere((_at_blocks(inside) > 0) & (first.blocks(noise) | there.blocks(noise))) * BLOCK
        if len(places) < LEAST_BLOCKS:
            continue
        found: list[float] = []
        for place in places.tolist():
            found.append(_correlation(first.ink, there.ink, *place))
            if 2 * sum(value < least for value in found) > len(places):
                break  # the median cannot reach `least` any more
        else:
            alike = np.median(found) >= least and np.quantile(found, 0.25) >= quartile
            if alike and _same_words(first.ink, there.ink, places):
                return True
    return False


def _same_words(first: Floats, there: Floats, places: NDArray[np.int64]) -> bool:
    """Whether blocks are alike apart from their lines: pages of one book are set in the same lines."""
    for stripe in STRIPES:
        ours, theirs = (ink - cv2.blur(ink, stripe) for ink in (first, there))
        if np.median([_correlation(ours, theirs, *place) for place in places.tolist()]) < WORDS_AGREE:
            return False
    return True


def _correlation(first: Floats, there: Floats, top: int, left: int) -> float:
    """Normalised correlation of a block, at the best place within `SEARCH` pixels."""
    around = there[top : top + BLOCK + 2 * SEARCH, left : left + BLOCK + 2 * SEARCH]
    block = first[top + SEARCH : top + SEARCH + BLOCK, left + SEARCH : left + SEARCH + BLOCK]
    return float(cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED).max())


def _alignments(first: _Print, second: _Print) -> Iterator[NDArray[np.float64] | None]:
    """Homographies (3, 3) from the first picture to the second that are worth trying; None for none at all."""
    yield None
    # At half size noise is less, and a pixel's error is within `SEARCH`.
    half = [
        cv2.resize(np.where(each.pages, each.ink, np.float32(0)), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        for each in (first, second)
    ]
    (right, down), response = cv2.phaseCorrelate(half[0], half[1])
    if response >= LEAST_RESPONSE and max(abs(right), abs(down)) > 0.25:
        yield np.array([[1, 0, 2 * right], [0, 1, 2 * down], [0, 0, 1]], np.float64)
    # ORB features (Rublee et al., ICCV 2011) and RANSAC.
    points, descriptors = zip(first.features, second.features, strict=True)
    if any(len(each) < LEAST_MATCHES for each in points):
        return
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(*descriptors)
    if len(matches) < LEAST_MATCHES:
        return
    ours = np.array([points[0][match.queryIdx].pt for match in matches])
    theirs = np.array([points[1][match.trainIdx].pt for match in matches])
    matrix, inliers = cv2.findHomography(ours, theirs, cv2.RANSAC, REPROJECTION)
    if matrix is None or int(inliers.sum()) < LEAST_MATCHES:
        return
    zoom = abs(float(np.linalg.det(matrix[:2, :2]))) ** 0.5
    if 1 / LARGEST_ZOOM < zoom < LARGEST_ZOOM:
        yield np.asarray(matrix, np.float64)
