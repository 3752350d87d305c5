"""Frame metrics with 95% confidence intervals, by a bootstrap over videos: NumPy and scipy.special alone.

Frames of a video resemble each other, so a CI that treats them as independent is far too narrow. Here whole videos are
drawn with replacement (cluster bootstrap; Field and Welsh, 2007). Percentiles of the draws are too narrow for few
videos and near 1.0, where test sets are. Instead:

- The CI is symmetric on the scale of logits, so that it stays within 0 and 1. Its variance is the mean of the draws'
  and the delete-one-video jackknife's (Efron and Stein, 1981): the former is too large when draws reach 1, the latter
  too small.
- Student's t has 2 n / (kurtosis - 1) degrees of freedom, of the jackknife values (Satterthwaite, 1946): if a few
  videos have all errors, few count. At most it has the effective number of videos (Kish, 1965) less one.
- The CI is no wider than that of as many independent coins as there are videos (Clopper and Pearson, 1934). With less
  than a twentieth of a video in errors, the variance cannot be estimated, and this bound is the CI.

docs/evaluation.md has the measured coverage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, expit, logit, stdtrit

from flipdetect.metrics.threshold import Floats, checked_arrays

Videos = Sequence[str] | Sequence[int] | NDArray[np.generic]

AT_HALF = "f1_at_0.5"
RANKING = ("auroc", "average_precision")
METRICS = ("f1", AT_HALF, "precision", "recall", "accuracy", *RANKING)
LEVEL = 0.95
RESAMPLES = 2000
FEW_ERRORS, FEW_ERRORS_OF_TWO = 0.05, 0.2
"""Videos in errors below which a variance cannot be estimated: of one metric, and of a difference of two."""
JACKKNIFE_GROUPS = 500
"""With more videos than this, the jackknife leaves out groups of videos."""
CELLS = 400_000
"""Cells of a (draws, frames) table that are computed at a time: 3 MB, which fits into a processor's cache."""


@dataclass(frozen=True)
class Estimate:
    """A metric, or a difference of two, with its 95% CI.

    Attributes:
        value: on these frames; NaN if undefined (AUROC of one class).
        low, high: bounds of the CI; NaN if fewer than two videos count for the metric.
    """

    value: float
    low: float
    high: float
    videos: int

    @property
    def is_bounded(self) -> bool:
        """Whether there is a CI."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    def text(self, *, signed: bool = False) -> str:
        """`0.913 [0.894, 0.930]`; `0.913 [-]` without a CI; `-` if undefined. `signed` is for differences."""
        if math.isnan(self.value):
            return "-"
        form = "+.3f" if signed else ".3f"
        bounds = f"{self.low:{form}}, {self.high:{form}}" if self.is_bounded else "-"
        return f"{self.value:{form}} [{bounds}]"


def frame_metrics(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> dict[str, float]:
    """Metrics of all frames, equal to those of `FrameMetrics`; arrays and errors as in `flipdetect.metrics.threshold`.

    Returns:
        `METRICS` by name. 0/0 counts as 0, but AUROC without both classes and average precision without a positive
        frame are NaN.
    """
    frames = _RankedFrames.make(probabilities, targets, np.zeros(np.shape(probabilities), np.int64), threshold)
    found = frames.metrics(np.ones((1, 1)), METRICS)
    return {name: _defined(name, float(values[0])) for name, values in found.items()}


def bootstrap_ci(
    probabilities: ArrayLike,
    targets: ArrayLike,
    videos: Videos,
    threshold: float,
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Metrics of one model with their 95% CIs, from `resamples` draws of the videos (N,) of the frames.

    Raises:
        ValueError: as `frame_metrics`, or if a metric is unknown or `resamples` below 2.
    """
    frames = _RankedFrames.make(probabilities, targets, videos, threshold)
    tables = [frames.metrics(weights, metrics) for weights in _weights(frames.videos, metrics, resamples, seed)]
    edge = 0.25 / len(frames.targets)
    return {name: _estimate(name, tables, [frames], lambda sample, _: sample.share(edge)) for name in metrics}


