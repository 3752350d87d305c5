"""Splits of pictures with boxes: whole videos or sources, with about the same share of every class in each split.

As for labelled frames (`flipdetect.data.grouped_splits`), the assignment depends on seed and names alone.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from flipdetect.data.boxes.box_index import EMPTY, BoxIndex
from flipdetect.data.grouped_splits import GroupChoice
from flipdetect.data.splits import SPLITS, GroupBy, Split
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import FrameRecord

logger = logging.getLogger(__name__)

ORDERS = 32
"""Random orders that are tried; the best balanced split is kept."""


def split_boxes(
    index: BoxIndex,
    *,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
    group_by: GroupChoice = "auto",
    seed: int = 0,
) -> Split:
    """Divide pictures into train, val and test, whole groups at a time.

    Args:
        index: the pictures and their boxes.
        val_fraction: share of the pictures for validation, above 0.
        test_fraction: share of the pictures for the test; 0 for no test split.
        group_by: the unit that stays together; "auto": the source if every picture has one and there are at least as
            many as splits, else the video. A picture whose name has no video is one by itself.
        seed: another seed, another split.

    Raises:
        ConfigError: if the fractions leave nothing for a split.
        DataError: if there are too few groups, or a source is unknown with `group_by="source"`.
    """
    if not 0 < val_fraction < 1 or not 0 <= test_fraction < 1 or val_fraction + test_fraction >= 1:
        raise ConfigError(
            f"the fractions must leave something for each split, got val_fraction={val_fraction} and "
            f"test_fraction={test_fraction}; 0.15 each is usual, test_fraction=0 makes no test split"
        )
    shares = [1 - Fraction(str(val_fraction)) - Fraction(str(test_fraction)), Fraction(str(val_fraction))]
    shares += [Fraction(str(test_fraction))] if test_fraction > 0 else []
    records = index.frames.records
    unit = _unit(records, group_by, len(shares))
    groups: dict[str, npt.NDArray[np.int64]] = defaultdict(lambda: np.zeros(1 + len(index.classes), np.int64))
    for record in records:
        counts = np.bincount(index.boxes[record.file].labels, minlength=len(index.classes))
        groups[_group(record, unit)] += np.array([1, *counts])
    if len(groups) < len(shares):
        raise DataError(
            f"too few {unit}s for a split: found {len(groups)}, but each of {len(shares)} splits needs one, and no "
            f"{unit} may be in two. Add pictures, or, if the {unit}s were read wrongly from file names, set data.naming"
        )
    split_of = _assign(dict(groups), shares, seed)
    assigned = tuple(SPLITS[split_of[_group(record, unit)]] for record in records)
    split = Split(records, assigned, EMPTY, unit)
    check_boxes(split, index)
    return split


def check_boxes(split: Split, index: BoxIndex) -> None:
    """Log a warning for each class of which a split has no box.

    Raises:
        DataError: if train or val has no box at all.
    """
    for name in SPLITS[: 2 + ("test" in split.assigned)]:
        counts = index.counts(split.of(name))
        if not any(counts.values()):
            raise DataError(f"the {name} split has no box; add pictures with boxes, or split without a split file")
        logger.info("%s: %d pictures, %s.", name, len(split.of(name)), ", ".join(f"{n} {c}" for c, n in counts.items()))
        if lacking := [each for each, count in counts.items() if not count]:
            logger.warning("The %s split has no box of %s: its metrics say nothing of it.", name, ", ".join(lacking))


def _unit(records: Sequence[FrameRecord], choice: GroupChoice, splits: int) -> GroupBy:
    sources = {record.source for record in records}
    if choice == "auto":
        return "source" if None not in sources and len(sources) >= splits else "video"
    if choice == "source" and None in sources:
        raise DataError(
            "data.group_by is 'source', but not every picture has a known source: set data.group_by to 'video', or "
            "name the sources by data.naming (group source)"
        )
    return choice


def _group(record: FrameRecord, unit: GroupBy) -> str:
    return record.video if unit == "video" else record.source or ""


def _assign(groups: dict[str, npt.NDArray[np.int64]], shares: Sequence[Fraction], seed: int) -> dict[str, int]:
    """The split of each group: greedily, in several orders, the one with the least error of pictures and boxes.

    Each count (pictures, boxes of each class) is measured as a share of its total, so that rare classes weigh as much
    as frequent ones.
    """
    totals = np.maximum(np.sum(list(groups.values()), axis=0), 1)
    counts = {name: values / totals for name, values in groups.items()}
    wanted = np.array([[float(share)] * len(totals) for share in shares])
    best: dict[str, int] = {}
    least = np.inf
    for order in range(ORDERS):
        keys = {
            name: hashlib.sha256(f"{seed}/{order}/{name}".encode("utf-8", "surrogatepass")).digest() for name in groups
        }
        ordered = sorted(groups, key=lambda name: (keys[name], name))
        given = np.zeros_like(wanted)
        assigned: dict[str, int] = {}
        for place, name in enumerate(ordered):
            # No split stays empty: the first groups go one to each.
            growth = ((given + counts[name] - wanted) ** 2 - (given - wanted) ** 2).sum(axis=1)
            chosen = place if place < len(shares) else int(np.argmin(growth))
            given[chosen] += counts[name]
            assigned[name] = chosen
        error = float(((given - wanted) ** 2).sum())
        if error < least:
            best, least = assigned, error
    return best
