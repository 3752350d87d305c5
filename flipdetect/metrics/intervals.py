"""How far figures would move with other videos: 95% intervals from a bootstrap over videos, for one model or two.

Frames of a video are near-duplicates, so videos are drawn with replacement, and all frames of a video with it (the
cluster bootstrap; Field and Welsh, 2007, "Bootstrapping clustered data"). What the draws are made into:

- Percentiles of them are too narrow and lie too high for figures near 1 with some tens of videos; BCa helps little. So
  the interval is symmetric on the logit scale, and its half width is t standard errors. The standard error's square is
  the mean of two: the variance of the drawn logits, and the jackknife's over videos (the first is too large when draws
  reach 1, the second too small).
- Student's t has as many degrees of freedom as the variance is worth: 2 n / (kurtosis - 1) of the jackknife's pulls (as
  Satterthwaite, 1946, would have it: a few videos that carry all mistakes count as few), at most the effective number
  of videos less one.
- The interval is no wider than that of as many coins as there are videos (Clopper and Pearson, 1934): frames of a video
  cannot agree more than fully. The variance of AUROC has the same bound with the videos of the rarer class (Birnbaum
  and Klose, 1957). Where mistakes amount to less than a twentieth of a video, and for a figure of exactly 0 or 1, the
  data cannot tell their variance, and that bound itself is the interval: it is then too wide rather than too narrow.

docs/research/evaluation.md has measurements of their coverage. NumPy
and scipy.special alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, expit, stdtrit

from flipdetect.metrics.resampling import AT_HALF, METRICS, Floats, Frames, draws, figures_of, jackknife, support

LEVEL = 0.95
RESAMPLES = 2000
HARDLY_A_MISTAKE = 0.05
"""Videos: with mistakes of less than this, their variance cannot be told."""
HARDLY_TWO_MISTAKES = 0.2
"""The same for the difference of two figures, which rests on still fewer videos."""

__all__ = ["AT_HALF", "LEVEL", "METRICS", "RESAMPLES", "Interval", "bootstrap_difference", "bootstrap_intervals"]


@dataclass(frozen=True)
class Interval:
    """A figure, and between which values it would lie with other videos of the same kind.

    Attributes:
        value: of the data at hand; NaN if undefined there (AUROC of one class).
        low, high: bounds; NaN if fewer than two videos bear on the figure.
        videos: how many there are: the number of independent things that the figures rest on.
        level: nominal coverage, 0 to 1.
        note: what a reader should know about the bounds; empty if nothing.
    """

    value: float
    low: float
    high: float
    videos: int
    level: float = LEVEL
    note: str = ""

    @property
    def is_bounded(self) -> bool:
        """Whether there are bounds."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    def text(self, digits: int = 3, *, signed: bool = False) -> str:
        """As in a table: `0.913 [0.894, 0.930]`, without bounds `0.913 [-]`, undefined `-`.

        Args:
            digits: behind the point.
            signed: with a plus before positive numbers, as for differences.
        """
        if math.isnan(self.value):
            return "-"
        form = f"{'+' if signed else ''}.{digits}f"
        bounds = f"{self.low:{form}}, {self.high:{form}}" if self.is_bounded else "-"
        return f"{self.value:{form}} [{bounds}]"

    def __str__(self) -> str:
        return self.text()


