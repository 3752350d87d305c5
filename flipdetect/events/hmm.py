"""Turns of pages by a hidden Markov model: live with a short delay, or from all scores of a file at once.

    detector = HmmDetector(parameters)
    for time_s, probability, frame in scores:
        for event in detector.push(time_s, probability, frame):
            ...
    last = detector.finish()

The model knows how long turns last, and estimates the level of a recording's scores outside turns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from flipdetect.events.baseline import RestLevel, evidence, file_levels
from flipdetect.events.parameters import EventParameters
from flipdetect.events.score_history import FrameHistory, ScoredFrame, log_odds
from flipdetect.events.segments import Durations, Segment, SegmentDecoder
from flipdetect.records import FlipEvent

PASSES = 4
"""Rounds of estimating the resting level and the turns in turn; they agree after two or three."""

FILL_S, HELD_S, ALIKE = 0.1, 2.1, 1.0
"""Seconds between the frames that stand for those left out, seconds that may have been left out, and the difference in
log-odds of the frames before and after, up to which nothing changed in between."""

TIDYING = 64
"""Frames after which the live detector looks which ones it no longer needs."""

Array = NDArray[np.float64]


class HmmDetector:
    """Reports turns while scores come in, `lag_s` after they have ended as far as is known by then.

    The resting level is estimated from the scores so far. What was reported stands, whatever comes later. Memory is
    bounded by `longest_s` and `level_window_s`. Frames that could not be scored are left out like missing ones; over
    a longer time without a score than `gap_s`, what goes on is ended and the next frame starts afresh.

    Turns whose highest probability is below `least_peak` are left out.
    """

    def __init__(self, parameters: EventParameters | None = None, least_peak: float = 0.0) -> None:
        self._parameters = parameters or EventParameters()
        self._least_peak = least_peak
        self._durations = Durations(self._parameters)
        self._history = FrameHistory()
        self._level = RestLevel(self._parameters)
        self._decoder: SegmentDecoder | None = None
        self._reported = 0

    def push(self, time_s: float, probability: float | None, frame: int | None = None) -> list[FlipEvent]:
        """Take in a frame; returns the turns that are certain by now and were not returned before.

        A frame with the time stamp of the one before is left out.

        Args:
            time_s: its time stamp in seconds, on any clock that does not go back.
            probability: that a page is being turned, 0 to 1; None or NaN if it could not be scored.
            frame: its number.

        Raises:
            DataError: if the time is not finite, or goes back.
            ValueError: if the probability is outside [0, 1].
        """
        before = self._history.last_s
        added = self._history.add(time_s, probability, frame)
        elapsed = time_s - before
        events = self.finish() if elapsed > self._parameters.gap_s else []
        if not added or probability is None:
            return events
        odds = log_odds([probability])
        level = np.array([self._level.add(time_s, float(odds[0]))])
        if self._decoder is None:
            self._decoder = SegmentDecoder(self._parameters, self._durations, self._history.count - 1)
            elapsed = self._parameters.correlation_s
        weight = min(1.0, elapsed / self._parameters.correlation_s)
        self._decoder.step(time_s, weight * float(evidence(odds, level, self._parameters)[0]))
        events += self._report(self._decoder, time_s - self._parameters.lag_s)
        if self._history.count % TIDYING == 0:
            self._history.forget(self._decoder.oldest)
        return events

    @property
    def turning(self) -> bool:
        """Whether the most likely division has a turn at the last frame."""
        return self._decoder is not None and self._decoder.segments()[1] is not None

    def finish(self) -> list[FlipEvent]:
        """The turns not returned so far, one that is going on included; the detector may go on after it."""
        if self._decoder is None:
            return []
        ended, current = self._decoder.segments()
        self._decoder = None
        return self._events([*ended, *([current] if current else [])])

    def _report(self, decoder: SegmentDecoder, until_s: float) -> list[FlipEvent]:
        ended = [each for each in decoder.segments()[0] if self._history.time(each.last) <= until_s]
        if ended:
            decoder.commit(ended[-1].last)
        return self._events(ended)

    def _events(self, segments: Iterable[Segment]) -> list[FlipEvent]:
        events = self._history.events(segments, self._least_peak, self._reported)
        self._reported += len(events)
        return events


def run_detector(
    detector: HmmDetector, scores: Iterable[ScoredFrame | tuple[float, float | None, int | None]]
) -> list[tuple[FlipEvent, float]]:
    """The turns that a fresh live detector reports, each with the second at which it did; see `HmmDetector.push`."""
    found, now = [], math.nan
    for time_s, probability, frame in scores:
        now = float(time_s)
        found += [(event, now) for event in detector.push(time_s, probability, frame)]
    return found + [(event, now) for event in detector.finish()]


def detect_events(
    scores: Iterable[ScoredFrame | tuple[float, float | None, int | None]],
    parameters: EventParameters | None = None,
    video: str = "",
) -> list[FlipEvent]:
    """The turns of a whole file: the most likely division, with the resting level known from before and after.

    Turns and resting level are estimated in turn: the level from a low quantile of all scores, the turns, the level
    from the median of the frames outside turns, the turns, and so on until nothing changes (expectation-maximisation
    with the most likely division in the place of the expectation; "segmental k-means", Juang and Rabiner 1990).
    Time grows with the number of frames alone.

    Args:
        scores: (time in seconds, probability or None, frame number or None) of each frame, in order.
        video: the clip that events will name.

    Raises:
        DataError: if a time is not finite, or goes back.
        ValueError: if a probability is outside [0, 1].
    """
    parameters = parameters or EventParameters()
    history = FrameHistory(video)
    kept = [(float(row[0]), row[1]) for row in scores if history.add(*row) and row[1] is not None]
    if not kept:
        return []
    times, odds, known = _filled(np.array([time for time, _ in kept]), log_odds([score for _, score in kept]))
    segments: list[Segment] = []
    turning: NDArray[np.bool_] | None = None
    for _ in range(PASSES):
        before = segments
        levels = file_levels(times, odds, parameters, turning)
        segments = _decode(times, evidence(odds, levels, parameters), parameters)
        turning = np.zeros(len(times), dtype=np.bool_)
        for first, last in segments:
            turning[first : last + 1] = True
        if segments == before:
            break
    places = np.cumsum(known) - 1  # of the last scored frame up to each
    scored = ((int(places[first - 1]) + 1 if first else 0, int(places[last])) for first, last in segments)
    return history.events(segment for segment in scored if segment[0] <= segment[1])


def _filled(times: Array, odds: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Times and log-odds with those of frames that were left out as nothing changed, and which of them were scored.

    That is believed of a time of `HELD_S` at most between two frames whose log-odds are alike.
    """
    apart = np.diff(times)
    left_out = (apart > 2.5 * FILL_S) & (apart <= HELD_S) & (np.abs(np.diff(odds)) <= ALIKE)
    between = [np.arange(times[at] + FILL_S, times[at + 1] - FILL_S / 2, FILL_S) for at in np.flatnonzero(left_out)]
    every = np.concatenate([times, *between])
    order = np.argsort(every, kind="stable")
    return every[order], np.interp(every[order], times, odds), order < len(times)


def _decode(times: Array, ratios: Array, parameters: EventParameters) -> list[Segment]:
    """The turns of the most likely division of a file; a long time without frames divides it."""
    elapsed = np.diff(times, prepend=times[0] - parameters.correlation_s)
    weighed = ratios * np.minimum(1.0, elapsed / parameters.correlation_s)
    durations = Durations(parameters)
    breaks = np.flatnonzero(elapsed > parameters.gap_s).tolist()
    segments: list[Segment] = []
    for first, end in zip([0, *breaks], [*breaks, len(times)], strict=True):
        decoder = SegmentDecoder(parameters, durations, first)
        for time, ratio in zip(times[first:end].tolist(), weighed[first:end].tolist(), strict=True):
            decoder.step(time, ratio)
        ended, current = decoder.segments()
        segments += [*ended, *([current] if current else [])]
    return segments
