"""Read flips.csv as a person has edited it in some program: turns dropped, added or moved, other stills."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from flipdetect.errors import DataError
from flipdetect.outputs.predictions import formula_read
from flipdetect.outputs.tables import read_clock
from flipdetect.records import CONTENT, TAKEN_BACK, TURN

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
    text = _read_text(path)
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


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    is_utf_16 = content[:2] == b"\xff\xfe"  # "Unicode text" of Excel
    if len(content) > MOST_BYTES or (b"\0" in content and not is_utf_16):
        raise DataError(f"{path} is no flips.csv; save the table as CSV (text), not as a workbook")
    if is_utf_16:
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")  # what Excel writes in Western Europe


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
