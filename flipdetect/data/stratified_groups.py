"""Deal groups of frames to sides of given shares, so that each side has both classes.

Pure integers and hashes: the result is the same on every machine. A number of shuffles is dealt greedily and
the best balanced one kept; the shuffles follow from the seed and the groups' ids alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

# With few groups one shuffle can be badly balanced; with many, any is good. This bounds the work.
_MAX_SHUFFLES = 32
_MAX_WORK = 100_000


@dataclass(frozen=True, slots=True)
class Group:
    """Frames that must stay together, by class."""

    name: str
    negatives: int
    positives: int

    @property
    def counts(self) -> tuple[int, int]:
        """(negatives, positives)."""
        return (self.negatives, self.positives)


def deal_groups(groups: Sequence[Group], shares: Sequence[Fraction], seed: int) -> dict[str, int] | None:
    """Index into `shares` for each group's name; None if not every side can have both classes.

    Args:
        groups: with different names.
        shares: of the frames, for each side; they add up to 1.
        seed: another seed, another deal.
    """
    if not can_deal(groups, len(shares)):
        return None
    # Shares become whole numbers when multiplied by this, and so does everything that follows.
    unit = math.lcm(*(share.denominator for share in shares))
    wanted = _wanted(groups, shares, unit)
    shuffles = max(1, min(_MAX_SHUFFLES, _MAX_WORK // len(groups)))
    best: tuple[int, dict[str, int]] | None = None
    for shuffle in range(shuffles):
        ordered = sorted(groups, key=partial(_place, seed, shuffle))
        dealt, error = _deal_once(ordered, wanted, unit)
        if best is None or error < best[0]:
            best = (error, dealt)
    return None if best is None else best[1]


def _place(seed: int, shuffle: int, group: Group) -> tuple[bytes, str]:
    """Where a group stands in a shuffle; Python's own hash() differs from run to run."""
    text = f"{seed}/{shuffle}/{group.name}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).digest(), group.name


def can_deal(groups: Sequence[Group], sides: int) -> bool:
    """Whether each side can have both classes: it needs one group with both, or one group of each."""
    mixed = sum(group.negatives > 0 and group.positives > 0 for group in groups)
    negative = sum(group.positives == 0 for group in groups)
    positive = sum(group.negatives == 0 for group in groups)
    return mixed + min(negative, positive) >= sides


def _wanted(groups: Sequence[Group], shares: Sequence[Fraction], unit: int) -> list[tuple[int, int]]:
    """Frames of each class that each side should get, times `unit`."""
    totals = (sum(group.negatives for group in groups), sum(group.positives for group in groups))
    return [(int(share * unit) * totals[0], int(share * unit) * totals[1]) for share in shares]


def _deal_once(ordered: Sequence[Group], wanted: Sequence[tuple[int, int]], unit: int) -> tuple[dict[str, int], int]:
    """Deal groups in this order; returns each one's side, and the squared error summed over sides and classes."""
    given = [[0, 0] for _ in wanted]
    dealt: dict[str, int] = {}

    def give(group: Group, side: int) -> None:
        dealt[group.name] = side
        given[side][0] += group.negatives * unit
        given[side][1] += group.positives * unit

    for group, side in _reserve(ordered, wanted):
        give(group, side)
    for group in ordered:
        if group.name not in dealt:
            give(group, _neediest(group, unit, given, wanted))
    error = sum(
        (have - want) ** 2
        for side_given, side_wanted in zip(given, wanted, strict=True)
        for have, want in zip(side_given, side_wanted, strict=True)
    )
    return dealt, error


def _reserve(ordered: Sequence[Group], wanted: Sequence[tuple[int, int]]) -> list[tuple[Group, int]]:
    """First give each side both classes, from the front of the shuffle: pairs if they suffice, else mixed groups."""
    pairs = list(
        zip(
            [group for group in ordered if group.positives == 0],
            [group for group in ordered if group.negatives == 0],
            strict=False,
        )
    )
    mixed = [group for group in ordered if group.negatives and group.positives]
    reserved: list[tuple[Group, int]] = []
    # The largest side first takes mixed groups if there are any: it is the one that can bear a large group.
    for side in sorted(range(len(wanted)), key=lambda index: (-sum(wanted[index]), index)):
        if mixed:
            reserved.append((mixed.pop(0), side))
        else:
            negative, positive = pairs.pop(0)
            reserved += [(negative, side), (positive, side)]
    return reserved


def _neediest(group: Group, unit: int, given: list[list[int]], wanted: Sequence[tuple[int, int]]) -> int:
    """The side whose squared error grows least (or falls most) by taking the group."""

    def growth(side: int) -> int:
        return sum(
            frames * unit * (frames * unit + 2 * (have - want))
            for frames, have, want in zip(group.counts, given[side], wanted[side], strict=True)
        )

    return min(range(len(wanted)), key=lambda side: (growth(side), side))
