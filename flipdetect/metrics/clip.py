"""Whether a short clip contains a flip: one score per clip from its frames' probabilities, and how well it decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flipdetect.metrics.threshold import ThresholdChoice, best_f1_threshold

AGGREGATIONS = ("mean", "max", "top_k")
TOP_K = 3
"""Frames that have to speak for a flip: one may be a mistake."""


@dataclass(frozen=True)
class Confusion:
    """Counts of decisions, of frames or of clips, and what follows from them; 0/0 counts as 0.

    Attributes:
        true_positives, false_positives, false_negatives, true_negatives: counts.
        unscored: those left out because they have no score.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    unscored: int = 0

    @property
    def precision(self) -> float:
        """Share of those called positive that are."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of positives that were called so."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        return _ratio(
            2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives
        )  # fmt: skip

    @property
    def accuracy(self) -> float:
        """Share of right decisions."""
        right = self.true_positives + self.true_negatives
        return _ratio(right, right + self.false_positives + self.false_negatives)

    def matrix(self) -> NDArray[np.int64]:
        """(2, 2): rows are the truth, columns the decision, negative first."""
        return np.array(
            [[self.true_negatives, self.false_positives], [self.false_negatives, self.true_positives]], dtype=np.int64
        )

    def as_dict(self) -> dict[str, float | int]:
        """Counts and figures by name."""
        figures = {name: getattr(self, name) for name in ("precision", "recall", "f1", "accuracy")}
        return {**asdict(self), **figures}


@dataclass(frozen=True)
class ClipRule:
    """How the frames of a clip decide about it: an aggregation and its own threshold.

    Attributes:
        how: one of `AGGREGATIONS`.
        threshold: a clip is positive if its score is at least this.
        k: of "top_k".
        f1: on the clips that the threshold was chosen on.
    """

    how: str
    threshold: float
    k: int = TOP_K
    f1: float = float("nan")

    def score(self, probabilities: ArrayLike) -> float:
        """The score of a clip from its frames' probabilities (N,), as `aggregate` makes it."""
        return aggregate(probabilities, self.how, self.k)

    def decide(self, probabilities: ArrayLike) -> bool | None:
        """Whether a clip with these probabilities (N,) is positive; None if no frame has a score."""
        score = self.score(probabilities)
        return None if np.isnan(score) else score >= self.threshold


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def aggregate(probabilities: ArrayLike, how: str = "top_k", k: int = TOP_K) -> float:
    """The score of a clip.

    Args:
        probabilities: (N,) of its frames, 0 to 1; NaN for those that could not be scored, which are left out.
        how: "mean", "max", or "top_k": the mean of the `k` highest, or of all if there are fewer.
        k: number of frames, from 1.

    Returns:
        0 to 1; NaN if no frame has a score.

    Raises:
        ValueError: if the aggregation is unknown, `k` is below 1, or a probability is outside [0, 1].
    """
    if how not in AGGREGATIONS:
        raise ValueError(f"aggregation must be one of {', '.join(AGGREGATIONS)}, got {how!r}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    values = np.asarray(probabilities, dtype=np.float64).ravel()
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"probabilities must lie in [0, 1], got {values.min():g} to {values.max():g}")
    if how == "mean":
        return float(values.mean())
    return float(np.sort(values)[-(1 if how == "max" else k) :].mean())


