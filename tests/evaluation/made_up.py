"""Evaluations without files: records and probabilities written down by hand."""

from collections.abc import Sequence
from pathlib import Path

from flipdetect.data.index import FrameIndex
from flipdetect.evaluation.evaluate import Evaluation, evaluate_scores
from flipdetect.records import ClassNames, FrameRecord, FrameScore

ROOT = Path("set")
CLASSES = ClassNames()


def record(name: str, label: str, source: str | None = None, **extra: str) -> FrameRecord:
    """A frame `name` that is a video of its own."""
    return FrameRecord(ROOT / name, label, name, None, source, None, extra)


def evaluation(records: Sequence[FrameRecord], probabilities: Sequence[float], threshold: float = 0.5) -> Evaluation:
    """What a model with these probabilities would get."""
    scores = [
        FrameScore(each.path.relative_to(ROOT).as_posix(), each.video, None, p, CLASSES.names[int(p >= threshold)])
        for each, p in zip(records, probabilities, strict=True)
    ]
    return evaluate_scores(FrameIndex(tuple(records), (), ROOT), scores, threshold, CLASSES)
