"""The spreads of a recording: what lies between one turn and the next, and how good each frame of it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flipdetect.errors import DataError
from flipdetect.events.score_history import log_odds
from flipdetect.records import FlipEvent, FrameQuality, FrameScore
from flipdetect.stills.fingerprint import LEAST_SPREAD, mean_print, print_spread
from flipdetect.stills.parameters import Range, StillParameters

Floats = NDArray[np.float64]

LOWEST_MARK = 0.01
"""A frame that is useless in two respects is still worse than one that is in one."""

AT_REST = 0.3
"""Quantile of the motion in spreads that is the video's motion at rest: hands move in many frames, not in all."""

LOW_ODDS_SHARE = 0.25
"""Quantile of a spread's log-odds at which it rests."""

USUAL_SHARPNESS = 0.9
"""Quantile of a spread's sharpness that counts as its best: one frame may be an outlier."""


@dataclass(frozen=True)
class MeasuredFrame:
    """A frame that has both a time and measurements.

    Attributes:
        time_s: second at which it is shown.
        frame: its number, None if it has none.
        odds: log-odds of a flip; NaN if it was not scored.
        quality: its measurements.
        motion: the larger one of the changes from the frame before and to the frame after; 0 if neither is known.
    """

    time_s: float
    frame: int | None
    odds: float
    quality: FrameQuality
    motion: float


@dataclass(frozen=True)
class Spread:
    """What is in view between two turns.

    Attributes:
        start_s, end_s: seconds between which it is in view.
        frames: its frames in order of time.
        after_turn, before_turn: whether a turn comes before it, and after it; else the recording begins, or ends.
    """

    start_s: float
    end_s: float
    frames: tuple[MeasuredFrame, ...]
    after_turn: bool
    before_turn: bool

    @property
    def at_edge(self) -> bool:
        """Whether the recording begins or ends with it."""
        return not (self.after_turn and self.before_turn)

    @property
    def duration_s(self) -> float:
        """Seconds for which it is in view."""
        return self.end_s - self.start_s

    def values(self, name: str) -> Floats:
        """(N,) a measurement of its frames by name, NaN where it is None."""
        found = [getattr(frame.quality, name) for frame in self.frames]
        return np.array([np.nan if value is None else value for value in found], np.float64)

    @property
    def blank(self) -> bool:
        """Whether there is so little print that nothing tells how sharp it is."""
        return print_spread(mean_print([frame.quality.fingerprint for frame in self.frames])) < LEAST_SPREAD


@dataclass(frozen=True)
class Usual:
    """What is usual in a video.

    Attributes:
        motion: of frames at rest.
        sharpness: of spreads, None if all are blank.
    """

    motion: float
    sharpness: float | None


@dataclass(frozen=True)
class Marks:
    """How good the frames of a spread are in each respect: (N,) each, 0 for useless to 1 for faultless."""

    coverage: Floats
    exposure: Floats
    sharpness: Floats
    rest: Floats
    margin: Floats

    @property
    def quality(self) -> Floats:
        """(N,) all of them together."""
        every = (self.coverage, self.exposure, self.sharpness, self.rest, self.margin)
        return np.asarray(np.prod([np.maximum(mark, LOWEST_MARK) for mark in every], axis=0))


def cut(frames: Sequence[FrameScore], events: Sequence[FlipEvent], gap_s: float) -> list[Spread]:
    """The spreads before, between and after some turns: one more than turns, those without frames included.

    Args:
        frames: of one video, in order of time; those that were not measured are left out.
        events: its turns, in order of time.
        gap_s: seconds between two frames beyond which one says nothing of motion at the other.

    Raises:
        DataError: if a measured frame has no time, or frames or events are not in order.
    """
    measured = _measured(frames, gap_s)
    if any(after.start_s < before.start_s for before, after in pairwise(events)):
        raise DataError("the turns are not in order of time; give them as the detector found them")
    first = measured[0].time_s if measured else events[0].start_s if events else 0.0
    last = measured[-1].time_s if measured else events[-1].end_s if events else 0.0
    starts = [first, *(event.end_s for event in events)]
    ends = [*(event.start_s for event in events), last]
    spreads = []
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        # The frames at which a turn starts and ends belong to it.
        inside = tuple(
            frame
            for frame in measured
            if (place == 0 or frame.time_s > start) and (place == len(events) or frame.time_s < end)
        )
        spreads.append(Spread(start, max(start, end), inside, place > 0, place < len(events)))
    return spreads


