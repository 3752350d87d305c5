"""What makes a still a good one, and when two spreads count as the same: plain numbers, for YAML."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from flipdetect.errors import ConfigError
from flipdetect.parameters import PlainParameters, require

Range = tuple[float, float]

RANGES = ("coverage", "exposure", "sharpness", "own_sharpness", "motion", "odds")


@dataclass(frozen=True)
class StillParameters(PlainParameters):
    """Settings of `choose_stills` and `confirm_repeats`.

    Each pair of numbers says where a frame is faultless in this respect, and where it is useless; in between its mark
    falls from 1 to 0 in a straight line. From half way on the still is given the flaw. The marks are multiplied.

    Attributes:
        coverage: share of the pages under hands, 0 to 1.
        exposure: share of the paper neither black nor burnt out, 0 to 1.
        sharpness: as a share of the usual sharpness of the video's spreads.
        own_sharpness: as a share of the best sharpness of the same spread.
        motion: as a multiple of the video's motion at rest, which counts as `least_motion` at least.
        least_motion: mean change of brightness between two frames, 0 to 1, that is none.
        odds: log-odds of a flip above those at which the spread rests, which count as `low_odds` at least.
        low_odds: log-odds of a flip that no model need go below.
        margin_s: seconds before and after a turn in which frames are marked down: hands come and go, paper settles.
        margin_mark: mark of a frame right at a turn, 0 to 1.
        shortest_view_s: seconds that a spread must be in view: turns may have been seen where there were none.
        gap_s: seconds between two frames beyond which one says nothing of motion at the other.
        repeat_likeness: correlation of the print of two spreads from which they are the same, -1 to 1, in a video of
            too few spreads to know what all of them show.
        repeat_excess: in others, by how much it must exceed that of most pairs of spreads, both as Fisher's z;
        repeat_neighbour_excess: and that of either of them with the spread before or after it;
        repeat_own_likeness: what it must be without what the other spreads show on the average, -1 to 1;
        repeat_own_print: and on what share of the pages, 0 to 1, both must have more print than that.
        repeat_frames: frames of a spread whose prints are averaged.
        suspect_likeness: correlation of the print of two stills from which `confirm_repeats` compares the pictures.
        suspects: pictures with which it compares each still at most.
        confirm_agreement: median correlation of printed blocks from which two pictures show the same pages, 0 to 1;
            three quarters of the blocks must reach half of it.

    Raises:
        ConfigError: if a value cannot work.
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
    repeat_likeness: float = 0.985
    repeat_excess: float = 1.1
    repeat_neighbour_excess: float = 0.5
    repeat_own_likeness: float = 0.8
    repeat_own_print: float = 0.05
    repeat_frames: int = 5
    suspect_likeness: float = 0.6
    suspects: int = 3
    confirm_agreement: float = 0.8

    def __post_init__(self) -> None:
        for name in RANGES:
            value = getattr(self, name)
            object.__setattr__(self, name, _pair(name, value))
        for name in ("coverage", "exposure"):
            inside = all(0 <= end <= 1 for end in getattr(self, name))
            _require(inside, name, getattr(self, name), "choose two shares from 0 to 1")
        for name in ("coverage", "motion", "odds"):
            good, useless = getattr(self, name)
            _require(good < useless, name, (good, useless), "give the faultless value first; the useless one is larger")
        for name in ("exposure", "sharpness", "own_sharpness"):
            good, useless = getattr(self, name)
            _require(
                good > useless >= 0, name, (good, useless), "give the faultless value first; the useless one is smaller"
            )
        for name in ("least_motion", "gap_s"):
            _require(0 < getattr(self, name) < math.inf, name, getattr(self, name), "choose a number above 0")
        for name in ("margin_s", "shortest_view_s"):
            _require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "choose 0 or more seconds")
        _require(math.isfinite(self.low_odds), "low_odds", self.low_odds, "choose a finite number")
        _require(0 <= self.margin_mark <= 1, "margin_mark", self.margin_mark, "choose 0 to 1")
        for name in ("repeat_likeness", "repeat_own_likeness", "suspect_likeness"):
            _require(-1 <= getattr(self, name) <= 1, name, getattr(self, name), "choose -1 to 1; 1 finds no repeats")
        for name in ("repeat_excess", "repeat_neighbour_excess"):
            _require(0 < getattr(self, name) < math.inf, name, getattr(self, name), "choose a number above 0")
        _require(0 <= self.repeat_own_print <= 1, "repeat_own_print", self.repeat_own_print, "choose 0 to 1")
        _require(0 < self.confirm_agreement <= 1, "confirm_agreement", self.confirm_agreement, "choose 0 to 1, not 0")
        for name in ("repeat_frames", "suspects"):
            whole = isinstance(getattr(self, name), int) and getattr(self, name) >= 1
            _require(whole, name, getattr(self, name), "choose an integer from 1")


def _pair(name: str, value: Any) -> Range:
    try:
        good, useless = (float(end) for end in value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"stills.{name} is {value!r}; give two numbers, the faultless and the useless one") from error
    _require(math.isfinite(good) and math.isfinite(useless), name, value, "give two finite numbers")
    return good, useless


def _require(valid: bool, name: str, value: object, remedy: str) -> None:
    require(valid, StillParameters.SECTION, name, value, remedy)
