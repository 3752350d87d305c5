"""When a frame is shown: time stamps become seconds of playback; impossible ones are repaired."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# A stamp further back than this starts a new count (files joined end to end); a smaller step back is a bad stamp.
JUMP_BACK_S = 0.5
# A frame with a bad stamp is put so far behind the previous one: less than any real distance, and more than the
# rounding error of a time with three decimals.
NUDGE_S = 0.001


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One frame of a video.

    Attributes:
        time_s: seconds from the start of playback; strictly increasing within a video.
        index: number of the frame in the file in presentation order, from 0, damaged frames included;
            -1 if it was reached by a jump (`frame_at`).
        image: `(H, W, 3) uint8` RGB, or `(H, W, 1)` grey, upright, contiguous and writable.
    """

    time_s: float
    index: int
    image: NDArray[np.uint8]


class Clock:
    """Converts the presentation stamps of successive frames to strictly increasing seconds.

    Wrong stamps are repaired and counted: a frame without a stamp is put one step after the last; a frame whose stamp
    is not later than the last is put 1 ms after it; where stamps fall back by more than half a second, as where
    recordings were joined, time continues.

    Attributes:
        missing: frames without a stamp of their own.
        repeated: frames whose stamp was not later than the one before.
        jumps: places where the stamps restarted.
        last: seconds of the last frame, None before the first.
    """

    def __init__(self, time_base: Fraction, start: Fraction, step: Fraction) -> None:
        """Start a count.

        Args:
            time_base: seconds of one unit of the stamps.
            start: stamp in seconds at the start of playback.
            step: usual seconds from a frame to the next.
        """
        self._time_base = time_base
        self._start = start
        self._step = float(step)
        self._shift = 0.0
        self.missing = 0
        self.repeated = 0
        self.jumps = 0
        self.last: float | None = None

    @property
    def step(self) -> float:
        """Usual seconds from a frame to the next."""
        return self._step

    def seconds(self, stamp: int) -> float:
        """Seconds of playback of a stamp, not repaired."""
        return float(stamp * self._time_base - self._start)

    def stamp(self, seconds: float) -> int:
        """The stamp of a time of playback."""
        return int((Fraction(seconds) + self._start) / self._time_base)

    def tick(self, stamp: int | None) -> float:
        """Seconds of the next frame in presentation order, whose stamp is `stamp` if it has one."""
        if stamp is None:
            self.missing += 1
            time = 0.0 if self.last is None else self.last + self._step
        else:
            time = self.seconds(stamp) + self._shift
            if self.last is not None and time <= self.last:
                if self.last - time <= JUMP_BACK_S:
                    self.repeated += 1
                    time = self.last + NUDGE_S
                else:
                    self.jumps += 1
                    self._shift += self.last + self._step - time
                    time = self.last + self._step
        self.last = time
        return time
