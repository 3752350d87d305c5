"""The nouns refuse what makes no sense."""

import pytest

from flipdetect.errors import ConfigError
from flipdetect.records import ClassNames, FlipEvent


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
