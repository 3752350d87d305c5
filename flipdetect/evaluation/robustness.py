"""How much worse a model is on corrupted frames.

Each file is decoded once, as for prediction: a JPEG no larger than the model's input needs, which is once to twice its
size. The corruptions are applied to that frame, before preprocessing scales and pads it. A model of grey frames gets
the grey frame in all three channels, corrupted and converted back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tabulate import tabulate

from flipdetect.data.index import FrameIndex
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError, FrameError
from flipdetect.evaluation.corruptions import CLEAN, Corruption
from flipdetect.evaluation.evaluate import metrics_with_oracle
from flipdetect.inference.model import Model
from flipdetect.progress import progress_bar
from flipdetect.sources.image import decode_frame

COMPARED = ("f1", "auroc")


@dataclass(frozen=True)
class Condition:
    """A model's metrics on frames with one corruption.

    Attributes:
        name: of the corruption; the first condition is `clean`.
        metrics: those of an evaluation, with `called_positive`, the share of frames predicted positive.
        changes: F1 and AUROC minus those on clean frames: a loss is negative.
    """

    name: str
    metrics: dict[str, float]
    changes: dict[str, float]


@dataclass(frozen=True)
class Robustness:
    """A model under several conditions on one data set.

    Attributes:
        conditions: clean frames first.
        frames: number of scored frames.
        failed: reasons why files could not be read.
        threshold: of F1.
    """

    conditions: tuple[Condition, ...]
    frames: int
    failed: tuple[str, ...]
    threshold: float

    def table(self) -> str:
        """A line per condition: F1 and AUROC with their changes, and the share of frames predicted positive."""
        rows = [
            (each.name, each.metrics["f1"], each.changes["f1"], each.metrics["auroc"], each.changes["auroc"],
             each.metrics["called_positive"])
            for each in self.conditions
        ]  # fmt: skip
        headers = ("frames", "F1", "change", "AUROC", "change", "predicted positive")
        formats = ("", ".3f", "+.3f", ".3f", "+.3f", ".3f")
        return tabulate(rows, headers=headers, floatfmt=formats, disable_numparse=[0])

    def as_dict(self) -> dict[str, Any]:
        """All metrics as JSON types."""
        conditions = [{"name": each.name, **each.metrics, "changes": each.changes} for each in self.conditions]
        return {
            "frames": self.frames,
            "unreadable": len(self.failed),
            "threshold": self.threshold,
            "conditions": conditions,
        }


def measure_robustness(
    model: Model, index: FrameIndex, corruptions: Sequence[Corruption], threshold: float | None = None
) -> Robustness:
    """Evaluate a model on clean frames and under each corruption.

    Args:
        model: a trained model, run by any engine.
        index: the labelled frames.
        corruptions: besides none.
        threshold: replaces the model's own.

    Raises:
        DataError: if no frame can be read.
    """
    threshold = model.threshold if threshold is None else threshold
    changes = [Corruption(CLEAN, np.copy), *corruptions]
    scores: list[npt.NDArray[np.float64]] = []
    targets: list[int] = []
    failed: list[str] = []
    variants = _variants(model.preprocess, [record.path for record in index.records], changes)
    total = len(index.records)
    shown = progress_bar(variants, total=total, desc="scoring", unit="frame", delay=2, mininterval=1)
    for record, frames in zip(index.records, shown, strict=True):
        if isinstance(frames, FrameError):
            failed.append(str(frames))
        else:
            scores.append(model.probabilities(frames))
            targets.append(model.classes.target(record.label))
    if not scores:
        raise DataError(f"none of the {total} frames under {index.root} can be read; first: {failed[0]}")
    conditions: list[Condition] = []
    for change, column in zip(changes, np.stack(scores).T, strict=True):
        metrics = metrics_with_oracle(column, targets, threshold)
        metrics["called_positive"] = float((column >= threshold).mean())
        clean = conditions[0].metrics if conditions else metrics
        conditions.append(Condition(change.name, metrics, {name: metrics[name] - clean[name] for name in COMPARED}))
    return Robustness(tuple(conditions), len(targets), tuple(failed), threshold)


def corrupted_frames(spec: PreprocessSpec, path: Path, changes: Sequence[Corruption]) -> npt.NDArray[np.float32]:
    """A file decoded once, corrupted in P ways and preprocessed: (P, channels, height, width) float32.

    Raises:
        FrameError: if the file cannot be read.
    """
    frame = decode_frame(path, min_size=(spec.height, spec.width), channels=spec.channels)
    colour = frame if spec.channels == 3 else np.repeat(frame, 3, axis=2)
    changed = [change.apply(colour) for change in changes]
    if spec.channels == 1:
        changed = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis].astype(np.uint8) for each in changed]
    return np.stack([spec.normalise(spec.resize(each)) for each in changed])


def _variants(
    spec: PreprocessSpec, paths: Sequence[Path], changes: Sequence[Corruption]
) -> Iterator[npt.NDArray[np.float32] | FrameError]:
    """Of each file in turn, made in threads, no more of them ahead than there are threads."""

    def load(path: Path) -> npt.NDArray[np.float32] | FrameError:
        try:
            return corrupted_frames(spec, path, changes)
        except FrameError as error:
            return error

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(paths), workers):
            yield from list(pool.map(load, paths[start : start + workers]))
