"""Whether a short clip contains a flip: its highest frame probability, and how well that decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flipdetect.metrics.threshold import ThresholdChoice, best_f1_threshold


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


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def clip_scores(videos: Sequence[str], probabilities: ArrayLike) -> dict[str, float]:
    """The score of each clip: the highest probability of its frames.

    Args:
        videos: (N,) the clip of each frame.
        probabilities: (N,) of the frames, 0 to 1; NaN for frames that could not be scored, which are left out.

    Returns:
        Scores from 0 to 1 in the order in which clips first appear; NaN for a clip without a scored frame.

    Raises:
        ValueError: if there is not one probability per video name, or one is outside [0, 1].
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if (outside := (values < 0) | (values > 1)).any():
        raise ValueError(f"probabilities must lie in [0, 1], got {values[outside][0]:g}")
    return {video: float(np.fmax.reduce(values[rows])) for video, rows in _rows(videos, values).items()}


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


def best_clip_threshold(scores: ArrayLike, targets: ArrayLike) -> ThresholdChoice:
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
