"""Which pictures to keep of what a camera sees: turns are counted, each spread is captured once its pages lie still.

    settings = settings_of(model.path)
    capture = LiveCapture(settings.live(), settings.asked_threshold)
    for frame in frames:
        for event in capture.push(frame):
            ...

A state machine over five numbers per frame. It holds no picture: every event speaks of the frame just pushed.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import ClassVar, Literal, NamedTuple

from flipdetect.events.hmm import HmmDetector
from flipdetect.parameters import PlainParameters

Kind = Literal["turn", "capture", "replace", "hands", "blurred", "lost"]


@dataclass(frozen=True)
class CaptureParameters(PlainParameters):
    """Settings of `LiveCapture`.

    Attributes:
        still_s: seconds that pages must lie still, without hands, before they are captured.
        patience_s: the same if hands stay on them: where a thumb holds the book open, they always do.
        settled_s: seconds of rest before a better frame replaces the captured one; by then a turn would be known.
        gap_s: seconds without a frame after which the pages count as moved; where a slow device sends fewer frames,
            twice the usual time between them.
        most_motion: change of brightness between two frames, 0 to 1, up to which the picture is still in any case.
        usual_motion: the same relative to the median of the last `window_s`: a phone in a hand is never still.
        window_s: seconds of the past that medians are taken of.
        most_hands: share of the pages that hands may cover.
        usual_hands: share of hands, relative to that usual in captured frames, up to which they count as away, too.
        least_sharpness: share of the best quality seen of a spread from which it is captured.
        better: factor by which the quality of a frame must exceed that of the captured one to replace it.
        blurred: share of the usual quality of captured frames below which a spread is called blurred.
        least_paper: share of the frame that paper fills while the book is in the picture, before the first capture.
        lost: share of the usual paper below which the book is out of the picture.
        warn_s: seconds that a problem lasts before each warning.

    Raises:
        ConfigError: if a value cannot work.
    """

    SECTION: ClassVar[str] = "capture"

    still_s: float = 0.4
    patience_s: float = 1.2
    settled_s: float = 1.0
    gap_s: float = 1.5
    most_motion: float = 0.003
    usual_motion: float = 2.5
    window_s: float = 10.0
    most_hands: float = 0.03
    usual_hands: float = 1.3
    least_sharpness: float = 0.8
    better: float = 1.2
    blurred: float = 0.4
    least_paper: float = 0.05
    lost: float = 0.4
    warn_s: float = 3.0

    def __post_init__(self) -> None:
        seconds = "still_s patience_s settled_s gap_s window_s warn_s"
        self.check(seconds, lambda value: 0 < value < math.inf, "choose more than 0 seconds")
        shares = "most_motion most_hands least_sharpness blurred least_paper lost"
        self.check(shares, lambda value: 0 < value <= 1, "choose more than 0 and at most 1")
        self.check("better usual_hands usual_motion", lambda value: 1 < value < math.inf, "choose more than 1")


class LiveFrame(NamedTuple):
    """What is measured of a frame.

    Attributes:
        time_s: its time stamp in seconds; ascending.
        probability: that a page is being turned, 0 to 1.
        sharpness: on any scale; frames are compared with each other alone.
        motion: mean change of brightness since the frame before, 0 to 1, less the noise of the sensor; None for the
            first.
        hands: share of the pages that hands cover, from the model's map, 0 to 1; 0 if it has none.
        paper: share of the frame that is bright and nearly colourless, 0 to 1; None if unknown.
    """

    time_s: float
    probability: float
    sharpness: float
    motion: float | None
    hands: float = 0.0
    paper: float | None = None


class LiveEvent(NamedTuple):
    """Something to act on, at the frame just pushed.

    Attributes:
        time_s: of the frame.
        kind: "turn": a page was turned. "capture": keep this frame as the picture of the spread. "replace": keep it
            instead of the one kept before. Warnings, repeated while they hold: "hands" lie on the pages; "blurred": the
            pages are far less sharp than usual; "lost": the book is out of the picture.
        spread: number of the spread in view, from 1.
    """

    time_s: float
    kind: Kind
    spread: int


class LiveCapture:
    """Turns the numbers of each frame into events.

    Args:
        detector: a fresh one, of `EventSettings.live`.
        threshold: no frame with a higher probability is captured, unless such are usual in this book.
        parameters: None for the defaults.
    """

    def __init__(self, detector: HmmDetector, threshold: float, parameters: CaptureParameters | None = None) -> None:
        self._detector = detector
        self._threshold = threshold
        self._parameters = parameters or CaptureParameters()
        self._spread = 1
        self._best = 0.0
        self._kept: LiveFrame | None = None
        self._earlier: list[LiveFrame] = []
        self._recent: deque[LiveFrame] = deque()
        self._last_s = -math.inf
        self._resting_since = math.inf
        self._problem: Kind | None = None
        self._problem_since = 0.0

    def push(self, frame: LiveFrame) -> list[LiveEvent]:
        """Take in a frame; returns what follows from it.

        Raises:
            DataError: if its time is not finite, or goes back.
            ValueError: if its probability is outside [0, 1].
        """
        kinds: list[Kind] = []
        for turn in self._detector.push(frame.time_s, frame.probability):
            self._next_spread(turn.end_s)
            kinds.append("turn")
        papers = [each.paper for each in self._earlier if each.paper is not None]
        least = self._parameters.lost * median(papers) if papers else self._parameters.least_paper
        lost = frame.paper is not None and frame.paper < least
        resting = self._is_still(frame) and not lost
        if not resting or frame.time_s - self._last_s > max(self._parameters.gap_s, 2 * self._interval_s()):
            self._resting_since = math.inf
        self._last_s = frame.time_s
        if resting:
            self._resting_since = min(self._resting_since, frame.time_s)
            self._best = max(self._best, _quality(frame))
            kinds += self._keep(frame)
        kinds += self._warn(frame, "lost" if lost else self._fault(frame) if resting else None)
        return [LiveEvent(frame.time_s, kind, self._spread) for kind in kinds]

    def _next_spread(self, end_s: float) -> None:
        self._spread += 1
        self._resting_since = max(self._resting_since, end_s)
        if self._kept is not None and self._kept.time_s <= end_s:  # else it shows the next spread already
            self._earlier.append(self._kept)
            self._kept = None
        self._best = 0.0

    def _keep(self, frame: LiveFrame) -> list[Kind]:
        """Whether to keep a frame of pages at rest."""
        parameters, rested = self._parameters, frame.time_s - self._resting_since
        if self._kept is not None:
            if rested < parameters.settled_s or _quality(frame) < parameters.better * _quality(self._kept):
                return []
            self._kept = frame
            return ["replace"]
        wait = parameters.still_s if self._hands_away(frame) else parameters.patience_s
        if rested < wait or _quality(frame) < parameters.least_sharpness * self._best:
            return []
        self._kept = frame
        return ["capture"]

    def _fault(self, frame: LiveFrame) -> Kind | None:
        """What makes the picture of pages at rest a poor one."""
        if not self._hands_away(self._kept or frame):
            return "hands"
        usual = median(map(_quality, self._earlier)) if self._earlier else 0.0
        return "blurred" if self._best < self._parameters.blurred * usual else None

    def _warn(self, frame: LiveFrame, problem: Kind | None) -> list[Kind]:
        if problem is None or problem != self._problem:
            self._problem, self._problem_since = problem, frame.time_s
        elif frame.time_s - self._problem_since >= self._parameters.warn_s:
            self._problem_since = frame.time_s
            return [problem]
        return []

    def _is_still(self, frame: LiveFrame) -> bool:
        """Whether neither the picture nor the model speaks of a page in motion, by what is usual here."""
        while self._recent and self._recent[0].time_s < frame.time_s - self._parameters.window_s:
            self._recent.popleft()
        if frame.motion is None:
            return False
        self._recent.append(frame)
        motion = median(each.motion or 0.0 for each in self._recent)
        probability = median(each.probability for each in self._recent)
        return (
            not self._detector.turning
            and frame.probability <= max(self._threshold, probability)
            and frame.motion <= max(self._parameters.most_motion, self._parameters.usual_motion * motion)
        )

    def _interval_s(self) -> float:
        """Median seconds between the recent frames, up to the one before this."""
        times = [each.time_s for each in self._recent][:-1]
        return median(after - before for before, after in pairwise(times)) if len(times) > 1 else 0.0

    def _hands_away(self, frame: LiveFrame) -> bool:
        usual = median(each.hands for each in self._earlier) if self._earlier else 0.0
        return frame.hands <= max(self._parameters.most_hands, self._parameters.usual_hands * usual)


def _quality(frame: LiveFrame) -> float:
    """Sharpness, less where hands cover the pages: none is left at half of them."""
    return frame.sharpness * max(0.0, 1 - 2 * frame.hands)
