"""The nouns refuse what makes no sense."""

import pytest

from flipdetect.errors import ConfigError
from flipdetect.records import ClassNames


def test_position_of_a_class_is_its_target() -> None:
    classes = ClassNames(negative="dislike", positive="like")
    assert [classes.target(name) for name in classes.names] == [0, 1]
    with pytest.raises(ConfigError, match="'flip'"):
        classes.target("flip")


@pytest.mark.parametrize("names", [("a", "a"), ("", "a"), ("a", "")])
def test_two_different_names_are_needed(names: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"data\.classes"):
        ClassNames(*names)
