"""How much of a model's quality is left when its frames are changed.

Each file is decoded once, as for prediction: a JPEG no larger than the model's input needs, which is once to twice
its size. The changes are applied to that frame, before the preprocessing scales and pads it. A model of grey frames
gets the grey frame in all three channels, changed, and back in grey.
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
from flipdetect.evaluation.corruptions import CLEAN, Perturbation, identity
from flipdetect.evaluation.figures import frame_figures
from flipdetect.inference.model import Model
from flipdetect.inference.torch_model import TorchModel
from flipdetect.progress import progress_bar
from flipdetect.sources.image import decode_frame

COMPARED = ("f1", "auroc")
"""Figures whose change against clean frames is reported."""


@dataclass(frozen=True)
class Condition:
    """A model's figures on frames changed in one way.

    Attributes:
        name: of the perturbation; the first condition is `clean`.
        figures: as `frame_figures` gives them, with `called_positive`, the share of frames called positive.
        changes: by name of the figure, what is added to that on clean frames: a loss is negative.
    """

    name: str
    figures: dict[str, float]
    changes: dict[str, float]


@dataclass(frozen=True)
class Robustness:
    """A model under several conditions on one set.

    Attributes:
        conditions: clean frames first.
        frames: how many were judged.
        failed: reasons why files could not be read.
        threshold: at which F1 is taken, the model's own.
    """

    conditions: tuple[Condition, ...]
    frames: int
    failed: tuple[str, ...]
    threshold: float

    def table(self) -> str:
        """A line per condition: F1 and AUROC with their changes (a loss is negative), and the share called positive."""
        rows = [
            (each.name, each.figures["f1"], each.changes["f1"], each.figures["auroc"], each.changes["auroc"],
             each.figures["called_positive"])
            for each in self.conditions
        ]  # fmt: skip
        headers = ("frames", "F1", "change", "AUROC", "change", "called positive")
        formats = ("", ".3f", "+.3f", ".3f", "+.3f", ".3f")
        return tabulate(rows, headers=headers, floatfmt=formats, disable_numparse=[0])

    def as_dict(self) -> dict[str, Any]:
        """All figures as JSON types."""
        return {
            "frames": self.frames,
            "unreadable": len(self.failed),
            "threshold": self.threshold,
            "conditions": [
                {"name": each.name, **each.figures, "changes": dict(each.changes)} for each in self.conditions
            ],
        }


def measure_robustness(bundle: TorchModel, index: FrameIndex, perturbations: Sequence[Perturbation]) -> Robustness:
    """Judge a model on clean frames and under each perturbation, at its own threshold.

    Args:
        bundle: the trained model.
        index: the labelled frames.
        perturbations: besides none.

    Raises:
        DataError: if no frame can be read.
    """
    scored = score_changes(bundle, index, perturbations)
    names = [CLEAN, *(change.name for change in perturbations)]
    conditions = _conditions(names, scored.probabilities, scored.targets.tolist(), bundle.threshold)
    return Robustness(conditions, len(scored.targets), scored.failed, bundle.threshold)


@dataclass(frozen=True)
class ChangedScores:
    """What a model says of frames as they are and changed in P ways.

    Attributes:
        probabilities: (N, 1 + P) float64; the first column is of the frames as they are.
        targets: (N,) int64.
        videos: (N,) of each frame.
        failed: reasons why files could not be read.
    """

    probabilities: npt.NDArray[np.float64]
    targets: npt.NDArray[np.int64]
    videos: tuple[str, ...]
    failed: tuple[str, ...]


def score_changes(model: Model, index: FrameIndex, perturbations: Sequence[Perturbation]) -> ChangedScores:
    """Score clean frames and each change of them; every file is decoded once.

    Args:
        model: a trained one, whatever runs it.
        index: the labelled frames.
        perturbations: besides none.

    Raises:
        DataError: if no frame can be read.
    """
    changes = [Perturbation(CLEAN, identity), *perturbations]
    records = index.records
    scores: list[npt.NDArray[np.float64]] = []
    targets: list[int] = []
    videos: list[str] = []
    failed: list[str] = []
    variants = _variants(model.preprocess, [record.path for record in records], changes)
    for record, frames in zip(
        records,
        progress_bar(variants, total=len(records), desc="scoring", unit="frame", delay=2, mininterval=1),
        strict=True,
    ):
        if isinstance(frames, FrameError):
            failed.append(str(frames))
        else:
            scores.append(model.probabilities(frames))
            targets.append(model.classes.target(record.label))
            videos.append(record.video)
    if not scores:
        raise DataError(f"none of the {len(records)} frames under {index.root} can be read; first: {failed[0]}")
    return ChangedScores(np.stack(scores), np.array(targets, np.int64), tuple(videos), tuple(failed))


def changed_frames(spec: PreprocessSpec, path: Path, changes: Sequence[Perturbation]) -> npt.NDArray[np.float32]:
    """A file decoded once, changed in P ways and preprocessed: (P, channels, height, width) float32.

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
    spec: PreprocessSpec, paths: Sequence[Path], changes: Sequence[Perturbation]
) -> Iterator[npt.NDArray[np.float32] | FrameError]:
    """Of each file in turn, made in threads, no more of them ahead than there are threads."""

    def load(path: Path) -> npt.NDArray[np.float32] | FrameError:
        try:
            return changed_frames(spec, path, changes)
        except FrameError as error:
            return error

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        for some in _batches(paths, workers):
            yield from list(pool.map(load, some))


def _batches(paths: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(paths), size):
        yield paths[start : start + size]


def _conditions(
    names: Sequence[str], scores: npt.NDArray[np.float64], targets: Sequence[int], threshold: float
) -> tuple[Condition, ...]:
    """Figures of each column of scores (N, P)."""
    found = [
        {**frame_figures(column, targets, threshold), "called_positive": float((column >= threshold).mean())}
        for column in scores.T
    ]
    return tuple(
        Condition(name, figures, {each: figures[each] - found[0][each] for each in COMPARED})
        for name, figures in zip(names, found, strict=True)
    )
