"""Cross-validation: every video is scored by a model that has seen neither it nor, by source, its book.

One folder holds everything: `plan.json` and the folds' `splits/fold_00.csv`, written once; each fold's training; and of
each finished fold `fold_00.json` (metrics) and `fold_00.csv` (scores of its frames). Folds share no file that is
written, so they can run side by side: the process that trains a fold holds a lock on it, which the system releases when
that process ends.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from tabulate import tabulate

from flipdetect.atomic import write_csv, write_json, write_text
from flipdetect.data.grouped_splits import kfold_records, leave_one_out_records
from flipdetect.data.index import FrameIndex
from flipdetect.data.splits import GroupBy, Split, write_split
from flipdetect.errors import ConfigError, DataError
from flipdetect.evaluation.evaluate import evaluate_folder, write_predictions
from flipdetect.evaluation.study import Train, Training, run_metrics, run_training, with_values
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.metrics.bootstrap import AT_HALF, METRICS, RESAMPLES, Estimate, bootstrap_ci
from flipdetect.records import ClassNames
from flipdetect.runs import BEST
from flipdetect.sources.folder import name_below

logger = logging.getLogger(__name__)

PLAN = "plan.json"
PREDICTIONS = "predictions.csv"
DECISIONS = ("f1", "precision", "recall", "accuracy")
"""Metrics that depend on a threshold; pooled, each frame is decided at that of its own fold."""
SHOWN = ("f1", AT_HALF, "auroc", "average_precision")


@dataclass(frozen=True)
class Plan:
    """What a cross-validation consists of; `configuration` and `frames` (with labels and folds) are fingerprints."""

    name: str
    root: str
    classes: ClassNames
    folds: tuple[str, ...]
    group_by: GroupBy
    configuration: str
    frames: str


@dataclass(frozen=True)
class CrossValidation:
    """Results of the finished folds: mean and standard deviation over folds (NaN of one), and of all frames pooled."""

    plan: Plan
    folds: tuple[dict[str, Any], ...]
    missing: tuple[str, ...]
    mean: dict[str, float]
    deviation: dict[str, float]
    pooled: dict[str, Estimate]
    frames: int

    @property
    def title(self) -> str:
        """One line: what was cross-validated on what."""
        return f"{self.plan.name} on {self.plan.root}: {len(self.plan.folds)} folds by {self.plan.group_by}"

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        plan = {"name": self.plan.name, "root": self.plan.root, "group_by": self.plan.group_by}
        return plan | {
            "folds": list(self.folds),
            "missing": list(self.missing),
            "frames": self.frames,
            "mean": self.mean,
            "deviation": self.deviation,
            "pooled": {name: asdict(estimate) for name, estimate in self.pooled.items()},
        }

    def table(self, style: str = "simple") -> str:
        """A line per fold, their mean and standard deviation, and the pooled metrics, in a style of tabulate."""

        def cell(value: float | None) -> str:
            return "-" if value is None or math.isnan(value) else f"{value:.3f}"

        rows = [
            [each["name"], each["frames"], each["videos"], cell(each["threshold"])]
            + [cell(each["metrics"].get(name)) for name in SHOWN]
            for each in self.folds
        ]
        for name, values in (("mean", self.mean), ("standard deviation", self.deviation)):
            rows.append([name, "", "", "", *(cell(values[metric]) for metric in SHOWN)])
        videos = self.pooled["f1"].videos
        rows.append(["pooled", self.frames, videos, "", *(self.pooled[name].text() for name in SHOWN)])
        headers = ["fold", "frames", "videos", "threshold", *SHOWN]
        missing = f"\n\nNot finished: {', '.join(self.missing)}." if self.missing else ""
        return tabulate(rows, headers=headers, tablefmt=style, disable_numparse=True) + missing


def make_splits(
    index: FrameIndex,
    classes: ClassNames,
    *,
    folds: int | None,
    group_by: GroupBy | None,
    val_fraction: float = 0.15,
    seed: int = 0,
) -> tuple[GroupBy, dict[str, Split]]:
    """What is kept together, and the split of each fold by its name.

    Args:
        folds: how many; None leaves one source out at a time.
        group_by: None takes the source if every frame has one, else the video.
        val_fraction: share of a fold's remaining frames for validation: epoch, threshold and temperature.

    Raises:
        ConfigError, DataError: if such folds are not possible.
    """
    if folds is None:
        return "source", leave_one_out_records(index.records, classes=classes, val_fraction=val_fraction, seed=seed)
    if group_by is None:
        group_by = "source" if all(record.source for record in index.records) else "video"
        logger.info("Folds by %s; --group-by changes that.", group_by)
    made = kfold_records(index.records, folds, classes=classes, val_fraction=val_fraction, group_by=group_by, seed=seed)
    return group_by, {f"fold {number}": split for number, split in enumerate(made, start=1)}


def write_plan(
    folder: Path, training: Training, index: FrameIndex, group_by: GroupBy, splits: dict[str, Split]
) -> Plan:
    """Write the plan and its splits, unless they are there.

    Raises:
        ConfigError: if the folder holds another plan.
        DataError: if its plan cannot be read.
    """
    frames = [
        [name_below(record.path, index.root), record.label, *(split.assigned[place] for split in splits.values())]
        for place, record in enumerate(index.records)
    ]
    digest = hashlib.sha256(json.dumps(frames).encode()).hexdigest()[:16]
    classes = next(iter(splits.values())).classes
    plan = Plan(training.name, str(index.root), classes, tuple(splits), group_by, training.fingerprint, digest)
    path, own = folder / PLAN, asdict(plan)
    if path.is_file():
        try:
            other = json.loads(path.read_text(encoding="utf-8"))
            changed = ", ".join(key for key, value in json.loads(json.dumps(own)).items() if other.get(key) != value)
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(f"{path} cannot be read: {error}; move {folder} away, or give another --output") from error
        if changed:
            raise ConfigError(
                f"{folder} holds another cross-validation ({changed} changed); give another --output, or move it away"
            )
        return plan
    for fold, split in enumerate(splits.values()):
        write_split(split, _split_path(folder, fold), index.root)
    write_text(path, json.dumps(own, indent=2, ensure_ascii=False) + "\n")  # last: all is there
    return plan


def run_folds(folder: Path, plan: Plan, training: Training, train: Train, device: str = "auto") -> None:
    """Train and score the folds that are not finished and that no other process trains; errors as of `run_training`."""
    named = training.config["data"].get("manifest")
    manifest = Path(named).expanduser() if named else None
    for fold, name in enumerate(plan.folds):
        try:
            with FileLock(folder / f".fold_{fold:02d}.lock", timeout=0):
                path, split_file = _result_path(folder, fold), _split_path(folder, fold)
                if not path.is_file():
                    changed = with_values(training.config, {"data.split_file": str(split_file)})
                    run = run_training(Training(f"fold_{fold:02d}", changed), folder, train)
                    model, metrics = load_torch_model(run / BEST, device), run_metrics(run)
                    evaluation = evaluate_folder(
                        model, Path(plan.root), manifest=manifest, split="test", split_file=split_file
                    )
                    write_predictions(path.with_suffix(".csv"), [(plan.name, plan.root, evaluation)])
                    result = {
                        "fold": fold,
                        "name": name,
                        "frames": len(evaluation.scored),
                        "videos": evaluation.videos,
                        "threshold": evaluation.threshold,
                        "temperature": model.temperature,
                        "metrics": evaluation.metrics,
                        "epochs": metrics.get("epochs"),
                        "fit_seconds": metrics.get("fit_seconds"),
                        "run": str(run),
                    }
                    write_json(path, result)  # last: it says that the fold is finished
        except Timeout:
            logger.info("Fold %d (%s) is being trained by another process", fold, name)
        else:
            logger.info("Fold %d (%s) is finished, of %d", fold, name, len(plan.folds))


def gather(folder: Path, plan: Plan, resamples: int = RESAMPLES) -> CrossValidation:
    """Combine the finished folds; writes the scores of all their frames to `predictions.csv`.

    Each frame was scored by the model that has not seen it; its `label` is at that model's threshold.

    Raises:
        DataError: if no fold is finished, or a file cannot be read.
    """
    paths = {name: _result_path(folder, fold) for fold, name in enumerate(plan.folds)}
    missing = tuple(name for name, path in paths.items() if not path.is_file())
    found = [path for path in paths.values() if path.is_file()]
    if not found:
        raise DataError(f"no fold in {folder} is finished: other processes train them")
    rows: list[dict[str, str]] = []
    try:
        folds = tuple(json.loads(path.read_text(encoding="utf-8")) for path in found)
        for path in found:
            with path.with_suffix(".csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                rows += csv.DictReader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"the folds' results cannot be read: {error}") from error
    write_csv(folder / PREDICTIONS, list(rows[0]), (list(row.values()) for row in rows))
    mean, deviation = {}, {}
    for name in METRICS:
        values = [each["metrics"][name] for each in folds if each["metrics"].get(name) is not None]
        mean[name] = float(np.mean(values)) if values else math.nan
        deviation[name] = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    scored = [row for row in rows if row["probability"]]
    # Decisions are those of each fold's own threshold, which the labels tell; the other metrics need probabilities.
    called = np.array([row["label"] == plan.classes.positive for row in scored], dtype=np.float64)
    probabilities = np.array([float(row["probability"]) for row in scored])
    targets = np.array([row["truth"] == plan.classes.positive for row in scored])
    videos = [row["video"] for row in scored]
    others = [name for name in METRICS if name not in DECISIONS]
    pooled = bootstrap_ci(called, targets, videos, 0.5, metrics=DECISIONS, resamples=resamples)
    pooled |= bootstrap_ci(probabilities, targets, videos, 0.5, metrics=others, resamples=resamples)
    return CrossValidation(plan, folds, missing, mean, deviation, pooled, len(scored))


def _split_path(folder: Path, fold: int) -> Path:
    return folder / "splits" / f"fold_{fold:02d}.csv"


def _result_path(folder: Path, fold: int) -> Path:
    """Metrics of a finished fold; the scores of its frames have the suffix `.csv`."""
    return folder / f"fold_{fold:02d}.json"
