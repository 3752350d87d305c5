"""Maps: where the sheet in the air, its edge and the hands are."""

from __future__ import annotations

import numpy as np
import pytest

from flipdetect.synth import SynthConfig
from flipdetect.synth.clip import sheet_at
from flipdetect.synth.config import FRAME_RATE
from flipdetect.synth.scenario import frame_numbers, sample_clip
from flipdetect.synth.scene.scene import sample_source
from flipdetect.synth.truth.maps import LIFTED, draw_map, lying_heights

CONFIG = SynthConfig(seed=3, sources=6, clips_per_source=4, frames_per_clip=2, height=192)


def map_of(clip_index: int, frame_index: int = 0) -> np.ndarray:
    number = frame_numbers(CONFIG, clip_index)[frame_index]
    return draw_map(CONFIG, sample_clip(CONFIG, clip_index), (number - 1) / FRAME_RATE)


def test_a_map_has_a_quarter_of_the_frames_size() -> None:
    assert map_of(0).shape == (48, 27, 3)
    assert map_of(0).dtype == np.uint8


@pytest.mark.parametrize("clip_index", range(0, CONFIG.clips, 2))
def test_a_sheet_in_the_air_is_on_the_map_of_a_flip_alone(clip_index: int) -> None:
    assert map_of(clip_index)[..., :2].max() > 0
    assert map_of(clip_index + 1)[..., :2].max() == 0


def test_some_hands_are_on_the_maps_of_both_classes() -> None:
    for first in (0, 1):
        assert max(map_of(clip_index)[..., 2].max() for clip_index in range(first, CONFIG.clips, 2)) == 255


def test_a_page_at_rest_is_not_in_the_air_however_it_bows() -> None:
    for index in range(0, CONFIG.clips, 2):
        clip = sample_clip(CONFIG, index)
        source = sample_source(CONFIG, clip.source)
        lying = lying_heights(source, clip)
        for progress in (0.0, 1.0):
            points = sheet_at(source, clip.style, progress).points().mean(axis=1)
            assert np.max(points[:, 2] - np.interp(points[:, 0], *lying)) < LIFTED / 2
