"""The nouns refuse what makes no sense."""

import pickle
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from flipdetect.errors import ConfigError
from flipdetect.records import ClassNames, FlipEvent, FrameRecord


def test_position_of_a_class_is_its_target() -> None:
    classes = ClassNames(negative="dislike", positive="like")
    assert [classes.target(name) for name in classes.names] == [0, 1]
    with pytest.raises(ConfigError, match="'flip'"):
        classes.target("flip")


@pytest.mark.parametrize("names", [("a", "a"), ("", "a"), ("a", "")])
def test_two_different_names_are_needed(names: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"data\.classes"):
        ClassNames(*names)


def test_an_event_lasts_from_its_first_frame_to_its_last() -> None:
    event = FlipEvent(1, 2.0, 2.5, 3.25, 60, 75, 98, 0.8, 0.99, "book")
    assert event.duration_s == 1.25


def test_a_frame_keeps_its_path_as_text_and_gives_it_as_a_path() -> None:
    record = FrameRecord(Path("set/flip/1.jpg"), "flip", "flip/1", 3, extra={"phase": "0.5"})
    assert (record.path, record.file) == (Path("set/flip/1.jpg"), "set/flip/1.jpg")
    assert record == FrameRecord(Path("set/flip/1.jpg"), "flip", "flip/1", 3)
    assert record != replace(record, path=Path("set/flip/2.jpg"))
    assert hash(record) == hash(replace(record, extra={}))
    again = pickle.loads(pickle.dumps(record))
    assert (again, again.extra) == (record, {"phase": "0.5"})
    with pytest.raises(FrozenInstanceError):
        record.path = Path("other.jpg")  # type: ignore[misc]
    assert sys.getsizeof(record) < 120
