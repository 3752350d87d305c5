"""Which frame of each spread to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from flipdetect.records import FlipEvent, FrameScore, Still
from flipdetect.stills.parameters import StillParameters
from flipdetect.stills.spreads import QualityScores, Spread, quality_scores, split_spreads, video_statistics

SAME_FRAME_S = 0.001
"""Two times mean one frame up to this difference: tables round them."""

FLAWED = 0.5
"""Score below which a frame has the flaw."""

AS_GOOD = 0.97
"""Share of the best quality from which frames are as good; the sharpest of them is chosen."""


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
    statistics = video_statistics(spreads, settings)
    stills: list[Still] = []
    for number, spread in enumerate(spreads, 1):
        still = Still(number, video, spread.start_s, spread.end_s, None, None, None, "no frame of it could be measured")
        asked = (times_s or {}).get(number)
        if spread.frames:
            still = _best_frame(still, spread, quality_scores(spread, statistics, settings), asked)
        elif asked is not None:
            still = replace(still, time_s=asked)
        brief = spread.duration_s < settings.shortest_view_s
        if spread.at_edge and asked is None and (still.time_s is None or (brief and still.flaw)):
            continue
        if brief:
            view = f"in view for only {max(spread.duration_s, 0.1):.1f} s"
            still = replace(still, flaw=f"{still.flaw}, {view}" if still.flaw else view)
        stills.append(still)
    return stills


def _best_frame(still: Still, spread: Spread, scores: QualityScores, asked_s: float | None) -> Still:
    """The still with the best frame of its spread, or the one asked for, and what is wrong with it, the worst first."""
    good = np.flatnonzero(scores.quality >= AS_GOOD * scores.quality.max())
    best = int(good[np.argmax(spread.values("sharpness")[good])])
    if asked_s is not None:
        best = int(np.argmin([abs(frame.time_s - asked_s) for frame in spread.frames]))
    frame = spread.frames[best]
    is_it = asked_s is None or abs(frame.time_s - asked_s) <= SAME_FRAME_S
    covered, unreadable = (
        f"{share:.0%}".replace("%", " %") for share in (frame.quality.coverage or 0, 1 - frame.quality.exposure)
    )
    flaws = {
        f"covered by a hand ({covered})": scores.coverage[best],
        f"too dark or overexposed ({unreadable} of the paper)": scores.exposure[best],
        "blurred": scores.sharpness[best],
        "always moving": scores.rest[best],
    }
    return replace(
        still,
        time_s=frame.time_s if is_it else asked_s,
        frame=frame.frame if is_it else None,
        quality=float(scores.quality[best]),
        flaw=", ".join(text for text in sorted(flaws, key=lambda text: float(flaws[text])) if flaws[text] < FLAWED),
        measured=frame.quality,
    )
