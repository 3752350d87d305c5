"""The files that a report is made of: every frame's score, and what was judged."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipdetect.atomic import write_csv, write_text
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import ClassNames

PREDICTIONS, JUDGED, PICTURED = "predictions.csv", "judged.json", "frames.json"
ROBUSTNESS, TRAINING = "robustness.json", "training.csv"
FRAMES_FOLDER = "frames"
VERSION = 1
COLUMNS = ("path", "video", "frame", "source", "truth", "probability", "error")
"""Columns of `predictions.csv` that are always there; `label` and those of the manifest may follow."""
NEEDED = ("path", "truth", "probability")
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
    """Write `predictions.csv`: one row per frame, probabilities with six decimals, atomically.

    Raises:
        OSError: if it cannot be written.
    """
    extra = tuple(scored.columns)
    write_csv(path, (*COLUMNS[:6], "label", COLUMNS[6], *extra), _rows(scored, judged, extra))


def _rows(scored: Scored, judged: Judged, extra: Sequence[str]) -> Iterator[tuple[object, ...]]:
    names = judged.classes.names
    for row in range(len(scored)):
        p = float(scored.probabilities[row])
        known = not math.isnan(p)
        yield (
            scored.paths[row], scored.videos[row], scored.frames[row], scored.sources[row],
            names[int(scored.targets[row])], f"{p:.6f}" if known else "",
            names[int(p >= judged.threshold)] if known else "", scored.errors[row],
            *(scored.columns[name][row] for name in extra),
        )  # fmt: skip


def read_scored(path: Path, classes: ClassNames) -> Scored:
    """Read `predictions.csv`, also as `evaluate.py --output` writes it for one model and one set.

    Args:
        path: the file; columns beyond `COLUMNS` are kept as text. Without `video`, each frame is one of its own.
        classes: names of the two classes, as they stand in the column `truth`.

    Raises:
        DataError: if the file is missing, lacks a column, speaks of several models or sets, or a row cannot be
            understood; the message names the file and the line.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval=None, strict=True)
            rows = [(reader.line_num, row) for row in reader]
            names = list(reader.fieldnames or [])
    except (OSError, csv.Error) as error:
        raise DataError(f"predictions {path} cannot be read ({error}); evaluate.py --report writes them") from error
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; it has {', '.join(names)[:200] or 'none'}")
    if not rows:
        raise DataError(f"{path} has no row; score the frames again with evaluate.py --report")
    for name in ("model", "set"):
        if name in names and len({row[name] for _, row in rows}) > 1:
            raise DataError(f"{path} speaks of several {name}s; a report is of one: keep the rows of one of them")
    truths, probabilities = [], []
    for line, row in rows:
        try:
            if "" in row or None in row.values():
                raise ValueError(f"it has not {len(names)} cells, as the first line has")
            truths.append(classes.target(row["truth"]))
            probabilities.append(_probability(row))
        except (ValueError, ConfigError) as error:
            raise DataError(f"{path}, line {line}: {error}") from error
    extra = [name for name in names if name not in (*COLUMNS, "label", "model", "set")]
    empty = ("",) * len(rows)

    def column(name: str) -> tuple[str, ...]:
        return tuple(row[name] for _, row in rows) if name in names else empty

    paths = column("path")
    return Scored(
        paths,
        tuple(video or path for video, path in zip(column("video"), paths, strict=True)),
        column("frame"),
        column("source"),
        np.array(truths, np.int64),
        np.array(probabilities, np.float64),
        column("error"),
        {name: column(name) for name in extra},
    )


def _probability(row: Mapping[str, str]) -> float:
    text = row["probability"]
    if not text:
        return math.nan
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(f"the probability {text} is not in [0, 1]")
    return value
