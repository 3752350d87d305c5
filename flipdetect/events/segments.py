"""The most likely division of a stream into rests and turns: a hidden Markov model with explicit durations.

Two states alternate. A rest lasts a shortest time, then ends at a constant rate per second; a turn lasts a log-normal
time, or, rarely, any time up to a longest one. Of all divisions the one with the highest joint probability is found
by the Viterbi recursion for explicit durations (L. R. Rabiner, "A tutorial on hidden Markov models", Proc. IEEE 77(2),
1989, section IV.D; S.-Z. Yu, "Hidden semi-Markov models", Artificial Intelligence 174, 2010). All rates are per second,
never per frame, so the frame rate may vary.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flipdetect.events.parameters import EventParameters

STEP_S = 0.002
"""Resolution of the table of durations."""

BEAM = 45.0
"""Nats behind the best at which a division is given up: no duration makes up for as much."""


class Segment(NamedTuple):
    """A turn: the index of its first and of its last frame."""

    first: int
    last: int


@dataclass(frozen=True)
class _Path:
    """The turns of a division, the latest first."""

    segment: Segment
    before: _Path | None

    def segments(self) -> list[Segment]:
        """In order of time."""
        found: list[Segment] = []
        path: _Path | None = self
        while path is not None:
            found.append(path.segment)
            path = path.before
        return found[::-1]


@dataclass
class _Rest:
    """A division that is outside a turn now, since `boundary` seconds."""

    boundary: float
    score: float
    path: _Path | None


class Durations:
    """Logarithms of the density of a turn's duration, per second, and of the chance that it lasts longer."""

    def __init__(self, parameters: EventParameters) -> None:
        seconds = np.arange(STEP_S / 2, parameters.longest_s + STEP_S, STEP_S)
        deviation = (np.log(seconds) - math.log(parameters.duration_median_s)) / parameters.duration_spread
        usual = np.exp(-(deviation**2) / 2) / seconds
        usual /= usual.sum() * STEP_S
        share = parameters.duration_outliers
        density = (1 - share) * usual + share / (len(seconds) * STEP_S)
        longer = np.cumsum(density[::-1])[::-1] * STEP_S
        self._density = np.log(np.maximum(density, 1e-300))
        self._longer = np.log(np.maximum(longer, 1e-300))

    def log_density(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of durations (N,) in seconds; beyond the longest, as at the longest."""
        return np.asarray(self._density[self._place(seconds)])

    def log_longer(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of durations (N,) in seconds."""
        return np.asarray(self._longer[self._place(seconds)])

    def _place(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.minimum((seconds / STEP_S).astype(np.int64), len(self._density) - 1)


class SegmentDecoder:
    """Takes in one frame at a time, and knows the most likely division at any moment.

    Scores are relative to a recording without a turn. A turn lies between the midpoints of frame intervals. The
    divisions under consideration are those outside a turn now, and one for each frame at which a current turn
    may have begun; the latter are given up when they fall `BEAM` behind the best, or are longer than `longest_s`.
    `first` is the index of the first frame.
    """

    def __init__(self, parameters: EventParameters, durations: Durations, first: int = 0) -> None:
        self._parameters, self._durations = parameters, durations
        # A maximum stands for a sum over all moments within the time that evidence can resolve.
        self._onset = math.log(parameters.turns_per_second * parameters.correlation_s) + parameters.onset_bias
        self._blur = math.log(parameters.correlation_s)
        self._next = first
        self._last_s: float | None = None
        self._total = 0.0
        self._rest = _Rest(-math.inf, 0.0, None)
        self._young: deque[_Rest] = deque()
        # Turns that may be going on: where they began, score less the evidence before, and the past.
        self._bounds = np.empty(0)
        self._scores = np.empty(0)
        self._firsts = np.empty(0, dtype=np.int64)
        self._pasts: list[_Path | None] = []
        self._standing = np.empty(0)

    def step(self, time_s: float, evidence: float) -> None:
        """Take in a frame.

        Args:
            time_s: its time stamp, later than the one before.
            evidence: log-likelihood ratio of turning to resting that it adds, in nats.
        """
        start = self._last_s is None
        boundary = time_s if self._last_s is None else (self._last_s + time_s) / 2
        closed = self._close(boundary)
        self._mature(boundary)
        if start:
            busy = self._parameters.turns_per_second * self._parameters.duration_median_s
            self._open(boundary, math.log(busy / (1 + busy)))
        else:
            self._open(boundary, self._rest.score + self._onset)
            self._rest.score -= self._parameters.turns_per_second * (time_s - (self._last_s or 0.0))
        if closed is not None and closed.score > self._rest.score - BEAM:
            self._young.append(closed)
        self._total += evidence
        self._last_s = time_s
        self._next += 1
        self._prune(time_s)

    def _close(self, boundary: float) -> _Rest | None:
        """The best division in which a turn has just ended."""
        if not len(self._bounds):
            return None
        scores = self._scores + self._durations.log_density(boundary - self._bounds)
        best = int(scores.argmax())
        path = _Path(Segment(int(self._firsts[best]), self._next - 1), self._pasts[best])
        return _Rest(boundary, float(scores[best]) + self._total + self._blur, path)

    def _mature(self, boundary: float) -> None:
        """Rests that have lasted long enough for a turn to begin compete for one place."""
        while self._young and boundary - self._young[0].boundary >= self._parameters.shortest_rest_s:
            rest = self._young.popleft()
            if rest.score > self._rest.score:
                self._rest = rest

    def _open(self, boundary: float, score: float) -> None:
        self._bounds = np.append(self._bounds, boundary)
        self._scores = np.append(self._scores, score - self._total)
        self._firsts = np.append(self._firsts, self._next)
        self._pasts.append(self._rest.path)

    def _prune(self, time_s: float) -> None:
        ages = time_s - self._bounds
        self._standing = self._scores + self._total + self._durations.log_longer(ages)
        best = max(float(self._standing.max()), self._best_rest().score)
        keep = (self._standing > best - BEAM) & (ages <= self._parameters.longest_s)
        if not keep.all():
            self._keep(keep)

    def _keep(self, keep: NDArray[np.bool_]) -> None:
        self._bounds, self._scores, self._firsts = self._bounds[keep], self._scores[keep], self._firsts[keep]
        self._standing = self._standing[keep]
        self._pasts = [path for path, kept in zip(self._pasts, keep.tolist(), strict=True) if kept]

    def _best_rest(self) -> _Rest:
        return max([self._rest, *self._young], key=lambda rest: rest.score)

    def segments(self) -> tuple[list[Segment], Segment | None]:
        """The turns of the most likely division that have ended, in order, and the one going on, if any.

        Those that were taken out by `commit` are not among them.
        """
        rest = self._best_rest()
        if len(self._standing) and self._standing.max() > rest.score:
            best = int(self._standing.argmax())
            path, current = self._pasts[best], Segment(int(self._firsts[best]), self._next - 1)
        else:
            path, current = rest.path, None
        return path.segments() if path is not None else [], current

    def commit(self, last: int) -> None:
        """Take it for settled what there was up to the frame of index `last`: no turn will begin before its end.

        Divisions that saw it otherwise go on as if they had seen the same.
        """

        def after(path: _Path | None) -> _Path | None:
            if path is None or path.segment.first <= last:
                return None
            return _Path(path.segment, after(path.before))

        for rest in (self._rest, *self._young):
            rest.path = after(rest.path)
        self._pasts = [after(path) for path in self._pasts]
        self._keep(self._firsts > last)

    @property
    def oldest(self) -> int:
        """Index of the first frame that may still belong to a turn not taken out."""
        paths = [rest.path for rest in (self._rest, *self._young)] + self._pasts
        past = [path.segments()[0].first for path in paths if path is not None]
        return min([self._next, *past, *(int(first) for first in self._firsts[:1])])
