"""Training, validation and test sides that share no video (or, one level up, no source).

Frames of one video are near-duplicates: drawn at random, they would land on both sides and the test would
measure memory. So whole groups are dealt to the sides, such that each side has both classes and about its
share of each. Which group goes where depends on the seed and the groups' ids alone, not on file order, folder
or machine.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

from natsort import natsorted

from flipdetect.data.stratified_groups import Group, can_deal, deal_groups
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import ClassNames, FrameRecord

logger = logging.getLogger(__name__)

GroupBy = Literal["video", "source"]
GroupChoice = Literal["auto", "video", "source"]
SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Which side each record is on.

    Attributes:
        records: all records, in the order they were given.
        sides: "train", "val" or "test" for each record.
        classes: names of the two classes.
        group_by: the unit that was kept together; None if the split was not made by grouping here.
        notes: what a reader of the split should know, in plain words.
    """

    records: tuple[FrameRecord, ...]
    sides: tuple[str, ...]
    classes: ClassNames
    group_by: GroupBy | None = None
    notes: tuple[str, ...] = ()

    def side(self, name: str) -> tuple[FrameRecord, ...]:
        """Records of one side, in their order."""
        return tuple(record for record, side in zip(self.records, self.sides, strict=True) if side == name)

    @cached_property
    def train(self) -> tuple[FrameRecord, ...]:
        """Records to learn from."""
        return self.side("train")

    @cached_property
    def val(self) -> tuple[FrameRecord, ...]:
        """Records to choose the epoch and the threshold by."""
        return self.side("val")

    @cached_property
    def test(self) -> tuple[FrameRecord, ...]:
        """Records to report the final figures on; may be empty if no test side was asked for."""
        return self.side("test")


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
    """Deal records to train, val and test, whole groups at a time.

    Args:
        records: the labelled frames.
        classes: names of the two classes; each side gets both.
        val_fraction: share of the frames for validation, above 0.
        test_fraction: share of the frames for the test; 0 for no test side.
        group_by: the unit that stays together; "auto" takes the source if every frame has one and there are enough
            of them to give each side both classes, else the video.
        seed: another seed, another split.
        use_supplied_test: take the data set's own test folder as the test side, whether or not it shares
            videos with the rest (`audit_split` tells), and split the rest; `test_fraction` has no effect
            then.

    Raises:
        ConfigError: if the fractions leave nothing for a side.
        DataError: if there are too few groups, a class is absent, or a source is unknown with
        `group_by="source"`.
    """
    _check_fractions(val_fraction, 0.0 if use_supplied_test else test_fraction)
    drawn = {"val": Fraction(str(val_fraction))}
    rest = list(records)
    if use_supplied_test:
        rest = [record for record in records if record.supplied_split != "test"]
        if len(rest) == len(records):
            raise DataError(
                "the supplied test set was asked for, but no frame lies in a testing/ or test/ folder; "
                "set data.use_supplied_test to false"
            )
    elif test_fraction > 0:
        drawn["test"] = Fraction(str(test_fraction))
    shares = {"train": 1 - sum(drawn.values(), Fraction(0)), **drawn}
    group_by = _settled(group_by, rest, classes, len(shares))
    side_of = deal(rest, shares, classes, group_by, seed)
    sides = tuple(
        "test" if use_supplied_test and record.supplied_split == "test" else side_of[group_of(record, group_by)]
        for record in records
    )
    split = Split(tuple(records), sides, classes, group_by)
    check_sides(split, SIDES if use_supplied_test or test_fraction > 0 else ("train", "val"))
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
    """Splits for cross-validation: each record is in the test side of exactly one of them.

    Args:
        records: the labelled frames.
        folds: number of splits, at least 2.
        classes: names of the two classes; each side of each split gets both.
        val_fraction: share of a split's remaining frames for validation.
        group_by: the unit that stays together.
        seed: another seed, other folds.

    Raises:
        ConfigError: if `folds` or `val_fraction` is impossible.
        DataError: as `split_records`.
    """
    if folds < 2:
        raise ConfigError(f"cross-validation needs at least 2 folds, got {folds}")
    _check_fractions(val_fraction, 0.0)
    # What one fold leaves must still make two sides: other folds do, but of two there is only one other.
    parts = 4 if folds == 2 else folds
    part_of = deal(records, {str(part): Fraction(1, parts) for part in range(parts)}, classes, group_by, seed)
    val = Fraction(str(val_fraction))
    splits = []
    for fold in range(folds):
        tested = {group for group, part in part_of.items() if int(part) % folds == fold}
        rest = [record for record in records if group_of(record, group_by) not in tested]
        side_of = deal(rest, {"train": 1 - val, "val": val}, classes, group_by, seed)
        sides = tuple(side_of.get(group_of(record, group_by), "test") for record in records)
        splits.append(Split(tuple(records), sides, classes, group_by))
        check_sides(splits[-1])
    return splits


