"""Evaluate what is said about whole videos: whether a clip contains a flip, and when pages were turned.

A clip contains a flip if its highest frame probability says so.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import ORACLE, Evaluation, metrics_with_oracle
from flipdetect.metrics.event import TOLERANCE_S, EventMetrics, event_metrics, pooled
from flipdetect.metrics.threshold import choose_threshold, confusion_matrix

TIMES = ("start_s", "peak_s", "end_s")
POOLED = "all"
METRICS = {
    "f1": "F1", "precision": "precision", "recall": "recall", "accuracy": "accuracy", "auroc": "AUROC",
    "average_precision": "AP", ORACLE: "best F1 (oracle)",
}  # fmt: skip


@dataclass(frozen=True)
class ClipEvaluation:
    """Decisions of a model about the clips of a data set.

    Attributes:
        threshold: a clip is positive if its highest frame probability is at least this.
        origin: "validation" if the threshold was chosen there, "frames" if it is the model's threshold for frames.
        metrics: of clips, by name, as those of frames.
        matrix: (2, 2) int64 counts, see `confusion_matrix`.
    """

    threshold: float
    origin: str
    frames: Evaluation
    metrics: dict[str, float]
    matrix: NDArray[np.int64]

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        counts = {"clips": int(self.matrix.sum()), "confusion": self.matrix.tolist()}
        return {"threshold": self.threshold, "threshold_from": self.origin, **counts, **self.metrics}


def evaluate_clips(evaluation: Evaluation, validation: Evaluation | None = None) -> ClipEvaluation:
    """Evaluate the clips of a data set; a clip is positive if any of its frames is.

    The threshold for clips is chosen on the scored frames of a validation split. Without them, the threshold for frames
    is used, which is often too low for the highest of many frames. Clips of which none could be read are left out.

    Raises:
        DataError: if the validation split has no positive clip.
    """
    threshold, origin = evaluation.threshold, "frames"
    if validation is not None:
        try:
            threshold, origin = choose_threshold(*_clips(validation)).threshold, "validation"
        except ValueError as error:
            raise DataError(f"no threshold for clips can be chosen on the validation split: {error}") from error
    scores, targets = _clips(evaluation)
    metrics = metrics_with_oracle(scores, targets, threshold)
    return ClipEvaluation(threshold, origin, evaluation, metrics, confusion_matrix(scores, targets, threshold))


def _clips(evaluation: Evaluation) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Score (the highest probability) and target of each clip with a readable frame; (N,) each."""
    scores: dict[str, float] = {}
    for pair in evaluation.scored:
        scores[pair.record.video] = max(pair.probability, scores.get(pair.record.video, 0.0))
    positive = {r.video for r in evaluation.index.records if r.label == evaluation.classes.positive}
    return np.array(list(scores.values())), np.array([int(video in positive) for video in scores])


def clip_table(rows: Iterable[tuple[str, str, ClipEvaluation]]) -> str:
    """A line per model and data set: metrics of clips, and F1 of frames for comparison."""
    table = [
        [data_set, model, int(each.matrix.sum()), each.threshold, each.origin]
        + [each.metrics[name] for name in METRICS]
        + [each.frames.metrics["f1"]]
        for model, data_set, each in rows
    ]
    headers = ["clips of", "model", "clips", "threshold", "from", *METRICS.values(), "F1 of frames"]
    return tabulate(table, headers=headers, floatfmt=".3f", disable_numparse=[0, 1, 4])


class TurnTimes(NamedTuple):
    """A page turn: its first and last second, and that at which it is seen most clearly."""

    start_s: float
    peak_s: float
    end_s: float


@dataclass(frozen=True)
class VideoTurns:
    """How well the turns of a video were found, or of all videos together (`POOLED`)."""

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
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
    except (OSError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if missing := [name for name in TIMES if name not in columns]:
        raise DataError(f"{path} has no column {missing[0]}; its first line must name {', '.join(TIMES)}")
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
    """Metrics of each video, and of all together."""
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