def clip_scores(
    videos: Sequence[str], probabilities: ArrayLike, how: str = "top_k", k: int = TOP_K
) -> dict[str, float]:
    """The score of each clip, in the order in which clips first appear.

    Args:
        videos: (N,) the clip of each frame.
        probabilities: (N,) of the frames, 0 to 1; NaN for those that could not be scored.
        how: as in `aggregate`.
        k: as in `aggregate`.

    Raises:
        ValueError: if there is not one probability per video name, or as `aggregate` does.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    return {video: aggregate(values[rows], how, k) for video, rows in _rows(videos, values).items()}


def clip_targets(videos: Sequence[str], targets: ArrayLike) -> dict[str, int]:
    """1 for each clip with a positive frame, 0 for the others, in the order in which clips first appear.

    Args:
        videos: (N,) the clip of each frame.
        targets: (N,) 0 or 1.

    Raises:
        ValueError: if there is not one target per video name.
    """
    values = np.asarray(targets)
    return {video: int(values[rows].max()) for video, rows in _rows(videos, values).items()}


def _rows(videos: Sequence[str], values: NDArray[np.generic]) -> dict[str, list[int]]:
    if values.shape != (len(videos),):
        raise ValueError(f"{len(videos)} frames have values of shape {values.shape}; give one for each")
    rows: dict[str, list[int]] = {}
    for row, video in enumerate(videos):
        rows.setdefault(video, []).append(row)
    return rows


def sequence_threshold(scores: ArrayLike, targets: ArrayLike) -> ThresholdChoice:
    """The threshold with the best F1 over clips, or frames, that have a score; choose it on validation alone.

    Args:
        scores: (N,) 0 to 1, NaN for those without one.
        targets: (N,) 0 or 1.

    Raises:
        ValueError: if none of those with a score is positive.
    """
    values, truths = np.asarray(scores, dtype=np.float64), np.asarray(targets)
    scored = ~np.isnan(values)
    return best_f1_threshold(values[scored], truths[scored])


def confusion(scores: ArrayLike, targets: ArrayLike, threshold: float) -> Confusion:
    """Count decisions of frames or of clips; one is positive if its score is at least the threshold.

    Args:
        scores: (N,) 0 to 1, NaN for those without one.
        targets: (N,) 0 or 1.
        threshold: of the decision.

    Raises:
        ValueError: if the two do not have one shape (N,).
    """
    values, truths = np.asarray(scores, dtype=np.float64), np.asarray(targets).astype(np.bool_)
    if values.ndim != 1 or values.shape != truths.shape:
        raise ValueError(f"scores and targets must be two (N,) arrays, got {values.shape} and {truths.shape}")
    scored = ~np.isnan(values)
    called, truths = values[scored] >= threshold, truths[scored]
    return Confusion(
        true_positives=int((called & truths).sum()),
        false_positives=int((called & ~truths).sum()),
        false_negatives=int((~called & truths).sum()),
        true_negatives=int((~called & ~truths).sum()),
        unscored=int((~scored).sum()),
    )


def fit_rule(
    videos: Sequence[str], probabilities: ArrayLike, targets: ArrayLike, how: str = "top_k", k: int = TOP_K
) -> ClipRule:
    """The rule of an aggregation, with the threshold that suits the clips given best: those of the validation side.

    Args:
        videos: (N,) the clip of each frame. Twins are two clips, and two videos.
        probabilities: (N,) of the frames, 0 to 1; NaN for those that could not be scored.
        targets: (N,) 0 or 1, of the frames.
        how: as in `aggregate`.
        k: as in `aggregate`.

    Raises:
        ValueError: if none of the clips with a score is positive, or as `clip_scores` does.
    """
    scores = clip_scores(videos, probabilities, how, k)
    choice = sequence_threshold(list(scores.values()), list(clip_targets(videos, targets).values()))
    return ClipRule(how, choice.threshold, k, choice.f1)


def best_rule(videos: Sequence[str], probabilities: ArrayLike, targets: ArrayLike, k: int = TOP_K) -> ClipRule:
    """Of all aggregations the one with the best F1 on the clips given, the first of `AGGREGATIONS` among equals.

    Args:
        videos, probabilities, targets, k: as in `fit_rule`.

    Raises:
        ValueError: as `fit_rule` does.
    """
    return max((fit_rule(videos, probabilities, targets, how, k) for how in AGGREGATIONS), key=lambda rule: rule.f1)