def leave_one_out_records(
    records: Sequence[FrameRecord], *, classes: ClassNames, val_fraction: float = 0.15, seed: int = 0
) -> dict[str, Split]:
    """Splits that leave out one source each, by the source's name, in natural order.

    Args:
        records: the labelled frames.
        classes: names of the two classes; each side of each split gets both, so that each source needs both.
        val_fraction: share of the other sources' frames for validation, whole sources at a time.
        seed: another seed, other validation sides.

    Raises:
        ConfigError: if `val_fraction` is impossible.
        DataError: as `split_records`, or if a source lacks a class.
    """
    _check_fractions(val_fraction, 0.0)
    _need_sources(records, "source")
    val = Fraction(str(val_fraction))
    splits = {}
    for source in natsorted({record.source or "" for record in records}):
        rest = [record for record in records if record.source != source]
        side_of = deal(rest, {"train": 1 - val, "val": val}, classes, "source", seed)
        sides = tuple(side_of.get(record.source or "", "test") for record in records)
        splits[source] = Split(tuple(records), sides, classes, "source")
        try:
            check_sides(splits[source])
        except DataError as error:
            raise DataError(f"source {source} cannot be left out by itself: {error}") from None
    return splits


def deal(
    records: Sequence[FrameRecord],
    shares: dict[str, Fraction],
    classes: ClassNames,
    group_by: GroupBy,
    seed: int,
) -> dict[str, str]:
    """Side of each group, each side having both classes.

    Raises:
        DataError: if there are too few groups for that, or a source is unknown.
    """
    _need_sources(records, group_by)
    groups = _groups(records, classes, group_by)
    dealt = deal_groups(groups, list(shares.values()), seed)
    if dealt is None:
        raise DataError(_too_few(groups, tuple(shares), classes, group_by))
    names = tuple(shares)
    return {name: names[index] for name, index in dealt.items()}


def _settled(choice: GroupChoice, records: Sequence[FrameRecord], classes: ClassNames, sides: int) -> GroupBy:
    """The unit that "auto" stands for. A set of one or two books is split by video: by book it could not be."""
    if choice != "auto":
        return choice
    if not all(record.source for record in records):
        logger.info("Splitting by video (data.group_by: auto).")
        return "video"
    sources = _groups(records, classes, "source")
    if can_deal(sources, sides):
        logger.info("Splitting by source (data.group_by: auto).")
        return "source"
    logger.info(
        "Splitting by video (data.group_by: auto): %d source%s cannot give each of the %d sides both classes. "
        "The figures will speak of new clips of known sources.",
        len(sources),
        "s" if len(sources) > 1 else "",
        sides,
    )
    return "video"


def _groups(records: Iterable[FrameRecord], classes: ClassNames, group_by: GroupBy) -> list[Group]:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for record in records:
        counts[group_of(record, group_by)][classes.target(record.label)] += 1
    return [Group(name, *frames) for name, frames in counts.items()]


def group_of(record: FrameRecord, group_by: GroupBy) -> str:
    """Id of the group that a record belongs to."""
    return record.video if group_by == "video" else record.source or ""


def check_sides(split: Split, needed: Iterable[str] = SIDES) -> None:
    """Make sure that each needed side has frames of both classes.

    Raises:
        DataError: with the counts, and what to do.
    """
    for side in needed:
        frames = Counter(record.label for record in split.side(side))
        for label in split.classes.names:
            if not frames[label]:
                found = ", ".join(f"{count:,} of {name}" for name, count in sorted(frames.items())) or "no frames"
                raise DataError(
                    f"the {side} side of the split has no frame of {label!r} (it has {found}); each side "
                    "needs both classes: add clips to it, or let the split be drawn anew without a split "
                    "file or a supplied test set"
                )


def _check_fractions(val_fraction: float, test_fraction: float) -> None:
    if not 0 < val_fraction < 1 or not 0 <= test_fraction < 1 or val_fraction + test_fraction >= 1:
        raise ConfigError(
            f"the fractions must leave something for each side, got val_fraction={val_fraction} and "
            f"test_fraction={test_fraction}; 0.15 each is usual, test_fraction=0 makes no test side"
        )


def _need_sources(records: Sequence[FrameRecord], group_by: GroupBy) -> None:
    if group_by == "video":
        return
    lacking = [record.path.name for record in records if not record.source]
    if lacking:
        raise DataError(
            f"data.group_by is 'source', but {len(lacking):,} of {len(records):,} frames have no known "
            f"source ({', '.join(lacking[:3])}): set data.group_by to 'video', or name the sources in a "
            "manifest (column source) or by the name pattern (group source)"
        )


def _too_few(groups: list[Group], sides: tuple[str, ...], classes: ClassNames, group_by: GroupBy) -> str:
    with_class = [sum(group.counts[target] > 0 for group in groups) for target in (0, 1)]
    found = " and ".join(f"{count} with {name!r}" for count, name in zip(with_class, classes.names, strict=True))
    named = f" ({', '.join(sides)})" if sides[0] in SIDES else " of the folds"
    smaller = "set data.group_by to 'video', " if group_by == "source" else ""
    fewer = "" if sides == ("train", "val") else "ask for fewer sides (data.test_fraction=0, fewer folds), "
    return (
        f"too few {group_by}s for a split: found {len(groups)} in all, {found}, but each of the {len(sides)} "
        f"sides{named} needs at least one with each class, and no {group_by} may be on two sides. Remedy: "
        f"add clips of the rarer class, {smaller}{fewer}"
        f"or, if the {group_by}s were read wrongly from the file names, set a name pattern or give a manifest"
    )
