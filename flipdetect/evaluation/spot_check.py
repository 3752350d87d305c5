"""A look at random labelled frames: truth against what a model says, as a table and as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

from flipdetect.data.index import FrameIndex
from flipdetect.errors import ConfigError
from flipdetect.inference.folder import Predictor
from flipdetect.inference.model import Model
from flipdetect.outputs.plots import Spot, plot_spots
from flipdetect.records import ClassNames, FrameRecord, FrameScore
from flipdetect.sources.image import decode_frame

# Pixels that a frame on the picture must keep, height and width.
_SHOWN = (480, 270)


@dataclass(frozen=True)
class SpotCheck:
    """Some frames of a labelled set and what a model says of them.

    Attributes:
        records: the frames, the positive class first.
        scores: one each.
        classes: names of the two classes.
        threshold: at which the scores' labels were decided.
    """

    records: tuple[FrameRecord, ...]
    scores: tuple[FrameScore, ...]
    classes: ClassNames
    threshold: float

    def table(self) -> str:
        """A line per frame, and one that sums up."""
        rows = [
            (score.path, record.label, score.label or "unreadable", score.probability, _verdict(record, score))
            for record, score in zip(self.records, self.scores, strict=True)
        ]
        headers = ("frame", "truth", "predicted", f"p({self.classes.positive})", "")
        table = tabulate(rows, headers=headers, floatfmt=".3f", disable_numparse=[0, 1, 2, 4], missingval="-")
        return f"{table}\n\n{self.summary()}"

    def summary(self) -> str:
        """How many were told right, of each class."""
        parts = []
        for name in reversed(self.classes.names):
            pairs = [pair for pair in zip(self.records, self.scores, strict=True) if pair[0].label == name]
            if pairs:
                right = sum(record.label == score.label for record, score in pairs)
                parts.append(f"{right} of {len(pairs)} {name}")
        return f"{' and '.join(parts)} told right at threshold {self.threshold:.3f}"

    def plot(self, title: str) -> Figure:
        """The frames with their truth and prediction; those that could not be read are left out."""
        spots = [
            Spot(
                picture=decode_frame(record.path, min_size=_SHOWN),
                name=score.path,
                truth=record.label,
                predicted=score.label or "",
                probability=score.probability,
            )
            for record, score in zip(self.records, self.scores, strict=True)
            if score.probability is not None
        ]
        return plot_spots(spots, f"{title}: {self.summary()}")


def choose_frames(
    records: Sequence[FrameRecord], count: int, classes: ClassNames, *, seed: int = 0, natural: bool = False
) -> tuple[FrameRecord, ...]:
    """Frames drawn at random without repetition, the positive class first.

    Args:
        records: to draw from; their order plays no part.
        count: how many; all, if there are fewer.
        classes: names of the two classes.
        seed: another seed, other frames.
        natural: draw all frames alike. Else half of them are of each class, as far as there are enough.

    Raises:
        ConfigError: if `count` is below 1.
    """
    if count < 1:
        raise ConfigError(f"a spot check needs at least 1 frame, got {count}")
    rng = np.random.default_rng(seed)
    sorted_records = sorted(records, key=lambda record: str(record.path))
    drawn = [sorted_records[position] for position in rng.permutation(len(sorted_records))]
    chosen = drawn[:count] if natural else _balanced(drawn, count, classes)
    return tuple(sorted(chosen, key=lambda record: record.label != classes.positive))


def spot_check(index: FrameIndex, model: Model, threshold: float, frames: Sequence[FrameRecord]) -> SpotCheck:
    """Score frames of a labelled set.

    Args:
        index: the set, for its root.
        model: a trained model, whatever runs it.
        threshold: from this probability on, a frame belongs to the positive class.
        frames: some of the set's records.
    """
    predictor = Predictor(model, threshold)
    paths: list[Path] = [record.path for record in frames]
    scores = [score for batch in predictor.predict(paths, index.root) for score in batch]
    return SpotCheck(tuple(frames), tuple(scores), model.classes, threshold)


def _balanced(drawn: Sequence[FrameRecord], count: int, classes: ClassNames) -> list[FrameRecord]:
    """The first of each class in turn; where one has too few, the other fills up."""
    available = Counter(record.label for record in drawn)
    of_positive = min(available[classes.positive], max((count + 1) // 2, count - available[classes.negative]))
    room = {classes.positive: of_positive, classes.negative: count - of_positive}
    chosen = []
    for record in drawn:
        if room.get(record.label, 0) > 0:
            room[record.label] -= 1
            chosen.append(record)
    return chosen


def _verdict(record: FrameRecord, score: FrameScore) -> str:
    if score.label is None:
        return score.error
    return "right" if score.label == record.label else "WRONG"
