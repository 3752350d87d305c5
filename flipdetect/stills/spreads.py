"""The spreads of a video: what lies open between one turn and the next, and how good each frame of it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flipdetect.errors import DataError
from flipdetect.events.score_history import log_odds
from flipdetect.records import FlipEvent, FrameQuality, FrameScore
from flipdetect.stills.fingerprint import is_blank
from flipdetect.stills.parameters import Range, StillParameters

Floats = NDArray[np.float64]

LOWEST_SCORE = 0.01
"""A frame that is useless in two respects is still worse than one that is in one."""

REST_QUANTILE = 0.3
"""Quantile of the motion in spreads that is the video's motion without hands: they move in many frames, not in all."""

LOW_ODDS_SHARE = 0.25
"""Quantile of a spread's log-odds that stands for its resting frames."""

BEST_SHARPNESS = 0.9
"""Quantile of a spread's sharpness that counts as its best: one frame may be an outlier."""


@dataclass(frozen=True)
class MeasuredFrame:
    """A frame that has both a time and measurements.

    Attributes:
        odds: log-odds of a flip; NaN if it was not scored.
        motion: the larger one of the changes from the frame before and to the frame after; NaN if neither is known: as
            when frames were left out because nothing moved.
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
        after_turn, before_turn: whether a turn comes before it, and after it; else the video begins, or ends.
    """

    start_s: float
    end_s: float
    frames: tuple[MeasuredFrame, ...]
    after_turn: bool
    before_turn: bool

    @property
    def at_edge(self) -> bool:
        """Whether the video begins or ends with it."""
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
        """Whether there is too little print to measure sharpness."""
        return is_blank([frame.quality.fingerprint for frame in self.frames])


@dataclass(frozen=True)
class VideoStatistics:
    """What the frames of one video are compared with.

    Attributes:
        motion: of resting frames.
        sharpness: median of the spreads' best, None if all are blank.
    """

    motion: float
    sharpness: float | None


@dataclass(frozen=True)
class QualityScores:
    """How good the frames of a spread are in each respect: (N,) each, from 0 (useless) to 1 (faultless)."""

    coverage: Floats
    exposure: Floats
    sharpness: Floats
    rest: Floats
    margin: Floats

    @property
    def quality(self) -> Floats:
        """(N,) the product of all."""
        every = (self.coverage, self.exposure, self.sharpness, self.rest, self.margin)
        return np.asarray(np.prod([np.maximum(scores, LOWEST_SCORE) for scores in every], axis=0))


def split_spreads(frames: Sequence[FrameScore], events: Sequence[FlipEvent], gap_s: float) -> list[Spread]:
    """The spreads before, between and after some turns: one more than turns, those without frames included.

    Args:
        frames: of one video, in order of time; those that were not measured are left out.
        gap_s: seconds between two frames beyond which one says nothing about motion at the other.

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
    kept: list[tuple[float, FrameScore, FrameQuality]] = []
    for frame in frames:
        if frame.quality is None:
            continue
        if frame.time_s is None:
            raise DataError(f"frame {frame.path or frame.frame} has no time; stills are chosen from timed frames alone")
        if kept and frame.time_s < kept[-1][0]:
            raise DataError(
                f"a frame at {frame.time_s:g} s comes after one at {kept[-1][0]:g} s; give frames in order of time"
            )
        kept.append((frame.time_s, frame, frame.quality))
    odds = log_odds([np.nan if frame.probability is None else frame.probability for _, frame, _ in kept])
    moved = np.full(len(kept) + 1, np.nan)  # before each frame, and after the last
    for place, (before, after) in enumerate(pairwise(kept), 1):
        if after[0] - before[0] <= gap_s and after[2].motion is not None:
            moved[place] = after[2].motion
    motion = np.fmax(moved[:-1], moved[1:])
    return [
        MeasuredFrame(time_s, frame.frame, float(odds[place]), quality, float(motion[place]))
        for place, (time_s, frame, quality) in enumerate(kept)
    ]


def video_statistics(spreads: Sequence[Spread], parameters: StillParameters) -> VideoStatistics:
    """The statistics of the video that these spreads make up."""
    motion = [frame.motion for spread in spreads for frame in spread.frames if not math.isnan(frame.motion)]
    rest = float(np.quantile(motion, REST_QUANTILE)) if motion else 0.0
    sharp = [
        np.quantile(spread.values("sharpness"), BEST_SHARPNESS)
        for spread in spreads
        if spread.frames and not spread.blank
    ]
    return VideoStatistics(max(rest, parameters.least_motion), float(np.median(sharp)) if sharp else None)


def quality_scores(spread: Spread, video: VideoStatistics, parameters: StillParameters) -> QualityScores:
    """How good each frame of a spread with frames is."""
    sharp = np.ones(len(spread.frames))
    if video.sharpness is not None and not spread.blank:
        sharpness = spread.values("sharpness")
        best = float(np.quantile(sharpness, BEST_SHARPNESS))
        sharp = np.minimum(
            _score(sharpness / max(best, 1e-9), parameters.own_sharpness),
            _score(sharpness / max(video.sharpness, 1e-9), parameters.sharpness),
        )
    odds = np.array([frame.odds for frame in spread.frames])
    known, unlike_turn = np.isfinite(odds), np.ones(len(odds))
    if known.any():
        low = max(float(np.quantile(odds[known], LOW_ODDS_SHARE)), parameters.low_odds)
        unlike_turn[known] = _score(odds[known] - low, parameters.odds)
    motion = np.nan_to_num([frame.motion for frame in spread.frames], nan=0.0) / video.motion
    # Lower close to a turn; the beginning and the end of the video are none.
    times, margin = np.array([frame.time_s for frame in spread.frames]), np.ones(len(spread.frames))
    if parameters.margin_s > 0:
        since = times - spread.start_s if spread.after_turn else np.inf
        until = spread.end_s - times if spread.before_turn else np.inf
        share = np.clip(np.minimum(since, until) / parameters.margin_s, 0.0, 1.0)
        margin = (parameters.margin_mark + (1 - parameters.margin_mark) * share) * margin
    return QualityScores(
        coverage=_score(np.nan_to_num(spread.values("coverage"), nan=0.0), parameters.coverage),
        exposure=_score(spread.values("exposure"), parameters.exposure),
        sharpness=sharp,
        rest=_score(motion, parameters.motion) * unlike_turn,
        margin=margin,
    )


def _score(values: Floats, ends: Range) -> Floats:
    """1 from the first of two ends on, 0 from the second on, a straight line in between."""
    good, useless = ends
    return np.asarray(np.clip((values - useless) / (good - useless), 0.0, 1.0))
