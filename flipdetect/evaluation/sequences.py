"""Judge decisions about whole clips: of aggregated frame probabilities, and of models that see sequences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tabulate import tabulate

from flipdetect.data.clip_dataset import ClipDrawing, clip_positions, spread
from flipdetect.data.index import FrameIndex
from flipdetect.errors import DataError, FrameError, ModelError
from flipdetect.evaluation.evaluate import Evaluation
from flipdetect.evaluation.figures import ORACLE, frame_figures
from flipdetect.inference.torch_model import TorchModel, read_model
from flipdetect.metrics.clip import AGGREGATIONS, Confusion, aggregate, confusion, sequence_threshold
from flipdetect.metrics.threshold import DEFAULT_THRESHOLD
from flipdetect.progress import progress_bar
from flipdetect.records import ClassNames
from flipdetect.runs import NO_TEMPERATURE
from flipdetect.tasks import FrameClassifier, SequenceClassifier

SEQUENCE = "sequence model"
FIGURES = ("f1", "precision", "recall", "accuracy", "auroc", "average_precision", ORACLE)
HEADINGS = {"average_precision": "AP", "auroc": "AUROC", "f1": "F1", ORACLE: "best F1 (oracle)"}


@dataclass(frozen=True)
class ScoredClips:
    """What a model says of the frames and clips of a labelled set.

    Attributes:
        name: of the model.
        folder: name of the set.
        videos: (N,) the clip of each frame.
        probabilities: (N,) float64 of the frames; NaN for those that could not be read or were not looked at.
        targets: (N,) int64, 0 or 1, of the frames.
        own: score of each clip by a model that sees sequences, NaN if it has none; None for a model of frames.
        frame_threshold, clip_threshold: the model's own, chosen on the validation side of its training; the latter
            None for a model of frames.
    """

    name: str
    folder: str
    videos: tuple[str, ...]
    probabilities: NDArray[np.float64]
    targets: NDArray[np.int64]
    own: tuple[float, ...] | None = None
    frame_threshold: float = 0.5
    clip_threshold: float | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """How this model comes to a decision about a clip."""
        return AGGREGATIONS if self.own is None else (SEQUENCE,)

    def clips(self, method: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Scores (M,), NaN for clips without one, and targets (M,) of the clips, in the order of `clip_positions`.

        A clip is positive if any frame of it is.
        """
        rows: dict[str, list[int]] = {}
        for row, video in enumerate(self.videos):
            rows.setdefault(video, []).append(row)
        targets = np.array([self.targets[each].max() for each in rows.values()], dtype=np.int64)
        scores = self.own or [aggregate(self.probabilities[each], method) for each in rows.values()]
        return np.array(scores, dtype=np.float64), targets


@dataclass(frozen=True)
class ClipRow:
    """A method of deciding about clips, and how well it does on a set.

    Attributes:
        model: its name.
        folder: name of the set.
        method: one of `AGGREGATIONS`, or `SEQUENCE`.
        threshold: of a clip's score.
        origin: where the threshold comes from.
        figures: of clips, by name: those of `frame_figures`.
        clips, frames: decisions on both. Of frames they are at the frames' own threshold.
    """

    model: str
    folder: str
    method: str
    threshold: float
    origin: str
    figures: dict[str, float]
    clips: Confusion
    frames: Confusion

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return {
            "model": self.model,
            "set": self.folder,
            "method": self.method,
            "threshold": self.threshold,
            "threshold_from": self.origin,
            **self.figures,
            "clips": self.clips.as_dict(),
            "frames": self.frames.as_dict(),
        }


def aggregated(name: str, evaluation: Evaluation, folder: str = "") -> ScoredClips:
    """The clips of a set whose frames a frame model has judged; unreadable frames count as such.

    Args:
        name: of the model.
        evaluation: its judgement of the frames.
        folder: name of the set.
    """
    pairs = list(evaluation.all_frames())
    scores = [np.nan if score.probability is None else score.probability for _, score in pairs]
    return ScoredClips(
        name,
        folder,
        tuple(record.video for record, _ in pairs),
        np.array(scores, dtype=np.float64),
        _targets(evaluation.index, evaluation.classes),
        frame_threshold=evaluation.threshold,
    )


def clip_drawing(bundle: TorchModel) -> ClipDrawing | None:
    """How clips were made for the model in training; None if it is one of single frames.

    Raises:
        ModelError: if its file does not tell.
    """
    if not isinstance(bundle.task, SequenceClassifier):
        return None
    settings = read_model(bundle.path)[0].get("clips")
    if not isinstance(settings, dict):
        raise ModelError(f"{bundle.path} does not tell how many frames of a clip it looks at; train it with data.clips")
    return ClipDrawing(**settings)


def frame_part(bundle: TorchModel) -> TorchModel:
    """The frame model within a sequence model, by itself.

    It has learnt from the same clips, so that what aggregating its probabilities lacks is what looking along time
    brings; a frame model trained elsewhere lacks those clips, too.

    Raises:
        ModelError: if the model is one of single frames.
    """
    if not isinstance(bundle.task, SequenceClassifier):
        raise ModelError(f"{bundle.path} is a model of single frames, without another in it")
    task = FrameClassifier(in_channels=bundle.task.in_channels, channels_last=bundle.task.channels_last)
    task.model = bundle.task.model
    return replace(
        bundle, task=task.eval().to(bundle.task.device), threshold=DEFAULT_THRESHOLD, temperature=NO_TEMPERATURE
    )


