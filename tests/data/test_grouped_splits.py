import random
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipdetect.data.grouped_splits import kfold_records, leave_one_out_records, split_records
from flipdetect.data.splits import SPLITS
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import ClassNames, FrameRecord

CLASSES = ClassNames()
GOLDEN = ["flip/0007", "notflip/0004"]


def clip(label, video, frames, source=None, root="/data", split=None):
    return [
        FrameRecord(Path(root) / label / f"{video}_{n:09d}.jpg", label, f"{label}/{video}", n, source, split)
        for n in range(frames)
    ]


def clips(per_class=10, frames=5, sources=None, root="/data"):
    return [
        record
        for label in CLASSES.names
        for number in range(per_class)
        for record in clip(label, f"{number:04d}", frames, f"book{number % sources}" if sources else None, root)
    ]


@st.composite
def data_sets(draw, min_pairs=3):
    """Enough one-class clips for three sides, of any sizes, and some clips with both labels."""
    records = []
    for label in CLASSES.names:
        sizes = draw(st.lists(st.integers(1, 40), min_size=min_pairs, max_size=12))
        for number, size in enumerate(sizes):
            records += clip(label, f"{number:04d}", size)
    for number in range(draw(st.integers(0, 3))):
        mixed = clip("flip", f"m{number}", 3)
        records += [replace(record, label="notflip") if record.frame == 0 else record for record in mixed]
    return records


def groups_by_side(split, key="video"):
    sides = defaultdict(set)
    for record, side in zip(split.records, split.assigned, strict=True):
        sides[side].add(getattr(record, key))
    return sides


def assert_apart_and_of_both_classes(split):
    sides = groups_by_side(split)
    assert not any(sides[one] & sides[other] for one, other in combinations(SPLITS, 2))
    for side in (split.train, split.val, split.test):
        assert {record.label for record in side} == {"flip", "notflip"}


def assignment(split):
    """Side of each (video, frame): independent of order and root."""
    return {(r.video, r.frame): side for r, side in zip(split.records, split.assigned, strict=True)}


fractions = st.sampled_from([0.05, 0.1, 0.15, 0.3, 0.45])
seeds = st.integers(0, 2**31)


@given(data_sets(), fractions, fractions, seeds)
@settings(max_examples=80, deadline=None)
def test_no_group_on_two_sides_every_record_on_one_and_both_classes_on_each(records, val, test, seed):
    split = split_records(records, classes=CLASSES, val_fraction=val, test_fraction=test, seed=seed)
    assert Counter(split.records) == Counter(records)
    assert_apart_and_of_both_classes(split)


