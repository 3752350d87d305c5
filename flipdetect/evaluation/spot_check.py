"""A look at random labelled frames, and at the worst errors: as tables and as pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

from flipdetect.errors import ConfigError
from flipdetect.evaluation.evaluate import Evaluation, ScoredRecord
from flipdetect.outputs.plots.frames import Spot, plot_mistakes, plot_spots
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.sources.image import decode_frame

SHOWN = (480, 270)
"""Pixels that a frame in a picture keeps at least, height and width."""
DEFAULT_COUNT = 24


def choose_frames(
    records: Sequence[FrameRecord], count: int, classes: ClassNames, *, seed: int = 0, natural: bool = False
) -> tuple[FrameRecord, ...]:
    """Frames drawn at random without replacement, the positive class first.

    Args:
        records: in any order.
        count: of frames; all, if there are fewer.
        classes: names of the two classes.
        seed: of the draw.
        natural: draw from all frames. Else half of them are of each class, as far as there are enough.

    Raises:
        ConfigError: if `count` is below 1.
    """
    if count < 1:
        raise ConfigError(f"a spot check needs at least 1 frame, got {count}")
    in_order = sorted(records, key=lambda record: str(record.path))
    drawn = [in_order[position] for position in np.random.default_rng(seed).permutation(len(in_order))]
    if not natural:
        available = Counter(record.label for record in drawn)
        of_positive = min(available[classes.positive], max((count + 1) // 2, count - available[classes.negative]))
        by_class = {name: [record for record in drawn if record.label == name] for name in classes.names}
        kept = {*by_class[classes.positive][:of_positive], *by_class[classes.negative][: count - of_positive]}
        drawn = [record for record in drawn if record in kept]
    return tuple(sorted(drawn[:count], key=lambda record: record.label != classes.positive))


def spot_table(evaluation: Evaluation) -> str:
    """A line per frame, and a summary: how many of each class were classified correctly."""
    rows = [
        (score.path, record.label, score.label or "unreadable", score.probability,
         score.error if score.label is None else "correct" if score.label == record.label else "WRONG")
        for record, score in evaluation.all_frames()
    ]  # fmt: skip
    headers = ("frame", "truth", "predicted", f"p({evaluation.classes.positive})", "")
    table = tabulate(rows, headers=headers, floatfmt=".3f", disable_numparse=[0, 1, 2, 4], missingval="-")
    return f"{table}\n\n{spot_summary(evaluation)}"


def spot_summary(evaluation: Evaluation) -> str:
    """Correctly classified frames of each class."""
    parts = []
    for name in reversed(evaluation.classes.names):
        labels = [score.label for record, score in evaluation.all_frames() if record.label == name]
        if labels:
            parts.append(f"{labels.count(name)} of {len(labels)} {name}")
    return f"{' and '.join(parts)} classified correctly at threshold {evaluation.threshold:.3f}"


def plot_spot_check(evaluation: Evaluation, title: str) -> Figure:
    """The frames that could be read, with their truth and prediction."""
    spots = [
        Spot(
            decode_frame(pair.record.path, min_size=SHOWN), pair.score.path, pair.record.label,
            pair.score.label or "", pair.score.probability,
        )
        for pair in evaluation.scored
    ]  # fmt: skip
    return plot_spots(spots, f"{title}: {spot_summary(evaluation)}")


def worst_mistakes(
    evaluation: Evaluation, count: int = DEFAULT_COUNT, per_video: int | None = None
) -> tuple[ScoredRecord, ...]:
    """Wrongly classified frames, the most confident errors first: half missed positives, half false positives.

    Args:
        evaluation: the scored frames.
        count: frames to return at most; where one kind has too few, the other fills up.
        per_video: frames of one video, at most; more of them follow only if the others do not fill `count`.
    """
    positive = evaluation.classes.positive

    def confident_first(pairs: Iterable[ScoredRecord]) -> list[ScoredRecord]:
        return sorted(pairs, key=lambda pair: -abs(pair.probability - (pair.record.label == positive)))

    kinds: dict[bool, list[ScoredRecord]] = {}
    for is_missed in (True, False):
        of_video: Counter[str] = Counter()
        first: list[ScoredRecord] = []
        more: list[ScoredRecord] = []
        for pair in confident_first(evaluation.scored):
            if pair.score.label != pair.record.label and (pair.record.label == positive) == is_missed:
                of_video[pair.record.video] += 1
                (first if per_video is None or of_video[pair.record.video] <= per_video else more).append(pair)
        kinds[is_missed] = first + more
    of_missed = min(len(kinds[True]), max((count + 1) // 2, count - len(kinds[False])))
    return tuple(confident_first([*kinds[True][:of_missed], *kinds[False][: count - of_missed]]))


def plot_worst_mistakes(evaluation: Evaluation, count: int = DEFAULT_COUNT) -> Figure:
    """A contact sheet of the worst mistakes, each with its file, true label and probability.

    Raises:
        FrameError: if a file that was scored can no longer be read.
    """
    pairs = worst_mistakes(evaluation, count)
    return plot_mistakes(
        [decode_frame(pair.record.path, min_size=SHOWN) for pair in pairs],
        [pair.score.path for pair in pairs],
        [evaluation.classes.target(pair.record.label) for pair in pairs],
        [pair.probability for pair in pairs],
        evaluation.classes,
    )
