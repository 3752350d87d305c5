"""Judge event detectors on scored recordings with known turns, and choose what likelihood alone does not tell."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from flipdetect.errors import DataError
from flipdetect.events.fit import ScoredRecording, fit_event_parameters
from flipdetect.events.hysteresis import (
    EventParameters,
    HmmDetector,
    HysteresisDetector,
    HysteresisParameters,
    ScoredFrame,
    detect_events,
    run_detector,
)
from flipdetect.metrics.event import TOLERANCE_S, EventFigures, event_figures, pooled
from flipdetect.outputs.predictions import read_predictions
from flipdetect.records import FlipEvent

HYSTERESIS, LIVE, FILE = "hysteresis", "hmm live", "hmm file"
DETECTORS = (HYSTERESIS, LIVE, FILE)
POOLED = "all"
FRAMES_TABLE = "truth.csv"

BIASES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Values of `EventParameters.onset_bias` that are tried."""

Reports = list[tuple[FlipEvent, float]]


@dataclass(frozen=True)
class TrueTurn:
    """A true turn: first and last second at which a frame shows it, and the one at which it shows it most."""

    start_s: float
    peak_s: float
    end_s: float


@dataclass(frozen=True)
class EventRecording:
    """A scored recording and its true turns.

    Attributes:
        name: of the recording.
        frames: in order of time.
        turns: in order of time.
    """

    name: str
    frames: tuple[ScoredFrame, ...]
    turns: tuple[TrueTurn, ...]

    @property
    def scored(self) -> ScoredRecording:
        """As `fit_event_parameters` takes it."""
        scores = [np.nan if frame.probability is None else frame.probability for frame in self.frames]
        times = np.array([frame.time_s for frame in self.frames], dtype=np.float64)
        return ScoredRecording(times, np.array(scores, dtype=np.float64), self.turns)


@dataclass(frozen=True)
class DetectorFigures:
    """What a detector reaches on a recording, or on all (`POOLED`).

    Attributes:
        detector: one of `DETECTORS`.
        recording: its name.
        figures: with intervals compared.
        strict: with starts and ends compared.
    """

    detector: str
    recording: str
    figures: EventFigures
    strict: EventFigures

    def as_dict(self) -> dict[str, Any]:
        """All figures as JSON types; a median without a pair is None."""
        own = {name: None if value != value else value for name, value in self.figures.as_dict().items()}
        return {"detector": self.detector, "recording": self.recording, **own, "f1_boundaries": self.strict.f1}


def read_recording(predictions: Path, events: Path, fps: float | None = None) -> EventRecording:
    """Read the scores of a recording and its true turns.

    Args:
        predictions: CSV file of `inference.py` with frames of one video; its times are taken unless `fps` is given.
        events: events.csv of a rendered recording: columns start_s, peak_s, end_s.
        fps: frames per second, frame 1 being at 0 s; None: where the table has
            no times, they are looked up in the truth.csv beside `events`.

    Raises:
        DataError: if a file is missing or cannot be understood, or a frame has no time.
    """
    scores = read_predictions(predictions)
    if len({score.video for score in scores}) > 1:
        raise DataError(f"{predictions} holds frames of several videos; give one file for each recording")
    if fps is not None and not fps > 0:
        raise DataError(f"fps is {fps}; give frames per second, more than 0")
    untimed = fps is None and any(score.time_s is None for score in scores)
    times = _frame_times(events.with_name(FRAMES_TABLE)) if untimed else {}
    frames = []
    for score in scores:
        time_s = score.time_s if fps is None else None
        if time_s is None and score.frame is not None:
            time_s = times.get(score.frame) if fps is None else (score.frame - 1) / fps
        if time_s is None:
            raise DataError(f"{predictions}: the time of {score.path} is not known; give --fps, or its {FRAMES_TABLE}")
        frames.append(ScoredFrame(time_s, score.probability, score.frame))
    name = events.parent.name or events.stem
    return EventRecording(name, tuple(sorted(frames, key=lambda frame: frame.time_s)), read_true_turns(events))


def read_true_turns(path: Path) -> tuple[TrueTurn, ...]:
    """The turns of an events.csv, in order of time.

    Raises:
        DataError: if the file cannot be read or lacks a time.
    """
    turns = [
        TrueTurn(*(_number(row, name, path, line) for name in ("start_s", "peak_s", "end_s")))
        for line, row in _rows(path)
    ]
    return tuple(sorted(turns, key=lambda turn: turn.start_s))


