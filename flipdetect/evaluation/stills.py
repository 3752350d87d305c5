"""Judge chosen stills by the truth of a rendered recording."""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from flipdetect.errors import DataError
from flipdetect.records import Still
from flipdetect.stills.measure import kept

UNOBSTRUCTED = 0.05
"""Share of the open pages that hands may cover, unless told otherwise: a finger at the margin."""
SHORTEST_S = 0.5
"""Seconds that an opening must lie there, to count as one that a reader could have wanted."""


class TrueFrame(NamedTuple):
    """What the truth says of a frame; `opening` is None during a turn."""

    time_s: float
    opening: int | None
    occlusion: float


@dataclass(frozen=True)
class StillFigures:
    """How good the chosen stills of one or more recordings are.

    Attributes:
        openings: different openings that lay there for `SHORTEST_S` or longer.
        hidden: of these, those that are never free of hands: no good still of them exists.
        good: openings with a kept still that is at rest and unobstructed.
        missing: openings without any kept still.
        doubled: kept stills beyond the first of an opening.
        turning: kept stills taken while a page was being turned.
        flagged: openings without a good still of which the user was told: their still has a flaw.
    """

    openings: int = 0
    hidden: int = 0
    good: int = 0
    missing: int = 0
    doubled: int = 0
    turning: int = 0
    flagged: int = 0

    @property
    def good_share(self) -> float:
        """Good ones among the openings of which a good still exists; 1 if there are none."""
        there = self.openings - self.hidden
        return self.good / there if there else 1.0

    def __add__(self, other: StillFigures) -> StillFigures:
        return StillFigures(*(mine + theirs for mine, theirs in zip(self.counts(), other.counts(), strict=True)))

    def counts(self) -> tuple[int, ...]:
        """The attributes in their order."""
        return (self.openings, self.hidden, self.good, self.missing, self.doubled, self.turning, self.flagged)


def still_figures(
    stills: Sequence[Still], truth: Sequence[TrueFrame], unobstructed: float = UNOBSTRUCTED
) -> StillFigures:
    """Judge the stills of one recording.

    Args:
        stills: one per found opening.
        truth: of its frames, in order of time.
        unobstructed: share of the open pages, 0 to 1, that hands may cover in a good still.
    """
    times = [frame.time_s for frame in truth]
    step = (times[-1] - times[0]) / max(1, len(times) - 1)
    seen = Counter(frame.opening for frame in truth if frame.opening is not None)
    wanted = {opening for opening, count in seen.items() if count * step >= SHORTEST_S}
    free = {frame.opening for frame in truth if frame.occlusion <= unobstructed}
    chosen: dict[int, list[tuple[Still, TrueFrame]]] = {}
    turning = 0
    for still in kept(list(stills)):
        if still.time_s is None:
            continue
        frame = _nearest(truth, times, still.time_s)
        if frame.opening is None:
            turning += 1
        else:
            chosen.setdefault(frame.opening, []).append((still, frame))
    good = {opening for opening, own in chosen.items() if any(frame.occlusion <= unobstructed for _, frame in own)}
    bad = [own for opening, own in chosen.items() if opening in wanted - good]
    return StillFigures(
        openings=len(wanted),
        hidden=len(wanted - free),
        good=len(wanted & good),
        missing=len(wanted - set(chosen)),
        doubled=sum(len(own) - 1 for own in chosen.values()),
        turning=turning,
        flagged=sum(any(still.flaw for still, _ in own) for own in bad),
    )


def read_true_frames(path: Path) -> list[TrueFrame]:
    """The truth.csv of a rendered recording, in order of time.

    Raises:
        DataError: if it cannot be read or understood, or holds no frames.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            frames = [_frame(row) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is no truth of a rendered recording: {error}") from error
    if not frames:
        raise DataError(f"{path} holds no frames; render the recording first")
    return sorted(frames, key=lambda frame: frame.time_s)


def _frame(row: Mapping[str, str]) -> TrueFrame:
    opening = int(row["spread"]) if row["spread"] else None
    return TrueFrame(float(row["time_s"]), opening, float(row["occlusion"]))


def _nearest(truth: Sequence[TrueFrame], times: Sequence[float], time_s: float) -> TrueFrame:
    place = bisect_left(times, time_s)
    near = [truth[index] for index in (place - 1, place) if 0 <= index < len(truth)]
    return min(near, key=lambda frame: abs(frame.time_s - time_s))
