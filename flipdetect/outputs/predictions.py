"""predictions.csv: one row per scored frame. The one schema, writer and reader; docs/outputs.md describes version 2.

Commands add columns of their own after `COLUMNS` (`truth`, `source`, `model`, ...). Page fingerprints are too long for
a table: they are in a file next to it, `predictions.fingerprints`: a line of JSON, then a line for each measured row.
"""

from __future__ import annotations

import base64
import csv
import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TextIO

from flipdetect.atomic import explaining, replacing
from flipdetect.errors import DataError
from flipdetect.records import DECIMALS, FrameQuality, FrameScore

logger = logging.getLogger(__name__)

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
VERSION = 2
COLUMNS = (
    "path", "video", "frame", "time_s", "probability", "label", "error", "sharpness", "exposure", "coverage", "motion",
)  # fmt: skip
REQUIRED = ("path", "probability")
FINGERPRINTS = "flipdetect.fingerprints"
PART_SUFFIX = ".part"
STDOUT = Path("-")


def formula_safe(text: str) -> str:
    """A cell of text that a spreadsheet does not take for a formula; `formula_read` undoes it."""
    return "'" + text if text.startswith(_FORMULA) else text


def formula_read(cell: str) -> str:
    """The text that `formula_safe` was given."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell


class PredictionWriter:
    r"""Writes frame scores to a CSV file as they come: UTF-8, `\n` line ends, six decimals.

    Rows go to a file named like the output plus `.part`, which is flushed after every call and renamed when the `with`
    block ends normally. If it ends in an exception, Ctrl-C included, the part file keeps all rows written so far, and
    an earlier output stays as it was. Rows never meet the fingerprints of another run, whenever the process is killed.

    Attributes:
        part_path: the file that rows are written to until the end; None if they go to a stream.
        resumed: rows of an earlier, interrupted run that are kept; known inside the block, empty without `resume`.

    Args:
        output: the file to write; its folder is created. None or `-` means `stream`.
        stream: where rows go if there is no file, such as `sys.stdout`; not closed.
        resume: keep the rows of the part file, if there is one, except those of its last film, which may be unfinished.
        run: what the rows depend on (model, threshold, ...), by the option's name; a run with other values cannot be
            resumed.

    Raises:
        DataError: if the file cannot be written to; on entering the block, if it cannot be resumed: it stays as it is.
    """

    def __init__(
        self,
        output: Path | None,
        stream: TextIO | None = None,
        *,
        resume: bool = False,
        run: Mapping[str, object] | None = None,
    ) -> None:
        self.output = None if output is None or output == STDOUT else output
        self.part_path = None if self.output is None else self.output.with_name(self.output.name + PART_SUFFIX)
        self.resumed: tuple[FrameScore, ...] = ()
        self._stream = stream
        self._resume = resume
        self._run = {name: str(value) for name, value in (run or {}).items()}
        self._file: TextIO | None = None
        self._prints: IO[bytes] | None = None
        self._has_prints = False

    def __enter__(self) -> Self:
        with self._explaining():
            if self.output is not None and self.part_path is not None:
                self._begin(self.part_path, self.output)
            else:
                self._file = self._stream
                self._write_rows([COLUMNS])
        return self

    def _explaining(self) -> AbstractContextManager[None]:
        return nullcontext() if self.output is None else explaining(self.output)

    def _begin(self, part_path: Path, output: Path) -> None:
        part_path.parent.mkdir(parents=True, exist_ok=True)
        prints = fingerprints_path(part_path)
        if _end_was_cut_off(output):
            prints.replace(fingerprints_path(output))
        is_there = part_path.exists()
        if is_there and self._resume and not prints.exists():
            logger.warning("%s has no %s, so it is unknown how it was created: starting again", part_path, prints.name)
        if is_there and self._resume and prints.exists():
            before = _read_header(prints).get("run")
            if not isinstance(before, dict):
                raise DataError(
                    f"cannot resume {part_path}: {prints.name} is damaged, so it is unknown how it was created; leave "
                    "out --resume to start again"
                )
            changed = [name for name in {**before, **self._run} if before.get(name) != self._run.get(name)]
            if changed:
                raise DataError(
                    f"cannot resume {part_path}: it was created with a different {' and '.join(changed)}; "
                    "use the same options, or leave out --resume to start again"
                )
            found = read_predictions(part_path)
            # A film is what has times; the last one may be unfinished.
            last = found[-1].video if found and found[-1].time_s is not None else None
            self.resumed = tuple(score for score in found if last is None or score.video != last)
        else:
            prints.unlink(missing_ok=True)
            part_path.unlink(missing_ok=True)
        with replacing(part_path) as part, replacing(prints) as prints_part:
            self._file, self._prints = _open(part, "w"), prints_part.open("wb")
            self._prints.write(json.dumps({"format": FINGERPRINTS, "version": 1, "run": self._run}).encode() + b"\n")
            self._write_rows([COLUMNS])
            self.write(self.resumed)  # written again: without the half row at the end
            self._close()
        self._file, self._prints = _open(part_path, "a"), prints.open("ab")

    def write(self, scores: Iterable[FrameScore]) -> None:
        """Append one row per score, and flush; raises DataError if the disk is full."""
        scores = list(scores)
        measured = [score.quality.fingerprint for score in scores if score.quality is not None]
        with self._explaining():
            if self._prints is not None and measured:
                # Before the rows: an interruption may leave more fingerprints than rows, never fewer.
                self._prints.writelines(base64.b85encode(bytes.fromhex(print_)) + b"\n" for print_ in measured)
                self._prints.flush()
                self._has_prints = True
            self._write_rows(prediction_cells(score) for score in scores)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.part_path is None or self.output is None:
            self._file = None
            return
        with self._explaining():
            self._close()
            if kind is None:
                prints = fingerprints_path(self.output)
                prints.unlink(missing_ok=True)  # those of the earlier rows
                self.part_path.replace(self.output)
                if self._has_prints:
                    fingerprints_path(self.part_path).replace(prints)  # after a kill before it: `_end_was_cut_off`
                else:
                    fingerprints_path(self.part_path).unlink()

    def _close(self) -> None:
        for file in (self._file, self._prints):
            if file is not None:
                file.close()
        self._file = self._prints = None

    def _write_rows(self, rows: Iterable[Sequence[str]]) -> None:
        assert self._file is not None, "writes only inside its with block"
        minimal = csv.writer(self._file, lineterminator="\n")
        always = csv.writer(self._file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for row in rows:
            # Before Python 3.13 the csv module leaves a bare carriage return unquoted, and reads it as a row's end.
            writer = always if any("\r" in cell for cell in row) else minimal
            writer.writerow(row)
        self._file.flush()


def fingerprints_path(table: Path) -> Path:
    """Where the fingerprints of a predictions.csv are: predictions.fingerprints next to it."""
    part = PART_SUFFIX if table.name.endswith(PART_SUFFIX) else ""
    return table.with_name(Path(table.name.removesuffix(PART_SUFFIX)).stem + ".fingerprints" + part)


def _end_was_cut_off(table: Path) -> bool:
    """Whether a process was killed after renaming this table, before it could rename the fingerprints of its rows."""
    prints = fingerprints_path(table)
    unfinished = table.with_name(table.name + PART_SUFFIX)
    parts = fingerprints_path(unfinished)
    return parts != prints and table.exists() and parts.exists() and not prints.exists() and not unfinished.exists()


def prediction_cells(score: FrameScore) -> tuple[str, ...]:
    """A score as cells of a row, in the order of `COLUMNS`."""

    def decimals(value: float | None) -> str:
        return "" if value is None else f"{value:.{DECIMALS}f}"

    quality = score.quality
    return (
        formula_safe(score.path), formula_safe(score.video),
        "" if score.frame is None else str(score.frame), decimals(score.time_s),
        decimals(score.probability), formula_safe(score.label or ""), formula_safe(score.error),
        f"{quality.sharpness:.{DECIMALS}g}" if quality else "",
        *(decimals(getattr(quality, name, None)) for name in COLUMNS[8:]),
    )  # fmt: skip


def read_predictions(path: Path) -> list[FrameScore]:
    """Read the scores of a predictions.csv; further columns are passed over.

    An incomplete last row of a part file, left by an interruption, is dropped. Without the file of fingerprints next to
    it, the qualities have empty fingerprints.

    Raises:
        DataError: as `read_prediction_table`.
    """
    return read_prediction_table(path)[0]


def read_prediction_table(path: Path) -> tuple[list[FrameScore], dict[str, list[str]]]:
    """Read a predictions.csv with the columns that a command has added.

    Tables of version 1 and tables made elsewhere are read as well, if they have the columns of `REQUIRED`.

    Returns:
        The scores, and the cells of each further column by its name.

    Raises:
        DataError: if the file is missing, lacks a column, or a row cannot be understood; names file and line.
    """
    is_part = path.name.endswith(PART_SUFFIX)
    scores: list[FrameScore] = []
    try:
        with _open(path, "r") as file:
            reader = csv.DictReader(_whole_rows(file) if is_part else file, strict=True)
            columns = list(reader.fieldnames or ())
            missing = [name for name in REQUIRED if name not in columns]
            if missing and not (is_part and not columns):
                raise DataError(f"{path}, line 1: there is no column {missing[0]!r}, only {','.join(columns)[:200]!r}")
            further: dict[str, list[str]] = {name: [] for name in columns if name not in COLUMNS}
            beside = fingerprints_path(path)
            if _end_was_cut_off(path):
                beside = beside.with_name(beside.name + PART_SUFFIX)
            lines = beside.read_bytes().splitlines()[1:] if _read_header(beside) else []
            prints = (base64.b85decode(line).hex() for line in lines)
            for row in reader:
                try:
                    if None in row or None in row.values():
                        raise ValueError(f"expected {len(columns)} columns")
                    scores.append(_score(row, prints))
                except ValueError as error:
                    raise DataError(f"{path}, line {reader.line_num}: {error}") from error
                for name, cells in further.items():
                    cells.append(row[name])
    except OSError as error:
        raise DataError(f"predictions {path} cannot be read: {error.strerror or error}") from error
    except csv.Error as error:
        raise DataError(f"{path}: {error}") from error
    return scores, further


def _open(path: Path, mode: str) -> TextIO:
    # A POSIX file name may hold bytes that are not UTF-8; Python holds them as surrogates and writes them back.
    encoding = "utf-8-sig" if mode == "r" else "utf-8"  # spreadsheets write a byte order mark
    file: TextIO = path.open(mode, encoding=encoding, errors="surrogateescape", newline="")  # type: ignore[assignment]
    return file


def _read_header(prints: Path) -> dict[str, object]:
    try:
        with prints.open("rb") as file:
            header = json.loads(file.readline())
    except (OSError, ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) and header.get("format") == FINGERPRINTS else {}


def _whole_rows(lines: Iterable[str]) -> Iterator[str]:
    """Lines up to the end of the last row that was written whole: a line end in quotes is part of a cell."""
    row: list[str] = []
    in_quotes = False
    for line in lines:
        row.append(line)
        in_quotes ^= line.count('"') % 2 == 1
        if line.endswith(("\n", "\r")) and not in_quotes:
            yield from row
            row.clear()


def _score(cells: Mapping[str, str], prints: Iterator[str]) -> FrameScore:
    def number(name: str, most: float = math.inf, least: float = -math.inf) -> float | None:
        text = cells.get(name)
        if not text:
            return None
        value = float(text)
        if not (math.isfinite(value) and least <= value <= most):
            raise ValueError(f"{name} {text!r} is no number" + (f" from {least:g} to {most:g}" if least == 0 else ""))
        return value

    probability, error = number("probability", 1, 0), formula_read(cells.get("error", ""))
    if probability is None and not error and "error" in cells:
        raise ValueError("neither a probability nor an error")
    sharpness, exposure = number("sharpness", least=0), number("exposure", 1, 0)
    coverage, motion = number("coverage", 1, 0), number("motion", 1, 0)
    quality = None
    if sharpness is not None and exposure is not None:
        quality = FrameQuality(sharpness, exposure, coverage, motion, next(prints, ""))
    elif (sharpness, exposure, coverage, motion) != (None,) * 4:
        raise ValueError("sharpness and exposure are needed where one of the quality columns is filled")
    return FrameScore(
        path=formula_read(cells["path"]),
        video=formula_read(cells.get("video") or cells["path"]),
        frame=int(cells["frame"]) if cells.get("frame") else None,
        probability=probability,
        label=formula_read(cells.get("label") or "") or None,
        error=error,
        time_s=number("time_s"),
        quality=quality,
    )
