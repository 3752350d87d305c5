"""Which frame of each spread to keep: what lies open between one turn and the next, and how good each frame is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flipdetect.errors import DataError
from flipdetect.events.score_history import log_odds
from flipdetect.records import FlipEvent, FrameQuality, FrameScore, Still
from flipdetect.stills.fingerprint import is_blank
from flipdetect.stills.parameters import Range, StillParameters

Floats = NDArray[np.float64]

SAME_FRAME_S = 0.001
"""Two times mean one frame up to this difference: tables round them."""

FLAWED = 0.5
"""Score below which a frame has the flaw."""

AS_GOOD = 0.9
"""Share of the best quality from which frames are as good; of them, and of those free of hands if any is, a sharp one
is chosen."""

AS_SHARP = 0.9
"""Share of the best sharpness of these from which frames are as sharp; the one least like a turn is taken."""

LOWEST_SCORE = 0.01
"""A frame that is useless in two respects is still worse than one that is in one."""

REST_QUANTILE = 0.3
"""Quantile of the motion in spreads that is the video's motion without hands: they move in many frames, not in all."""

LOW_ODDS_SHARE = 0.25
"""Quantile of a spread's log-odds that stands for its resting frames."""

BEST_SHARPNESS = 0.9
"""Quantile of a spread's sharpness that counts as its best: one frame may be an outlier."""


class MeasuredFrame(NamedTuple):
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
    def best_sharpness(self) -> float:
        """Of its frames; one may be an outlier."""
        return float(np.quantile(self.values("sharpness"), BEST_SHARPNESS))

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


def choose_stills(
    frames: Sequence[FrameScore],
    events: Sequence[FlipEvent],
    parameters: StillParameters | None = None,
    video: str = "",
    times_s: Mapping[int, float] | None = None,
) -> list[Still]:
    """The best frame of each spread of a video.

    There is one spread more than turns. One between two turns is always returned, with its flaw, without a frame if it
    has none. The one before the first turn and the one after the last are left out if they have no frame, or if they
    are in view for less than `shortest_view_s` and have no frame that is good otherwise: a recording may begin or end
    in the middle of a turn.

    Args:
        frames: of one video, in order of time; frames without `quality` are ignored, and a frame without a
            probability is chosen by its quality alone.
        times_s: spread -> second of the frame to keep, whatever its quality: that of the measured frame next to it.

    Returns:
        Stills, numbered as the spreads are: turn n reveals spread n + 1, whether or not the first is left out.
        `find_repeats` finds those that show the same pages.

    Raises:
        DataError: if a measured frame has no time, or frames or events are not in order.
        ValueError: if a fingerprint was not made by `FrameMeter`.
    """
    settings = parameters or StillParameters()
    spreads = split_spreads(frames, events, settings.gap_s)
    # What the frames are compared with: motion of resting frames, and the median of the best sharpness of each spread.
    motions = [frame.motion for spread in spreads for frame in spread.frames if not math.isnan(frame.motion)]
    motion = max(float(np.quantile(motions, REST_QUANTILE)) if motions else 0.0, settings.least_motion)
    sharp = [spread.best_sharpness for spread in spreads if spread.frames and not spread.blank]
    sharpness = float(np.median(sharp)) if sharp else None
    stills: list[Still] = []
    for number, spread in enumerate(spreads, 1):
        still = Still(number, video, spread.start_s, spread.end_s, None, None, None, "no frame of it could be measured")
        asked = (times_s or {}).get(number)
        if spread.frames:
            still = _best_frame(still, spread, _scores(spread, motion, sharpness, settings), asked)
        elif asked is not None:
            still = replace(still, time_s=asked)
        brief = spread.duration_s < settings.shortest_view_s
        if (
            not (spread.after_turn and spread.before_turn)
            and asked is None
            and (still.time_s is None or (brief and still.flaw))
        ):
            continue
        if brief:
            view = f"in view for only {max(spread.duration_s, 0.1):.1f} s"
            still = replace(still, flaw=f"{still.flaw}, {view}" if still.flaw else view)
        stills.append(still)
    return stills


