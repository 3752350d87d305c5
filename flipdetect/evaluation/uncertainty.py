"""Intervals over videos for evaluations, and for the differences of models that judged the same frames."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import Evaluation, arrays
from flipdetect.metrics.bootstrap import METRICS, RESAMPLES, Estimate, bootstrap_ci, bootstrap_difference

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Difference:
    """How a model's figures differ from another's on the same frames.

    Attributes:
        model, base: names; a positive difference says that `model` has more.
        folder: name of the set.
        intervals: of the differences, by figure.
    """

    model: str
    base: str
    folder: str
    intervals: Mapping[str, Estimate]

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return {
            "model": self.model,
            "base": self.base,
            "set": self.folder,
            "differences": intervals_as_dict(self.intervals),
        }


def evaluation_intervals(
    evaluation: Evaluation, *, metrics: Sequence[str] = METRICS, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Estimate]:
    """Intervals of an evaluation's figures, by name; see `bootstrap_ci`."""
    probabilities, targets = arrays(evaluation.judged, evaluation.classes)
    videos = [pair.record.video for pair in evaluation.judged]
    return bootstrap_ci(
        probabilities, targets, videos, evaluation.threshold, metrics=metrics, resamples=resamples, seed=seed
    )


def difference(
    first: Evaluation,
    second: Evaluation,
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """The second one's figures less the first one's, each at its own threshold; see `bootstrap_difference`.

    Raises:
        DataError: if the two did not judge the same frames, or for other classes.
    """
    if first.classes != second.classes:
        raise DataError(f"two models have other classes: {first.classes.names} and {second.classes.names}")
    others = {pair.record.path: pair for pair in second.judged}
    if len(others) != len(first.judged) or any(pair.record.path not in others for pair in first.judged):
        raise DataError(
            f"two models did not judge the same frames ({len(first.judged)} and {len(others)}), so that they cannot be "
            "compared video by video"
        )
    one, targets = arrays(first.judged, first.classes)
    other = np.array([others[pair.record.path].probability for pair in first.judged])
    return bootstrap_difference(
        one,
        other,
        targets,
        [pair.record.video for pair in first.judged],
        (first.threshold, second.threshold),
        metrics=metrics,
        resamples=resamples,
        seed=seed,
    )


def differences(
    results: Sequence[tuple[str, str, Evaluation]], *, metrics: Sequence[str] = METRICS, resamples: int = RESAMPLES
) -> list[Difference]:
    """Differences of each set's further models from its first one.

    Args:
        results: name of the model, of the set, and what was found.
        metrics, resamples: as in `bootstrap_difference`.

    Returns:
        None for models that did not judge the same frames (each the test side of its own split, say), which is logged.
    """
    firsts: dict[str, tuple[str, Evaluation]] = {}
    found = []
    for model, folder, evaluation in results:
        base, other = firsts.setdefault(folder, (model, evaluation))
        if other is not evaluation and model != base:
            try:
                own = difference(other, evaluation, metrics=metrics, resamples=resamples)
            except DataError as error:
                logger.warning("%s is not compared with %s: %s", model, base, error)
                continue
            found.append(Difference(model, base, folder, own))
    return found


def intervals_as_dict(intervals: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
    """Value, bounds, number of videos, level and note of each, as JSON types."""
    return {name: asdict(each) for name, each in intervals.items()}
