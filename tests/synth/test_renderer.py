from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flipdetect.errors import ConfigError
from flipdetect.synth import SynthConfig, render_clip, render_frame, sample_frames
from flipdetect.synth.clip import sheet_at
from flipdetect.synth.render.rasterizer import draw_lying, draw_sheets, lay_sheet, shade_page
from flipdetect.synth.scenario import sample_clip
from flipdetect.synth.scene.scene import paint_sheet, sample_source

CONFIG = SynthConfig(seed=5, sources=4, clips_per_source=4, frames_per_clip=2, height=160)


@pytest.mark.parametrize(
    ("aspect", "orientation", "shape"),
    [(9 / 16, "portrait", (160, 90, 3)), (9 / 16, "landscape", (90, 160, 3)), (1.0, "landscape", (160, 160, 3))],
)
def test_a_frame_is_an_rgb_picture_of_its_format(aspect: float, orientation: str, shape: tuple[int, ...]) -> None:
    frame = render_frame(replace(CONFIG, orientation=orientation, aspect=aspect), 0, 0)
    assert (frame.image.shape, frame.image.dtype) == (shape, np.uint8)
    assert frame.image.std() > 10
    assert 70 <= frame.quality <= 95
    assert frame.truth.book is not None
    assert frame.truth.book[2] <= shape[1]
    assert frame.truth.book[3] <= shape[0]


def test_a_clip_shows_the_turn_from_rest_to_landing() -> None:
    flips = (index for index in range(0, CONFIG.clips, 2))
    simple = next(index for index in flips if sample_clip(CONFIG, index).turn.behaviour == "simple")
    frames = render_clip(CONFIG, simple)
    phases = [frame.truth.phase for frame in frames]
    assert len(frames) == 12
    assert phases == sorted(phases)
    assert (phases[0], phases[-1]) == (0, 1)
    labels = [frame.truth.label for frame in frames]
    assert labels[0] == labels[-1] == "notflip"
    assert "flip" in labels
    assert max(frame.truth.displacement for frame in frames) > 1


@pytest.mark.parametrize(("clip", "frame"), [(-1, 0), (16, 0), (0, -1), (0, 2)])
def test_a_frame_that_is_not_in_the_set_is_refused(clip: int, frame: int) -> None:
    with pytest.raises(ConfigError, match="choose 0 to"):
        render_frame(CONFIG, clip, frame)


def test_times_outside_the_clip_are_refused() -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        render_clip(CONFIG, 0, times=[0.5, 1.5])


def test_frames_of_a_contact_sheet_are_half_flips() -> None:
    frames, titles = sample_frames(CONFIG, 5)
    assert {frame.shape for frame in frames} == {(160, 90, 3)}
    assert [title.split("/")[0] for title in titles] == ["flip", "notflip", "flip", "notflip", "flip"]


def test_a_sheet_that_lies_still_is_drawn_as_one_that_moves() -> None:
    clip, source = sample_clip(CONFIG, 0), sample_source(CONFIG, 0)
    page = sheet_at(source, clip.style, 0.0), paint_sheet(CONFIG, 0, clip.sheet)
    size, height, light = CONFIG.frame_size(0), source.book.height, source.light
    view = clip.capture.camera.warped(np.array([[1, 0, 0.4], [0, 1, -0.3], [0, 0, 1]]))
    moving, lying = np.zeros((2, size[1], size[0], 3), np.float32)
    draw_sheets(moving, view, [page], light, height)
    lit = shade_page(page, light, height)
    draw_lying(lying, view, lay_sheet(clip.capture.camera, lit, height, source.book.page_z, size, reach=3))
    assert np.array_equal(lying > 0, moving > 0)
    assert np.abs(lying - moving).mean() < 0.001
