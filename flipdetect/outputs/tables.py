"""Predictions as a CSV file that survives an interruption, and as a table of flips per video."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from tabulate import tabulate

from flipdetect.errors import DataError
from flipdetect.records import ClassNames, FrameScore

COLUMNS = ("path", "video", "frame", "probability", "label", "error")
PART_SUFFIX = ".part"
STDOUT = Path("-")


class _QuoteMinimal(csv.excel):
    lineterminator = "\n"


class _QuoteAll(_QuoteMinimal):
    quoting = csv.QUOTE_ALL


class PredictionWriter:
    r"""Streams frame scores to a CSV file: UTF-8, `\n` line ends, probabilities with six decimals.

    Rows go to a file named like the output with `.part` behind it, which is handed to the system after every
    call, and takes the output's name when the `with` block ends normally. If it ends in an exception, Ctrl-C
    included, the part file stays with all rows written so far, and an earlier output stays as it was.

    Attributes:
        part_path: the file that rows go to until the end; None if they go to a stream.

    Args:
        output: the file to write; its folder is made. None or `-` means `stream`.
        stream: where rows go if there is no file, such as `sys.stdout`; not closed.

    Raises:
        ValueError: if neither a file nor a stream is given.
        OSError: on entering the block, if the file cannot be created.
    """

    def __init__(self, output: Path | None, stream: TextIO | None = None) -> None:
        self.output = None if output is None or output == STDOUT else output
        if self.output is None and stream is None:
            raise ValueError("no output file was given, and no stream to write to instead")
        self.part_path = None if self.output is None else self.output.with_name(self.output.name + PART_SUFFIX)
        self._stream = stream
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        if self.part_path is None:
            self._file = self._stream
        else:
            self.part_path.parent.mkdir(parents=True, exist_ok=True)
            # A POSIX file name may hold bytes that are no UTF-8; Python holds them as surrogates, and this
            # writes the same bytes back, so that the path in the table still names the file.
            self._file = self.part_path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
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


def _row(score: FrameScore) -> tuple[str, ...]:
    return (
        score.path,
        score.video,
        "" if score.frame is None else str(score.frame),
        "" if score.probability is None else f"{score.probability:.6f}",
        score.label or "",
        score.error,
    )


def read_predictions(path: Path) -> list[FrameScore]:
    """Read what `PredictionWriter` wrote, a part file too.

    Raises:
        DataError: if the file is missing, has other columns, or a row cannot be understood; the message
            names the file and the line.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, strict=True)
            _check_header(next(reader, []), path)
            return list(_scores(reader, path))
    except OSError as error:
        raise DataError(f"predictions {path} cannot be read: {error.strerror or error}") from error


def _check_header(header: list[str], path: Path) -> None:
    if tuple(header) != COLUMNS:
        raise DataError(f"{path}, line 1: expected the columns {','.join(COLUMNS)}, got {','.join(header)!r}")


def _scores(reader: Any, path: Path) -> Iterator[FrameScore]:
    try:
        for row in reader:
            yield _score(row)
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def _score(row: list[str]) -> FrameScore:
    if len(row) != len(COLUMNS):
        raise ValueError(f"expected {len(COLUMNS)} columns, got {len(row)}")
    path, video, frame, probability, label, error = row
    value = float(probability) if probability else None
    if value is not None and not 0.0 <= value <= 1.0:
        raise ValueError(f"probability {probability!r} is not in [0, 1]")
    if value is None and not error:
        raise ValueError("neither a probability nor an error")
    return FrameScore(
        path=path,
        video=video,
        frame=int(frame) if frame else None,
        probability=value,
        label=label or None,
        error=error,
    )


@dataclass(frozen=True, slots=True)
class VideoSummary:
    """What the predictions say of one video.

    Attributes:
        video: the clip.
        frames: its frames, unreadable ones included.
        flips: frames predicted as the positive class.
        errors: frames that could not be scored.
        mean_probability: over the scored frames; None if there is none.
        max_probability: over the scored frames; None if there is none.
    """

    video: str
    frames: int
    flips: int
    errors: int
    mean_probability: float | None
    max_probability: float | None


def flips_per_video(scores: Iterable[FrameScore], positive: str = ClassNames().positive) -> list[VideoSummary]:
    """Summarise frames by video, in the order in which the videos first appear.

    Args:
        scores: in any order; read once and not kept, so that a generator over any number of frames will do.
        positive: name of the positive class.
    """
    tallies: dict[str, _Tally] = {}
    for score in scores:
        tallies.setdefault(score.video, _Tally()).add(score, positive)
    return [tally.summary(video) for video, tally in tallies.items()]


@dataclass(slots=True)
class _Tally:
    frames: int = 0
    flips: int = 0
    scored: int = 0
    total: float = 0.0
    highest: float = 0.0

    def add(self, score: FrameScore, positive: str) -> None:
        self.frames += 1
        self.flips += score.label == positive
        if score.probability is not None:
            self.scored += 1
            self.total += score.probability
            self.highest = max(self.highest, score.probability)

    def summary(self, video: str) -> VideoSummary:
        return VideoSummary(
            video=video,
            frames=self.frames,
            flips=self.flips,
            errors=self.frames - self.scored,
            mean_probability=self.total / self.scored if self.scored else None,
            max_probability=self.highest if self.scored else None,
        )


def format_video_table(
    summaries: Iterable[VideoSummary], max_rows: int | None = 40, positive: str = ClassNames().positive
) -> str:
    """Plain text for a terminal: one aligned row per video and a row of totals.

    Args:
        summaries: one per video.
        max_rows: videos shown; a last line counts the others. None shows all.
        positive: name of the positive class, the heading of its column.
    """
    summaries = list(summaries)
    shown = summaries if max_rows is None else summaries[:max_rows]
    rows = [
        (each.video, each.frames, each.flips, each.errors, each.mean_probability, each.max_probability)
        for each in shown
    ]
    total = tuple(sum(getattr(each, name) for each in summaries) for name in ("frames", "flips", "errors"))
    text = tabulate(
        [*rows, (f"all {len(summaries)}", *total, None, None)],
        headers=("video", "frames", positive, "errors", "mean p", "max p"),
        colalign=("left", "right", "right", "right", "right", "right"),
        floatfmt=".3f",
        missingval="-",
        # A video named 0001 is a name, not the number 1.
        disable_numparse=[0],
    )
    hidden = len(summaries) - len(shown)
    return text + (f"\n({hidden} more videos not shown)" if hidden else "")
