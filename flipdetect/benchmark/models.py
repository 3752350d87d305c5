"""How large, quick and good a model is in float32, float16 and 8-bit integers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flipdetect.benchmark.figure import Table
from flipdetect.benchmark.running import Workplace, median
from flipdetect.data.index import FrameIndex, index_frames
from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import judge
from flipdetect.export.onnx_writing import write_float16
from flipdetect.export.quantize import Quantisation, quantize_checked
from flipdetect.inference.folder import Predictor
from flipdetect.inference.onnx_model import SUFFIX, OnnxModel, load_onnx
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.zoo import SHIPPED, shipped_path

PRECISIONS = ("float32", "float16", "int8")
CALIBRATION, COMPARED, JUDGED = 128, 32, 800
"""Frames to calibrate on and to compare probabilities on; frames of a set that are judged, at most."""
CALIBRATION_SHARE = 0.25
"""Of a set's books: to calibrate on; F1 is measured on the others."""


@dataclass(frozen=True)
class LabelledSet:
    """Frames with labels.

    Attributes:
        name: for the reader.
        index: of the frames.
    """

    name: str
    index: FrameIndex


@dataclass(frozen=True)
class ModelRow:
    """A model in one precision.

    Attributes:
        model, precision: which.
        parameters: numbers that training chose.
        file_bytes: size of the file.
        memory_mb: what loading and scoring one frame at a time added to the process, at its peak.
        p50_ms, p99_ms: of scoring one decoded frame.
        f1: at the model's threshold, by labelled set.
    """

    model: str
    precision: str
    parameters: int
    file_bytes: int
    memory_mb: float
    p50_ms: float
    p99_ms: float
    f1: dict[str, float]


def labelled_set(folder: Path) -> LabelledSet:
    """A set as the other commands read it: folders by class, or a `labels.csv`.

    Raises:
        DataError: if no frame can be used.
    """
    return LabelledSet(folder.resolve().name, index_frames(folder.expanduser(), classes=ClassNames(), check=False))


def divide(labelled: LabelledSet) -> tuple[LabelledSet, LabelledSet]:
    """Frames to calibrate on, and frames to judge; no book (or video, where books are unknown) is among both.

    Raises:
        DataError: if there is but one book.
    """
    records = labelled.index.records
    groups = sorted({_group(record) for record in records})
    chosen = set(groups[:: round(1 / CALIBRATION_SHARE)])
    sides = [[record for record in records if (_group(record) in chosen) == wanted] for wanted in (True, False)]
    if not all(sides):
        raise DataError(f"{labelled.index.root} has frames of one book or video alone; give a set of several")
    calibrating, judging = (LabelledSet(labelled.name, replace(labelled.index, records=tuple(s))) for s in sides)
    return calibrating, judging


def _group(record: FrameRecord) -> str:
    return record.source or record.video


def model_rows(
    work: Workplace,
    judged: Sequence[LabelledSet],
    calibration: LabelledSet,
    frames: Path,
    names: Sequence[str] = tuple(SHIPPED),
) -> list[ModelRow]:
    """Measure shipped models in each precision.

    Args:
        work: where smaller files are written.
        judged: sets for F1.
        calibration: frames to calibrate integers on; of other books than those judged.
        frames: a folder with a frame to measure latency on.
        names: of shipped models.
    """
    rows = []
    for name in names:
        source = shipped_path(name).with_suffix(SUFFIX)
        files = dict(zip(PRECISIONS, (source, *_smaller(work, source, calibration)), strict=True))
        for precision, path in files.items():
            model = load_onnx(path, 1)
            runs = [_latency(work, path, frames) for _ in range(work.choose(3, 1))]
            p50, p99, memory = (median([run[key] for run in runs]) for key in ("p50_ms", "p99_ms", "model_mb"))
            rows.append(
                ModelRow(
                    model=name,
                    precision=precision,
                    parameters=_parameters(shipped_path(name)),
                    file_bytes=path.stat().st_size,
                    memory_mb=memory,
                    p50_ms=p50,
                    p99_ms=p99,
                    f1={each.name: _f1(model, each) for each in judged},
                )
            )
    return rows


def row_table(rows: Sequence[ModelRow]) -> Table:
    """The rows for the reader."""
    sets = list(rows[0].f1) if rows else []
    body = [
        (
            row.model,
            row.precision,
            f"{row.parameters:,}",
            f"{row.file_bytes / 1e6:.3f}",
            f"{row.memory_mb:.0f}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            *(f"{row.f1[name]:.4f}" for name in sets),
        )
        for row in rows
    ]
    headers = ("model", "precision", "parameters", "file, MB", "memory, MB", "p50, ms", "p99, ms")
    return Table(
        "The models that ship",
        (*headers, *(f"F1, {name}" for name in sets)),
        body,
        "MB of 10^6 bytes. Memory is what loading a model and scoring frames one at a time added to the process. "
        "Latency: a decoded frame in, its probability out, all cores. float16 is a format to store: all is computed in "
        "float32. F1 at the threshold that the model ships with.",
    )


def _smaller(work: Workplace, source: Path, calibration: LabelledSet) -> tuple[Path, Path]:
    """The float16 and int8 files of a model."""
    whole = load_onnx(source, 1)
    most = work.choose(CALIBRATION, 8) + work.choose(COMPARED, 4)
    records = _spread(calibration.index.records, most)
    frames = np.stack([whole.preprocess.load(record.path) for record in records])
    aside = np.zeros(len(frames), np.bool_)
    aside[:: max(2, round(len(frames) / work.choose(COMPARED, 4)))] = True
    half = write_float16(source, work.folder / f"{source.stem}.float16.onnx")
    small = work.folder / f"{source.stem}.int8.onnx"
    quantize_checked(source, frames[~aside], frames[aside], small, Quantisation())
    return half, small


def _spread(records: Sequence[FrameRecord], most: int) -> list[FrameRecord]:
    """So many records, taken evenly."""
    places = np.linspace(0, len(records) - 1, min(most, len(records))).round().astype(int)
    return [records[place] for place in places]


def _latency(work: Workplace, path: Path, frames: Path) -> dict[str, float]:
    given = ("latency", "--folder", frames, "--checkpoint-path", path, "--calls", work.choose(300, 3))
    return dict(work.run(work.module("benchmark.probe_scoring"), *given, reports=True).report)


def _parameters(path: Path) -> int:
    """Numbers of a safetensors file, batch norm's statistics aside, read off its header."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    kept = [name for name in header if "running_" not in name and "num_batches" not in name and name != "threshold"]
    return sum(int(np.prod(header[name]["shape"])) for name in kept if name != "__metadata__")


def _f1(model: OnnxModel, labelled: LabelledSet) -> float:
    index = replace(labelled.index, records=tuple(_spread(labelled.index.records, JUDGED)))
    batches = Predictor(model, model.threshold).predict([record.path for record in index.records], index.root)
    scores = [score for batch in batches for score in batch]
    return judge(index, scores, model.threshold, model.classes).metrics["f1"]
