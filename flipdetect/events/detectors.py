"""When pages were turned, from the scores of a video's frames: live, or for a whole file.

    detector = HmmDetector(parameters)
    for time_s, probability, frame in scores:
        for event in detector.push(time_s, probability, frame):
            ...
    last = detector.finish()

`HysteresisDetector` compares smoothed probabilities with two thresholds. `HmmDetector` knows how long turns last and
estimates the level of a recording's scores outside turns. `detect_events` sees all frames before it decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

from flipdetect.events.hmm import detect_with_hmm
from flipdetect.events.hysteresis import HysteresisDetector
from flipdetect.events.parameters import EventParameters, HysteresisParameters
from flipdetect.events.score_history import ScoredFrame
from flipdetect.records import FlipEvent


class EventDetector(Protocol):
    """What finds turns while scores come in."""

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

    @property
    def turning(self) -> bool:
        """Whether, as far as is known, a page is being turned at the last frame."""

    def finish(self) -> list[FlipEvent]:
        """The turns that are left when no further frame comes."""


def run_detector(
    detector: EventDetector, scores: Iterable[ScoredFrame | tuple[float, float | None, int | None]]
) -> list[tuple[FlipEvent, float]]:
    """The turns that a fresh live detector reports, each with the second at which it did; see `detect_events`."""
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
    """The turns of a whole file, by the detector that the parameters are for.

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