def _frame_times(path: Path) -> dict[int, float]:
    rows = list(_rows(path))
    return {int(_number(row, "frame", path, line)): _number(row, "time_s", path, line) for line, row in rows}


def _rows(path: Path) -> Iterable[tuple[int, Mapping[str, str | None]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from enumerate(csv.DictReader(file), 2)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _number(row: Mapping[str, str | None], name: str, path: Path, line: int) -> float:
    try:
        return float(row[name] or "")
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}, line {line}: a number is needed in column {name}, got {row.get(name)!r}") from error


def evaluate_detectors(
    recordings: Sequence[EventRecording],
    parameters: EventParameters | None = None,
    hysteresis: HysteresisParameters | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> list[DetectorFigures]:
    """The figures of each detector on each recording, and on all together.

    Args:
        recordings: scored ones that the parameters were not learnt from.
        parameters: of the hidden Markov model; None for the defaults.
        hysteresis: of the base line; None for the defaults.
        tolerance_s: seconds that a matched pair may be apart.
    """
    runs: dict[str, Callable[[EventRecording], Reports]] = {
        HYSTERESIS: lambda each: run_detector(HysteresisDetector(hysteresis, each.name), each.frames),
        LIVE: lambda each: run_detector(HmmDetector(parameters, each.name), each.frames),
        FILE: lambda each: [(event, np.nan) for event in detect_events(each.frames, parameters, each.name)],
    }
    rows = []
    for detector, run in runs.items():
        found = [_judge(detector, each, run(each), tolerance_s) for each in recordings]
        everything = (pooled(getattr(each, kind) for each in found) for kind in ("figures", "strict"))
        rows += [*found, DetectorFigures(detector, POOLED, *everything)]
    return rows


def _judge(detector: str, recording: EventRecording, reports: Reports, tolerance_s: float) -> DetectorFigures:
    events = [event for event, _ in reports]
    reported = None if detector == FILE else [second for _, second in reports]
    figures, strict = (
        event_figures(events, recording.turns, tolerance_s, criterion, reported)
        for criterion in ("interval", "boundaries")
    )
    return DetectorFigures(detector, recording.name, figures, strict)


def event_table(rows: Iterable[DetectorFigures]) -> str:
    """Plain text: a line per detector and recording, those of all recordings last; delays in seconds."""
    ordered = sorted(rows, key=lambda row: row.recording == POOLED)
    columns = ("true", "found", "count_error", "precision", "recall", "f1")
    table = []
    for row in ordered:
        own = row.as_dict()
        times = [own[name] for name in ("absolute_start_error_s", "absolute_end_error_s", "delay_s")]
        table.append([row.recording, row.detector, *(own[name] for name in columns), own["f1_boundaries"], *times])
    headers = (
        "recording", "detector", "true", "found", "count off", "precision", "recall", "F1", "F1 both ends",
        "start off", "end off", "delay",
    )  # fmt: skip
    return tabulate(table, headers=headers, floatfmt=".3f", missingval="-", disable_numparse=[0, 1])


def learn_parameters(recordings: Sequence[EventRecording]) -> EventParameters:
    """Parameters of the hidden Markov model: by likelihood, then the onset bias by F1 of the events.

    Raises:
        DataError: if there are too few turns or frames to learn from.
    """
    fitted = fit_event_parameters([each.scored for each in recordings])
    candidates = [replace(fitted, onset_bias=bias) for bias in BIASES]
    return max(candidates, key=lambda each: (_event_f1(recordings, each), -abs(each.onset_bias - fitted.onset_bias)))


def tune_hysteresis(recordings: Sequence[EventRecording]) -> HysteresisParameters:
    """The thresholds, smoothing and shortest turn with the best F1 of the events, on a grid."""
    grid = product((0.3, 0.5, 0.7, 0.9), (0.1, 0.3, 0.5), (0.05, 0.15), (0.15, 0.3))
    candidates = [
        HysteresisParameters(upper=upper, lower=lower, smoothing_s=smoothing, shortest_s=shortest)
        for upper, lower, smoothing, shortest in grid
        if lower <= upper
    ]
    return max(candidates, key=lambda each: _event_f1(recordings, each))


def _event_f1(recordings: Sequence[EventRecording], parameters: EventParameters | HysteresisParameters) -> float:
    return pooled(event_figures(detect_events(each.frames, parameters), each.turns) for each in recordings).f1
