"""Turns and stills as a person wants them: by the rows of an edited flips.csv instead of a detector."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from flipdetect.errors import DataError
from flipdetect.outputs.corrections import START, TurnRow
from flipdetect.outputs.tables import clock
from flipdetect.records import TAKEN_BACK, FlipEvent, FrameScore, Still
from flipdetect.sources.streams import FrameStream

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corrections:
    """The rows of one film.

    Attributes:
        table: the file they were read from, for messages.
        video: the film's name.
        first: the row of the spread before the first turn, if there is one.
        turns: the other rows, in order of time; row n, from 1, is turn n and has the still of spread n + 1.
    """

    table: Path
    video: str
    first: TurnRow | None
    turns: tuple[TurnRow, ...]

    @property
    def by_spread(self) -> dict[int, TurnRow]:
        """Spread -> the row that has its still."""
        return {**({1: self.first} if self.first else {}), **dict(enumerate(self.turns, 2))}

    def check(self, duration_s: float) -> None:
        """Raise a DataError, which names row, column and remedy, if the turns cannot be as the rows say."""
        for row in self.by_spread.values():
            for column in ("start_s", "end_s", "still_time_s"):
                time = getattr(row, column) or 0.0
                if time > duration_s:
                    raise DataError(
                        f"{self.table}, row {row.row}, column {column}: {time:g} s is after the end of the film, "
                        f"{duration_s:.1f} s; give seconds, as spreadsheet programs take 0:12 for 12 minutes"
                    )
        for before, row in pairwise(self.turns):
            if row.start_s < before.end_s or row.start_s == before.start_s:
                raise DataError(
                    f"{self.table}, row {row.row}, column start_s: the turn starts at {row.start_s:g} s, before that "
                    f"in row {before.row} has ended at {before.end_s:g} s; correct one of them, or delete a row"
                )

    def events(self, scores: Sequence[FrameScore]) -> list[FlipEvent]:
        """The turns; frame numbers and probabilities are those of the scored frames there, of which there is one."""
        times = np.array([score.time_s or 0.0 for score in scores])
        found = []
        for number, row in enumerate(self.turns, 1):
            first, last = (int(np.argmin(np.abs(times - time))) for time in (row.start_s, row.end_s))
            inside = scores[first : last + 1]
            known = [score.probability for score in inside if score.probability is not None] or [0.0]
            if row.peak_s is not None:
                peak = scores[int(np.argmin(np.abs(times - row.peak_s)))]
            else:
                peak = max(inside, key=lambda score: -1.0 if score.probability is None else score.probability)
            peak_s = min(max(peak.time_s or 0.0, row.start_s), row.end_s)
            found.append(
                FlipEvent(
                    number, row.start_s, peak_s, row.end_s, inside[0].frame, peak.frame, inside[-1].frame,
                    float(np.mean(known)), max(known), self.video, row.kind,
                )
            )  # fmt: skip
        return found

    def times(self, stream: FrameStream | None) -> dict[int, float]:
        """Spread -> second of the frame to keep, where its row says one that lies in the spread."""
        starts = [0.0, *(row.end_s for row in self.turns)]
        ends = [*(row.start_s for row in self.turns), math.inf]
        found = {}
        for spread, row in self.by_spread.items():
            if row.still_time_s is None:
                continue
            if starts[spread - 1] <= row.still_time_s <= ends[spread - 1]:
                found[spread] = row.still_time_s if stream is None else stream.shown_at(row.still_time_s)
            else:
                logger.warning(
                    "%s, row %d, column still_time_s: other pages are in view at %s, so another still is chosen",
                    self.table, row.row, clock(row.still_time_s, 1),
                )  # fmt: skip
        return found

    def turned(self, stills: Sequence[Still]) -> list[Still]:
        """Stills with the rotations of their rows."""
        rows = self.by_spread
        return [replace(still, rotate=rows[still.spread].rotate) if still.spread in rows else still for still in stills]

    def settled(self, stills: Sequence[Still]) -> list[Still]:
        """Stills whose spreads repeat the one before them if the turn between was taken back, and else do not."""
        first: dict[int, int | None] = {}
        for still in stills:
            same = still.same_as and (first.get(still.same_as) or still.same_as)
            if still.spread >= 2:
                before = first.get(still.spread - 1) or still.spread - 1
                back = self.turns[still.spread - 2].kind == TAKEN_BACK
                same = before if back else None if same == before else same
            first[still.spread] = same
        return [replace(still, same_as=first[still.spread]) for still in stills]

    def doubts(self, stills: Sequence[Still]) -> list[Still]:
        """Stills without the doubts that were cleared in their rows."""
        cleared = {spread for spread, row in self.by_spread.items() if row is not self.first and not row.doubted}
        return [replace(still, doubt="") if still.spread in cleared else still for still in stills]


def corrections_by_video(rows: Sequence[TurnRow], videos: Sequence[str], table: Path) -> Mapping[str, Corrections]:
    """The rows of each film; rows that name none belong to the only one.

    Raises:
        DataError: if a row names no film or another, or two rows are of kind `START`.
    """
    found: dict[str, list[TurnRow]] = {video: [] for video in videos}
    for row in sorted(rows, key=lambda row: row.start_s):
        video = row.video or (videos[0] if len(videos) == 1 else "")
        if video not in found:
            known = ", ".join(videos)
            raise DataError(f"{table}, row {row.row}, column video: {row.video!r} is none of the films scored: {known}")
        found[video].append(row)
    for own in found.values():
        starts = [row for row in own if row.kind == START]
        if len(starts) > 1:
            raise DataError(f"{table}, row {starts[1].row}, column kind: a film has one row {START!r}; delete this one")
    return {
        video: Corrections(
            table,
            video,
            next((row for row in own if row.kind == START), None),
            tuple(row for row in own if row.kind != START),
        )
        for video, own in found.items()
    }
