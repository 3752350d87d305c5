"""Settings of the choice of stills, as they stand in YAML under `stills`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from flipdetect.errors import ConfigError
from flipdetect.parameters import PlainParameters

Range = tuple[float, float]
"""The value at which a frame is faultless, and the value at which it is useless."""

RANGES = ("coverage", "exposure", "sharpness", "own_sharpness", "motion", "odds")


@dataclass(frozen=True)
class StillParameters(PlainParameters):
    """Settings of `choose_stills` and `find_repeats`.

    Each pair of numbers says where a frame is faultless in this respect, and where it is useless; in between its score
    falls from 1 to 0 in a straight line. Below 0.5 the still gets the flaw. The scores are multiplied.

    Attributes:
        coverage: share of the pages under hands, 0 to 1.
        exposure: share of the paper neither black nor overexposed, 0 to 1.
        sharpness: relative to the median of the video's spreads.
        own_sharpness: relative to the best sharpness of the same spread.
        motion: relative to the video's motion between turns, which counts as `least_motion` at least.
        least_motion: mean change of brightness between two frames, 0 to 1, below which nothing moves.
        odds: log-odds of a flip above the spread's low quantile, which counts as `low_odds` at least.
        low_odds: log-odds of a flip that no model need go below.
        margin_s: seconds before and after a turn in which scores are lower: hands come and go, paper settles.
        margin_mark: score of a frame right at a turn, 0 to 1.
        shortest_view_s: seconds that a spread must be in view; shorter ones may come from false turns.
        gap_s: seconds between two frames beyond which one says nothing about motion at the other.
        shortest_rest_s: seconds that pages must lie still for their content to be compared with what lay there before.
        same_likeness: correlation of two fingerprints, -1 to 1, below which other pages lie there.
        suspect_likeness: correlation of two fingerprints, -1 to 1, from which `find_repeats` compares the pictures.
        suspects: number of earlier pictures with which it compares each still at most.
        confirm_agreement: median correlation of printed blocks from which two pictures show the same pages, 0 to 1;
            three quarters of the blocks must reach half of it.

    Raises:
        ConfigError: if a value is invalid.
    """

    SECTION: ClassVar[str] = "stills"

    coverage: Range = (0.02, 0.3)
    exposure: Range = (0.85, 0.3)
    sharpness: Range = (0.75, 0.25)
    own_sharpness: Range = (0.95, 0.45)
    motion: Range = (1.5, 6.0)
    least_motion: float = 0.0015
    odds: Range = (1.0, 5.0)
    low_odds: float = -3.0
    margin_s: float = 0.4
    margin_mark: float = 0.4
    shortest_view_s: float = 0.3
    gap_s: float = 1.0
    shortest_rest_s: float = 0.4
    same_likeness: float = 0.8
    suspect_likeness: float = 0.6
    suspects: int = 3
    confirm_agreement: float = 0.8

    def __post_init__(self) -> None:
        for name in RANGES:
            value = getattr(self, name)
            try:
                good, useless = (float(end) for end in value)
            except (TypeError, ValueError) as error:
                raise ConfigError(
                    f"stills.{name} is {value!r}; give two numbers, the faultless and the useless one"
                ) from error
            object.__setattr__(self, name, (good, useless))
        self.check(" ".join(RANGES), lambda pair: all(map(math.isfinite, pair)), "give two finite numbers")
        self.check("coverage exposure", lambda pair: min(pair) >= 0 and max(pair) <= 1, "give two shares from 0 to 1")
        order = "give the faultless value first; the useless one is"
        self.check("coverage motion odds", lambda pair: pair[0] < pair[1], f"{order} larger")
        self.check("exposure sharpness own_sharpness", lambda pair: pair[0] > pair[1] >= 0, f"{order} smaller")
        self.check("least_motion gap_s", lambda value: 0 < value < math.inf, "choose a number above 0")
        self.check(
            "margin_s shortest_view_s shortest_rest_s", lambda value: 0 <= value < math.inf, "choose 0 or more seconds"
        )
        self.check("low_odds", math.isfinite, "choose a finite number")
        self.check("margin_mark", lambda value: 0 <= value <= 1, "choose 0 to 1")
        self.check("same_likeness suspect_likeness", lambda value: -1 <= value <= 1, "choose -1 to 1")
        self.check("confirm_agreement", lambda value: 0 < value <= 1, "choose more than 0 and at most 1")
        self.check("suspects", lambda value: isinstance(value, int) and value >= 1, "choose an integer from 1")
