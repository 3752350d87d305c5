"""Splits that share no video (or, one level up, no source) between training, validation and test.

Frames of one video are near-duplicates: divided at random, they would be in training and in test, and the test would
measure memory. So whole groups are assigned to a split, such that each split has both classes and about its share of
each. The assignment depends on the seed and the groups' names alone, not on file order, folder or machine: integers and
hashes only, greedily in several random orders, of which the best balanced one is kept.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Literal

from natsort import natsorted

from flipdetect.data.splits import SPLITS, GroupBy, Split, check_classes
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import ClassNames, FrameRecord

logger = logging.getLogger(__name__)

GroupChoice = Literal["auto", "video", "source"]
Groups = dict[str, tuple[int, int]]
"""Frames that must stay together: how many are negative and positive, by the name of the group."""
# With few groups one order can be badly balanced; with many, any is good. This bounds the work.
_MAX_ORDERS = 32
_MAX_WORK = 100_000


def split_records(
    records: Sequence[FrameRecord],
    *,
    classes: ClassNames,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
    group_by: GroupChoice = "video",
    seed: int = 0,
    use_supplied_test: bool = False,
) -> Split:
    """Divide records into train, val and test, whole groups at a time.

    Args:
        val_fraction: share of the frames for validation, above 0.
        test_fraction: share of the frames for the test; 0 for no test split.
        group_by: the unit that stays together; "auto": the source if every frame has one and there are enough of them
            to give each split both classes, else the video.
        use_supplied_test: the data set's own test folder is the test split, whether or not it shares videos with the
            rest; `test_fraction` has no effect then.

    Raises:
        ConfigError: if the fractions leave nothing for a split.
        DataError: if there are too few groups, a class is absent, or a source is unknown with `group_by="source"`.
    """
    check_fractions(val_fraction, 0.0 if use_supplied_test else test_fraction)
    shares = {"val": Fraction(str(val_fraction))}
    rest = list(records)
    if use_supplied_test:
        rest = [record for record in records if record.supplied_split != "test"]
        if len(rest) == len(records):
            raise DataError(
                "the supplied test set was asked for, but no frame is in a testing/ or test/ folder; "
                "set data.use_supplied_test to false"
            )
    elif test_fraction > 0:
        shares["test"] = Fraction(str(test_fraction))
    shares = {"train": 1 - sum(shares.values(), Fraction(0)), **shares}
    unit: GroupBy = "video" if group_by == "auto" else group_by
    if group_by == "auto":
        sources = _groups(rest, classes, "source") if all(record.source for record in rest) else {}
        too_few = ""  # a set of one or two books is split by video, because by book it could not be
        if can_assign(sources, len(shares)):
            unit = "source"
        elif sources:
            too_few = f": {len(sources)} source{'s' * (len(sources) > 1)} cannot give each of the {len(shares)} splits "
            too_few += "both classes. The metrics are for new clips of known sources"
        logger.info("Splitting by %s (data.group_by: auto)%s.", unit, too_few)
    split_of = _assign(rest, shares, classes, unit, seed)
    assigned = tuple(
        "test" if use_supplied_test and record.supplied_split == "test" else split_of[group_of(record, unit)]
        for record in records
    )
    split = Split(tuple(records), assigned, classes, unit)
    check_classes(split, SPLITS if use_supplied_test or test_fraction > 0 else ("train", "val"))
    return split


def kfold_records(
    records: Sequence[FrameRecord],
    folds: int,
    *,
    classes: ClassNames,
    val_fraction: float = 0.15,
    group_by: GroupBy = "video",
    seed: int = 0,
) -> list[Split]:
    """Splits for cross-validation: each record is a test record of exactly one of them; errors as of `split_records`.

    `val_fraction` is the share of a split's remaining frames for validation.
    """
    if folds < 2:
        raise ConfigError(f"cross-validation needs at least 2 folds, got {folds}")
    check_fractions(val_fraction, 0.0)
    # The frames outside of a fold must give train and val: other folds do, but of two there is only one other.
    parts = 4 if folds == 2 else folds
    part_of = _assign(records, {str(part): Fraction(1, parts) for part in range(parts)}, classes, group_by, seed)
    splits = []
    for fold in range(folds):
        tested = {group for group, part in part_of.items() if int(part) % folds == fold}
        splits.append(_held_out(records, tested, classes, val_fraction, group_by, seed))
        check_classes(splits[-1])
    return splits


def leave_one_out_records(
    records: Sequence[FrameRecord], *, classes: ClassNames, val_fraction: float = 0.15, seed: int = 0
) -> dict[str, Split]:
    """Splits that leave out one source each, by its name, in natural order; `val_fraction` of the others validates.

    Raises:
        DataError: as `split_records`, or if a source lacks a class.
    """
    check_fractions(val_fraction, 0.0)
    need_sources(records)
    splits = {}
    for source in natsorted({record.source or "" for record in records}):
        splits[source] = _held_out(records, {source}, classes, val_fraction, "source", seed)
        try:
            check_classes(splits[source])
        except DataError as error:
            raise DataError(f"source {source} cannot be left out by itself: {error}") from None
    return splits


def _held_out(
    records: Sequence[FrameRecord],
    tested: set[str],
    classes: ClassNames,
    val_fraction: float,
    group_by: GroupBy,
    seed: int,
) -> Split:
    """A split whose test records are those of the groups `tested`; the others are divided into train and val."""
    rest = [record for record in records if group_of(record, group_by) not in tested]
    val = Fraction(str(val_fraction))
    split_of = _assign(rest, {"train": 1 - val, "val": val}, classes, group_by, seed)
    assigned = tuple(split_of.get(group_of(record, group_by), "test") for record in records)
    return Split(tuple(records), assigned, classes, group_by)


def _assign(
    records: Sequence[FrameRecord], shares: dict[str, Fraction], classes: ClassNames, group_by: GroupBy, seed: int
) -> dict[str, str]:
    """The split of each group, each split having both classes; a `DataError` if there are too few groups for that."""
    if group_by == "source":
        need_sources(records)
    groups = _groups(records, classes, group_by)
    names = tuple(shares)
    assigned = assign_groups(groups, list(shares.values()), seed)
    if assigned is not None:
        return {group: names[index] for group, index in assigned.items()}
    with_class = [sum(counts[target] > 0 for counts in groups.values()) for target in (0, 1)]
    found = " and ".join(f"{count} with {name!r}" for count, name in zip(with_class, classes.names, strict=True))
    named = f"splits ({', '.join(names)})" if names[0] in SPLITS else "folds"
    smaller = "set data.group_by to 'video', " if group_by == "source" else ""
    fewer = "" if names == ("train", "val") else "ask for fewer splits (data.test_fraction=0, fewer folds), "
    raise DataError(
        f"too few {group_by}s for a split: found {len(groups)} in all, {found}, but each of the {len(names)} {named} "
        f"needs at least one with each class, and no {group_by} may be in two splits. Remedy: add clips of the rarer "
        f"class, {smaller}{fewer}or, if the {group_by}s were read wrongly from the file names, set a name pattern or "
        "give a manifest"
    )


def _groups(records: Iterable[FrameRecord], classes: ClassNames, group_by: GroupBy) -> Groups:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for record in records:
        counts[group_of(record, group_by)][classes.target(record.label)] += 1
    return {name: (negatives, positives) for name, (negatives, positives) in counts.items()}


def group_of(record: FrameRecord, group_by: GroupBy) -> str:
    """The name of the group that a record belongs to."""
    return record.video if group_by == "video" else record.source or ""


def check_fractions(val_fraction: float, test_fraction: float) -> None:
    """Raise a `ConfigError` if the fractions leave nothing for a split."""
    if not 0 < val_fraction < 1 or not 0 <= test_fraction < 1 or val_fraction + test_fraction >= 1:
        raise ConfigError(
            f"the fractions must leave something for each split, got val_fraction={val_fraction} and "
            f"test_fraction={test_fraction}; 0.15 each is usual, test_fraction=0 makes no test split"
        )


def need_sources(records: Sequence[FrameRecord]) -> None:
    """Raise a `DataError` if the source of a record is unknown."""
    lacking = [record.path.name for record in records if not record.source]
    if lacking:
        raise DataError(
            f"data.group_by is 'source', but {len(lacking):,} of {len(records):,} frames have no known "
            f"source ({', '.join(lacking[:3])}): set data.group_by to 'video', or name the sources in a "
            "manifest (column source) or by the name pattern (group source)"
        )


def can_assign(groups: Groups, splits: int) -> bool:
    """Whether each split can have both classes: it needs one group with both, or one group of each."""
    mixed = sum(bool(negatives and positives) for negatives, positives in groups.values())
    negative = sum(not positives for _, positives in groups.values())
    positive = sum(not negatives for negatives, _ in groups.values())
    return mixed + min(negative, positive) >= splits


def assign_groups(groups: Groups, shares: Sequence[Fraction], seed: int) -> dict[str, int] | None:
    """Index into `shares` for each group's name; None if not every split can have both classes."""
    if not can_assign(groups, len(shares)):
        return None
    # Shares become whole numbers when multiplied by this, and so does everything that follows.
    unit = math.lcm(*(share.denominator for share in shares))
    totals = [sum(counts[target] for counts in groups.values()) for target in (0, 1)]
    wanted = [(int(share * unit) * totals[0], int(share * unit) * totals[1]) for share in shares]
    best: dict[str, int] = {}
    least_error = math.inf
    for order in range(max(1, min(_MAX_ORDERS, _MAX_WORK // len(groups)))):
        ordered = {name: groups[name] for name in shuffled(groups, f"{seed}/{order}")}
        assigned, error = _assign_in_order(ordered, wanted, unit)
        if error < least_error:
            best, least_error = assigned, error
    return best


def shuffled(names: Iterable[str], key: str) -> list[str]:
    """Names in an order that depends on them and on a key alone; Python's own hash() differs from run to run."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{key}/{name}".encode("utf-8", "surrogatepass")).digest())


def _assign_in_order(groups: Groups, wanted: Sequence[tuple[int, int]], unit: int) -> tuple[dict[str, int], int]:
    """The split of each group, and the squared error of frames times `unit`, summed over splits and classes."""
    given = [[0, 0] for _ in wanted]
    assigned: dict[str, int] = {}

    def assign(name: str, split: int) -> None:
        assigned[name] = split
        for target in (0, 1):
            given[split][target] += groups[name][target] * unit

    # First both classes for each split, the largest split first: by a group with both classes while there are any,
    # because a large split can hold a large group; else by a group of each class.
    mixed = [name for name, (negatives, positives) in groups.items() if negatives and positives]
    pairs = zip(
        [name for name, (_, positives) in groups.items() if not positives],
        [name for name, (negatives, _) in groups.items() if not negatives],
        strict=False,
    )
    for split in sorted(range(len(wanted)), key=lambda index: (-sum(wanted[index]), index)):
        for name in [mixed.pop(0)] if mixed else next(pairs):
            assign(name, split)
    # Then each group to the split whose squared error grows least.
    for name, counts in groups.items():
        if name not in assigned:
            growths = [
                sum(
                    frames * unit * (frames * unit + 2 * (have - want))
                    for frames, have, want in zip(counts, given[split], wanted[split], strict=True)
                )
                for split in range(len(wanted))
            ]
            assign(name, growths.index(min(growths)))
    errors = [have - want for pair in zip(given, wanted, strict=True) for have, want in zip(*pair, strict=True)]
    return assigned, sum(error**2 for error in errors)
