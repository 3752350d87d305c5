"""The files that a report is made of: every frame's score, and what was judged."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipdetect.atomic import write_csv, write_text
from flipdetect.errors import ConfigError, DataError
from flipdetect.outputs.predictions import COLUMNS, prediction_cells, read_prediction_table
from flipdetect.records import ClassNames, FrameScore

PREDICTIONS, JUDGED, PICTURED = "predictions.csv", "judged.json", "frames.json"
ROBUSTNESS, TRAINING = "robustness.json", "training.csv"
FRAMES_FOLDER = "frames"
VERSION = 1
MEASURED = ("measured_brightness", "measured_sharpness", "frame_height", "frame_width")
"""Columns that are measured on the frames while they are scored."""


@dataclass(frozen=True)
class Judged:
    """What was judged, and how.

    Attributes:
        model, set_name: names, as a reader knows them.
        threshold: from this probability on, a frame is called positive.
        threshold_origin: where it comes from, in words.
        classes: names of the two classes.
        side: of a split, if only one was judged.
        folder: where the frames lay.
        model_file, model_hash, set_hash: which file, and SHA-256 (first 16 digits) of model and of labels and names.
        data_version: what is known of how the data were made.
        date: ISO 8601, UTC.
        facts: further facts for the reader, in order: architecture, parameters, training, versions.
        clip_thresholds: by aggregation, a clip's threshold and where it comes from; others take that of frames.
        slices: further columns of the manifest that were asked for.
    """

    model: str
    set_name: str
    threshold: float
    threshold_origin: str = "given"
    classes: ClassNames = field(default_factory=ClassNames)
    side: str | None = None
    folder: str = ""
    model_file: str = ""
    model_hash: str = ""
    set_hash: str = ""
    data_version: str = ""
    date: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    clip_thresholds: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    slices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scored:
    """Every frame of a set with its truth and its score.

    Attributes:
        paths, videos, frames, sources: (N,) texts as written in the table; a source or frame may be empty.
        targets: (N,) int64, 0 or 1.
        probabilities: (N,) float64, NaN for frames that could not be read.
        errors: (N,) why.
        columns: (N,) texts of each further column.
    """

    paths: tuple[str, ...]
    videos: tuple[str, ...]
    frames: tuple[str, ...]
    sources: tuple[str, ...]
    targets: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    errors: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Scored:
        """Some of the frames, by position."""
        chosen = np.asarray(rows, np.int64)

        def some(cells: Sequence[str]) -> tuple[str, ...]:
            return tuple(cells[row] for row in chosen)

        return Scored(
            some(self.paths),
            some(self.videos),
            some(self.frames),
            some(self.sources),
            self.targets[chosen],
            self.probabilities[chosen],
            some(self.errors),
            {name: some(cells) for name, cells in self.columns.items()},
        )

    def readable(self) -> Scored:
        """The frames that have a probability."""
        return self.take(np.flatnonzero(~np.isnan(self.probabilities)))

    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """Path and reason of the others."""
        return tuple(
            (self.paths[row], self.errors[row]) for row in np.flatnonzero(np.isnan(self.probabilities)).tolist()
        )


@dataclass(frozen=True)
class PicturedFrame:
    """A frame that the report shows.

    Attributes:
        role: "mistake", or what it is an example of in the part about what the model looks at.
        path: of the frame, as in the predictions.
        truth: its class.
        probability: of the positive class.
        file: its picture, relative to the report's folder.
        heat, maps: pictures of what raises its logit, and of the model's maps; empty if there are none.
    """

    role: str
    path: str
    truth: str
    probability: float
    file: str
    heat: str = ""
    maps: str = ""


def write_judged(folder: Path, judged: Judged) -> None:
    """Write `judged.json`, atomically.

    Raises:
        OSError: if it cannot be written.
    """
    facts = {**asdict(judged), "version": VERSION}
    write_text(folder / JUDGED, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


def read_judged(folder: Path) -> Judged:
    """Read what `write_judged` wrote.

    Raises:
        DataError: if the file is absent, of another version, or not to be understood.
    """
    facts = _read_json(folder / JUDGED)
    try:
        if facts.pop("version") != VERSION:
            raise ValueError(f"another version than {VERSION}; use the flipdetect release that wrote it")
        unknown = set(facts) - {each.name for each in fields(Judged)}
        if unknown:
            raise ValueError(f"unknown entries {', '.join(sorted(unknown))}")
        threshold = float(facts["threshold"])
        if not 0 <= threshold <= 1:
            raise ValueError(f"the threshold {threshold} is not in [0, 1]")
        rules = {name: (float(at), str(origin)) for name, (at, origin) in facts.pop("clip_thresholds", {}).items()}
        classes, slices = ClassNames(**facts.pop("classes", {})), tuple(facts.pop("slices", ()))
        return Judged(**facts, classes=classes, slices=slices, clip_thresholds=rules)
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        raise DataError(f"{folder / JUDGED} cannot be understood: {error}; make it anew with evaluate.py") from error


def write_pictured(folder: Path, pictured: Sequence[PicturedFrame]) -> None:
    """Write `frames.json`, atomically.

    Raises:
        OSError: if it cannot be written.
    """
    write_text(folder / PICTURED, json.dumps([asdict(each) for each in pictured], indent=2, ensure_ascii=False) + "\n")


def read_pictured(folder: Path) -> list[PicturedFrame]:
    """Read what `write_pictured` wrote; nothing if there is no such file.

    Raises:
        DataError: if the file cannot be understood, or names a file outside of the report's folder.
    """
    path = folder / PICTURED
    if not path.is_file():
        return []
    try:
        found = [PicturedFrame(**each) for each in _read_json(path)]
    except TypeError as error:
        raise DataError(f"{path} cannot be understood: {error}; make it anew with evaluate.py") from error
    home = folder.resolve()
    for each in found:
        for name in filter(None, (each.file, each.heat, each.maps)):
            if not (home / name).resolve().is_relative_to(home):
                raise DataError(f"{path} names {name!r}, which leads out of the report's folder; make it anew")
    return found


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
        DataError: if it cannot be read.
    """
    return _read_json(path)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); evaluate.py --report writes it") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}); make it anew with evaluate.py --report") from error


