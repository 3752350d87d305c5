"""Evaluate decisions about whole clips: a clip contains a flip if its highest frame probability says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from tabulate import tabulate

from flipdetect.atomic import write_text
from flipdetect.errors import ConfigError, DataError
from flipdetect.evaluation.evaluate import Evaluation
from flipdetect.evaluation.figures import ORACLE, frame_figures
from flipdetect.inference.settings import EventSettings, read_event_settings
from flipdetect.metrics.clip import Confusion, best_clip_threshold, clip_scores, clip_targets, confusion

METRICS = {
    "f1": "F1", "precision": "precision", "recall": "recall", "accuracy": "accuracy", "auroc": "AUROC",
    "average_precision": "AP", ORACLE: "best F1 (oracle)",
}  # fmt: skip


@dataclass(frozen=True)
class ClipRow:
    """How well a model decides about the clips of a data set.

    Attributes:
        model, folder: names of the model and of the data set.
        frame_threshold: the model's threshold for frames.
        threshold: a clip is positive if its highest frame probability is at least this.
        origin: "validation" if the threshold was chosen there, "frames" if it is the model's threshold for frames.
        metrics: of clips, by name: those of `frame_figures`.
        clips, frames: decisions on both. Frames are decided at the model's threshold for frames.
    """

    model: str
    folder: str
    frame_threshold: float
    threshold: float
    origin: str
    metrics: dict[str, float]
    clips: Confusion
    frames: Confusion

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        counts = {"clips": self.clips.as_dict(), "frames": self.frames.as_dict()}
        return {"threshold": self.threshold, "threshold_from": self.origin, **self.metrics, **counts}


def clip_row(model: str, folder: str, evaluation: Evaluation, validation: Evaluation | None = None) -> ClipRow:
    """Score the clips of a data set whose frames a model has scored; a clip is positive if any of its frames is.

    Args:
        model, folder: names for the table.
        evaluation: the scored frames.
        validation: scored frames of a validation split, on which the threshold for clips is chosen. Without, the
            threshold for frames is used, which is often too low for the highest of many frames.

    Raises:
        DataError: if no clip has a score, or the validation split has no positive one.
    """
    scores, targets = _clips(evaluation)
    if np.isnan(scores).all():
        raise DataError(f"{model} has a score for none of {len(scores)} clips")
    threshold, origin = evaluation.threshold, "frames"
    if validation is not None:
        try:
            threshold, origin = best_clip_threshold(*_clips(validation)).threshold, "validation"
        except ValueError as error:
            raise DataError(f"no threshold can be chosen for {model} on the validation split: {error}") from error
    known = ~np.isnan(scores)
    _, probabilities, of_frames = _frames(evaluation)
    return ClipRow(
        model, folder, evaluation.threshold, threshold, origin, frame_figures(scores[known], targets[known], threshold),
        confusion(scores, targets, threshold), confusion(probabilities, of_frames, evaluation.threshold),
    )  # fmt: skip


def _frames(evaluation: Evaluation) -> tuple[list[str], NDArray[np.float64], NDArray[np.int64]]:
    """Video, probability (NaN where a frame could not be read) and target of each frame."""
    pairs = list(evaluation.all_frames())
    probabilities = np.array([np.nan if s.probability is None else s.probability for _, s in pairs], dtype=np.float64)
    targets = np.array([evaluation.classes.target(record.label) for record, _ in pairs], dtype=np.int64)
    return [record.video for record, _ in pairs], probabilities, targets


def _clips(evaluation: Evaluation) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Score and target of each clip."""
    videos, probabilities, targets = _frames(evaluation)
    scores, truths = clip_scores(videos, probabilities), clip_targets(videos, targets)
    return np.array(list(scores.values())), np.array(list(truths.values()))


def clip_table(rows: Iterable[ClipRow]) -> str:
    """A line per model and data set: metrics of clips, and F1 of frames for comparison."""
    table = [
        [row.folder, row.model, int(row.clips.matrix().sum()), row.threshold, row.origin]
        + [row.metrics[name] for name in METRICS]
        + [row.frames.f1]
        for row in rows
    ]
    headers = ["clips of", "model", "clips", "threshold", "from", *METRICS.values(), "F1 of frames"]
    return tabulate(table, headers=headers, floatfmt=".3f", disable_numparse=[0, 1, 4])


def save_clip_threshold(row: ClipRow, path: Path) -> None:
    """Write a threshold for clips into a file of event settings; other settings in it stay.

    Raises:
        ConfigError: if the threshold was not chosen on a validation split, or the file cannot be used.
    """
    if row.origin != "validation":
        raise ConfigError(
            f"the threshold for clips, {row.threshold:.3f}, was not chosen on a validation split; give --split, or "
            "--validation-path"
        )
    settings = read_event_settings(path) if path.is_file() else EventSettings()
    # Another `--threshold` later moves both thresholds, so the one for frames has to be known.
    known = row.frame_threshold if settings.threshold is None else settings.threshold
    settings = replace(settings, threshold=known, clip_threshold=row.threshold)
    write_text(path, yaml.safe_dump(settings.to_dict(), sort_keys=False))