def bootstrap_intervals(
    probabilities: ArrayLike,
    targets: ArrayLike,
    videos: Sequence[str] | Sequence[int] | NDArray[np.generic],
    threshold: float,
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """Intervals of the frame figures of one model.

    Args:
        probabilities: (N,) of the positive class, 0 to 1; N at least 1.
        targets: (N,) bool, or 0 and 1.
        videos: (N,) names or numbers: the video of each frame. Several sets that share names need names of their own.
        threshold: a frame is called positive if its probability is at least this; `f1_at_0.5` has its own.
        metrics: names among `METRICS`; they mean what `FrameMetrics` computes, 0/0 counting as 0.
        resamples: draws of as many videos as there are.
        seed: of the draws.
        level: nominal coverage, between 0 and 1.

    Returns:
        By name, in the order of `metrics`.

    Raises:
        ValueError: if the three differ in length or are empty, a target is not 0 or 1, a probability is NaN or outside
            [0, 1], or a name or number is impossible.
    """
    frames = Frames.make(probabilities, targets, videos, threshold)
    _check(metrics, resamples, level)
    point, drawn, left_out = (
        figures_of(frames, weights, metrics)
        for weights in (np.ones((1, frames.videos)), draws(frames.videos, resamples, seed), jackknife(frames.videos))
    )
    found = {}
    for name in metrics:
        number, effective = support(frames, name)
        sample = _Sample(float(point[name][0]), drawn[name], left_out[name], number, effective, frames.videos, level)
        found[name] = _share_interval(sample, name, 0.25 / len(frames.targets))
    return found


def bootstrap_difference(
    first: ArrayLike,
    second: ArrayLike,
    targets: ArrayLike,
    videos: Sequence[str] | Sequence[int] | NDArray[np.generic],
    thresholds: tuple[float, float],
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """Intervals of the difference of two models on the same frames: the second one's figure less the first one's.

    Both are judged on the same drawn videos, so that what is hard about a video for both cancels out. Two models that
    no video tells apart have the interval [0, 0].

    Args:
        first, second: (N,) probabilities of the two models, 0 to 1.
        targets: (N,) bool, or 0 and 1.
        videos: (N,) names or numbers: the video of each frame.
        thresholds: of the first and of the second model.
        metrics, resamples, seed, level: as in `bootstrap_intervals`.

    Returns:
        By name, in the order of `metrics`; -1 to 1.

    Raises:
        ValueError: as `bootstrap_intervals`.
    """
    pair = [Frames.make(each, targets, videos, at) for each, at in zip((first, second), thresholds, strict=True)]
    _check(metrics, resamples, level)
    count = pair[0].videos
    tables = []
    for weights in (np.ones((1, count)), draws(count, resamples, seed), jackknife(count)):
        one, other = (figures_of(frames, weights, metrics) for frames in pair)
        tables.append({name: other[name] - one[name] for name in metrics})
    point, drawn, left_out = tables
    found = {}
    for name in metrics:
        number, effective = min(support(frames, name) for frames in pair)
        sample = _Sample(float(point[name][0]), drawn[name], left_out[name], number, effective, count, level)
        own = [float(figures_of(frames, np.ones((1, count)), [name])[name][0]) for frames in pair]
        found[name] = _difference_interval(sample, name, own[0], own[1])
    return found


@dataclass(frozen=True)
class _Sample:
    """A figure with what is known of its variation.

    Attributes:
        value: of the data at hand.
        drawn: (resamples,) of drawn videos, NaN where undefined.
        left_out: (G,) without one video, or one group of them, each.
        number: videos that bear on the figure.
        effective: as how many equally long ones they count.
        videos: in all.
        level: nominal coverage.
    """

    value: float
    drawn: Floats
    left_out: Floats
    number: int
    effective: float
    videos: int
    level: float

    def interval(self, low: float, high: float, note: str = "") -> Interval:
        return Interval(0.0 if math.isnan(self.value) else self.value, low, high, self.videos, self.level, note)

    def unbounded(self, name: str) -> Interval:
        """Without bounds; AUROC and average precision are NaN where they are undefined, the others 0."""
        value = self.value if not math.isnan(self.value) or name in ("auroc", "average_precision") else 0.0
        few = f"{self.number or 'no'} video{'' if self.number == 1 else 's'}"
        return Interval(value, math.nan, math.nan, self.videos, self.level, f"no bounds: it rests on {few}")

    def t(self) -> float:
        """Standard errors from the middle to the ends."""
        pulls = self.left_out - self.left_out.mean()
        squares = float((pulls**2).sum())
        kurtosis = len(pulls) * float((pulls**4).sum()) / squares**2 if squares > 0 else 3.0
        worth = 2 * len(pulls) / max(kurtosis - 1, 1e-9)
        return float(stdtrit(max(1.0, min(worth, self.effective - 1)), (1 + self.level) / 2))

    def jackknife_variance(self) -> float:
        groups = len(self.left_out)
        return float(((self.left_out - self.left_out.mean()) ** 2).sum()) * (groups - 1) / groups


def _share_interval(sample: _Sample, name: str, edge: float) -> Interval:
    """Of a figure from 0 to 1; logits are taken of values at least `edge` from the ends."""
    value = sample.value
    drawn = sample.drawn[~np.isnan(sample.drawn)]
    if math.isnan(value) or sample.number < 2 or not drawn.size or np.isnan(sample.left_out).any():
        return sample.unbounded(name)
    widest = _coins(value, sample.effective, sample.level)
    if value in (0.0, 1.0):
        return sample.interval(*widest, note=f"{value:g} in each video: bounds of as many coins")
    middle = math.log(value) - math.log1p(-value)
    clipped = np.clip(drawn, edge, 1 - edge)
    of_draws = float(np.var(np.log(clipped) - np.log1p(-clipped)))
    of_jackknife = sample.jackknife_variance() / (value * (1 - value)) ** 2
    half = sample.t() * math.sqrt((of_draws + of_jackknife) / 2)
    low, high = max(float(expit(middle - half)), widest[0]), min(float(expit(middle + half)), widest[1])
    note = ""
    if sample.effective * (1 - value) < HARDLY_A_MISTAKE:
        low, note = widest[0], "hardly a mistake: lower bound of as many coins"
    elif sample.effective * value < HARDLY_A_MISTAKE:
        high, note = widest[1], "hardly one right: upper bound of as many coins"
    # Coins know nothing of a figure between two of their counts.
    return sample.interval(min(low, value), max(high, value), note)


def _difference_interval(sample: _Sample, name: str, first: float, second: float) -> Interval:
    """Of a difference, -1 to 1, symmetric about it.

    Where one of the two figures rests on too few mistakes (or, near 0, too few hits) for their variance to be told, and
    the two differ, it spans all differences of values within both figures' widest intervals.
    """
    drawn = sample.drawn[~np.isnan(sample.drawn)]
    if math.isnan(sample.value) or sample.number < 2 or not drawn.size or np.isnan(sample.left_out).any():
        return sample.unbounded(name)
    half = sample.t() * math.sqrt((float(np.var(drawn)) + sample.jackknife_variance()) / 2)
    low, high, note = sample.value - half, sample.value + half, ""
    rare = sample.effective * min(first, 1 - first, second, 1 - second)
    if half > 0 and rare < HARDLY_TWO_MISTAKES:
        one, other = (_coins(value, sample.effective, sample.level) for value in (first, second))
        low, high = min(low, other[0] - one[1]), max(high, other[1] - one[0])
        note = "hardly a mistake: bounds of as many coins"
    return sample.interval(max(-1.0, low), min(1.0, high), note)


def _coins(value: float, number: float, level: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of `value` as a share of `number` independent coins, which may be fractions."""
    right, wrong = number * value, number * (1 - value)
    low = float(betaincinv(right, wrong + 1, (1 - level) / 2)) if right > 0 else 0.0
    high = float(betaincinv(right + 1, wrong, (1 + level) / 2)) if wrong > 0 else 1.0
    return low, high


def _check(metrics: Sequence[str], resamples: int, level: float) -> None:
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise ValueError(f"metrics must be among {', '.join(METRICS)}, got {unknown[0]!r}")
    if resamples < 2:
        raise ValueError(f"resamples must be 2 or more, got {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"the level must lie between 0 and 1, got {level}")
