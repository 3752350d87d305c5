"""The resting level of a recording's scores: it moves from book to book, and slowly within a recording.

A classifier that has never seen a book may call its resting pages 1 % or 30 % likely to be turning; a turn shows as
a rise above that. Most of the time nothing is turned, so a low quantile of all scores follows the level without
knowing which frames are turns (as running low quantiles follow the background in spectra and in fluorescence).
"""

from __future__ import annotations

from collections import deque
from math import floor

import numpy as np
from numpy.typing import NDArray

from flipdetect.events.parameters import EventParameters

BIN_S = 0.1
"""Frames within such a time become one value: the estimate does not depend on the frame rate."""

GRID_S = 5.0
"""In a file the level is computed so often, and interpolated between."""

Array = NDArray[np.float64]


class RestLevel:
    """The level so far of a stream of scores, from the last `level_window_s` seconds; memory does not grow."""

    def __init__(self, parameters: EventParameters) -> None:
        self._parameters = parameters
        self._bins: deque[tuple[int, float]] = deque()
        self._origin = 0.0
        self._open: tuple[int, float, int] | None = None
        self.value = parameters.level

    def add(self, time_s: float, odds: float) -> float:
        """Take in a frame's log-odds; returns the level, in log-odds."""
        if self._open is None:
            self._origin = time_s
        place = floor((time_s - self._origin) / BIN_S + 1e-6)
        if self._open is not None and place == self._open[0]:
            self._open = (place, self._open[1] + odds, self._open[2] + 1)
            return self.value
        if self._open is not None:
            self._bins.append((self._open[0], self._open[1] / self._open[2]))
            while self._bins[0][0] < place - self._parameters.level_window_s / BIN_S:
                self._bins.popleft()
                if not self._bins:
                    break
            self.value = _shrunken(np.array([mean for _, mean in self._bins]), self._parameters, self._parameters.level)
        self._open = (place, odds, 1)
        return self.value


def file_levels(times: Array, odds: Array, parameters: EventParameters, turning: NDArray[np.bool_] | None) -> Array:
    """The level at each frame of a file, from the frames `level_window_s` around it.

    Args:
        times: (N,) seconds, ascending.
        odds: (N,) log-odds.
        turning: (N,) frames known or believed to show a turn: the level is then the median of the others. None if
            nothing is known: then it is found from a low quantile.

    Returns:
        (N,) float64 log-odds: of the surroundings, drawn a little to the whole file's and to the typical one.
    """
    if len(times) == 0:
        return np.empty(0)
    kept = [times, odds] if turning is None else [times[~turning], odds[~turning]]
    # Means of each `BIN_S` in which there are frames.
    _, place = np.unique(np.floor((kept[0] - kept[0][:1]) / BIN_S + 1e-6), return_inverse=True)
    places, values = (np.bincount(place, each) / np.bincount(place) for each in kept)
    cells = np.unique(np.floor((times - times[0]) / GRID_S))  # where there are frames: pauses may last for years
    grid = times[0] + GRID_S * np.union1d(cells, cells + 1)
    half = parameters.level_window_s / 2
    edges = np.searchsorted(places, np.stack([grid - half, grid + half]))
    at_rest = turning is not None
    whole = _shrunken(values, parameters, parameters.level, at_rest=at_rest)
    levels = [_shrunken(values[low:high], parameters, whole, at_rest=at_rest) for low, high in zip(*edges, strict=True)]
    return np.interp(times, grid, levels)


def _shrunken(values: Array, parameters: EventParameters, usual: float, *, at_rest: bool = False) -> float:
    """The level of the given values, shrunk towards a usual one if they are few."""
    if len(values) == 0:
        return usual
    if at_rest:
        found = float(np.median(values))
    else:
        found = float(np.quantile(values, parameters.level_quantile)) + parameters.level_offset
    prior = parameters.level_prior_s / BIN_S
    return (len(values) * found + prior * usual) / (len(values) + prior)


def evidence(odds: Array, level: Array, parameters: EventParameters) -> Array:
    """How much more likely scores are in a turn than outside turns: log-likelihood ratio in nats, of whole frames.

    `odds` are (N,) log-odds, `level` (N,) the resting level at each.
    """
    moved = odds - parameters.level_share * (level - parameters.level)
    return np.interp(moved, parameters.odds, parameters.evidence)