def _measured(frames: Sequence[FrameScore], gap_s: float) -> list[MeasuredFrame]:
    times: list[float] = []
    kept: list[FrameScore] = []
    for frame in frames:
        if frame.quality is None:
            continue
        if frame.time_s is None:
            raise DataError(f"frame {frame.path or frame.frame} has no time; stills are chosen from timed frames alone")
        if times and frame.time_s < times[-1]:
            raise DataError(
                f"a frame at {frame.time_s:g} s comes after one at {times[-1]:g} s; give frames in the order of time"
            )
        times.append(frame.time_s)
        kept.append(frame)
    odds = log_odds([np.nan if frame.probability is None else frame.probability for frame in kept])
    qualities = [frame.quality for frame in kept if frame.quality is not None]
    before = [0.0 if quality.motion is None else quality.motion for quality in qualities]
    near = [place > 0 and times[place] - times[place - 1] <= gap_s for place in range(len(times))]
    moved = [motion if close else 0.0 for motion, close in zip(before, near, strict=True)] + [0.0]
    return [
        MeasuredFrame(times[place], frame.frame, float(odds[place]), quality, max(moved[place], moved[place + 1]))
        for place, (frame, quality) in enumerate(zip(kept, qualities, strict=True))
    ]


def usual(spreads: Sequence[Spread], parameters: StillParameters) -> Usual:
    """What is usual in the video of some spreads."""
    motion = [frame.motion for spread in spreads for frame in spread.frames]
    rest = float(np.quantile(motion, AT_REST)) if motion else 0.0
    sharp = [
        np.quantile(spread.values("sharpness"), USUAL_SHARPNESS)
        for spread in spreads
        if spread.frames and not spread.blank
    ]
    return Usual(max(rest, parameters.least_motion), float(np.median(sharp)) if sharp else None)


def judge(spread: Spread, normal: Usual, parameters: StillParameters) -> Marks:
    """How good each frame of a spread with frames is."""
    count = len(spread.frames)
    coverage, exposure, sharpness = (spread.values(name) for name in ("coverage", "exposure", "sharpness"))
    sharp = np.ones(count)
    if normal.sharpness is not None and not spread.blank:
        best = float(np.quantile(sharpness, USUAL_SHARPNESS))
        sharp = np.minimum(
            mark(sharpness / max(best, 1e-9), parameters.own_sharpness),
            mark(sharpness / max(normal.sharpness, 1e-9), parameters.sharpness),
        )
    times = np.array([frame.time_s for frame in spread.frames])
    return Marks(
        coverage=mark(np.nan_to_num(coverage, nan=0.0), parameters.coverage),
        exposure=mark(exposure, parameters.exposure),
        sharpness=sharp,
        rest=_rest(spread, normal, parameters),
        margin=_margin(times, spread, parameters),
    )


def mark(values: Floats, ends: Range) -> Floats:
    """1 from the first of two ends on, 0 from the second on, a straight line in between."""
    good, useless = ends
    return np.asarray(np.clip((values - useless) / (good - useless), 0.0, 1.0))


def _rest(spread: Spread, normal: Usual, parameters: StillParameters) -> Floats:
    motion = np.array([frame.motion for frame in spread.frames]) / normal.motion
    odds = np.array([frame.odds for frame in spread.frames])
    turning = np.ones(len(odds))
    known = np.isfinite(odds)
    if known.any():
        level = max(float(np.quantile(odds[known], LOW_ODDS_SHARE)), parameters.low_odds)
        turning[known] = mark(odds[known] - level, parameters.odds)
    return mark(motion, parameters.motion) * turning


def _margin(times: Floats, spread: Spread, parameters: StillParameters) -> Floats:
    """Lower close to a turn, as which the beginning and the end of the recording do not count."""
    if parameters.margin_s == 0:
        return np.ones(len(times))
    since = times - spread.start_s if spread.after_turn else np.inf
    until = spread.end_s - times if spread.before_turn else np.inf
    share = np.clip(np.minimum(since, until) / parameters.margin_s, 0.0, 1.0) * np.ones(len(times))
    return np.asarray(parameters.margin_mark + (1 - parameters.margin_mark) * share)
