"""The frames that a model gets most wrong, as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flipdetect.evaluation.evaluate import Evaluation, Judged
from flipdetect.outputs.plots import plot_mistakes
from flipdetect.sources.image import decode_frame

DEFAULT_COUNT = 24
# Pixels that a frame on the sheet must keep, height and width: enough to see what is wrong with it.
_SHOWN = (480, 270)


def worst_mistakes(
    evaluation: Evaluation, count: int = DEFAULT_COUNT, per_video: int | None = None
) -> tuple[Judged, ...]:
    """Frames on the wrong side of the threshold, the most confidently wrong first.

    Half of them are missed positives and half false alarms; where one kind has fewer, the other fills up.

    Args:
        evaluation: the judged frames.
        count: how many to return at most.
        per_video: frames of one video, at most; more of them follow only if the others do not fill the count.
    """
    positive = evaluation.classes.positive
    wrong = [pair for pair in evaluation.judged if pair.score.label != pair.record.label]
    missed, alarms = (
        _mixed(
            _most_confident([pair for pair in wrong if (pair.record.label == positive) == of_positive], positive),
            per_video,
        )
        for of_positive in (True, False)
    )
    of_missed = min(len(missed), max((count + 1) // 2, count - len(alarms)))
    return _most_confident([*missed[:of_missed], *alarms[: count - of_missed]], positive)


def _mixed(pairs: Sequence[Judged], per_video: int | None) -> tuple[Judged, ...]:
    """The same, with those beyond so many of one video behind the others."""
    if per_video is None:
        return tuple(pairs)
    seen: Counter[str] = Counter()
    first: list[Judged] = []
    others: list[Judged] = []
    for pair in pairs:
        seen[pair.record.video] += 1
        (first if seen[pair.record.video] <= per_video else others).append(pair)
    return (*first, *others)


def plot_failures(evaluation: Evaluation, count: int = DEFAULT_COUNT) -> Figure:
    """A contact sheet of the worst mistakes, each with its file, true label and probability.

    Raises:
        FrameError: if a file that was scored can no longer be read.
    """
    pairs = worst_mistakes(evaluation, count)
    return plot_mistakes(
        [_picture(pair) for pair in pairs],
        [pair.score.path for pair in pairs],
        [evaluation.classes.target(pair.record.label) for pair in pairs],
        [pair.probability for pair in pairs],
        evaluation.classes,
    )


def _picture(pair: Judged) -> NDArray[np.uint8]:
    return decode_frame(pair.record.path, min_size=_SHOWN)


def _most_confident(pairs: Sequence[Judged], positive: str) -> tuple[Judged, ...]:
    return tuple(sorted(pairs, key=lambda pair: -abs(pair.probability - (pair.record.label == positive))))
