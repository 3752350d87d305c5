"""Fingerprints of pages: how much print there is where, as hexadecimal digits, and how alike two of them are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

GRID = 24
"""Cells of a fingerprint, across and down."""

LEVELS = 15
"""Steps of print density that a digit tells; the digit left over says that the cell was not seen."""

DENSEST = 0.36
"""Mean slope of the logarithm of brightness, per pixel of a frame measured at `still_quality.SIDE`, of the top step."""

SEEN_SHARE = 0.6
"""Of a cell that must lie on the pages, outside hands, for it to have a step."""

SHIFT = 1
"""Cells by which one frame may be moved against the other, in either direction."""

LEAST_CELLS, LEAST_SHARE = 60, 0.5
"""Cells that both fingerprints must have seen, as a number and as a share of those that the fuller one has seen."""

LEAST_SPREAD = 0.45
"""Standard deviation of the steps, over the cells compared, below which a page is as good as blank."""

DIGITS = "".join(f"{step ^ (step >> 1):x}" for step in range(16))
"""Gray code (F. Gray, 1953): neighbouring steps differ in one bit, so few bits change when a picture changes little."""

STEPS = np.full(256, -1, np.int64)
STEPS[[ord(digit) for digit in DIGITS]] = np.arange(16)
"""The step of a digit by its character code, -1 for what is no digit."""


def encode_print(slopes: Floats, seen: Floats) -> str:
    """The fingerprint of a frame.

    Args:
        slopes: (GRID, GRID) mean slope of the logarithm of brightness in each cell, over what was seen of it.
        seen: (GRID, GRID) share of each cell that was seen.

    Returns:
        GRID * GRID hexadecimal digits, row by row.
    """
    # Square roots spread faint print over as many steps as pictures have.
    steps = np.sqrt(np.clip(slopes / DENSEST, 0, 1)) * (LEVELS - 1)
    steps = np.where(seen >= SEEN_SHARE, np.rint(steps), LEVELS).astype(np.int64)
    return "".join(DIGITS[step] for step in steps.ravel().tolist())


def decode_print(fingerprint: str) -> Floats:
    """The steps of a fingerprint, (n, n) float32, NaN where a cell was not seen.

    Raises:
        ValueError: if it was not made by `encode_print`.
    """
    side = math.isqrt(len(fingerprint))
    found = STEPS[np.frombuffer(fingerprint.encode("latin-1", "replace"), np.uint8)]
    if side == 0 or side * side != len(fingerprint) or (found < 0).any():
        raise ValueError(f"{fingerprint[:20]!r} ({len(fingerprint)} characters) is no fingerprint; measure frames anew")
    steps = found.reshape(side, side).astype(np.float32)
    steps[steps == LEVELS] = np.nan
    return steps


def mean_print(fingerprints: Sequence[str]) -> Floats:
    """Mean steps of some fingerprints of one spread, (n, n) float32: less noise than in one, and fewer hands.

    Returns:
        NaN where none has seen the cell.

    Raises:
        ValueError: if a string is no fingerprint, or they differ in length.
    """
    steps = np.stack([decode_print(text) for text in fingerprints])
    seen = np.isfinite(steps).sum(axis=0)
    return np.where(seen > 0, np.nansum(steps, axis=0) / np.maximum(seen, 1), np.nan).astype(np.float32)


def print_spread(steps: Floats) -> float:
    """Standard deviation of steps over the cells seen, 0 if none was; see `LEAST_SPREAD`."""
    known = steps[np.isfinite(steps)]
    return float(known.std()) if known.size else 0.0


def likeness(first: Floats, second: Floats) -> NDArray[np.float64]:
    """How alike the print is in each pair of fingerprints of one video, 1 for the same.

    The correlation of the steps (Pearson's) over the cells that both have seen, at the best of the shifts by a cell.

    Args:
        first: (N, n, n) steps of N fingerprints, NaN where not seen.
        second: (M, n, n).

    Returns:
        (N, M) float64, -1 to 1; NaN where too little was seen in common, or where it is blank, so that nothing can
        be said.
    """
    best = np.full((len(first), len(second)), np.nan)
    least = np.maximum(LEAST_SHARE * np.maximum(_seen(first)[:, None], _seen(second)[None]), LEAST_CELLS)
    for down in range(-SHIFT, SHIFT + 1):
        for right in range(-SHIFT, SHIFT + 1):
            best = np.fmax(best, _correlation(first, _moved(second, down, right), least))
    return best


def _seen(steps: Floats) -> NDArray[np.float64]:
    return np.asarray(np.isfinite(steps).sum(axis=(1, 2)), np.float64)


def _moved(steps: Floats, down: int, right: int) -> Floats:
    """(N, n, n) moved by cells; what comes in was not seen."""
    matrix = np.full_like(steps, np.nan)
    side = steps.shape[1]
    to_y, from_y = slice(max(0, down), side + min(0, down)), slice(max(0, -down), side + min(0, -down))
    to_x, from_x = slice(max(0, right), side + min(0, right)), slice(max(0, -right), side + min(0, -right))
    matrix[:, to_y, to_x] = steps[:, from_y, from_x]
    return matrix


def _correlation(ours: Floats, theirs: Floats, least: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M) correlations over what both have seen, by sums of products: pairs by the thousand are quick."""
    a, b = (steps.reshape(len(steps), -1).astype(np.float64) for steps in (ours, theirs))
    a_seen, b_seen = np.isfinite(a).astype(np.float64), np.isfinite(b).astype(np.float64)
    a, b = np.nan_to_num(a), np.nan_to_num(b)
    count = np.maximum(a_seen @ b_seen.T, 1.0)
    a_mean, b_mean = a @ b_seen.T / count, a_seen @ b.T / count
    a_spread = np.maximum((a * a) @ b_seen.T / count - a_mean**2, 0.0)
    b_spread = np.maximum(a_seen @ (b * b).T / count - b_mean**2, 0.0)
    together = a @ b.T / count - a_mean * b_mean
    known = (count >= least) & (np.minimum(a_spread, b_spread) >= LEAST_SPREAD**2)
    return np.where(known, together / np.sqrt(np.maximum(a_spread * b_spread, 1e-12)), np.nan)
