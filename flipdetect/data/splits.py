"""Training, validation and test splits that share no video (or, one level up, no source).

Frames of one video are near-duplicates: divided at random, they would be in training and in test, and the test would
measure memory. So whole groups are assigned to a split, such that each split has both classes and about its share of
each. The assignment depends on the seed and the groups' names alone, not on file order, folder or machine.
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

from flipdetect.data.stratified_groups import FrameGroup, assign_groups, can_assign
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import ClassNames, FrameRecord

logger = logging.getLogger(__name__)

GroupBy = Literal["video", "source"]
GroupChoice = Literal["auto", "video", "source"]
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Records divided into training, validation and test.

    Attributes:
        records: all records, in the order they were given.
        assigned: "train", "val" or "test" for each record.
        classes: names of the two classes.
        group_by: the unit that was kept together; None if the split was not made by grouping here.
        notes: what a reader of the split should know.
    """

    records: tuple[FrameRecord, ...]
    assigned: tuple[str, ...]
    classes: ClassNames
    group_by: GroupBy | None = None
    notes: tuple[str, ...] = ()

    def of(self, name: str) -> tuple[FrameRecord, ...]:
        """The records of "train", "val" or "test", in their order."""
        return tuple(record for record, split in zip(self.records, self.assigned, strict=True) if split == name)

    @cached_property
    def train(self) -> tuple[FrameRecord, ...]:
        """Records to train on."""
        return self.of("train")

    @cached_property
    def val(self) -> tuple[FrameRecord, ...]:
        """Records to choose the epoch and the threshold by."""
        return self.of("val")

    @cached_property
    def test(self) -> tuple[FrameRecord, ...]:
        """Records to report the final metrics on; empty if no test split was asked for."""
        return self.of("test")


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
        records: the labelled frames.
        classes: names of the two classes; each split gets both.
        val_fraction: share of the frames for validation, above 0.
        test_fraction: share of the frames for the test; 0 for no test split.
        group_by: the unit that stays together; "auto": the source if every frame has one and there are enough of them
            to give each split both classes, else the video.
        seed: another seed, another split.
        use_supplied_test: use the data set's own test folder as the test split, whether or not it shares videos with
            the rest (see `audit_split`), and divide the rest; `test_fraction` has no effect then.

    Raises:
        ConfigError: if the fractions leave nothing for a split.
        DataError: if there are too few groups, a class is absent, or a source is unknown with `group_by="source"`.
    """
    _check_fractions(val_fraction, 0.0 if use_supplied_test else test_fraction)
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
    unit: GroupBy = _auto(rest, classes, len(shares)) if group_by == "auto" else group_by
    split_of = _assign(rest, shares, classes, unit, seed)
    assigned = tuple(
        "test" if use_supplied_test and record.supplied_split == "test" else split_of[_group_of(record, unit)]
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
    """Splits for cross-validation: each record is a test record of exactly one of them.

    Args:
        records: the labelled frames.
        folds: number of splits, at least 2.
        classes: names of the two classes; train, val and test of each split get both.
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
    """Splits that leave out one source each, by the source's name, in natural order.

    Args:
        records: the labelled frames.
        classes: names of the two classes; train, val and test of each split get both, so each source needs both.
        val_fraction: share of the other sources' frames for validation, whole sources at a time.
        seed: another seed, other validation splits.

    Raises:
        ConfigError: if `val_fraction` is impossible.
        DataError: as `split_records`, or if a source lacks a class.
    """
    _check_fractions(val_fraction, 0.0)
    _need_sources(records)
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
    rest = [record for record in records if _group_of(record, group_by) not in tested]
    val = Fraction(str(val_fraction))
    split_of = _assign(rest, {"train": 1 - val, "val": val}, classes, group_by, seed)
    assigned = tuple(split_of.get(_group_of(record, group_by), "test") for record in records)
    return Split(tuple(records), assigned, classes, group_by)


def _assign(
    records: Sequence[FrameRecord], shares: dict[str, Fraction], classes: ClassNames, group_by: GroupBy, seed: int
) -> dict[str, str]:
    """The split of each group, each split having both classes.

    Raises:
        DataError: if there are too few groups for that, or a source is unknown.
    """
    if group_by == "source":
        _need_sources(records)
    groups = _groups(records, classes, group_by)
    names = tuple(shares)
    assigned = assign_groups(groups, list(shares.values()), seed)
    if assigned is not None:
        return {group: names[index] for group, index in assigned.items()}
    with_class = [sum(group.counts[target] > 0 for group in groups) for target in (0, 1)]
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


def _auto(records: Sequence[FrameRecord], classes: ClassNames, splits: int) -> GroupBy:
    """The unit that "auto" stands for. A set of one or two books is split by video, because by book it could not be."""
    if not all(record.source for record in records):
        logger.info("Splitting by video (data.group_by: auto).")
        return "video"
    sources = _groups(records, classes, "source")
    if can_assign(sources, splits):
        logger.info("Splitting by source (data.group_by: auto).")
        return "source"
    logger.info(
        "Splitting by video (data.group_by: auto): %d source%s cannot give each of the %d splits both classes. "
        "The metrics are for new clips of known sources.",
        len(sources),
        "s" if len(sources) > 1 else "",
        splits,
    )
    return "video"


def _groups(records: Iterable[FrameRecord], classes: ClassNames, group_by: GroupBy) -> list[FrameGroup]:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for record in records:
        counts[_group_of(record, group_by)][classes.target(record.label)] += 1
    return [FrameGroup(name, *frames) for name, frames in counts.items()]


def _group_of(record: FrameRecord, group_by: GroupBy) -> str:
    return record.video if group_by == "video" else record.source or ""


def check_classes(split: Split, needed: Iterable[str] = SPLITS) -> None:
    """Make sure that each of the needed splits has frames of both classes.

    Raises:
        DataError: with the counts, and what to do.
    """
    for name in needed:
        frames = Counter(record.label for record in split.of(name))
        for label in split.classes.names:
            if not frames[label]:
                found = ", ".join(f"{count:,} of {name}" for name, count in sorted(frames.items())) or "no frames"
                raise DataError(
                    f"the {name} split has no frame of {label!r} (it has {found}); each split needs both classes: add "
                    "clips to it, or split without a split file or a supplied test set"
                )


def _check_fractions(val_fraction: float, test_fraction: float) -> None:
    if not 0 < val_fraction < 1 or not 0 <= test_fraction < 1 or val_fraction + test_fraction >= 1:
        raise ConfigError(
            f"the fractions must leave something for each split, got val_fraction={val_fraction} and "
            f"test_fraction={test_fraction}; 0.15 each is usual, test_fraction=0 makes no test split"
        )


def _need_sources(records: Sequence[FrameRecord]) -> None:
    lacking = [record.path.name for record in records if not record.source]
    if lacking:
        raise DataError(
            f"data.group_by is 'source', but {len(lacking):,} of {len(records):,} frames have no known "
            f"source ({', '.join(lacking[:3])}): set data.group_by to 'video', or name the sources in a "
            "manifest (column source) or by the name pattern (group source)"
        )