def judge_clips(name: str, bundle: TorchModel, index: FrameIndex, folder: str = "") -> ScoredClips:
    """Let a sequence model judge the videos of a labelled set, each by the frames that it looks at.

    Args:
        name: of the model.
        bundle: a model that sees sequences.
        index: the labelled set.
        folder: name of the set.

    Raises:
        ModelError: if the model is one of single frames.
        DataError: if no frame can be read.
    """
    drawing, task = clip_drawing(bundle), bundle.task
    if drawing is None or not isinstance(task, SequenceClassifier):
        raise ModelError(f"{bundle.path} is a model of single frames; its probabilities can be aggregated instead")
    frames = np.full(len(index.records), np.nan)
    own = []
    for clip in progress_bar(clip_positions(index.records), desc="judging clips", unit="clip", delay=2, leave=False):
        read = _read(bundle, index, clip, drawing)
        if not read:
            own.append(float("nan"))
            continue
        with torch.inference_mode():
            images = torch.from_numpy(np.stack(list(read.values())))[None].to(task.device)
            output = task.forward_clips(images)
        frames[list(read)] = output.frame_logits[0].double().sigmoid().cpu().numpy()
        own.append(float((output.logits.double() / bundle.temperature).sigmoid()))
    if np.isnan(frames).all():
        raise DataError(f"none of the {len(frames)} frames under {index.root} can be read")
    videos = tuple(record.video for record in index.records)
    return ScoredClips(
        name, folder, videos, frames, _targets(index, bundle.classes), tuple(own), clip_threshold=bundle.threshold
    )


def _read(
    bundle: TorchModel, index: FrameIndex, clip: Sequence[int], drawing: ClipDrawing
) -> dict[int, NDArray[np.float32]]:
    """Frames of a clip as the model takes them, by position; those that cannot be read are left out."""
    read = {}
    for position in (clip[place] for place in spread(len(clip), drawing.frames)):
        try:
            read[position] = bundle.preprocess.load(index.records[position].path)
        except FrameError:
            continue
    return read


def _targets(index: FrameIndex, classes: ClassNames) -> NDArray[np.int64]:
    return np.array([classes.target(record.label) for record in index.records], dtype=np.int64)


def with_thresholds(scored: ScoredClips, validation: ScoredClips | None) -> ScoredClips:
    """The same scores, with the frames' threshold chosen on the validation frames; as they are without any."""
    if validation is None:
        return scored
    return replace(scored, frame_threshold=_chosen(validation.probabilities, validation.targets, scored.name))


def clip_rows(scored: ScoredClips, validation: ScoredClips | None = None) -> list[ClipRow]:
    """How well each method decides about the clips of a set.

    Args:
        scored: the set.
        validation: the same model's scores of a validation side, on which thresholds are chosen. Without, the model's
            own are taken: that of clips, or, for aggregations, that of frames, which suits them less.

    Raises:
        DataError: if no clip has a score, or the validation side has no positive one.
    """
    scored = with_thresholds(scored, validation)
    frames = confusion(scored.probabilities, scored.targets, scored.frame_threshold)
    return [_row(scored, method, validation, frames) for method in scored.methods]


def _row(scored: ScoredClips, method: str, validation: ScoredClips | None, frames: Confusion) -> ClipRow:
    scores, targets = scored.clips(method)
    if validation is not None:
        threshold, origin = _chosen(*validation.clips(method), scored.name), "validation"
    elif scored.clip_threshold is not None:
        threshold, origin = scored.clip_threshold, "checkpoint"
    else:
        threshold, origin = scored.frame_threshold, "frames"
    known = ~np.isnan(scores)
    if not known.any():
        raise DataError(f"{scored.name} has a score for none of {len(scores)} clips")
    figures = frame_figures(scores[known], targets[known], threshold)
    return ClipRow(
        scored.name, scored.folder, method, threshold, origin, figures, confusion(scores, targets, threshold), frames
    )


def _chosen(scores: NDArray[np.float64], targets: NDArray[np.int64], name: str) -> float:
    try:
        return sequence_threshold(scores, targets).threshold
    except ValueError as error:
        raise DataError(f"no threshold can be chosen for {name} on the validation side: {error}") from error


def clip_report(rows: Sequence[ClipRow], classes: ClassNames) -> str:
    """Plain text: for each model, method and set the confusion matrices side by side, then the figures of all."""
    parts = [f"Clips of {row.folder}, by {row.method} of {row.model}\n{matrices(row, classes)}\n" for row in rows]
    return "\n".join([*parts, figures_table(rows), ""])


def figures_table(rows: Iterable[ClipRow]) -> str:
    """A line per model and method: figures of clips, and F1 of frames beside them."""
    table = [
        [
            row.folder,
            row.model,
            row.method,
            int(row.clips.matrix().sum()),
            row.threshold,
            row.origin,
            *(row.figures[name] for name in FIGURES),
            row.frames.f1,
        ]
        for row in rows
    ]
    headers = [
        "model",
        "clips by",
        "clips",
        "threshold",
        "from",
        *(HEADINGS.get(f, f) for f in FIGURES),
        "F1 of frames",
    ]
    return tabulate(table, headers=headers, floatfmt=".3f", disable_numparse=[0, 1, 2, 5])


def matrices(row: ClipRow, classes: ClassNames) -> str:
    """The confusion matrices of frames and of clips, side by side; rows are the truth, columns the decision."""
    negative, positive = classes.names
    (of_frames, of_clips) = (each.matrix().tolist() for each in (row.frames, row.clips))
    table = [
        [f"true {name}", *of_frames[place], "", f"true {name}", *of_clips[place]]
        for place, name in enumerate((negative, positive))
    ]
    headers = ["frames", negative, positive, " ", f"clips, {row.method}", negative, positive]
    return tabulate(table, headers=headers, disable_numparse=True, stralign="right")
