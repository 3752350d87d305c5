"""Assign groups of frames to splits of given shares, so that each split has both classes.

Integers and hashes only: the result is the same on every machine. Groups are assigned greedily in several random
orders, and the best balanced result is kept; the orders depend on the seed and the groups' names alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

# With few groups one order can be badly balanced; with many, any is good. This bounds the work.
_MAX_ORDERS = 32
_MAX_WORK = 100_000


@dataclass(frozen=True, slots=True)
class FrameGroup:
    """Frames that must stay together, by class."""

    name: str
    negatives: int
    positives: int

    @property
    def counts(self) -> tuple[int, int]:
        """(negatives, positives)."""
        return (self.negatives, self.positives)


def can_assign(groups: Sequence[FrameGroup], splits: int) -> bool:
    """Whether each split can have both classes: it needs one group with both, or one group of each."""
    mixed = sum(group.negatives > 0 and group.positives > 0 for group in groups)
    negative = sum(group.positives == 0 for group in groups)
    positive = sum(group.negatives == 0 for group in groups)
    return mixed + min(negative, positive) >= splits


def assign_groups(groups: Sequence[FrameGroup], shares: Sequence[Fraction], seed: int) -> dict[str, int] | None:
    """Index into `shares` for each group's name; None if not every split can have both classes.

    Args:
        groups: with different names.
        shares: of the frames, for each split; they add up to 1.
        seed: determines the result together with the groups.
    """
    if not can_assign(groups, len(shares)):
        return None
    # Shares become whole numbers when multiplied by this, and so does everything that follows.
    unit = math.lcm(*(share.denominator for share in shares))
    totals = (sum(group.negatives for group in groups), sum(group.positives for group in groups))
    wanted = [(int(share * unit) * totals[0], int(share * unit) * totals[1]) for share in shares]
    best: dict[str, int] = {}
    least_error = math.inf
    for order in range(max(1, min(_MAX_ORDERS, _MAX_WORK // len(groups)))):
        # Python's own hash() differs from run to run.
        key = {
            group.name: hashlib.sha256(f"{seed}/{order}/{group.name}".encode("utf-8", "surrogatepass")).digest()
            for group in groups
        }
        ordered = sorted(groups, key=lambda group: (key[group.name], group.name))
        assigned, error = _assign_in_order(ordered, wanted, unit)
        if error < least_error:
            best, least_error = assigned, error
    return best


def _assign_in_order(
    ordered: Sequence[FrameGroup], wanted: Sequence[tuple[int, int]], unit: int
) -> tuple[dict[str, int], int]:
    """The split of each group, and the squared error of frames times `unit`, summed over splits and classes."""
    given = [[0, 0] for _ in wanted]
    assigned: dict[str, int] = {}

    def assign(group: FrameGroup, split: int) -> None:
        assigned[group.name] = split
        given[split][0] += group.negatives * unit
        given[split][1] += group.positives * unit

    # First both classes for each split, the largest split first: by a group with both classes while there are any,
    # because a large split can hold a large group; else by a group of each class.
    mixed = [group for group in ordered if group.negatives and group.positives]
    pairs = zip(
        [group for group in ordered if group.positives == 0],
        [group for group in ordered if group.negatives == 0],
        strict=False,
    )
    for split in sorted(range(len(wanted)), key=lambda index: (-sum(wanted[index]), index)):
        for group in [mixed.pop(0)] if mixed else next(pairs):
            assign(group, split)
    # Then each group to the split whose squared error grows least.
    for group in ordered:
        if group.name not in assigned:
            growths = [
                sum(
                    frames * unit * (frames * unit + 2 * (have - want))
                    for frames, have, want in zip(group.counts, given[split], wanted[split], strict=True)
                )
                for split in range(len(wanted))
            ]
            assign(group, growths.index(min(growths)))
    error = sum(
        (have - want) ** 2
        for split_given, split_wanted in zip(given, wanted, strict=True)
        for have, want in zip(split_given, split_wanted, strict=True)
    )
    return assigned, error
