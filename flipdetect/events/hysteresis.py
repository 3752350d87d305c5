"""When pages were turned, from the scores of a video's frames: streaming detectors, and one for whole files.

    detector = HmmDetector(parameters)
    for time_s, probability, frame in scores:
        for event in detector.push(time_s, probability, frame):
            ...
    last = detector.finish()

`HysteresisDetector` is the base line: two thresholds on smoothed probabilities. `HmmDetector` knows how long turns
last and where a recording's scores rest. `detect_events` sees all frames before it decides.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from flipdetect.events.hmm import HmmDetector, detect_with_hmm
from flipdetect.events.parameters import EventParameters, HysteresisParameters
from flipdetect.events.score_history import FrameHistory, ScoredFrame
from flipdetect.records import FlipEvent

__all__ = [
    "EventDetector",
    "EventParameters",
    "HmmDetector",
    "HysteresisDetector",
    "HysteresisParameters",
    "ScoredFrame",
    "detect_events",
    "run_detector",
]

MOST_FRAMES = 100_000
"""Frames that a turn by hysteresis may have: if scores stay high for longer, it is ended, to bound the memory."""


class EventDetector(Protocol):
    """What finds turns while scores come in."""

    def push(self, time_s: float, probability: float | None, frame: int | None = None) -> list[FlipEvent]:
        """Take in a frame; returns the turns that are certain by now."""

    def finish(self) -> list[FlipEvent]:
        """The turns that are left when no further frame comes."""


class HysteresisDetector:
    """A turn begins where the smoothed probability rises above `lower` on its way to `upper`, and ends below `lower`.

    Probabilities are smoothed exponentially in time, y += (1 - exp(-dt / smoothing_s)) (p - y), whatever the frame
    rate; start and end come out later by about 0.7 `smoothing_s`. Turns that are less than `shortest_rest_s` apart
    become one, so one is reported that long after its end; then those shorter than `shortest_s` are dropped. Frames
    without a score are left out; no turn spans `gap_s` without one.

    Args:
        parameters: thresholds and times; None for the defaults.
        video: the clip that events will name.
    """

    def __init__(self, parameters: HysteresisParameters | None = None, video: str = "") -> None:
        self._parameters = parameters or HysteresisParameters()
        self._history = FrameHistory(video)
        self._smoothed: float | None = None
        self._above: int | None = None
        self._believed = False
        self._waiting: deque[tuple[int, int]] = deque(maxlen=1)
        self._reported = 0

    def push(self, time_s: float, probability: float | None, frame: int | None = None) -> list[FlipEvent]:
        """Take in a frame; returns the turns that have ended by now and were not returned before.

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
        index = self._history.count - 1
        events: list[FlipEvent] = []
        if elapsed > self._parameters.gap_s:
            events = self._end(index - added)
        if added and probability is not None:
            self._follow(index, self._smooth(float(probability), elapsed))
        if self._waiting:
            until = time_s if self._above is None else self._history.time(self._above)
            if until - self._history.time(self._waiting[0][1]) >= self._parameters.shortest_rest_s:
                events += self._report()
        self._forget(index)
        return events

    def finish(self) -> list[FlipEvent]:
        """The turns not returned so far, one that is going on included; the detector may go on after it."""
        return self._end(self._history.count - 1)

    def _smooth(self, probability: float, elapsed: float) -> float:
        constant = self._parameters.smoothing_s
        if self._smoothed is None or constant == 0:
            self._smoothed = probability
        else:
            self._smoothed += -math.expm1(-elapsed / constant) * (probability - self._smoothed)
        return self._smoothed

    def _follow(self, index: int, smoothed: float) -> None:
        if smoothed >= self._parameters.lower:
            self._above = index if self._above is None else self._above
            self._believed |= smoothed >= self._parameters.upper
            if index - self._above < MOST_FRAMES:
                return
        self._leave(index - 1)

    def _leave(self, last: int) -> None:
        """What was above the lower threshold up to a frame no longer is."""
        if self._above is not None and self._believed:
            first = self._waiting.popleft()[0] if self._joins(self._above) else self._above
            self._waiting.append((first, last))
        self._above, self._believed = None, False

    def _joins(self, first: int) -> bool:
        if not self._waiting:
            return False
        apart = self._history.time(first) - self._history.time(self._waiting[0][1])
        return apart < self._parameters.shortest_rest_s

    def _end(self, last: int) -> list[FlipEvent]:
        events: list[FlipEvent] = []
        if self._waiting and self._above is not None and not (self._believed and self._joins(self._above)):
            events = self._report()
        self._leave(last)
        self._smoothed = None
        return events + self._report()

    def _report(self) -> list[FlipEvent]:
        if not self._waiting:
            return []
        first, last = self._waiting.popleft()
        if self._history.time(last) - self._history.time(first) < self._parameters.shortest_s:
            return []
        self._reported += 1
        return [self._history.event(self._reported, first, last)]

    def _forget(self, index: int) -> None:
        needed = [index] + ([self._above] if self._above is not None else []) + [first for first, _ in self._waiting]
        self._history.forget(min(needed))


def run_detector(
    detector: EventDetector, scores: Iterable[ScoredFrame | tuple[float, float | None, int | None]]
) -> list[tuple[FlipEvent, float]]:
    """The turns that a live detector reports, each with the second at which it did.

    Args:
        detector: a fresh one.
        scores: (time in seconds, probability or None, frame number or None) of each frame, in order.

    Raises:
        DataError: if a time is not finite, or goes back.
    """
    found, now = [], math.nan
    for time_s, probability, frame in scores:
        now = float(time_s)
        found += [(event, now) for event in detector.push(time_s, probability, frame)]
    return found + [(event, now) for event in detector.finish()]


def detect_events(
    scores: Iterable[ScoredFrame | tuple[float, float | None, int | None]],
    parameters: EventParameters | HysteresisParameters | None = None,
    video: str = "",
) -> list[FlipEvent]:
    """The turns of a whole file: the better detector for files, or the one that the parameters are for.

    Args:
        scores: (time in seconds, probability or None, frame number or None) of each frame, in order.
        parameters: None for the defaults of the hidden Markov model.
        video: the clip that events will name.

    Raises:
        DataError: if a time is not finite, or goes back.
        ValueError: if a probability is outside [0, 1].
    """
    if isinstance(parameters, HysteresisParameters):
        return [event for event, _ in run_detector(HysteresisDetector(parameters, video), scores)]
    return detect_with_hmm(scores, parameters, video)
