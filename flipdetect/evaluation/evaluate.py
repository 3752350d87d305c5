"""Evaluate trained models on labelled frames that they were not trained on: scores, metrics, 95% CIs. No torch."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flipdetect.atomic import write_csv
from flipdetect.data.index import FrameIndex, index_frames
from flipdetect.data.splits import read_split
from flipdetect.errors import DataError
from flipdetect.inference.model import Model
from flipdetect.inference.score import Predictor
from flipdetect.metrics.bootstrap import METRICS, RESAMPLES, Estimate, bootstrap_ci, bootstrap_difference, frame_metrics
from flipdetect.metrics.calibration import calibration_metrics, reliability
from flipdetect.metrics.threshold import ThresholdCosts, choose_threshold, cost_at, threshold_curve
from flipdetect.outputs.predictions import COLUMNS, prediction_cells
from flipdetect.records import ClassNames, FrameRecord, FrameScore
from flipdetect.runs import BEST, LAST
from flipdetect.sources.naming import NamePattern

SPLIT_FILE = "splits.csv"
"""The split that a model was trained with, next to its checkpoint."""
ORACLE = "best_f1_oracle"
"""F1 at the best threshold for the evaluated frames, chosen with their labels known: an upper bound, not a result."""
FURTHER_COLUMNS = ("model", "set", "source", "truth")
"""Columns of predictions.csv that evaluation adds."""

Results = Sequence[tuple[str, str, "Evaluation"]]
"""Name of the model, name of the data set, evaluation."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredRecord:
    """A labelled frame with its score."""

    record: FrameRecord
    score: FrameScore

    @property
    def probability(self) -> float:
        """Of the positive class; a `ValueError` if the frame could not be read."""
        if self.score.probability is None:
            raise ValueError(f"{self.score.path} has no probability")
        return self.score.probability


@dataclass(frozen=True)
class Evaluation:
    """A model's scores on a labelled data set.

    Attributes:
        metrics: `f1` and others at the threshold, `f1_at_0.5`, `auroc`, `average_precision`, `best_f1_oracle`.
    """

    scored: tuple[ScoredRecord, ...]
    failed: tuple[FrameScore, ...]
    metrics: dict[str, float]
    threshold: float
    index: FrameIndex
    classes: ClassNames

    @property
    def videos(self) -> int:
        """Number of videos of the scored frames."""
        return len({pair.record.video for pair in self.scored})

    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.int64], list[str]]:
        """Probabilities (N,) float64, targets (N,) int64 and videos of the scored frames."""
        return *arrays(self.scored, self.classes), [pair.record.video for pair in self.scored]

    def all_frames(self) -> Iterator[tuple[FrameRecord, FrameScore]]:
        """Each record of the data set in its order, with its score, unreadable frames included."""
        scores = {pair.record.path: pair.score for pair in self.scored}
        failed = iter(self.failed)
        for record in self.index.records:
            yield record, scores[record.path] if record.path in scores else next(failed)

    def as_dict(self, model: str, data_set: str) -> dict[str, Any]:
        """Metrics and counts as JSON types."""
        return {
            "model": model,
            "set": data_set,
            "frames": len(self.scored),
            "unreadable": len(self.failed),
            "videos": self.videos,
            "threshold": self.threshold,
            **self.metrics,
        }