def write_scored(path: Path, scored: Scored, judged: Judged) -> None:
    """Write `predictions.csv` with the further columns `source`, `truth` and those of `scored`.

    Raises:
        OSError: if it cannot be written.
    """
    names = judged.classes.names
    rows = []
    for row, p in enumerate(scored.probabilities.tolist()):
        known = not math.isnan(p)
        score = FrameScore(
            scored.paths[row],
            scored.videos[row],
            int(scored.frames[row]) if scored.frames[row] else None,
            p if known else None,
            names[int(p >= judged.threshold)] if known else None,
            scored.errors[row],
        )
        further = (scored.sources[row], names[int(scored.targets[row])])
        rows.append((*prediction_cells(score), *further, *(cells[row] for cells in scored.columns.values())))
    write_csv(path, (*COLUMNS, "source", "truth", *scored.columns), rows)


def read_scored(path: Path, classes: ClassNames) -> Scored:
    """Read a `predictions.csv` with a column `truth`, of one model and one data set.

    Args:
        path: the file; further columns are kept as text. Without `video`, each frame is a video of its own.
        classes: names of the two classes, as in the column `truth`.

    Raises:
        DataError: if the file is missing, lacks a column, holds several models or data sets, or a row cannot be
            understood; the message names the file.
    """
    scores, further = read_prediction_table(path)
    if "truth" not in further:
        raise DataError(f"{path} has no column 'truth'; evaluate writes it with --report")
    if not scores:
        raise DataError(f"{path} has no row; score the frames again with evaluate --report")
    for name in ("model", "set"):
        if len(set(further.get(name, ()))) > 1:
            raise DataError(f"{path} holds several {name}s; a report is of one: keep the rows of one of them")
    try:
        targets = [classes.target(label) for label in further["truth"]]
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error
    return Scored(
        tuple(score.path for score in scores),
        tuple(score.video for score in scores),
        tuple("" if score.frame is None else str(score.frame) for score in scores),
        tuple(further.get("source", [""] * len(scores))),
        np.array(targets, np.int64),
        np.array([math.nan if score.probability is None else score.probability for score in scores]),
        tuple(score.error for score in scores),
        {name: tuple(cells) for name, cells in further.items() if name not in ("truth", "source", "model", "set")},
    )
