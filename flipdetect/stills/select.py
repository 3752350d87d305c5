"""Which frame of each spread to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flipdetect.records import FlipEvent, FrameScore, Still
from flipdetect.stills.fingerprint import mean_print
from flipdetect.stills.parameters import StillParameters
from flipdetect.stills.repeats import first_alike, with_repeats
from flipdetect.stills.spreads import Marks, Spread, cut, judge, usual

FLAWED = 0.5
"""Mark below which a frame has the flaw."""

AS_GOOD = 0.97
"""Share of the best quality from which frames are as good; the sharpest of them is chosen."""


def choose_stills(
    frames: Sequence[FrameScore],
    events: Sequence[FlipEvent],
    parameters: StillParameters | None = None,
    video: str = "",
) -> list[Still]:
    """The best frame of each spread of a video.

    Turns cut a recording in one spread more than there are turns. One between two turns is kept whatever it is like,
    with its flaw, without a frame if it has none. The one before the first turn and the one after the last are left
    out if they have no frame, or if they are in view for less than `shortest_view_s` and have no frame that is good
    otherwise: a recording may begin or end in the middle of a turn.

    Args:
        frames: of one video, in order of time; frames without `quality` are passed over, and a frame without a
            probability is judged by its quality alone.
        events: its turns, in order of time, on the same clock.
        parameters: see `StillParameters`; None for the defaults.
        video: the clip that stills will name.

    Returns:
        Stills, numbered as the spreads are: turn n reveals spread n + 1, whether or not the first is left out. Those
        that show the pages of an earlier one name the first such in `same_as`; see
        `still_repeats.first_alike`, `kept` and `confirm_repeats`.

    Raises:
        DataError: if a measured frame has no time, or frames or events are not in order.
        ValueError: if a fingerprint was not made by `FrameMeter`.
    """
    settings = parameters or StillParameters()
    spreads = cut(frames, events, settings.gap_s)
    normal = usual(spreads, settings)
    stills: list[Still] = []
    prints: list[NDArray[np.float32] | None] = []
    for number, spread in enumerate(spreads, 1):
        marks = judge(spread, normal, settings) if spread.frames else None
        still = _still(spread, marks, settings, number, video)
        brief = spread.duration_s < settings.shortest_view_s
        if spread.at_edge and (marks is None or (brief and still.flaw)):
            continue
        stills.append(_brief(still) if brief else still)
        prints.append(None if marks is None else _print(spread, marks, settings))
    return with_repeats(stills, first_alike(prints, settings))


def _still(spread: Spread, marks: Marks | None, parameters: StillParameters, number: int, video: str) -> Still:
    if marks is None:
        return Still(number, video, spread.start_s, spread.end_s, None, None, None, "no frame of it could be measured")
    best = _best(spread, marks)
    frame = spread.frames[best]
    return Still(
        spread=number,
        video=video,
        start_s=spread.start_s,
        end_s=spread.end_s,
        time_s=frame.time_s,
        frame=frame.frame,
        quality=float(marks.quality[best]),
        flaw=_flaw(spread, marks, best),
        measured=frame.quality,
    )


def _best(spread: Spread, marks: Marks) -> int:
    quality = marks.quality
    good = np.flatnonzero(quality >= AS_GOOD * quality.max())
    return int(good[np.argmax(spread.values("sharpness")[good])])


def _flaw(spread: Spread, marks: Marks, best: int) -> str:
    """What is wrong with a frame, the worst first; empty if nothing is."""
    quality = spread.frames[best].quality
    found = {
        f"covered by a hand ({quality.coverage or 0:.0%})".replace("%", " %"): marks.coverage[best],
        f"too dark or burnt out ({1 - quality.exposure:.0%} of the paper)".replace("%", " %"): marks.exposure[best],
        "blurred": marks.sharpness[best],
        "never at rest": marks.rest[best],
    }
    return ", ".join(text for text in sorted(found, key=lambda text: float(found[text])) if found[text] < FLAWED)


def _brief(still: Still) -> Still:
    view = f"in view for only {still.end_s - still.start_s:.1f} s"
    return replace(still, flaw=f"{still.flaw}, {view}" if still.flaw else view)


def _print(spread: Spread, marks: Marks, parameters: StillParameters) -> NDArray[np.float32]:
    """What is printed in a spread, from its best frames."""
    order = np.argsort(-marks.quality, kind="stable")
    usable = [place for place in order.tolist() if min(marks.coverage[place], marks.rest[place]) > 0] or [order[0]]
    return mean_print([spread.frames[place].quality.fingerprint for place in usable[: parameters.repeat_frames]])
