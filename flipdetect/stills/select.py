"""Which frame of each opening to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flipdetect.records import FlipEvent, FrameScore, Still
from flipdetect.stills.fingerprint import mean_print
from flipdetect.stills.openings import Marks, Opening, cut, judge, usual
from flipdetect.stills.parameters import StillParameters
from flipdetect.stills.repeats import first_alike, with_repeats

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
    """The best frame of each opening of a video.

    Turns cut a recording in one opening more than there are turns. One between two turns is kept whatever it is like,
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
        Stills, numbered as the openings are: turn n reveals opening n + 1, whether or not the first is left out. Those
        that show the pages of an earlier one name the first such in `same_as`; see
        `still_repeats.first_alike`, `kept` and `confirm_repeats`.

    Raises:
        DataError: if a measured frame has no time, or frames or events are not in order.
        ValueError: if a fingerprint was not made by `FrameMeter`.
    """
    settings = parameters or StillParameters()
    openings = cut(frames, events, settings.gap_s)
    normal = usual(openings, settings)
    stills: list[Still] = []
    prints: list[NDArray[np.float32] | None] = []
    for number, opening in enumerate(openings, 1):
        marks = judge(opening, normal, settings) if opening.frames else None
        still = _still(opening, marks, settings, number, video)
        brief = opening.duration_s < settings.shortest_view_s
        if opening.at_edge and (marks is None or (brief and still.flaw)):
            continue
        stills.append(_brief(still) if brief else still)
        prints.append(None if marks is None else _print(opening, marks, settings))
    return with_repeats(stills, first_alike(prints, settings))


def _still(opening: Opening, marks: Marks | None, parameters: StillParameters, number: int, video: str) -> Still:
    if marks is None:
        return Still(
            number, video, opening.start_s, opening.end_s, None, None, None, "no frame of it could be measured"
        )
    best = _best(opening, marks)
    frame = opening.frames[best]
    return Still(
        opening=number,
        video=video,
        start_s=opening.start_s,
        end_s=opening.end_s,
        time_s=frame.time_s,
        frame=frame.frame,
        quality=float(marks.quality[best]),
        flaw=_flaw(opening, marks, best),
        measured=frame.quality,
    )


def _best(opening: Opening, marks: Marks) -> int:
    quality = marks.quality
    good = np.flatnonzero(quality >= AS_GOOD * quality.max())
    return int(good[np.argmax(opening.values("sharpness")[good])])


def _flaw(opening: Opening, marks: Marks, best: int) -> str:
    """What is wrong with a frame, the worst first; empty if nothing is."""
    quality = opening.frames[best].quality
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


def _print(opening: Opening, marks: Marks, parameters: StillParameters) -> NDArray[np.float32]:
    """What is printed in an opening, from its best frames."""
    order = np.argsort(-marks.quality, kind="stable")
    usable = [place for place in order.tolist() if min(marks.coverage[place], marks.rest[place]) > 0] or [order[0]]
    return mean_print([opening.frames[place].quality.fingerprint for place in usable[: parameters.repeat_frames]])
