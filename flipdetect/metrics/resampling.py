"""The figures of a model for many weightings of its videos at once: what `metrics.intervals` draws from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

AT_HALF = "f1_at_0.5"
METRICS = ("f1", AT_HALF, "precision", "recall", "accuracy", "auroc", "average_precision")
RANKING = ("auroc", "average_precision")
MOST_GROUPS = 500
"""Groups of videos that the jackknife leaves out in turn."""
AT_ONCE = 400_000
"""Cells of a table of weightings by frames that are held at a time: 3 MB, which a processor's cache holds."""


@dataclass(frozen=True)
class Frames:
    """Frames in the order of falling probability.

    Attributes:
        scores: (N,) float64 probabilities.
        targets: (N,) float64, 0 or 1.
        video: (N,) int64, position of each frame's video among `videos`.
        threshold: from this probability on, a frame is called positive.
        videos: how many there are.
        ends: positions of the last frame of each run of equal probabilities: frames in it cannot be told apart; None
            if all are distinct.
        counts: by threshold's name, (videos, 4) true positives, false positives, false negatives, true negatives.
    """

    scores: Floats
    targets: Floats
    video: NDArray[np.int64]
    threshold: float
    videos: int
    ends: NDArray[np.int64] | None
    counts: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        probabilities: ArrayLike,
        targets: ArrayLike,
        videos: Sequence[str] | Sequence[int] | NDArray[np.generic],
        threshold: float,
    ) -> Frames:
        """Check and sort.

        Args:
            probabilities: (N,) 0 to 1.
            targets: (N,) 0 or 1.
            videos: (N,) names or numbers.
            threshold: of the decision.

        Raises:
            ValueError: if they cannot be used.
        """
        scores, truths, names = (
            np.asarray(probabilities, np.float64),
            np.asarray(targets, np.float64),
            np.asarray(videos),
        )
        if scores.ndim != 1 or scores.shape != truths.shape or names.shape != scores.shape:
            raise ValueError(
                "probabilities, targets and videos must be three (N,) arrays, "
                f"got {scores.shape}, {truths.shape} and {names.shape}"
            )
        if not scores.size:
            raise ValueError("there is no frame to judge")
        if not np.isin(truths, (0.0, 1.0)).all():
            raise ValueError(f"targets must be 0 or 1, got {np.unique(truths)[:5].tolist()}")
        if not ((scores >= 0) & (scores <= 1)).all():
            raise ValueError("probabilities must lie in [0, 1]")
        _, video = np.unique(names, return_inverse=True)
        order = np.argsort(-scores, kind="stable")
        scores, truths, video = scores[order], truths[order], video[order].astype(np.int64)
        last = np.append(scores[1:] < scores[:-1], True)
        count = int(video.max()) + 1
        cuts = {"threshold": threshold, AT_HALF: 0.5}
        counts = {name: _counts(truths, scores >= cut, video, count) for name, cut in cuts.items()}
        ends = None if last.all() else np.flatnonzero(last)
        return cls(scores, truths, video, threshold, count, ends, counts)


def draws(videos: int, resamples: int, seed: int) -> Floats:
    """How often each video is in each draw of as many as there are, (resamples, videos)."""
    rng = np.random.default_rng(seed)
    drawn: Floats = rng.multinomial(videos, np.full(videos, 1 / videos), size=resamples).astype(np.float64)
    return drawn


def jackknife(videos: int) -> Floats:
    """All videos but one, (videos, videos); of very many, all but one group at a time, (`MOST_GROUPS`, videos)."""
    groups = np.arange(videos) % min(videos, MOST_GROUPS)
    kept: Floats = (groups[None, :] != np.arange(groups.max() + 1)[:, None]).astype(np.float64)
    return kept


def support(frames: Frames, name: str) -> tuple[int, float]:
    """How many videos bear on a figure, and as how many equally long ones they count (Kish, 1965).

    For AUROC and average precision, they are those of the rarer class.
    """
    tp, fp, fn, tn = frames.counts[AT_HALF if name == AT_HALF else "threshold"].T
    if name in RANKING:
        return min(_effective(tp + fn), _effective(fp + tn))
    if name == "recall":
        return _effective(tp + fn)
    if name == "precision":
        return _effective(tp + fp)
    return _effective(tp + fp + fn + tn) if name == "accuracy" else _effective(2 * tp + fp + fn)


def figures_of(frames: Frames, weights: Floats, names: Sequence[str]) -> dict[str, Floats]:
    """The named figures for each row of weights.

    Args:
        frames: of one model.
        weights: (R, videos), how often each video counts.
        names: among `METRICS`.

    Returns:
        (R,) float64 each; NaN where a figure is undefined.
    """
    found = {**_at_threshold(weights @ frames.counts["threshold"]), AT_HALF: _f1(weights @ frames.counts[AT_HALF])}
    if set(RANKING) & set(names):
        step = max(1, AT_ONCE // len(frames.targets))
        parts = [_ranking(frames, weights[first : first + step], names) for first in range(0, len(weights), step)]
        found |= {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {name: found[name] for name in names}


def _counts(truths: Floats, called: NDArray[np.bool_], video: NDArray[np.int64], videos: int) -> Floats:
    kinds = (truths * called, (1 - truths) * called, truths * ~called, (1 - truths) * ~called)
    return np.stack([np.bincount(video, kind, videos) for kind in kinds], axis=1)


def _effective(weights: Floats) -> tuple[int, float]:
    total = float(weights.sum())
    return int((weights > 0).sum()), total**2 / float((weights**2).sum()) if total else 0.0


def _f1(counts: Floats) -> Floats:
    tp, fp, fn, _ = counts.T
    return _ratio(2 * tp, 2 * tp + fp + fn)


def _at_threshold(counts: Floats) -> dict[str, Floats]:
    tp, fp, fn, tn = counts.T
    return {
        "f1": _f1(counts),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
    }


def _ranking(frames: Frames, weights: Floats, names: Sequence[str]) -> dict[str, Floats]:
    """AUROC by the trapezoids under the curve, average precision as the mean of precision over the positives."""
    each = weights[:, frames.video]
    new_caught = each * frames.targets
    caught = np.cumsum(new_caught, axis=1)
    called = np.cumsum(each, axis=1) if frames.ends is not None or "average_precision" in names else None
    if frames.ends is None:
        new_alarms = each - new_caught
        half_caught = caught  # where an alarm is, no positive frame shares its probability
    else:
        assert called is not None
        caught, called = caught[:, frames.ends], called[:, frames.ends]
        new_caught = np.diff(caught, axis=1, prepend=0.0)
        new_alarms = np.diff(called, axis=1, prepend=0.0) - new_caught
        half_caught = caught - new_caught / 2
    positives = caught[:, -1]
    found: dict[str, Floats] = {}
    if "auroc" in names:
        area = np.einsum("ij,ij->i", new_alarms, half_caught)
        found["auroc"] = _ratio(area, positives * new_alarms.sum(axis=1))
    if "average_precision" in names:
        assert called is not None
        # Of weight 0 on top of the ranking there are none to be precise about.
        precision = caught / np.maximum(called, 1.0)
        found["average_precision"] = _ratio(np.einsum("ij,ij->i", new_caught, precision), positives)
    return found


def _ratio(above: Floats, below: Floats) -> Floats:
    found: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return found