@given(data_sets(), seeds, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_order_and_root_do_not_matter(records, seed, shuffler):
    moved = [replace(record, path=Path("/mnt/else where") / record.path.relative_to("/")) for record in records]
    shuffler.shuffle(moved)
    first = split_records(records, classes=CLASSES, seed=seed)
    assert assignment(split_records(records, classes=CLASSES, seed=seed)) == assignment(first)
    assert assignment(split_records(moved, classes=CLASSES, seed=seed)) == assignment(first)


@given(data_sets(min_pairs=6), st.integers(2, 3), seeds)
@settings(max_examples=40, deadline=None)
def test_folds_test_each_record_exactly_once(records, folds, seed):
    splits = kfold_records(records, folds, classes=CLASSES, seed=seed)
    tested = Counter(record for split in splits for record in split.test)
    assert tested == Counter(records)
    for split in splits:
        assert_apart_and_of_both_classes(split)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_split_is_the_same_in_another_process_and_for_all_time(hash_seed):
    code = (
        "from tests.data.test_grouped_splits import *\n"
        "print(sorted(groups_by_side(split_records(clips(), classes=CLASSES, seed=3))['test']))"
    )
    repository = Path(__file__).parents[2]
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(repository)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    # Written down: a change of the algorithm changes which clips people's published figures were measured on.
    assert told.stdout.strip() == str(GOLDEN)


def test_seeds_differ():
    chosen = {
        frozenset(groups_by_side(split_records(clips(20), classes=CLASSES, seed=seed))["test"]) for seed in range(10)
    }
    assert len(chosen) >= 8


def test_sides_get_their_share_of_each_class():
    sizes = random.Random(0)
    records = [
        record
        for label, count in (("flip", 65), ("notflip", 52))
        for number in range(count)
        for record in clip(label, f"{number:04d}", sizes.randint(5, 45))
    ]
    totals = Counter(record.label for record in records)
    split = split_records(records, classes=CLASSES, val_fraction=0.15, test_fraction=0.2)
    for side, share in ((split.train, 0.65), (split.val, 0.15), (split.test, 0.2)):
        for label, count in Counter(record.label for record in side).items():
            assert count == pytest.approx(share * totals[label], abs=0.02 * totals[label])


def test_grouping_by_source_keeps_books_together():
    split = split_records(clips(12, sources=6), classes=CLASSES, group_by="source")
    sides = groups_by_side(split, "source")
    assert sum(len(books) for books in sides.values()) == 6
    assert split.group_by == "source"
    assert split_records(clips(12, sources=6), classes=CLASSES, group_by="auto") == split
    without_test = split_records(clips(5, sources=2), classes=CLASSES, group_by="auto", test_fraction=0)
    assert without_test.group_by == "source"
    assert not without_test.test


@pytest.mark.parametrize("sources", [None, 1, 2])
def test_auto_groups_by_video_where_books_are_unknown_or_too_few(sources):
    split = split_records(clips(5, sources=sources), classes=CLASSES, group_by="auto")
    sides = groups_by_side(split)
    assert split.group_by == "video"
    assert sum(len(videos) for videos in sides.values()) == 10
    assert all({record.label for record in split.of(side)} == {"flip", "notflip"} for side in sides)


def test_the_supplied_test_set_is_taken_whole():
    records = clips(6) + [
        replace(record, supplied_split="test", frame=100 + (record.frame or 0)) for record in clips(2, 3)
    ]
    split = split_records(records, classes=CLASSES, use_supplied_test=True)
    assert set(split.test) == {record for record in records if record.supplied_split == "test"}
    sides = groups_by_side(split)
    assert not sides["train"] & sides["val"]
    assert split.val


@pytest.mark.parametrize(
    ("records", "settings", "said"),
    [
        (clips(), {"use_supplied_test": True}, r"set data.use_supplied_test to false"),
        (
            clips(6) + clip("flip", "x", 3, split="test"),
            {"use_supplied_test": True},
            r"the test split has no frame of 'notflip' \(it has 3 of flip\)",
        ),
        (
            clip("flip", "1", 9) + clips(2)[:10],
            {},
            "too few videos.*found 3 in all, 2 with 'notflip' and 1 with 'flip'.*Remedy.*fewer splits",
        ),
        (clips(1), {"test_fraction": 0, "group_by": "auto"}, "Remedy: add clips of the rarer class, or, if"),
        ([record for record in clips() if record.label == "notflip"], {}, "0 with 'flip'"),
        (
            clips(6, sources=6) + clip("flip", "y", 1),
            {"group_by": "source"},
            r"1 of 61 frames have no known source.*set data.group_by to 'video'",
        ),
    ],
    ids=["no test folder", "test folder of one class", "few videos", "two splits", "one class", "no source"],
)
def test_what_cannot_be_split_is_refused_with_a_remedy(records, settings, said):
    with pytest.raises(DataError, match=said):
        split_records(records, classes=CLASSES, **settings)


@pytest.mark.parametrize(("val", "test"), [(0, 0.1), (0.5, 0.5), (-0.1, 0.1), (0.1, -0.1), (1.5, 0), (float("nan"), 0)])
def test_impossible_fractions(val, test):
    with pytest.raises(ConfigError, match="fractions"):
        split_records(clips(), classes=CLASSES, val_fraction=val, test_fraction=test)


def test_folds():
    with pytest.raises(ConfigError, match="at least 2"):
        kfold_records(clips(), 1, classes=CLASSES)
    with pytest.raises(DataError, match="each of the 4 folds"):
        kfold_records(clips(3), 4, classes=CLASSES)


def _book(source):
    return [record for label in CLASSES.names for record in clip(label, f"{source}_1", 3, source)]


def test_each_source_is_left_out_once() -> None:
    records = [record for source in ("b10", "b2", "b1") for record in _book(source)]
    splits = leave_one_out_records(records, classes=CLASSES, val_fraction=0.5)
    assert list(splits) == ["b1", "b2", "b10"]
    for source, split in splits.items():
        assert {record.source for record in split.test} == {source}
        sources = [{record.source for record in side} for side in (split.train, split.val, split.test)]
        assert not sources[0] & sources[1]
        assert split.group_by == "source"


def test_a_source_of_one_class_cannot_be_left_out() -> None:
    records = [record for source in ("b1", "b2", "b3") for record in _book(source)]
    records += [record for record in _book("b4") if record.label == CLASSES.positive]
    with pytest.raises(DataError, match="source b4 cannot be left out by itself"):
        leave_one_out_records(records, classes=CLASSES)
