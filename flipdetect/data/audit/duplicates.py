"""Frames that show the same picture: copied, encoded anew, resized, made brighter.

Three steps, each on what the one before leaves. Perceptual hashes (Zauner, 2010) of 256 bits are sorted by 16 bands of
16 bits, so that only frames that agree in a whole band meet (multi-index hashing; Norouzi, Punjani and Fleet, 2012):
the work grows with the frames, not with their pairs. Hashes that differ in few bits are compared as pictures. Where
these are close, a small shift, stretch and turn and another brightness and contrast are fitted (Lucas and Kanade, 1981)
and what remains is measured where it is largest: a sheet that has moved by a little changes one place by much, JPEG
compression all places by little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from flipdetect.data.audit.thumbnails import SIDE
from flipdetect.errors import FrameError
from flipdetect.progress import progress_bar

BITS = 256
MOST_BITS = 40
"""Bits by which the hashes of two frames may differ that are compared as pictures; copies measured 28 at most."""
MOST_ROUGH = 14.0
"""Grey levels, in the block of 8x8 pixels that differs most, before alignment; copies measured 9 at most."""
MOST = 2.4
"""Grey levels, likewise, after alignment, up to which two frames are one picture. Of 1,200 rendered frames encoded anew
(JPEG quality 25 to 60, scaled by 0.5 to 1.1) all lie below 1.6; of 7,200 pairs of twins, which differ in the sheet
alone, none lies below 3.0."""
DOUBTFUL = 8.0
"""Grey levels up to which a pair is read again at a larger size: scaling JPEGs while they are decoded makes some copies
of small pictures differ by as much."""
LEAST_CORRELATION = 0.97
"""Of two copies; dark frames of different scenes may differ by few grey levels, but then they are not alike in form."""
MOST_NEIGHBOURS = 64
"""Frames that a frame is compared with in each band: keeps a film of one still picture from costing its square."""

_BANDS = 16
_BLOCK = 8
_BLUR = 1.0
_FREQUENCIES = 16
_CHUNK = 1024
_SEED = 5
_POPCOUNT = np.array([bin(value).count("1") for value in range(256)], np.uint8)

Pairs = npt.NDArray[np.int64]
Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Copy:
    """Two frames that show the same picture.

    Attributes:
        first, second: their positions, in ascending order.
        difference: grey levels (0 to 255) by which they differ where they differ most, after alignment.
    """

    first: int
    second: int
    difference: float


def find_copies(
    grey: Grey,
    groups: npt.NDArray[np.int64],
    telling: npt.NDArray[np.bool_],
    reread: Callable[[int], Grey] | None = None,
) -> list[Copy]:
    """Pairs of frames of different groups that show the same picture, the most alike first.

    Args:
        grey: (N, SIDE, SIDE) uint8 miniatures.
        groups: (N,) frames of one group are not compared.
        telling: (N,) frames without are left out: two black pictures are alike, and say nothing.
        reread: makes the miniature at a position with more care, to settle a doubt; may raise `FrameError`. None takes
            doubtful pairs for different.
    """
    places = np.flatnonzero(telling)
    if len(places) < 2:
        return []
    hashes = perceptual_hashes(grey[places])
    pairs = _candidates(hashes, groups[places])
    pairs = places[pairs[_rough(grey, places[pairs]) <= MOST_ROUGH]]
    found = []
    for first, second in progress_bar(pairs.tolist(), desc="comparing frames", unit="pair", delay=2, leave=False):
        difference = aligned_difference(grey[first], grey[second])
        if MOST < difference <= DOUBTFUL and reread is not None:
            with suppress(FrameError):
                difference = aligned_difference(reread(first), reread(second))
        if difference <= MOST:
            found.append(Copy(min(first, second), max(first, second), round(difference, 2)))
    return sorted(found, key=lambda copy: (copy.difference, copy.first, copy.second))


def perceptual_hashes(grey: Grey) -> npt.NDArray[np.uint8]:
    """(N, SIDE, SIDE) uint8 -> (N, BITS / 8) uint8: whether each of the lowest frequencies lies above their median."""
    step = np.arange(SIDE)
    basis = np.cos(np.pi / SIDE * (step + 0.5) * np.arange(_FREQUENCIES)[:, None]).astype(np.float32)
    hashes = np.empty((len(grey), BITS // 8), np.uint8)
    # Bands of neighbouring frequencies would be right or wrong together; dealt out, each band stands by itself.
    order = np.random.default_rng(_SEED).permutation(BITS)
    for start in range(0, len(grey), _CHUNK):
        chunk = grey[start : start + _CHUNK].astype(np.float32)
        frequencies = (basis @ chunk @ basis.T).reshape(len(chunk), -1)
        median = np.median(frequencies[:, 1:], axis=1, keepdims=True)  # without the mean brightness
        frequencies[:, 0] = median[:, 0]
        hashes[start : start + _CHUNK] = np.packbits((frequencies > median)[:, order], axis=1)
    return hashes


def aligned_difference(first: Grey, second: Grey) -> float:
    """Grey levels by which two miniatures (SIDE, SIDE) uint8 differ where they differ most, once aligned.

    Returns:
        The largest mean difference over a block; infinity if they are not alike in form.
    """
    # Blurred by a pixel, so that what a small shift changes is in proportion to it, at sharp edges too.
    a, b = (cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _BLUR) for grey in (first, second))
    deviations = float(a.std() * b.std())
    if deviations == 0 or float(((a - a.mean()) * (b - b.mean())).mean()) < LEAST_CORRELATION * deviations:
        return float("inf")
    down, across = np.gradient((a + b) / 2)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    terms = [np.ones_like(b), b, across, down, x * across, y * across, x * down, y * down]
    design = np.stack(terms, axis=-1).reshape(SIDE * SIDE, -1).astype(np.float64)
    # Of the normal equations, as they have eight unknowns instead of thousands of rows.
    fitted = np.linalg.lstsq(design.T @ design, design.T @ (a - b).ravel(), rcond=None)[0]
    return float(_largest_block((a - b - (design @ fitted).reshape(SIDE, SIDE))[None])[0])


def _candidates(hashes: npt.NDArray[np.uint8], groups: npt.NDArray[np.int64]) -> Pairs:
    """(M, 2) int64 positions whose hashes agree in a band, differ in few bits, and are of different groups."""
    count = len(hashes)
    bands = hashes.view(np.uint16).reshape(count, _BANDS)
    shuffled = np.random.default_rng(_SEED).permutation(count)
    found = []
    for band in progress_bar(range(_BANDS), desc="comparing hashes", unit="band", delay=2, leave=False):
        # In one band's order, frames that agree in it lie side by side, among themselves in no order.
        order = shuffled[np.argsort(bands[shuffled, band], kind="stable")]
        found += list(_neighbours(bands[order, band], order, hashes, groups))
    if not found:
        return np.empty((0, 2), np.int64)
    codes = np.unique(np.concatenate(found))
    return np.stack(np.divmod(codes, count), axis=1)


def _neighbours(
    sorted_band: npt.NDArray[np.uint16],
    order: Pairs,
    hashes: npt.NDArray[np.uint8],
    groups: npt.NDArray[np.int64],
) -> Iterator[Pairs]:
    """Codes `smaller * N + larger` of the pairs that one band brings together."""
    count = len(order)
    for distance in range(1, min(MOST_NEIGHBOURS, count - 1) + 1):
        meet = np.flatnonzero(sorted_band[distance:] == sorted_band[:-distance])
        if not len(meet):
            return
        first, second = order[meet], order[meet + distance]
        other = groups[first] != groups[second]
        first, second = first[other], second[other]
        bits = _POPCOUNT[hashes[first] ^ hashes[second]].sum(axis=1, dtype=np.int64)
        near = bits <= MOST_BITS
        yield np.minimum(first, second)[near] * count + np.maximum(first, second)[near]


def _rough(grey: Grey, pairs: Pairs) -> npt.NDArray[np.float32]:
    """(M, 2) -> (M,) the largest difference of a block, brightness and contrast fitted alone."""
    found = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        a, b = (grey[pairs[start : start + _CHUNK, side]].astype(np.float32) for side in (0, 1))
        a -= a.mean(axis=(1, 2), keepdims=True)
        b -= b.mean(axis=(1, 2), keepdims=True)
        gain = (a * b).sum(axis=(1, 2), keepdims=True) / np.maximum((b * b).sum(axis=(1, 2), keepdims=True), 1)
        found[start : start + _CHUNK] = _largest_block(a - gain * b)
    return found


def _largest_block(differences: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(M, SIDE, SIDE) -> (M,): mean difference of the block that differs most."""
    blocks = SIDE // _BLOCK
    means = differences.reshape(len(differences), blocks, _BLOCK, blocks, _BLOCK).mean(axis=(2, 4))
    return np.asarray(np.abs(means).max(axis=(1, 2)))
