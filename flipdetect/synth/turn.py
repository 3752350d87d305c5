"""How a page is turned over time: at once, with a halt, back again, several sheets together, fast or slow.

The same draws serve turns that happen and turns that hands merely imitate, so hands do not reveal the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

BEHAVIOURS = ("simple", "hesitation", "fall_back", "several", "flick", "slow")
BEHAVIOUR_CHANCES = (0.75, 0.05, 0.05, 0.06, 0.05, 0.04)
"""Of a short clip; one in four is not a simple turn of one sheet."""

HALTING = 0.85
"""Pace of a movement that comes to a standstill on its way."""

MOST_SHEETS = 5


@dataclass(frozen=True)
class Turn:
    """One turn, real or imagined.

    Attributes:
        knots: (seconds, share of the turn done) in order of time, from rest to rest.
        pace: how evenly it runs from knot to knot: 0 even, 1 slow at both ends.
        spread: share of the turn by which each of them is behind the one before it, at most.
        slips: whether the hand loses the sheet before its last movement.
    """

    behaviour: str
    knots: tuple[tuple[float, float], ...]
    pace: float
    sheets: int = 1
    spread: float = 0.0
    slips: bool = False

    @property
    def start(self) -> float:
        """Second at which the sheet starts to move."""
        return self.knots[0][0]

    @property
    def end(self) -> float:
        """Second at which it lies again."""
        return self.knots[-1][0]

    @property
    def completed(self) -> bool:
        """Whether the sheet comes to lie on the other side."""
        return self.knots[-1][1] == 1.0

    def phase(self, time: float) -> float:
        """Share of the turn done at `time` seconds, 0 before it; after it 1, or 0 if the sheet fell back."""
        if time <= self.start:
            return self.knots[0][1]
        for (before, low), (after, high) in pairwise(self.knots):
            if time < after:
                share = (time - before) / (after - before)
                return low + (high - low) * ((1 - self.pace) * share + self.pace * share * share * (3 - 2 * share))
        return self.knots[-1][1]

    def phases(self, time: float) -> tuple[float, ...]:
        """The same of each sheet, the leading one first."""
        lead = self.phase(time)
        return tuple(lead - self.spread * place * 4 * lead * (1 - lead) for place in range(self.sheets))

    def letting_go(self, release: float) -> float:
        """Second at which a hand lets go that holds on for a share `release` of the last movement."""
        last = self.knots[-2][0]
        return last if self.slips else last + release * (self.end - last)


def shape_turn(rng: np.random.Generator, behaviour: str, start: float, quickness: float = 1.0) -> Turn:
    """A turn of a given behaviour.

    Args:
        quickness: factor on the speed of a turn that is neither fast nor slow by its behaviour.
    """
    pace, length = rng.uniform(0.0, 0.7), rng.uniform(0.65, 1.3) / quickness
    if behaviour == "hesitation":
        halt, drift = rng.uniform(0.25, 0.7), rng.uniform(-0.03, 0.05)
        halted = start + halt * length + 0.1
        goes_on = halted + rng.uniform(0.4, 1.4)
        end = goes_on + (1 - halt) * length + 0.1
        return Turn(behaviour, ((start, 0.0), (halted, halt), (goes_on, halt + drift), (end, 1.0)), HALTING)
    if behaviour == "fall_back":
        top = rng.uniform(0.3, 0.7)
        peak = start + top * length + 0.1
        stay = peak + rng.uniform(0.05, 0.4)
        falling = ((start, 0.0), (peak, top), (stay, top - 0.01), (stay + rng.uniform(0.3, 0.8), 0.0))
        return Turn(behaviour, falling, HALTING, slips=bool(rng.random() < 0.5))
    if behaviour == "flick":
        length = rng.uniform(0.25, 0.4)
    elif behaviour == "slow":
        length = rng.uniform(2.0, 3.0)
    knots = ((start, 0.0), (start + length, 1.0))
    if behaviour == "several":
        sheets = int(rng.integers(2, MOST_SHEETS + 1))
        return Turn(behaviour, knots, pace, sheets, spread=rng.uniform(0.012, 0.05))
    return Turn(behaviour, knots, pace)
