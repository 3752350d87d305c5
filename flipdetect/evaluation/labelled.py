"""Judge a trained model on labelled frames that it has not been trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from tabulate import tabulate

from flipdetect.data.index import FrameIndex, index_frames
from flipdetect.errors import DataError
from flipdetect.inference.bundle import Bundle
from flipdetect.inference.predictor import Predictor
from flipdetect.metrics.frame import FrameMetrics
from flipdetect.records import FrameRecord, FrameScore


@dataclass(frozen=True)
class Judged:
    """A labelled frame and what the model says of it."""

    record: FrameRecord
    score: FrameScore


@dataclass(frozen=True)
class Evaluation:
    """A model's scores on a labelled set.

    Attributes:
        judged: the frames that could be scored.
        failed: scores of those that could not be read.
        metrics: `f1` and its kin at the threshold, `f1_at_0.5`, `auroc`, `average_precision`.
        threshold: at which labels were decided.
        index: the labelled set.
    """

    judged: tuple[Judged, ...]
    failed: tuple[FrameScore, ...]
    metrics: dict[str, float]
    threshold: float
    index: FrameIndex

    def video_table(self, positive: str) -> str:
        """A line per video: its frames, its label, how many frames were told right, mean probability."""
        rows = []
        for video, frames in _by_video(self.judged).items():
            probabilities = [judged.score.probability or 0.0 for judged in frames]
            right = sum(judged.score.label == judged.record.label for judged in frames)
            label = "/".join(sorted({judged.record.label for judged in frames}))
            mean = sum(probabilities) / len(frames)
            rows.append((video, label, len(frames), right, mean, min(probabilities), max(probabilities)))
        headers = ("video", "label", "frames", "right", f"mean p({positive})", "min p", "max p")
        return tabulate(rows, headers=headers, floatfmt=".3f", disable_numparse=[0, 1])


def evaluate_folder(
    bundle: Bundle, root: Path, *, manifest: Path | None = None, threshold: float | None = None
) -> Evaluation:
    """Score the labelled frames of a folder.

    Args:
        bundle: the trained model; its class names say which folders or labels count.
        root: a data set as `index_frames` reads it.
        manifest: CSV file that describes the set instead.
        threshold: instead of the model's own.

    Raises:
        DataError: if no frame can be used.
    """
    index = index_frames(root, classes=bundle.classes, pattern=bundle.naming, manifest=manifest, check=False)
    threshold = bundle.threshold if threshold is None else threshold
    predictor = Predictor(bundle, threshold)
    batches = predictor.predict([record.path for record in index.records], index.root)
    scores = [score for batch in batches for score in batch]
    pairs = [Judged(record, score) for record, score in zip(index.records, scores, strict=True)]
    judged = tuple(pair for pair in pairs if pair.score.probability is not None)
    if not judged:
        raise DataError(f"none of the {len(scores)} frames under {root} can be read; first: {scores[0].error}")
    metrics = FrameMetrics()
    metrics.update(
        torch.tensor([pair.score.probability for pair in judged]),
        torch.tensor([bundle.classes.target(pair.record.label) for pair in judged]),
    )
    failed = tuple(pair.score for pair in pairs if pair.score.probability is None)
    return Evaluation(judged, failed, metrics.compute(threshold), threshold, index)


def _by_video(judged: Iterable[Judged]) -> dict[str, list[Judged]]:
    videos: dict[str, list[Judged]] = {}
    for pair in judged:
        videos.setdefault(pair.record.video, []).append(pair)
    return videos
