"""Fingerprints of pages: how much print there is where, as hexadecimal digits, and how alike two of them are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Products = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]

GRID = 24
"""Cells of a fingerprint, across and down."""

LEVELS = 15
"""Levels of print density that a digit can hold; the sixteenth digit says that the cell was not seen."""

DENSEST = 0.36
"""Mean slope of the logarithm of brightness, per pixel of a frame measured at `quality.SIDE`, of the top level."""

SEEN_SHARE = 0.6
"""Share of a cell that must lie on the pages, outside hands, for it to have a level."""

SHIFT, REST_SHIFT = 1, 2
"""Cells by which one frame may be moved against the other, in either direction; and one rest against the next, as a
hand may push the book in between."""

LEAST_CELLS, LEAST_SHARE = 60, 0.5
"""Cells that both fingerprints must have seen, as a number and as a share of those that the fuller one has seen."""

PAIRS_AT_ONCE = 1000

BLANK = 0.45
"""Standard deviation of the levels over the cells seen, below which a page is as good as blank."""

DIGITS = "".join(f"{step ^ (step >> 1):x}" for step in range(16))
"""Gray code (F. Gray, 1953): neighbouring levels differ in one bit, so a small change flips few bits."""

LEVEL_OF = np.full(256, -1, np.int64)
LEVEL_OF[[ord(digit) for digit in DIGITS]] = np.arange(16)
"""The level of a digit by its character code, -1 for what is no digit."""


def encode_print(slopes: Floats, seen: Floats) -> str:
    """The fingerprint of a frame: GRID * GRID hexadecimal digits, row by row.

    Args:
        slopes: (GRID, GRID) mean slope of the logarithm of brightness in each cell, over what was seen of it.
    """
    # Square roots spread faint print over as many levels as pictures have.
    levels = np.sqrt(np.clip(slopes / DENSEST, 0, 1)) * (LEVELS - 1)
    levels = np.where(seen >= SEEN_SHARE, np.rint(levels), LEVELS).astype(np.int64)
    return "".join(DIGITS[level] for level in levels.ravel().tolist())


def decode_print(fingerprint: str) -> Floats:
    """The levels of a fingerprint, (n, n) float32, NaN where a cell was not seen.

    Raises:
        ValueError: if it was not made by `encode_print`.
    """
    side = math.isqrt(len(fingerprint))
    found = LEVEL_OF[np.frombuffer(fingerprint.encode("latin-1", "replace"), np.uint8)]
    if side == 0 or side * side != len(fingerprint) or (found < 0).any():
        raise ValueError(
            f"{fingerprint[:20]!r} ({len(fingerprint)} characters) is no fingerprint; score the video again"
        )
    levels = found.reshape(side, side).astype(np.float32)
    levels[levels == LEVELS] = np.nan
    return levels


def mean_levels(levels: Floats) -> Floats:
    """Mean of the levels (N, n, n) of some fingerprints over those that have seen a cell, (n, n), NaN if none has."""
    seen = np.isfinite(levels).sum(axis=0)
    return np.where(seen > 0, np.nansum(levels, axis=0) / np.maximum(seen, 1), np.nan).astype(np.float32)


def is_blank(fingerprints: Sequence[str]) -> bool:
    """Whether fingerprints of one spread show too little print to be compared.

    Raises:
        ValueError: if a string is no fingerprint, or they differ in length.
    """
    mean = mean_levels(np.stack([decode_print(text) for text in fingerprints]))
    known = mean[np.isfinite(mean)]
    return bool(known.size == 0 or known.std() < BLANK)


def shows_print(levels: Floats) -> bool:
    """Whether enough was seen in a fingerprint's levels (n, n), and of print, that it could be compared with others."""
    known = levels[np.isfinite(levels)]
    return bool(known.size >= LEAST_CELLS and known.std() >= BLANK)


def likeness(levels: Floats) -> NDArray[np.float64]:
    """How alike the print is in each pair of fingerprints (N, n, n) of one video: (N, N) float64, 1 for the same.

    The correlation of the levels (Pearson's) over the cells that both have seen, at the best of the shifts by a cell;
    NaN where too little was seen in common, or where it is blank.
    """
    return _best_shift(levels, levels, lambda a, b: a @ b.T, SHIFT)


def likeness_of_pairs(first: Floats, second: Floats) -> NDArray[np.float64]:
    """`likeness` of the fingerprints that have the same place in two lists, (N,) float64.

    Args:
        first, second: (N, n, n) levels, NaN where not seen.
    """
    found = np.full(len(first), np.nan)
    for start in range(0, len(first), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        found[part] = _best_shift(first[part], second[part], lambda a, b: (a * b).sum(axis=1), REST_SHIFT)
    return found


def _best_shift(first: Floats, second: Floats, products: Products, most: int) -> NDArray[np.float64]:
    """Correlations over what both have seen, at the best of the shifts, by sums of products: thousands are quick.

    Args:
        first, second: (N, n, n) and (M, n, n) levels.
        products: of (N, n * n) and (M, n * n) values: the sums of products of those pairs that are wanted.
        most: cells by which a fingerprint may be moved.
    """
    side = first.shape[1]
    padded = np.pad(second, ((0, 0), (most, most), (most, most)), constant_values=np.nan)
    a = first.reshape(len(first), -1).astype(np.float64)
    a_seen, a = np.isfinite(a).astype(np.float64), np.nan_to_num(a)
    b_all = np.isfinite(second).reshape(len(second), -1).astype(np.float64)
    ones = np.ones_like(a_seen)
    fuller = np.maximum(products(a_seen, np.ones_like(b_all)), products(ones, b_all))
    least = np.maximum(LEAST_SHARE * fuller, LEAST_CELLS)
    best = np.full(least.shape, np.nan)
    for down, right in product(range(2 * most + 1), repeat=2):
        b = padded[:, down : down + side, right : right + side].reshape(len(second), -1).astype(np.float64)
        b_seen, b = np.isfinite(b).astype(np.float64), np.nan_to_num(b)
        count = np.maximum(products(a_seen, b_seen), 1.0)
        a_mean, b_mean = products(a, b_seen) / count, products(a_seen, b) / count
        a_variance = np.maximum(products(a * a, b_seen) / count - a_mean**2, 0.0)
        b_variance = np.maximum(products(a_seen, b * b) / count - b_mean**2, 0.0)
        together = products(a, b) / count - a_mean * b_mean
        known = (count >= least) & (np.minimum(a_variance, b_variance) >= BLANK**2)
        best = np.fmax(best, np.where(known, together / np.sqrt(np.maximum(a_variance * b_variance, 1e-12)), np.nan))
    return best
