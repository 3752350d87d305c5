"""Turns of pages by hysteresis: two thresholds on smoothed probabilities."""

from __future__ import annotations

import math
from collections import deque

from flipdetect.events.parameters import HysteresisParameters
from flipdetect.events.score_history import FrameHistory
from flipdetect.records import FlipEvent

MOST_FRAMES = 100_000
"""Frames that a turn by hysteresis may have: if scores stay high for longer, it is ended, to bound the memory."""


class HysteresisDetector:
    """A turn begins where the smoothed probability rises above `lower` on its way to `upper`, and ends below `lower`.

    Probabilities are smoothed exponentially in time, y += (1 - exp(-dt / smoothing_s)) (p - y), whatever the frame
    rate; start and end come out later by about 0.7 `smoothing_s`. Turns that are less than `shortest_rest_s` apart
    become one, so one is reported that long after its end; then those shorter than `shortest_s` are dropped. Frames
    without a score are left out; no turn spans `gap_s` without one.

    `video` is the clip that events will name; turns whose highest probability is below `least_peak` are left out.
    """

    def __init__(
        self, parameters: HysteresisParameters | None = None, video: str = "", least_peak: float = 0.0
    ) -> None:
        self._parameters = parameters or HysteresisParameters()
        self._least_peak = least_peak
        self._history = FrameHistory(video)
        self._smoothed: float | None = None
        self._above: int | None = None
        self._believed = False
        self._waiting: deque[tuple[int, int]] = deque(maxlen=1)
        self._reported = 0

    def push(self, time_s: float, probability: float | None, frame: int | None = None) -> list[FlipEvent]:
        """Take in a frame; returns the turns that are certain by now; see `EventDetector.push`."""
        before = self._history.last_s
        added = self._history.add(time_s, probability, frame)
        elapsed = time_s - before
        index = self._history.count - 1
        events: list[FlipEvent] = []
        if elapsed > self._parameters.gap_s:
            events = self._end(index - added)
        if added and probability is not None:
            constant = self._parameters.smoothing_s
            if self._smoothed is None or constant == 0:
                self._smoothed = float(probability)
            else:
                self._smoothed += -math.expm1(-elapsed / constant) * (probability - self._smoothed)
            if self._smoothed >= self._parameters.lower:
                self._above = index if self._above is None else self._above
                self._believed |= self._smoothed >= self._parameters.upper
            if self._smoothed < self._parameters.lower or index - (self._above or 0) >= MOST_FRAMES:
                self._leave(index - 1)
        if self._waiting:
            until = time_s if self._above is None else self._history.time(self._above)
            if until - self._history.time(self._waiting[0][1]) >= self._parameters.shortest_rest_s:
                events += self._report()
        needed = [index] + ([self._above] if self._above is not None else []) + [first for first, _ in self._waiting]
        self._history.forget(min(needed))
        return events

    @property
    def turning(self) -> bool:
        """Whether the smoothed probability is above `lower`."""
        return self._above is not None

    def finish(self) -> list[FlipEvent]:
        """The turns not returned so far, one that is going on included; the detector may go on after it."""
        return self._end(self._history.count - 1)

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
        events = self._history.events([(first, last)], self._least_peak, self._reported)
        self._reported += len(events)
        return events
