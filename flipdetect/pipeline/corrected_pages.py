"""Turns and stills as a person wants them: by the rows of an edited flips.csv instead of a detector."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from flipdetect.errors import DataError
from flipdetect.outputs.predictions import formula_read
from flipdetect.outputs.tables import clock, read_clock
from flipdetect.records import CONTENT, TAKEN_BACK, TURN, FlipEvent, FrameScore, Still
from flipdetect.sources.streams import FrameStream

START = "start"
"""Kind of a row that is no turn: it describes the still of the spread before the first turn."""
KINDS = (TURN, CONTENT, TAKEN_BACK, START)
ROTATIONS = (0, 90, 180, 270)
MOST_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A row: a turn, and the still of the spread that it reveals.

    Attributes:
        row: its number, as spreadsheet programs count: the header is 1.
        video: the film; empty if the cell is.
        kind: one of `KINDS`.
        start_s, end_s: seconds at which the turn starts and ends; 0 of a `START` row.
        peak_s: second that shows it most clearly, between them; None if that is not said.
        still_time_s: second of the frame to keep; None: the best is chosen.
        rotate: degrees clockwise by which its picture is turned.
        doubted: whether the cell `still_doubt` holds something.
    """

    row: int
    video: str
    kind: str
    start_s: float
    end_s: float
    peak_s: float | None
    still_time_s: float | None
    rotate: int
    doubted: bool


def read_flips_csv(path: Path) -> list[TurnRow]:
    """The rows of a flips.csv.

    Separators may be commas, semicolons or tabs, decimals may have commas, times may be seconds or m:ss; column order,
    further columns, quotes, byte order marks, line ends and empty rows do not matter. Only `start_s` is needed.

    Raises:
        DataError: if the file cannot be read, or a cell cannot be understood; names file, row, column and remedy.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    is_utf_16 = content[:2] == b"\xff\xfe"  # "Unicode text" of Excel
    if len(content) > MOST_BYTES or (b"\0" in content and not is_utf_16):
        raise DataError(f"{path} is no flips.csv; save the table as CSV (text), not as a workbook")
    try:
        text = content.decode("utf-16" if is_utf_16 else "utf-8-sig", "replace" if is_utf_16 else "strict")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # what Excel writes in Western Europe
    lines = text.splitlines()
    separator = max(",;\t", key=lines[0].count) if lines else ","
    try:
        table = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise DataError(f"{path} is no table that can be read: {error}; save it as CSV again") from error
    columns = [cell.strip().lower() for cell in table[0]] if table else []
    if "start_s" not in columns:
        raise DataError(f"{path}, row 1: there is no column 'start_s'; keep the first row of flips.csv as it is")
    rows = []
    for number, cells in enumerate(table[1:], 2):
        if any(cell.strip() for cell in cells[len(columns) :]):
            raise DataError(
                f"{path}, row {number}: {len(cells)} cells, but {len(columns)} columns; put cells with a "
                f"{separator!r} in them into quotes"
            )
        if any(cell.strip() for cell in cells):
            rows.append(_turn(path, number, dict(zip(columns, map(str.strip, cells), strict=False))))
    return rows


def _turn(path: Path, number: int, cells: dict[str, str]) -> TurnRow:
    def wrong(column: str, what: str) -> DataError:
        return DataError(f"{path}, row {number}, column {column}: {what}")

    def seconds(column: str) -> float | None:
        try:
            return read_clock(cells[column]) if cells.get(column) else None
        except ValueError as error:
            raise wrong(column, str(error)) from None

    kind = cells.get("kind", "").lower() or TURN
    if kind not in KINDS:
        raise wrong("kind", f"{kind!r} is none of {', '.join(KINDS)}; leave it empty for a turn")
    start, peak, end = seconds("start_s"), seconds("peak_s"), seconds("end_s")
    start = peak if start is None else start
    if start is None and kind != START:
        raise wrong("start_s", "it is empty; give the time of the turn, such as 12.5 or 0:12.5, or delete the row")
    if start is not None and end is not None and end < start:
        raise wrong("end_s", f"the turn would end at {end:g} s, before it starts at {start:g} s; correct or empty it")
    rotate = cells.get("rotate", "").removesuffix("°") or "0"
    try:
        degrees = float(rotate.replace(",", ".")) % 360
    except ValueError:
        degrees = -1
    if degrees not in ROTATIONS:
        raise wrong("rotate", f"{rotate!r} is no quarter turn; give 90 (clockwise), 180 or 270, or empty it")
    first = 0.0 if start is None or kind == START else start
    last = first if end is None or kind == START else end
    return TurnRow(
        row=number,
        video=formula_read(cells.get("video", "")),
        kind=kind,
        start_s=first,
        end_s=last,
        peak_s=peak if peak is not None and first <= peak <= last else None,
        still_time_s=seconds("still_time_s"),
        rotate=int(degrees),
        doubted=bool(cells.get("still_doubt")),
    )


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corrections:
    """The rows of one film.

    Attributes:
        table: the file they were read from, for messages.
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
