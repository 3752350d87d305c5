"""A spot check draws fairly, and says what is right and wrong."""

from pathlib import Path

import pytest

from flipdetect.errors import ConfigError
from flipdetect.evaluation.spot_check import SpotCheck, choose_frames
from flipdetect.records import ClassNames, FrameRecord, FrameScore
from tests.data.test_splits import clip

CLASSES = ClassNames()
RECORDS = [*clip("flip", "1", 4), *clip("notflip", "1", 20), *clip("notflip", "2", 20)]


def labels(chosen: tuple[FrameRecord, ...]) -> list[str]:
    return [record.label for record in chosen]


def test_half_of_either_class_as_far_as_there_are_enough() -> None:
    assert labels(choose_frames(RECORDS, 6, CLASSES)) == ["flip"] * 3 + ["notflip"] * 3
    assert labels(choose_frames(RECORDS, 20, CLASSES)) == ["flip"] * 4 + ["notflip"] * 16
    assert len(choose_frames(RECORDS, 100, CLASSES)) == 44
    assert labels(choose_frames(RECORDS[:4], 3, CLASSES)) == ["flip"] * 3
    assert labels(choose_frames(RECORDS, 1, CLASSES)) == ["flip"]


def test_natural_draws_all_frames_alike() -> None:
    counts = [labels(choose_frames(RECORDS, 11, CLASSES, natural=True, seed=seed)).count("flip") for seed in range(40)]
    assert 0.5 < sum(counts) / 40 < 1.5


def test_a_seed_draws_the_same_frames_whatever_their_order() -> None:
    first = choose_frames(RECORDS, 10, CLASSES, seed=1)
    assert choose_frames(RECORDS[::-1], 10, CLASSES, seed=1) == first
    assert choose_frames(RECORDS, 10, CLASSES, seed=2) != first
    assert len({record.path for record in first}) == 10


def test_no_frames_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 frame, got 0"):
        choose_frames(RECORDS, 0, CLASSES)


def test_table_and_summary() -> None:
    records = tuple(FrameRecord(Path(f"{name}.jpg"), name[:-1], name) for name in ("flip1", "flip2", "notflip1"))
    scores = (
        FrameScore("flip1.jpg", "1", None, 0.9, "flip"),
        FrameScore("flip2.jpg", "1", None, 0.2, "notflip"),
        FrameScore("notflip1.jpg", "1", error="the file is empty"),
    )
    check = SpotCheck(records, scores, CLASSES, 0.5)
    lines = check.table().splitlines()
    assert lines[2].split() == ["flip1.jpg", "flip", "flip", "0.900", "right"]
    assert lines[3].split() == ["flip2.jpg", "flip", "notflip", "0.200", "WRONG"]
    assert lines[4].split()[-4:] == ["the", "file", "is", "empty"]
    assert check.summary() == "1 of 2 flip and 0 of 1 notflip told right at threshold 0.500"