def _best_frame(still: Still, spread: Spread, scores: Mapping[str, Floats], asked_s: float | None) -> Still:
    """The still with the best frame of its spread, or the one asked for, and what is wrong with it, the worst first."""
    quality = np.prod([np.maximum(each, LOWEST_SCORE) for each in scores.values()], axis=0)
    good = np.flatnonzero(quality >= AS_GOOD * quality.max())
    free = good[scores["coverage"][good] == 1]
    good = free if free.size else good
    sharpness = spread.values("sharpness")[good]
    sharp = good[sharpness >= AS_SHARP * sharpness.max()]
    odds = np.array([spread.frames[place].odds for place in sharp])
    best = int(sharp[np.argmin(np.nan_to_num(odds, nan=np.inf))])
    if asked_s is not None:
        best = int(np.argmin([abs(frame.time_s - asked_s) for frame in spread.frames]))
    frame = spread.frames[best]
    is_it = asked_s is None or abs(frame.time_s - asked_s) <= SAME_FRAME_S
    covered, unreadable = (
        f"{share:.0%}".replace("%", " %") for share in (frame.quality.coverage or 0, 1 - frame.quality.exposure)
    )
    flaws = {
        f"covered by a hand ({covered})": scores["coverage"][best],
        f"too dark or overexposed ({unreadable} of the paper)": scores["exposure"][best],
        "blurred": scores["sharpness"][best],
        "always moving": scores["rest"][best],
    }
    return replace(
        still,
        time_s=frame.time_s if is_it else asked_s,
        frame=frame.frame if is_it else None,
        quality=float(quality[best]),
        flaw=", ".join(text for text in sorted(flaws, key=lambda text: float(flaws[text])) if flaws[text] < FLAWED),
        measured=frame.quality,
    )


def split_spreads(frames: Sequence[FrameScore], events: Sequence[FlipEvent], gap_s: float) -> list[Spread]:
    """The spreads before, between and after some turns: one more than turns, those without frames included."""
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


def _scores(
    spread: Spread, usual_motion: float, usual_sharpness: float | None, parameters: StillParameters
) -> dict[str, Floats]:
    """How good each frame of a spread with frames is in each respect: (N,) from 0 (useless) to 1 (faultless)."""
    sharp = np.ones(len(spread.frames))
    if usual_sharpness is not None and not spread.blank:
        sharpness = spread.values("sharpness")
        sharp = np.minimum(
            _score(sharpness / max(spread.best_sharpness, 1e-9), parameters.own_sharpness),
            _score(sharpness / max(usual_sharpness, 1e-9), parameters.sharpness),
        )
    odds = np.array([frame.odds for frame in spread.frames])
    known, unlike_turn = np.isfinite(odds), np.ones(len(odds))
    if known.any():
        low = max(float(np.quantile(odds[known], LOW_ODDS_SHARE)), parameters.low_odds)
        unlike_turn[known] = _score(odds[known] - low, parameters.odds)
    motion = np.nan_to_num([frame.motion for frame in spread.frames], nan=0.0) / usual_motion
    # Lower close to a turn; the beginning and the end of the video are none.
    times, margin = np.array([frame.time_s for frame in spread.frames]), np.ones(len(spread.frames))
    if parameters.margin_s > 0:
        since = times - spread.start_s if spread.after_turn else np.inf
        until = spread.end_s - times if spread.before_turn else np.inf
        share = np.clip(np.minimum(since, until) / parameters.margin_s, 0.0, 1.0)
        margin = (parameters.margin_mark + (1 - parameters.margin_mark) * share) * margin
    return {
        "coverage": _score(np.nan_to_num(spread.values("coverage"), nan=0.0), parameters.coverage),
        "exposure": _score(spread.values("exposure"), parameters.exposure),
        "sharpness": sharp,
        "rest": _score(motion, parameters.motion) * unlike_turn,
        "margin": margin,
    }


def _score(values: Floats, ends: Range) -> Floats:
    """1 from the first of two ends on, 0 from the second on, a straight line in between."""
    good, useless = ends
    return np.asarray(np.clip((values - useless) / (good - useless), 0.0, 1.0))
