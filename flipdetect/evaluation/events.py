"""Evaluate the page turns found in videos against known ones."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from flipdetect.errors import DataError
from flipdetect.metrics.event import TOLERANCE_S, EventMetrics, event_metrics, pooled

TIMES = ("start_s", "peak_s", "end_s")
POOLED = "all"


@dataclass(frozen=True)
class TurnTimes:
    """A page turn: its first and last second, and that at which it is seen most clearly."""

    start_s: float
    peak_s: float
    end_s: float


@dataclass(frozen=True)
class VideoTurns:
    """How well the turns of a video were found, or of all videos together (`POOLED`).

    Attributes:
        name: of the video.
        metrics: with intervals compared.
        strict: with starts and ends compared.
    """

    name: str
    metrics: EventMetrics
    strict: EventMetrics

    def as_dict(self) -> dict[str, Any]:
        """All metrics as JSON types."""
        return {"video": self.name, **self.metrics.as_dict(), "f1_boundaries": self.strict.f1}


def read_turns(path: Path) -> tuple[TurnTimes, ...]:
    """The turns of a flips.csv, or of the events.csv of a rendered recording, in order of time.

    Raises:
        DataError: if the file cannot be read, lacks a time, or has turns of several videos.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len({row.get("video") for row in rows}) > 1:
        raise DataError(f"{path} has turns of several videos; give one file per video")
    turns = []
    for line, row in enumerate(rows, 2):
        try:
            turns.append(TurnTimes(*(float(row[name]) for name in TIMES)))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {line}: a number is needed in {', '.join(TIMES)}, got {row}") from error
    return tuple(sorted(turns, key=lambda turn: turn.start_s))


def evaluate_turns(pairs: Sequence[tuple[Path, Path]], tolerance_s: float = TOLERANCE_S) -> list[VideoTurns]:
    """Metrics of each video, and of all together.

    Args:
        pairs: file of the found turns and file of the true ones, of each video.
        tolerance_s: seconds that a matched pair may be apart.

    Raises:
        DataError: if a file cannot be used.
    """
    rows = []
    for found, true in pairs:
        turns = read_turns(found), read_turns(true)
        both = [event_metrics(*turns, tolerance_s, criterion) for criterion in ("interval", "boundaries")]
        rows.append(VideoTurns(true.parent.name or true.stem, *both))
    return [*rows, VideoTurns(POOLED, pooled(row.metrics for row in rows), pooled(row.strict for row in rows))]


def turn_table(rows: Iterable[VideoTurns]) -> str:
    """A line per video; errors of starts and ends are medians in seconds."""
    columns = {
        "true": "true", "found": "found", "count_error": "count off", "precision": "precision", "recall": "recall",
        "f1": "F1", "f1_boundaries": "F1 both ends", "absolute_start_error_s": "start off",
        "absolute_end_error_s": "end off",
    }  # fmt: skip
    table = [[row.name, *(row.as_dict()[name] for name in columns)] for row in rows]
    headers = ["video", *columns.values()]
    return tabulate(table, headers=headers, floatfmt=".3f", missingval="-", disable_numparse=[0])
