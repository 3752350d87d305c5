"""Settings of the event detector, as they stand in YAML under `hmm`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from flipdetect.parameters import PlainParameters


@dataclass(frozen=True)
class EventParameters(PlainParameters):
    """What the hidden Markov model knows of turns and scores; scripts/research/fit_events.py learns it.

    A score enters as its log-odds, less what the recording's resting level is above the usual one. The defaults are
    rough; they fit a well-trained classifier, whose resting log-odds are low.

    Attributes:
        duration_median_s: median duration of a turn in seconds.
        duration_spread: standard deviation of the logarithm of the duration.
        duration_outliers: share of turns of any other duration up to `longest_s`: a page held in the air.
        longest_s: seconds after which a turn is taken to have ended in any case; bounds the memory.
        turns_per_second: rate at which turns begin.
        shortest_rest_s: seconds that the book rests between two turns at least.
        onset_bias: nats added for each turn: with more, more turns are found, and more that are none. Above 0, as the
            most likely division stands for many that differ by a frame.
        correlation_s: seconds in which frames say as much as one independent frame.
        level: log-odds of a frame outside turns in a typical recording.
        level_share: how far scores of turns move with a recording's resting level: 0 not at all, 1 as much.
        level_window_s: seconds of the past that a resting level is estimated from.
        level_quantile: quantile of all scores that follows the resting level, low enough to lie outside turns.
        level_offset: from that quantile to the median of the frames outside turns, in log-odds.
        level_prior_s: seconds of frames that the typical level weighs as much as.
        odds: log-odds, ascending, at which `evidence` is given; between them it is interpolated.
        evidence: log-likelihood ratio of turning to resting of one independent frame, in nats, ascending.
        lag_s: seconds that a turn must have been over before it is reported live.
        gap_s: no turn spans a longer time without a scored frame, in seconds.

    Raises:
        ConfigError: if a value cannot work.
    """

    SECTION: ClassVar[str] = "events"

    duration_median_s: float = 0.9
    duration_spread: float = 0.5
    duration_outliers: float = 0.02
    longest_s: float = 20.0
    turns_per_second: float = 0.2
    shortest_rest_s: float = 0.15
    onset_bias: float = 1.5
    correlation_s: float = 0.15
    level: float = -4.0
    level_share: float = 0.75
    level_window_s: float = 60.0
    level_quantile: float = 0.25
    level_offset: float = 0.5
    level_prior_s: float = 3.0
    odds: tuple[float, ...] = (-4.0, -2.5, -1.0, 1.0, 2.5)
    evidence: tuple[float, ...] = (-4.0, -2.5, 0.0, 2.5, 4.0)
    lag_s: float = 0.15
    gap_s: float = 2.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "odds", tuple(float(value) for value in self.odds))
        object.__setattr__(self, "evidence", tuple(float(value) for value in self.evidence))
        positive = "duration_median_s duration_spread longest_s turns_per_second correlation_s level_window_s gap_s"
        self.check(positive, _positive, "choose a number above 0")
        self.check("shortest_rest_s level_prior_s lag_s", _not_negative, "choose 0 or more seconds")
        shares = "duration_outliers level_share level_quantile"
        self.check(shares, lambda value: 0 <= value <= 1, "choose 0 to 1")
        self.check("level level_offset onset_bias", math.isfinite, "choose a finite number")
        self.check(
            "longest_s", lambda value: value >= self.duration_median_s, "choose at least events.duration_median_s"
        )
        self.check(
            "turns_per_second", lambda value: value * self.correlation_s < 1, "choose less than 1 / correlation_s"
        )
        self.check(
            "evidence", lambda value: len(value) == len(self.odds) >= 2, "give as many values as odds, 2 or more"
        )
        self.check("odds evidence", lambda values: all(map(math.isfinite, values)), "give finite numbers")
        self.check("odds", lambda values: all(low < high for low, high in pairwise(values)), "give ascending values")
        self.check("evidence", lambda values: list(values) == sorted(values), "give ascending values")


def _positive(value: float) -> bool:
    return 0 < value < math.inf


def _not_negative(value: float) -> bool:
    return 0 <= value < math.inf
