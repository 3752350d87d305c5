"""`scenes: any`: other books, places, views and frame shapes than printed books on desks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from flipdetect.errors import ConfigError
from flipdetect.synth import RecordingConfig, SynthConfig, render_frame
from flipdetect.synth.clip import sheet_at
from flipdetect.synth.config import FORMATS
from flipdetect.synth.scenario import sample_clip
from flipdetect.synth.scene.book import build_block
from flipdetect.synth.scene.content import CONTENTS
from flipdetect.synth.scene.page import draw_page
from flipdetect.synth.scene.page_style import sample_page_style
from flipdetect.synth.scene.scene import sample_source
from flipdetect.synth.truth.silhouette import draw_outlines

SOURCES = 60


@pytest.fixture(scope="module")
def config() -> SynthConfig:
    return SynthConfig(seed=5, sources=SOURCES, clips_per_source=2, frames_per_clip=1, height=128, scenes="any")


def test_frames_of_all_shapes_hold_the_long_side(config: SynthConfig) -> None:
    sizes = {config.frame_size(source) for source in range(SOURCES)}

    assert len(sizes) == len(FORMATS)
    assert all(max(size) == config.height for size in sizes)


def test_books_are_held_bound_by_wire_and_filled_with_other_things_than_prose(config: SynthConfig) -> None:
    sources = [sample_source(config, index) for index in range(SOURCES)]

    assert 0.1 < np.mean([source.held for source in sources]) < 0.4
    assert any(source.book.rings for source in sources)
    assert {source.style.content for source in sources} == {"print", *CONTENTS}
    assert any(source.phone.saturation == 0 for source in sources)


def test_a_hand_holds_a_book_in_the_air(config: SynthConfig) -> None:
    clips = [sample_clip(config, index) for index in range(0, config.clips, 2)]
    held = [clip for clip in clips if sample_source(config, clip.source).held]

    assert held
    assert all(any(hand.below_book for hand in clip.hands) for clip in held)


def test_twins_differ_in_the_sheet_alone(config: SynthConfig) -> None:
    flip, twin = sample_clip(config, 4), sample_clip(config, 5)

    assert (flip.hands, flip.style, flip.turn) == (twin.hands, twin.style, twin.turn)
    assert (flip.label, twin.label) == ("flip", "notflip")


@pytest.mark.parametrize("content", CONTENTS)
def test_every_content_is_drawn_within_the_page(content: str) -> None:
    rng = np.random.default_rng(0)
    style = replace(sample_page_style(rng), content=content)
    pages = [draw_page(rng, style, 120, 170) for _ in range(4)]

    assert all(page.shape == (170, 120, 3) for page in pages)
    assert max(page.std() for page in pages) > 0.02


def test_frames_of_held_books_show_the_room_unshaded(config: SynthConfig) -> None:
    held = next(index for index in range(SOURCES) if sample_source(config, index).held)
    image = render_frame(config, 2 * held, 0).image

    assert image.shape[:2] == config.frame_size(held)[::-1]
    assert image.std() > 5


def test_the_outline_of_a_book_holds_its_block(config: SynthConfig) -> None:
    raised = [index for index in range(SOURCES) if sample_source(config, index).book.thickness is not None]
    assert raised
    for index in raised:
        clip, source = sample_clip(config, 2 * index + 1), sample_source(config, index)
        lying = tuple(sheet_at(source, clip.style, rest) for rest in clip.below)
        block = build_block(source.book, lying, source.style.paper)
        size = config.frame_size(index)
        corners = clip.capture.view(0.0, size).carried(*clip.pushed(0.0)).project(block.corners).reshape(-1, 2)
        inside = corners[((corners >= 0) & (corners <= np.array(size) - 1)).all(axis=1)].round().astype(int)
        mask = cv2.dilate(draw_outlines(config, clip, 0.0).book, np.ones((5, 5), np.uint8))
        assert mask[inside[:, 1], inside[:, 0]].all()


def test_a_loose_sheet_is_alone(config: SynthConfig) -> None:
    loose = [index for index in range(SOURCES) if sample_source(config, index).book.loose]
    assert loose
    for index in loose:
        clip, source = sample_clip(config, 2 * index + 1), sample_source(config, index)
        outlines = draw_outlines(config, clip, 0.0)
        assert not build_block(source.book, (), source.style.paper).corners.size
        assert (outlines.book == outlines.page).all()
        assert (outlines.open_pages == outlines.page).all()
        assert render_frame(config, 2 * index + 1, 0).image.std() > 5


def test_scenes_stand_in_the_identity_of_a_set_only_where_they_matter() -> None:
    assert "scenes" not in SynthConfig().identity()
    assert SynthConfig(scenes="any").identity()["scenes"] == "any"
    assert "scenes" not in RecordingConfig().identity()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenes": "sea"}, "scenes is sea; choose desk, any"),
        ({"scenes": "any", "orientation": "landscape"}, "orientation is landscape; leave it out"),
        ({"scenes": "any", "aspect": 1.0}, "aspect is 1.0; leave it out"),
    ],
)
def test_settings_that_any_scene_cannot_honour_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SynthConfig(**settings)
