from __future__ import annotations

import pytest

from flipdetect.errors import ConfigError
from flipdetect.synth import SynthConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("sources", 0),
        ("clips_per_source", 0),
        ("clips_per_source", 7),
        ("frames_per_clip", 0),
        ("frames_per_clip", 13),
        ("height", 20),
        ("height", 4000),
        ("orientation", "diagonal"),
        ("aspect", 2.0),
        ("without", "moon"),
    ],
)
def test_a_value_that_cannot_be_rendered_is_named_with_a_remedy(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"{field} is {value}; choose"):
        SynthConfig(**{field: value})


def test_more_clips_than_four_digit_video_ids_are_refused() -> None:
    with pytest.raises(ConfigError, match="four digits"):
        SynthConfig(sources=2000, clips_per_source=12)


def test_landscape_frames_are_portrait_frames_turned() -> None:
    assert SynthConfig(height=1920).frame_size(0) == (1080, 1920)
    assert SynthConfig(orientation="landscape").frame_size(0) == (384, 216)
    assert SynthConfig(orientation="landscape", aspect=0.75).frame_size(0) == (384, 288)
    mixed = SynthConfig(orientation="mixed")
    assert {mixed.frame_size(source) for source in range(20)} == {(216, 384), (384, 216)}


def test_streams_differ_by_key_and_by_seed() -> None:
    first = SynthConfig(seed=1).stream(3, 4).random(4)
    assert (first == SynthConfig(seed=1).stream(3, 4).random(4)).all()
    assert (first != SynthConfig(seed=1).stream(3, 5).random(4)).all()
    assert (first != SynthConfig(seed=2).stream(3, 4).random(4)).all()
