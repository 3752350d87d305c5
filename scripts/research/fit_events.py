"""Learning the event model's parameters from scored recordings whose turns are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from flipdetect.errors import DataError
from flipdetect.events.baseline import file_levels
from flipdetect.events.parameters import EventParameters
from flipdetect.events.score_history import log_odds
from flipdetect.records import TimedEvent

KNOTS = 16
"""Log-odds at which the evidence is learnt."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the resting level's movement that are tried for the scores of turns."""

MOST_EVIDENCE = 4.0
"""Nats that one independent frame may say at most: a model is never surer than its training recordings are many."""

LAG_S = 0.1
"""Distance at which the correlation of neighbouring frames is measured, and the bounds of the time found from it."""
SHORTEST_CORRELATION_S, LONGEST_CORRELATION_S = 0.03, 0.6

NARROWEST = 0.3
"""Least spread of durations: readers differ more than a few recordings show."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoredRecording:
    """The scores of a recording, and its true turns.

    Attributes:
        times: (N,) float64 seconds, ascending.
        probabilities: (N,) float64, 0 to 1; NaN for frames that could not be scored.
        turns: in order, not overlapping.
    """

    times: Array
    probabilities: Array
    turns: Sequence[TimedEvent]

    @property
    def turning(self) -> NDArray[np.bool_]:
        """(N,) which frames lie in a turn."""
        inside = np.zeros(len(self.times), dtype=np.bool_)
        for turn in self.turns:
            inside |= (self.times >= turn.start_s) & (self.times <= turn.end_s)
        return inside


@dataclass(frozen=True, eq=False)
class _Frames:
    """The scored frames of a recording: seconds, log-odds, whether in a turn, resting level."""

    times: Array
    odds: Array
    turning: NDArray[np.bool_]
    levels: Array

    @classmethod
    def of(cls, recording: ScoredRecording, parameters: EventParameters) -> _Frames:
        scored = ~np.isnan(recording.probabilities)
        times, odds = recording.times[scored], log_odds(recording.probabilities[scored])
        if (np.diff(times) < 0).any():
            raise DataError("the frames of a recording to learn from are not in order of time; sort them")
        turning = recording.turning[scored]
        return cls(times, odds, turning, file_levels(times, odds, parameters, turning))

    def weights(self, correlation_s: float) -> Array:
        """How many independent frames each counts for."""
        return np.minimum(1.0, np.diff(self.times, prepend=self.times[0] - correlation_s) / correlation_s)


def fit_event_parameters(
    recordings: Sequence[ScoredRecording], start: EventParameters | None = None
) -> EventParameters:
    """Parameters of the hidden Markov model by maximum likelihood from labelled recordings.

    Durations and rates come from the true turns; the typical level from frames outside turns; the evidence from
    histograms of the log-odds of both states, made monotone (isotonic regression); how far turns move with the
    level, from which movement makes the scores say most; and the correlation time from scores outside turns.

    Args:
        start: where those values come from that are not learnt: delay, window, longest duration.

    Raises:
        DataError: if there are too few turns or frames to learn from.
    """
    start = start or EventParameters()
    turns = [turn for recording in recordings for turn in recording.turns]
    if len(turns) < 2:
        raise DataError(f"{len(turns)} turns are too few to learn from; give recordings with 2 turns at least")
    frames = [_Frames.of(recording, start) for recording in recordings]
    rest = np.concatenate([each.odds[~each.turning] for each in frames])
    turning = np.concatenate([each.odds[each.turning] for each in frames])
    if len(rest) < KNOTS or len(turning) < KNOTS:
        raise DataError(
            f"{len(turning)} scored frames in turns and {len(rest)} outside are too few to learn from; "
            f"{KNOTS} of each are needed"
        )
    resting = [each for each in frames if not each.turning.all()]
    levels = [float(np.median(each.odds[~each.turning])) for each in resting]
    low = [float(np.quantile(each.odds, start.level_quantile)) for each in resting]
    known = replace(
        _with_durations(recordings, start),
        level=float(np.median(levels)),
        level_offset=float(np.median(np.subtract(levels, low))),
        correlation_s=_correlation_time(frames),
    )
    # Levels are drawn to the typical one where little is known, so they are found once more.
    frames = [replace(each, levels=file_levels(each.times, each.odds, known, each.turning)) for each in frames]
    candidates = [_with_evidence(frames, replace(known, level_share=share)) for share in SHARES]
    return max(candidates, key=lambda each: each[1])[0]


def _with_durations(recordings: Sequence[ScoredRecording], start: EventParameters) -> EventParameters:
    turns = [turn for recording in recordings for turn in recording.turns]
    logs = np.log(np.maximum([turn.end_s - turn.start_s for turn in turns], 0.05))
    gaps = [
        after.start_s - before.end_s
        for recording in recordings
        for before, after in zip(recording.turns[:-1], recording.turns[1:], strict=True)
    ]
    shortest = float(np.clip(0.5 * min(gaps, default=start.shortest_rest_s), 0.05, 0.5))
    total = sum(float(each.times[-1] - each.times[0]) for each in recordings if len(each.times))
    resting = total - float(np.exp(logs).sum()) - shortest * len(turns)
    return replace(
        start,
        duration_median_s=float(np.exp(np.median(logs))),
        duration_spread=max(NARROWEST, float(logs.std())),
        longest_s=max(start.longest_s, 2 * float(np.exp(logs.max()))),
        turns_per_second=len(turns) / max(resting, float(len(turns))),
        shortest_rest_s=shortest,
    )


def _correlation_time(frames: Sequence[_Frames]) -> float:
    """Seconds of frames that say as much as one: twice the decay time of an autoregressive process (AR(1))."""
    products = variances = apart = 0.0
    for each in frames:
        times, values = each.times[~each.turning], (each.odds - each.levels)[~each.turning]
        if len(times) < 2:
            continue
        partner = np.clip(np.searchsorted(times, times + LAG_S), 1, len(times) - 1)
        lags = times[partner] - times
        near = (lags > 0) & (lags < 3 * LAG_S)
        values = np.clip(values - np.median(values), *np.quantile(values - np.median(values), [0.02, 0.98]))
        products += float((values[partner] * values)[near].sum())
        variances += float((values[near] ** 2).sum())
        apart += float((lags[near] * values[near] ** 2).sum())
    if variances <= 0 or products <= 0:
        return SHORTEST_CORRELATION_S
    correlation = min(products / variances, 0.99)
    found = 2 * (apart / variances) / -math.log(correlation)
    return float(np.clip(found, SHORTEST_CORRELATION_S, LONGEST_CORRELATION_S))


def _with_evidence(frames: Sequence[_Frames], parameters: EventParameters) -> tuple[EventParameters, float]:
    """Parameters with the evidence learnt for their level share, and what a frame of either state says with it."""
    moved = np.concatenate([each.odds - parameters.level_share * (each.levels - parameters.level) for each in frames])
    turning = np.concatenate([each.turning for each in frames])
    weights = np.concatenate([each.weights(parameters.correlation_s) for each in frames])
    # Half of the knots where rests are, half where turns are.
    shares = np.linspace(0.02, 0.98, KNOTS // 2)
    knots = np.unique(np.concatenate([np.quantile(moved[turning], shares), np.quantile(moved[~turning], shares)]))
    if len(knots) < 2:
        raise DataError("all frames have one score; there is nothing to learn from them")
    nearest = np.searchsorted((knots[1:] + knots[:-1]) / 2, moved)
    counts = [np.asarray(np.bincount(nearest, weights * state, len(knots)), float) for state in (turning, ~turning)]
    smooth = [(count + 0.5) / (count.sum() + 0.5 * len(knots)) for count in counts]
    ratio = isotonic_regression(np.log(smooth[0] / smooth[1]), weights=counts[0] + counts[1] + 1e-9).x
    ratio = np.clip(ratio, -MOST_EVIDENCE, MOST_EVIDENCE)
    learnt = replace(parameters, odds=tuple(knots.tolist()), evidence=tuple(ratio.tolist()))
    said = -np.logaddexp(0.0, np.where(turning, -1.0, 1.0) * np.interp(moved, knots, ratio))
    gain = float(np.average(said[turning], weights=weights[turning]))
    return learnt, gain + float(np.average(said[~turning], weights=weights[~turning]))