def arrays(scored: Iterable[ScoredRecord], classes: ClassNames) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities (N,) float64 and targets (N,) int64 of scored frames."""
    pairs = list(scored)
    return (
        np.array([pair.probability for pair in pairs], dtype=np.float64),
        np.array([classes.target(pair.record.label) for pair in pairs], dtype=np.int64),
    )


def metrics_with_oracle(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> dict[str, float]:
    """`frame_metrics` and `best_f1_oracle`, which is NaN without a positive frame; arguments and errors as there."""
    best = choose_threshold(probabilities, targets).f1 if np.asarray(targets).any() else math.nan
    return {**frame_metrics(probabilities, targets, threshold), ORACLE: best}


def select_frames(
    root: Path,
    classes: ClassNames,
    naming: NamePattern | None = None,
    *,
    manifest: Path | None = None,
    split: str | None = None,
    split_file: Path | None = None,
) -> FrameIndex:
    """The labelled frames of a data set, or of one split of it.

    Args:
        split: "train", "val" or "test"; None for all frames.
        split_file: a training run's `splits.csv`; required with `split`.

    Raises:
        DataError: if no frame can be used, or a split is requested without a file or is empty.
    """
    index = index_frames(root, classes=classes, pattern=naming, manifest=manifest, check=False)
    if index.problems:
        first = index.problems[0]
        logger.warning("%s: %d could not be used, such as %s: %s", root, len(index.problems), first.path, first.reason)
    if split is None:
        return index
    if split_file is None or not split_file.is_file():
        raise DataError(
            f"the {split} split of {root} was requested, but there is no split file {split_file or ''}; name the "
            f"{SPLIT_FILE} of the training run with --split-file"
        )
    records = read_split(split_file, index.records, index.root, classes).of(split)
    if not records:
        raise DataError(f"{split_file} has no frame of {root} in the {split} split; choose another split or file")
    return replace(index, records=records)


def evaluate_folder(
    model: Model,
    root: Path,
    *,
    manifest: Path | None = None,
    threshold: float | None = None,
    split: str | None = None,
    split_file: Path | None = None,
) -> Evaluation:
    """Score the labelled frames of a folder; further arguments and errors as in `select_frames`."""
    index = select_frames(root, model.classes, model.naming, manifest=manifest, split=split, split_file=split_file)
    return evaluate_index(model, index, threshold)


def evaluate_index(model: Model, index: FrameIndex, threshold: float | None = None) -> Evaluation:
    """Score labelled frames; arguments and errors as in `evaluate_folder`."""
    threshold = model.threshold if threshold is None else threshold
    batches = Predictor(model, threshold).predict([record.path for record in index.records], index.root)
    return evaluate_scores(index, [score for batch in batches for score in batch], threshold, model.classes)


def evaluate_scores(
    index: FrameIndex, scores: Sequence[FrameScore], threshold: float, classes: ClassNames
) -> Evaluation:
    """Compare scores with labels: one score per record, in the same order; a `DataError` if none has a probability."""
    pairs = [ScoredRecord(record, score) for record, score in zip(index.records, scores, strict=True)]
    scored = tuple(pair for pair in pairs if pair.score.probability is not None)
    failed = tuple(pair.score for pair in pairs if pair.score.probability is None)
    if not scored:
        raise DataError(f"none of the {len(scores)} frames under {index.root} can be read; first: {failed[0].error}")
    metrics = metrics_with_oracle(*arrays(scored, classes), threshold)
    return Evaluation(scored, failed, metrics, threshold, index, classes)


def write_predictions(path: Path, results: Results) -> None:
    """Write predictions.csv with the further columns `FURTHER_COLUMNS` and those of the manifest, atomically.

    `label` is the predicted class, `truth` the real one.
    """
    extra = list(
        dict.fromkeys(name for _, _, each in results for record in each.index.records for name in record.extra)
    )
    extra = [name for name in extra if name not in (*COLUMNS, *FURTHER_COLUMNS)]
    rows = []
    for model, data_set, each in results:
        for record, score in each.all_frames():
            cells = prediction_cells(replace(score, video=record.video, frame=record.frame))
            further = (model, data_set, record.source or "", record.label)
            rows.append((*cells, *further, *(record.extra.get(name, "") for name in extra)))
    write_csv(path, (*COLUMNS, *FURTHER_COLUMNS, *extra), rows)


def short_model_name(name: str) -> str:
    """A name for titles: `logs/tiny_cnn/version_0/best.ckpt` becomes `tiny_cnn/version_0`."""
    path = Path(name)
    if path.name in (BEST, LAST):
        return "/".join(path.parts[-3:-1]) or name
    return path.stem if path.suffix else name


def set_name(folder: Path, split: str | None) -> str:
    """A name for titles: that of the folder, and the split."""
    name = folder.resolve().name or str(folder)
    return f"{name}, {split} split" if split else name


def evaluation_ci(
    evaluation: Evaluation, *, metrics: Sequence[str] = METRICS, resamples: int = RESAMPLES
) -> dict[str, Estimate]:
    """Metrics of an evaluation with their 95% CIs, by name; see `bootstrap_ci`."""
    p, targets, videos = evaluation.arrays()
    return bootstrap_ci(p, targets, videos, evaluation.threshold, metrics=metrics, resamples=resamples)


def difference(
    first: Evaluation,
    second: Evaluation,
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int = RESAMPLES,
) -> dict[str, Estimate]:
    """Metrics of the second minus those of the first, each at its own threshold; see `bootstrap_difference`.

    Raises:
        DataError: if the two have different classes or scored different frames.
    """
    if first.classes != second.classes:
        raise DataError(f"two models have different classes: {first.classes.names} and {second.classes.names}")
    others = {pair.record.path: pair.probability for pair in second.scored}
    if len(others) != len(first.scored) or any(pair.record.path not in others for pair in first.scored):
        raise DataError(
            f"two models did not score the same frames ({len(first.scored)} and {len(others)}), so that they cannot be "
            "compared video by video"
        )
    p, targets, videos = first.arrays()
    other = np.array([others[pair.record.path] for pair in first.scored])
    thresholds = (first.threshold, second.threshold)
    return bootstrap_difference(p, other, targets, videos, thresholds, metrics=metrics, resamples=resamples)


def decision_facts(evaluation: Evaluation, costs: ThresholdCosts | None = None) -> dict[str, Any]:
    """Calibration, metrics over the threshold, and the cost of errors, as JSON types.

    Returns:
        `calibration` (see `calibration_metrics`), `reliability`, `threshold_curve` (columns
        `threshold`, `f1`, `precision`, `recall`) and `plateau` (see `ThresholdCurve`; both None without a positive
        frame), and with costs `costs` and `cost_per_frame`.
    """
    p, targets = arrays(evaluation.scored, evaluation.classes)
    found: dict[str, Any] = {
        "calibration": calibration_metrics(p, targets),
        "reliability": reliability(p, targets).as_dict(),
        "threshold_curve": None,
        "plateau": None,
    }
    if targets.any():
        curve = threshold_curve(p, targets)
        names = {"threshold": "thresholds", "f1": "f1", "precision": "precision", "recall": "recall"}
        found["threshold_curve"] = {name: getattr(curve, column).tolist() for name, column in names.items()}
        found["plateau"] = list(curve.plateau)
    if costs is not None:
        found |= {"costs": asdict(costs), "cost_per_frame": cost_at(p, targets, evaluation.threshold, costs)}
    return found


def estimates_as_dict(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
    """Value, bounds and number of videos of each, as JSON types."""
    return {name: asdict(each) for name, each in estimates.items()}
