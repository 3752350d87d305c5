from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from flipdetect.errors import ConfigError
from flipdetect.synth import SynthConfig, contact_sheet, render_clip, render_frame
from flipdetect.synth.scenario import sample_clip

CONFIG = SynthConfig(seed=5, sources=4, clips_per_source=4, frames_per_clip=2, height=160)


def test_a_frame_is_a_portrait_rgb_picture() -> None:
    frame = render_frame(CONFIG, 0, 0)
    assert frame.image.shape == (160, 90, 3)
    assert frame.image.dtype == np.uint8
    assert frame.image.std() > 10
    assert 70 <= frame.quality <= 95


@pytest.mark.parametrize(("aspect", "shape"), [(9 / 16, (90, 160, 3)), (1.0, (160, 160, 3))])
def test_a_frame_may_be_landscape_or_square(aspect: float, shape: tuple[int, ...]) -> None:
    config = SynthConfig(seed=5, sources=2, clips_per_source=2, height=160, orientation="landscape", aspect=aspect)
    frame = render_frame(config, 0, 0)
    assert frame.image.shape == shape
    assert frame.image.std() > 10
    assert frame.truth.book is not None
    assert frame.truth.book[2] <= shape[1]
    assert frame.truth.book[3] <= shape[0]


def test_a_frame_does_not_depend_on_what_was_rendered_before() -> None:
    alone = render_frame(CONFIG, 8, 1)
    for clip in (0, 5, 10):
        render_frame(CONFIG, clip, 0)
    again = render_frame(CONFIG, 8, 1)
    assert np.array_equal(alone.image, again.image)
    assert alone.truth == again.truth


def test_a_fresh_process_renders_the_same_picture() -> None:
    code = (
        "import sys; from flipdetect.synth import SynthConfig, encode_frame, render_frame;"
        "config = SynthConfig(seed=5, sources=4, clips_per_source=4, frames_per_clip=2, height=160);"
        "sys.stdout.write(str(int(render_frame(config, 6, 0).image.astype(int).sum())));"
        "assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) == int(render_frame(CONFIG, 6, 0).image.astype(int).sum())


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


def test_a_contact_sheet_holds_all_frames() -> None:
    sheet = contact_sheet(CONFIG, 5, columns=3)
    assert sheet.shape == (2 * (160 + 16), 3 * 90, 3)
