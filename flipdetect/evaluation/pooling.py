"""The folds of a cross-validation together: mean and spread over folds, and all frames pooled. No torch."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from flipdetect.atomic import write_csv
from flipdetect.errors import DataError
from flipdetect.metrics.bootstrap import AT_HALF, METRICS, RESAMPLES, Estimate, bootstrap_ci

FIGURES = ("f1", AT_HALF, "precision", "recall", "accuracy", "auroc", "average_precision")
SHOWN = ("f1", AT_HALF, "auroc", "average_precision")
DECIDED = ("f1", "precision", "recall", "accuracy")
"""Figures of decisions, each frame's at its own fold's threshold."""


@dataclass(frozen=True)
class FoldSpread:
    """A figure over the folds that have it; `deviation` is the standard deviation, of one fold NaN."""

    mean: float
    deviation: float
    min: float
    max: float


@dataclass(frozen=True)
class CrossValidated:
    """What finished folds say together.

    Attributes:
        folds: results of the finished folds, as `run_folds` leaves them.
        missing: names of those that are not finished.
        spread: by figure.
        pooled: by figure, over all judged frames, with intervals over videos.
        frames: how many were judged.
    """

    folds: tuple[dict[str, Any], ...]
    missing: tuple[str, ...]
    spread: dict[str, FoldSpread]
    pooled: dict[str, Estimate]
    frames: int

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return {
            "folds": list(self.folds),
            "missing": list(self.missing),
            "frames": self.frames,
            "spread": {name: asdict(each) for name, each in self.spread.items()},
            "pooled": {name: asdict(each) for name, each in self.pooled.items()},
        }

    def table(self, style: str = "simple") -> str:
        """A line per fold, then their mean and deviation, then the pooled figures with intervals.

        Args:
            style: of tabulate, such as "github".
        """
        rows: list[list[object]] = [
            [fold["name"], fold["frames"], fold["videos"], _cell(fold["threshold"]), *map(_cell, _figures(fold))]
            for fold in self.folds
        ]
        rows.append(["mean", "", "", "", *(_cell(self.spread[name].mean) for name in SHOWN)])
        rows.append(["standard deviation", "", "", "", *(_cell(self.spread[name].deviation) for name in SHOWN)])
        videos = next(iter(self.pooled.values())).videos
        rows.append(["pooled", self.frames, videos, "", *(self.pooled[name].text() for name in SHOWN)])
        headers = ["fold", "frames", "videos", "threshold", *SHOWN]
        return tabulate(rows, headers=headers, tablefmt=style, disable_numparse=True)


def gather(
    results: Sequence[Path], names: Sequence[str], positive: str, output: Path, resamples: int = RESAMPLES
) -> CrossValidated:
    """Put finished folds together, and their frames into one file.

    Args:
        results: `fold_00.json` of each fold, whether it is there yet or not; their frames have the suffix `.csv`.
        names: of the folds.
        positive: name of the positive class.
        output: file of all frames' scores, in the format of `evaluate.py --output`; each frame was scored by the model
            that has not seen it, and `label` is at that model's threshold.
        resamples: draws of videos for the pooled intervals.

    Raises:
        DataError: if no fold is finished, or a file cannot be read.
        OSError: if the output cannot be written.
    """
    found = [path for path in results if path.is_file()]
    if not found:
        raise DataError(f"no fold is finished yet: there is no {results[0]}")
    try:
        folds = tuple(json.loads(path.read_text(encoding="utf-8")) for path in found)
        columns, rows = _rows([path.with_suffix(".csv") for path in found])
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"the folds' results cannot be read: {error}") from error
    write_csv(output, columns, rows)
    spread = {name: _spread([fold["figures"].get(name) for fold in folds]) for name in FIGURES}
    judged = [dict(zip(columns, row, strict=True)) for row in rows]
    judged = [row for row in judged if row["probability"]]
    missing = tuple(name for name, path in zip(names, results, strict=True) if not path.is_file())
    return CrossValidated(folds, missing, spread, _pooled(judged, positive, resamples), len(judged))


def _pooled(rows: Sequence[dict[str, str]], positive: str, resamples: int) -> dict[str, Estimate]:
    """Figures of decisions from the labels, which each fold's own threshold made, the others from probabilities."""
    targets = np.array([row["truth"] == positive for row in rows])
    videos = [row["video"] for row in rows]
    scores = np.array([float(row["probability"]) for row in rows])
    called = np.array([row["label"] == positive for row in rows], dtype=np.float64)

    def found(values: NDArray[np.float64], metrics: Sequence[str]) -> dict[str, Estimate]:
        return bootstrap_ci(values, targets, videos, 0.5, metrics=metrics, resamples=resamples)

    both = found(called, DECIDED) | found(scores, [name for name in METRICS if name not in DECIDED])
    return {name: both[name] for name in FIGURES}


def _rows(paths: Sequence[Path]) -> tuple[list[str], list[list[str]]]:
    columns: list[str] = []
    rows: list[list[str]] = []
    for path in paths:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            columns = next(reader, [])
            rows += list(reader)
    return columns, rows


def _spread(values: Sequence[float | None]) -> FoldSpread:
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return FoldSpread(math.nan, math.nan, math.nan, math.nan)
    deviation = float(np.std(known, ddof=1)) if len(known) > 1 else math.nan
    return FoldSpread(float(np.mean(known)), deviation, min(known), max(known))


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _figures(fold: dict[str, Any]) -> list[float]:
    values = [fold["figures"].get(name) for name in SHOWN]
    return [math.nan if value is None else value for value in values]
