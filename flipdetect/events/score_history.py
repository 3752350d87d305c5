"""The scored frames that an event detector still needs, checked as they come in, and the events made of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flipdetect.errors import DataError
from flipdetect.records import FlipEvent

PLATEAU = 0.5
"""Log-odds by which a frame may fall behind the highest of an event and still be as clear."""

ODDS_LIMIT = 12.0
"""Beyond this, log-odds say more of the number format than of the frame: tables have six decimals."""


class ScoredFrame(NamedTuple):
    """A frame of a video as the event detectors see it.

    Attributes:
        time_s: its time stamp in seconds.
        probability: that a page is being turned, 0 to 1; None or NaN if it could not be scored.
        frame: its number, None if unknown.
    """

    time_s: float
    probability: float | None
    frame: int | None = None


class FrameHistory:
    """Scored frames in order of time, by a running index from 0; frames without a score have no index."""

    def __init__(self, video: str = "") -> None:
        self._video = video
        self._forgotten = 0
        self._seen_s = -math.inf
        self._times: list[float] = []
        self._probabilities: list[float] = []
        self._frames: list[int | None] = []

    @property
    def count(self) -> int:
        """Number of frames added so far, forgotten ones included: the index of the next."""
        return self._forgotten + len(self._times)

    @property
    def last_s(self) -> float:
        """Second of the last scored frame; minus infinity before the first."""
        return self._times[-1] if self._times else -math.inf

    def time(self, index: int) -> float:
        """Second of a frame that has not been forgotten."""
        return self._times[index - self._forgotten]

    def add(self, time_s: float, probability: float | None, frame: int | None = None) -> bool:
        """Take in a frame, unless it has no score or the time stamp of the last scored one.

        Returns:
            Whether it was taken in.

        Raises:
            DataError: if the time is not finite, or before that of an earlier frame.
            ValueError: if the probability is neither NaN nor in [0, 1].
        """
        if not math.isfinite(time_s):
            raise DataError(f"frame {frame} has the time stamp {time_s}; leave frames without a time out")
        if time_s < self._seen_s:
            raise DataError(
                f"frame {frame} is at {time_s:g} s, after a frame at {self._seen_s:g} s; "
                "give frames in the order in which they are shown"
            )
        self._seen_s = time_s
        if probability is None or math.isnan(probability):
            return False
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"a probability must lie in [0, 1], got {probability} at {time_s:g} s")
        if time_s == self.last_s:
            return False
        self._times.append(float(time_s))
        self._probabilities.append(float(probability))
        self._frames.append(frame)
        return True

    def events(self, segments: Iterable[tuple[int, int]], least_peak: float = 0.0, number: int = 0) -> list[FlipEvent]:
        """The events of some segments (index of the first frame, of the last frame) that have not been forgotten.

        Args:
            segments: in order of time.
            least_peak: segments whose highest probability is lower are left out.
            number: of the event before them.
        """
        found: list[FlipEvent] = []
        for first, last in segments:
            event = self._event(number + len(found) + 1, first, last)
            if event.peak_probability >= least_peak:
                found.append(event)
        return found

    def _event(self, number: int, first: int, last: int) -> FlipEvent:
        low, high = first - self._forgotten, last - self._forgotten
        probabilities = np.array(self._probabilities[low : high + 1])
        times = np.array(self._times[low : high + 1])
        odds = log_odds(probabilities)
        clear = np.flatnonzero(odds >= odds.max() - PLATEAU)
        peak = int(clear[np.argmin(np.abs(times[clear] - (times[0] + times[-1]) / 2))])
        return FlipEvent(
            number=number,
            start_s=self._times[low],
            peak_s=float(times[peak]),
            end_s=self._times[high],
            start_frame=self._frames[low],
            peak_frame=self._frames[low + peak],
            end_frame=self._frames[high],
            mean_probability=float(probabilities.mean()),
            peak_probability=float(probabilities.max()),
            video=self._video,
        )

    def forget(self, before: int) -> None:
        """Let go of frames whose index is below `before`, all but the last one."""
        many = min(before - self._forgotten, len(self._times) - 1)
        # Only now and then: a list moves all that stays.
        if many > 0 and 2 * many >= len(self._times):
            for values in (self._times, self._probabilities, self._frames):
                del values[:many]
            self._forgotten += many


def log_odds(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Probabilities (N,) in [0, 1] -> log-odds (N,) float64, at most `ODDS_LIMIT` either way; NaN stays NaN."""
    values = np.asarray(probabilities, dtype=np.float64)
    with np.errstate(divide="ignore"):
        odds = np.log(values) - np.log1p(-values)
    return np.asarray(np.clip(odds, -ODDS_LIMIT, ODDS_LIMIT))
