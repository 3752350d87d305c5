"""Predictions as a CSV file that survives an interruption, can be gone on with, and is read back."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from flipdetect.atomic import replacing
from flipdetect.errors import DataError
from flipdetect.records import FrameQuality, FrameScore

QUALITY_COLUMNS = ("sharpness", "exposure", "coverage", "motion", "fingerprint")
COLUMNS = ("path", "video", "frame", "time_s", "probability", "label", "error", *QUALITY_COLUMNS)
# Tables of releases that knew neither times nor quality.
OLD_COLUMNS = ("path", "video", "frame", "probability", "label", "error")
PART_SUFFIX = ".part"
STDOUT = Path("-")


class _QuoteMinimal(csv.excel):
    lineterminator = "\n"


class _QuoteAll(_QuoteMinimal):
    quoting = csv.QUOTE_ALL


class PredictionWriter:
    r"""Streams frame scores to a CSV file: UTF-8, `\n` line ends, probabilities and seconds with six decimals.

    Rows go to a file named like the output with `.part` behind it, which is handed to the system after every
    call, and takes the output's name when the `with` block ends normally. If it ends in an exception, Ctrl-C
    included, the part file stays with all rows written so far, and an earlier output stays as it was.

    Attributes:
        part_path: the file that rows go to until the end; None if they go to a stream.
        resumed: what an earlier, interrupted run had written; known inside the block, empty without `resume`.

    Args:
        output: the file to write; its folder is made. None or `-` means `stream`.
        stream: where rows go if there is no file, such as `sys.stdout`; not closed.
        resume: go on after the last whole row of the part file, if there is one, instead of starting it anew.

    Raises:
        ValueError: if neither a file nor a stream is given, or a stream is to be resumed.
        DataError: on entering the block, if the part file to go on with cannot be understood; it stays as it is.
        OSError: on entering the block, if the file cannot be created.
    """

    def __init__(self, output: Path | None, stream: TextIO | None = None, *, resume: bool = False) -> None:
        self.output = None if output is None or output == STDOUT else output
        if self.output is None and stream is None:
            raise ValueError("no output file was given, and no stream to write to instead")
        if self.output is None and resume:
            raise ValueError("only a file can be gone on with, not a stream")
        self.part_path = None if self.output is None else self.output.with_name(self.output.name + PART_SUFFIX)
        self.resumed: tuple[FrameScore, ...] = ()
        self._stream = stream
        self._resume = resume
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        if self.part_path is None:
            self._file = self._stream
            self._write_rows([COLUMNS])
            return self
        self.part_path.parent.mkdir(parents=True, exist_ok=True)
        # A POSIX file name may hold bytes that are no UTF-8; Python holds them as surrogates, and this
        # writes the same bytes back, so that the path in the table still names the file.
        if self._resume and self.part_path.exists():
            self.resumed = tuple(read_predictions(self.part_path))
            # Written anew: the half row at the end goes, and a table of an older release gets all columns.
            with replacing(self.part_path) as whole, _open(whole, "w") as self._file:
                self._write_rows(chain([COLUMNS], map(_row, self.resumed)))
            self._file = _open(self.part_path, "a")
        else:
            self._file = _open(self.part_path, "w")
            self._write_rows([COLUMNS])
        return self

    def write(self, scores: Iterable[FrameScore]) -> None:
        """Append one row per score, and flush.

        Raises:
            ValueError: outside the `with` block.
            OSError: if the disk is full, or the reader of a pipe has gone.
        """
        self._write_rows(_row(score) for score in scores)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if file is None or self.part_path is None or self.output is None:
            return
        file.close()
        if kind is None:
            os.replace(self.part_path, self.output)  # noqa: PTH105 - the name that says what it promises

    def _write_rows(self, rows: Iterable[Sequence[str]]) -> None:
        if self._file is None:
            raise ValueError("a PredictionWriter writes only inside its with block")
        for row in rows:
            # Before Python 3.13 the csv module leaves a bare carriage return unquoted, and then reads it as
            # the end of a row.
            dialect = _QuoteAll if any("\r" in cell for cell in row) else _QuoteMinimal
            csv.writer(self._file, dialect).writerow(row)
        self._file.flush()


def _open(path: Path, mode: str) -> TextIO:
    file: TextIO = path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")  # type: ignore[assignment]
    return file


def _row(score: FrameScore) -> tuple[str, ...]:
    quality = score.quality
    return (
        score.path,
        score.video,
        "" if score.frame is None else str(score.frame),
        _decimals(score.time_s),
        _decimals(score.probability),
        score.label or "",
        score.error,
        # Sharpness has no upper end, and what tells blurred frames apart may be small.
        "" if quality is None else f"{quality.sharpness:.6g}",
        "" if quality is None else _decimals(quality.exposure),
        "" if quality is None else _decimals(quality.coverage),
        "" if quality is None else _decimals(quality.motion),
        "" if quality is None else quality.fingerprint,
    )


def _decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def read_predictions(path: Path) -> list[FrameScore]:
    """Read what `PredictionWriter` wrote, also by a release whose tables had neither times nor quality.

    Of a part file, which an interruption left, an incomplete last row is dropped; one without a whole row is empty.

    Raises:
        DataError: if the file is missing, has other columns, or a row cannot be understood; the message
            names the file and the line.
    """
    is_part = path.name.endswith(PART_SUFFIX)
    try:
        with _open(path, "r") as file:
            reader = csv.reader(_whole_rows(file) if is_part else file, strict=True)
            return list(_scores(reader, path, is_part))
    except OSError as error:
        raise DataError(f"predictions {path} cannot be read: {error.strerror or error}") from error


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


def _scores(reader: csv._reader, path: Path, is_part: bool) -> Iterator[FrameScore]:  # type: ignore[name-defined]
    try:
        header = next(reader, None)
        if header is None and is_part:
            return
        columns = tuple(header or ())
        if columns not in (COLUMNS, OLD_COLUMNS):
            raise ValueError(f"expected the columns {','.join(COLUMNS)}, got {','.join(columns)!r}")
        for row in reader:
            if len(row) != len(columns):
                raise ValueError(f"expected {len(columns)} columns, got {len(row)}")
            yield _score(dict(zip(columns, row, strict=True)))
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}, line {max(reader.line_num, 1)}: {error}") from error


def _score(cells: dict[str, str]) -> FrameScore:
    if not cells["probability"] and not cells["error"]:
        raise ValueError("neither a probability nor an error")
    return FrameScore(
        path=cells["path"],
        video=cells["video"],
        frame=int(cells["frame"]) if cells["frame"] else None,
        probability=_share(cells, "probability"),
        label=cells["label"] or None,
        error=cells["error"],
        time_s=_number(cells, "time_s"),
        quality=_quality(cells),
    )


def _quality(cells: dict[str, str]) -> FrameQuality | None:
    if not any(cells.get(name) for name in QUALITY_COLUMNS):
        return None
    sharpness, exposure, fingerprint = _number(cells, "sharpness"), _share(cells, "exposure"), cells["fingerprint"]
    if sharpness is None or exposure is None:
        raise ValueError("sharpness and exposure are needed where one of the quality columns is filled")
    if sharpness < 0:
        raise ValueError(f"sharpness {cells['sharpness']!r} is below 0")
    if fingerprint.strip("0123456789abcdefABCDEF"):
        raise ValueError(f"fingerprint {fingerprint!r} has other than hexadecimal digits")
    return FrameQuality(sharpness, exposure, _share(cells, "coverage"), _share(cells, "motion"), fingerprint)


def _number(cells: dict[str, str], name: str) -> float | None:
    text = cells.get(name)
    if not text:
        return None
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{name} {text!r} is not a finite number")
    return value


def _share(cells: dict[str, str], name: str) -> float | None:
    text = cells.get(name)
    if not text:
        return None
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} {text!r} is not in [0, 1]")
    return value
