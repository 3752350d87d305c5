"""Judge a trained model on labelled frames that it has not been trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from flipdetect.data.index import FrameIndex
from flipdetect.errors import DataError
from flipdetect.evaluation.figures import frame_figures
from flipdetect.evaluation.selection import select_frames
from flipdetect.inference.folder import Predictor
from flipdetect.inference.torch_model import TorchModel
from flipdetect.records import ClassNames, FrameRecord, FrameScore

# Beyond this, a probability's logit says more of the number format than of the model.
_LOGIT_LIMIT = 30.0


@dataclass(frozen=True)
class Judged:
    """A labelled frame and what the model says of it."""

    record: FrameRecord
    score: FrameScore

    @property
    def probability(self) -> float:
        """Of the positive class; a frame that could not be scored is not judged."""
        if self.score.probability is None:
            raise ValueError(f"{self.score.path} has no probability")
        return self.score.probability


@dataclass(frozen=True)
class Evaluation:
    """A model's scores on a labelled set.

    Attributes:
        judged: the frames that could be scored.
        failed: scores of those that could not be read.
        metrics: `f1` and its kin at the threshold, `f1_at_0.5`, `auroc`, `average_precision`, `best_f1_oracle`.
        threshold: at which labels were decided.
        index: the labelled set.
        classes: names of the two classes.
    """

    judged: tuple[Judged, ...]
    failed: tuple[FrameScore, ...]
    metrics: dict[str, float]
    threshold: float
    index: FrameIndex
    classes: ClassNames

    @property
    def videos(self) -> int:
        """How many videos the judged frames come from."""
        return len({pair.record.video for pair in self.judged})

    def all_frames(self) -> Iterator[tuple[FrameRecord, FrameScore]]:
        """Each record of the set with its score, unreadable frames included, in the set's order."""
        scores = {pair.record.path: pair.score for pair in self.judged}
        failed = iter(self.failed)
        for record in self.index.records:
            yield record, scores[record.path] if record.path in scores else next(failed)

    def video_table(self, positive: str) -> str:
        """A line per video: its frames, its label, how many frames were told right, mean probability."""
        rows = []
        for video, frames in _by_video(self.judged).items():
            probabilities = [judged.probability for judged in frames]
            right = sum(judged.score.label == judged.record.label for judged in frames)
            label = "/".join(sorted({judged.record.label for judged in frames}))
            mean = sum(probabilities) / len(frames)
            rows.append((video, label, len(frames), right, mean, min(probabilities), max(probabilities)))
        headers = ("video", "label", "frames", "right", f"mean p({positive})", "min p", "max p")
        return tabulate(rows, headers=headers, floatfmt=".3f", disable_numparse=[0, 1])


def evaluate_folder(
    bundle: TorchModel,
    root: Path,
    *,
    manifest: Path | None = None,
    threshold: float | None = None,
    side: str | None = None,
    split_file: Path | None = None,
) -> Evaluation:
    """Score the labelled frames of a folder.

    Args:
        bundle: the trained model; its class names say which folders or labels count.
        root: a data set as `index_frames` reads it.
        manifest: CSV file that describes the set instead.
        threshold: instead of the model's own.
        side: "train", "val" or "test": only that side of a split.
        split_file: where the sides stand.

    Raises:
        DataError: if no frame can be used.
    """
    index = select_frames(
        root, bundle.classes, bundle.naming, manifest=manifest, side=side, split_file=split_file
    )  # fmt: skip
    threshold = bundle.threshold if threshold is None else threshold
    predictor = Predictor(bundle, threshold)
    batches = predictor.predict([record.path for record in index.records], index.root)
    scores = [score for batch in batches for score in batch]
    return judge(index, scores, threshold, bundle.classes)


def judge(index: FrameIndex, scores: Sequence[FrameScore], threshold: float, classes: ClassNames) -> Evaluation:
    """Compare scores with labels.

    Args:
        index: the labelled set.
        scores: one per record, in the records' order.
        threshold: at which the scores' labels were decided.
        classes: names of the two classes.

    Raises:
        DataError: if no frame has a probability.
    """
    pairs = [Judged(record, score) for record, score in zip(index.records, scores, strict=True)]
    judged = tuple(pair for pair in pairs if pair.score.probability is not None)
    failed = tuple(pair.score for pair in pairs if pair.score.probability is None)
    if not judged:
        raise DataError(f"none of the {len(scores)} frames under {index.root} can be read; first: {failed[0].error}")
    metrics = frame_figures(*arrays(judged, classes), threshold)
    return Evaluation(judged, failed, metrics, threshold, index, classes)


def arrays(judged: Iterable[Judged], classes: ClassNames) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities (N,) float64 and targets (N,) int64 of judged frames."""
    pairs = list(judged)
    return (
        np.array([pair.probability for pair in pairs], dtype=np.float64),
        np.array([classes.target(pair.record.label) for pair in pairs], dtype=np.int64),
    )


def ensemble(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The evaluation of a committee: the mean of the models' logits on each frame.

    Its threshold is the mean of the models' own thresholds, as logits: nothing is chosen on the judged frames.

    Args:
        evaluations: of at least one model each, on the same set.

    Raises:
        DataError: if the models differ in their classes, or did not judge the same frames.
    """
    first = evaluations[0]
    if any(each.classes != first.classes for each in evaluations):
        raise DataError("models of different classes cannot be averaged; leave --ensemble out")
    tables = [{pair.record.path: pair for pair in each.judged} for each in evaluations]
    if any(table.keys() != tables[0].keys() for table in tables):
        raise DataError("the models to average did not judge the same frames; leave --ensemble out")
    threshold = _mean_of_logits([each.threshold for each in evaluations])
    judged = []
    for pair in first.judged:
        probability = _mean_of_logits([table[pair.record.path].probability for table in tables])
        label = first.classes.names[int(probability >= threshold)]
        judged.append(Judged(pair.record, replace(pair.score, probability=probability, label=label)))
    metrics = frame_figures(*arrays(judged, first.classes), threshold)
    return Evaluation(tuple(judged), first.failed, metrics, threshold, first.index, first.classes)


def _mean_of_logits(probabilities: Sequence[float]) -> float:
    """The probability whose logit is the mean of the others' logits."""
    values = np.asarray(probabilities, dtype=np.float64)
    with np.errstate(divide="ignore"):
        logits = np.log(values) - np.log1p(-values)
    return float(1 / (1 + np.exp(-np.clip(logits, -_LOGIT_LIMIT, _LOGIT_LIMIT).mean())))


def _by_video(judged: Iterable[Judged]) -> dict[str, list[Judged]]:
    videos: dict[str, list[Judged]] = {}
    for pair in judged:
        videos.setdefault(pair.record.video, []).append(pair)
    return videos