def bootstrap_difference(
    first: ArrayLike,
    second: ArrayLike,
    targets: ArrayLike,
    videos: Videos,
    thresholds: tuple[float, float],
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Metrics of a second model minus those of a first one on the same frames, paired by video, with 95% CIs."""
    pair = [_RankedFrames.make(each, targets, videos, at) for each, at in zip((first, second), thresholds, strict=True)]
    both = [
        [frames.metrics(weights, metrics) for frames in pair]
        for weights in _weights(pair[0].videos, metrics, resamples, seed)
    ]
    tables = [{name: other[name] - one[name] for name in metrics} for one, other in both]
    values = {name: [float(table[name][0]) for table in both[0]] for name in metrics}
    return {
        name: _estimate(name, tables, pair, lambda sample, name: sample.difference(*values[name])) for name in metrics
    }


def _weights(videos: int, metrics: Sequence[str], resamples: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """How often each video counts, (R, videos): all once; in each draw; with one video, or group, left out."""
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise ValueError(f"metrics must be among {', '.join(METRICS)}, got {unknown[0]!r}")
    if resamples < 2:
        raise ValueError(f"resamples must be 2 or more, got {resamples}")
    drawn = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=resamples)
    groups = np.arange(videos) % min(videos, JACKKNIFE_GROUPS)
    kept = groups[None, :] != np.arange(groups.max() + 1)[:, None]
    return np.ones((1, videos)), drawn.astype(np.float64), kept.astype(np.float64)


@dataclass(frozen=True)
class _RankedFrames:
    """Frames sorted by falling probability.

    Attributes:
        video: (N,) int64 index of each frame's video.
        ends: last position of each run of equal probabilities.
        counts: for "threshold" and `AT_HALF`, (videos, 4) true and false positives, false and true negatives.
    """

    targets: Floats
    video: NDArray[np.int64]
    videos: int
    ends: NDArray[np.int64]
    counts: dict[str, Floats]

    @classmethod
    def make(cls, probabilities: ArrayLike, targets: ArrayLike, videos: Videos, threshold: float) -> _RankedFrames:
        scores, truths = checked_arrays(probabilities, targets)
        names = np.asarray(videos)
        if names.shape != scores.shape:
            raise ValueError(f"{len(scores)} frames need as many videos, got an array of shape {names.shape}")
        order = np.argsort(-scores, kind="stable")
        scores, truths = scores[order], truths[order]
        video = np.unique(names, return_inverse=True)[1].astype(np.int64)[order]
        count = int(video.max()) + 1
        counts: dict[str, Floats] = {}
        for name, cut in (("threshold", threshold), (AT_HALF, 0.5)):
            called = scores >= cut
            kinds = (truths * called, (1 - truths) * called, truths * ~called, (1 - truths) * ~called)
            columns = [np.bincount(video, kind, count) for kind in kinds]
            counts[name] = np.stack(columns, axis=1).astype(np.float64)
        ends = np.flatnonzero(np.append(scores[1:] < scores[:-1], True))
        return cls(truths, video, count, ends, counts)

    def metrics(self, weights: Floats, names: Sequence[str]) -> dict[str, Floats]:
        """Weights (R, videos) -> (R,) of each named metric; NaN where it is undefined."""
        tp, fp, fn, tn = (weights @ self.counts["threshold"]).T
        half_tp, half_fp, half_fn, _ = (weights @ self.counts[AT_HALF]).T
        found = {
            "f1": _ratio(2 * tp, 2 * tp + fp + fn),
            AT_HALF: _ratio(2 * half_tp, 2 * half_tp + half_fp + half_fn),
            "precision": _ratio(tp, tp + fp),
            "recall": _ratio(tp, tp + fn),
            "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
        }
        if set(RANKING) & set(names):
            step = max(1, CELLS // len(self.targets))
            parts = [self._ranking(weights[first : first + step]) for first in range(0, len(weights), step)]
            found |= {name: np.concatenate(some) for name, some in zip(RANKING, zip(*parts, strict=True), strict=True)}
        return {name: found[name] for name in names}

    def _ranking(self, weights: Floats) -> tuple[Floats, Floats]:
        """AUROC by trapezoids, and average precision as the mean of precision over the positives; (R,) each."""
        each = weights[:, self.video]
        caught = np.cumsum(each * self.targets, axis=1)[:, self.ends]
        called = np.cumsum(each, axis=1)[:, self.ends]
        new_caught = np.diff(caught, axis=1, prepend=0.0)
        new_alarms = np.diff(called, axis=1, prepend=0.0) - new_caught
        positives, negatives = caught[:, -1], new_alarms.sum(axis=1)
        area = np.einsum("ij,ij->i", new_alarms, caught - new_caught / 2)
        precisions = np.einsum("ij,ij->i", new_caught, caught / np.maximum(called, 1.0))
        return _ratio(area, positives * negatives), _ratio(precisions, positives)

    def support(self, name: str) -> tuple[int, float]:
        """Videos that count for a metric (those of the rarer class for AUROC), and their effective number."""
        tp, fp, fn, tn = self.counts[AT_HALF if name == AT_HALF else "threshold"].T
        weights = {
            "precision": [tp + fp],
            "recall": [tp + fn],
            "accuracy": [tp + fp + fn + tn],
            "auroc": [tp + fn, fp + tn],
            "average_precision": [tp + fn, fp + tn],
        }.get(name, [2 * tp + fp + fn])
        return min((int((w > 0).sum()), float(w.sum() ** 2 / max((w**2).sum(), 1.0))) for w in weights)


@dataclass(frozen=True)
class _Sample:
    """A metric's value, its values (R,) in draws and (G,) by the jackknife, and the effective number of videos."""

    value: float
    drawn: Floats
    left_out: Floats
    effective: float

    def half_width(self, drawn: Floats, scale: float) -> float:
        """Half of the CI's width; `scale` is the slope of the scale that `drawn` is on."""
        pulls = self.left_out - self.left_out.mean()
        squares, groups = float((pulls**2).sum()), len(pulls)
        kurtosis = groups * float((pulls**4).sum()) / squares**2 if squares > 0 else 3.0
        freedom = max(1.0, min(2 * groups / max(kurtosis - 1, 1e-9), self.effective - 1))
        jackknife = squares * (groups - 1) / groups * scale**2
        return float(stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt((float(np.var(drawn)) + jackknife) / 2)

    def share(self, edge: float) -> tuple[float, float]:
        """The CI of a metric from 0 to 1; draws are clipped `edge` away from both ends."""
        low, high = widest = _coins(self.value, self.effective)
        if 0 < self.value < 1:
            clipped = np.clip(self.drawn, edge, 1 - edge)
            half = self.half_width(logit(clipped), 1 / (self.value * (1 - self.value)))
            middle = float(logit(self.value))
            low, high = max(float(expit(middle - half)), low), min(float(expit(middle + half)), high)
            if self.effective * (1 - self.value) < FEW_ERRORS:
                low = widest[0]
            elif self.effective * self.value < FEW_ERRORS:
                high = widest[1]
        return min(low, self.value), max(high, self.value)

    def difference(self, first: float, second: float) -> tuple[float, float]:
        """The CI of a difference; with too few errors it spans all differences of both metrics' widest CIs."""
        half = self.half_width(self.drawn, 1.0)
        low, high = self.value - half, self.value + half
        if half > 0 and self.effective * min(first, 1 - first, second, 1 - second) < FEW_ERRORS_OF_TWO:
            one, other = (_coins(value, self.effective) for value in (first, second))
            low, high = min(low, other[0] - one[1]), max(high, other[1] - one[0])
        return max(-1.0, low), min(1.0, high)


def _estimate(
    name: str,
    tables: Sequence[dict[str, Floats]],
    frames: Sequence[_RankedFrames],
    bounds: Callable[[_Sample, str], tuple[float, float]],
) -> Estimate:
    """A metric, or difference, with the CI that `bounds` makes of its draws, if there can be one."""
    value, drawn, left_out = (table[name] for table in tables)
    number, effective = min(each.support(name) for each in frames)
    sample = _Sample(float(value[0]), drawn[~np.isnan(drawn)], left_out, effective)
    undefined = math.isnan(sample.value) or number < 2 or not sample.drawn.size or np.isnan(left_out).any()
    low, high = (math.nan, math.nan) if undefined else bounds(sample, name)
    return Estimate(_defined(name, sample.value), low, high, frames[0].videos)


def _coins(value: float, number: float) -> tuple[float, float]:
    """Clopper and Pearson's 95% CI of `value` as a share of `number` independent coins, which may be fractional."""
    right, wrong = number * value, number * (1 - value)
    low = float(betaincinv(right, wrong + 1, (1 - LEVEL) / 2)) if right > 0 else 0.0
    high = float(betaincinv(right + 1, wrong, (1 + LEVEL) / 2)) if wrong > 0 else 1.0
    return low, high


def _defined(name: str, value: float) -> float:
    return 0.0 if math.isnan(value) and name not in RANKING else value


def _ratio(above: Floats, below: Floats) -> Floats:
    found: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return found
