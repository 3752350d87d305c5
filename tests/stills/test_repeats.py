"""Spreads that show the same pages, found in their pictures."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from flipdetect.records import Still
from flipdetect.stills.quality import FrameMeter
from flipdetect.stills.repeats import find_repeats, kept
from tests.inference.drawn_pages import Picture, draw_spread, shifted, with_hand, with_noise

WORDS = "Nothing in this book was written by machines that knew about the sea and its ships".split()  # noqa: SIM905


def still_of(number: int, picture: Picture, quality: float = 0.9) -> Still:
    return Still(number, "v", number, number + 1.0, number + 0.5, number, quality, measured=FrameMeter()(picture))


def repeats(*pictures: Picture) -> list[int | None]:
    """`same_as` of a still of each picture."""
    stills = [still_of(place, picture) for place, picture in enumerate(pictures, 1)]
    return [still.same_as for still in find_repeats(stills, lambda still: pictures[still.spread - 1])]


@pytest.mark.parametrize(
    "again",
    [
        draw_spread(1),
        np.asarray(cv2.GaussianBlur(draw_spread(1), (0, 0), 1.2)),
        (draw_spread(1) * 0.7).astype(np.uint8),
        shifted(draw_spread(1), 30, 20),
        shifted(draw_spread(1), -25, 18, 0.06),
        with_hand(draw_spread(1), (0.3, 0.75, 0.5, 1.0))[0],
    ],
    ids=["the same", "less sharp", "darker", "moved", "moved and turned", "under a hand"],
)
def test_the_same_pages_are_found(again: Picture) -> None:
    assert repeats(with_noise(draw_spread(1), 1), with_noise(again, 2)) == [None, 1]


def test_other_pages_of_one_layout_are_not_the_same() -> None:
    assert repeats(*(with_noise(draw_spread(number), number) for number in range(1, 5))) == [None] * 4
    assert repeats(*(with_noise(draw_spread(number), number) for number in range(1, 9))) == [None] * 8


def text_spread(seed: int, quarters: int = 0) -> Picture:
    """Two pages full of the same lines, with other words: nothing but the words differs from spread to spread."""
    picture = Image.new("RGB", (960, 540), (70, 50, 35))
    draw, rng = ImageDraw.Draw(picture), np.random.default_rng(seed)
    for x in (165, 480):
        draw.rectangle((x, 45, x + 314, 495), fill=(238, 236, 228))
        for line in range(20):
            draw.text(
                (x + 30, 75 + 18 * line), " ".join(rng.permutation(WORDS)[:7]), "black", ImageFont.load_default(12)
            )
    return np.ascontiguousarray(np.rot90(np.asarray(picture), quarters))


@pytest.mark.parametrize("quarters", [0, 1])
def test_equal_lines_do_not_make_two_pages_the_same(quarters: int) -> None:
    pictures = [with_noise(text_spread(seed, quarters), place) for place, seed in enumerate((1, 2, 2))]
    stills = [still_of(place, picture) for place, picture in enumerate(pictures, 1)]
    found = find_repeats(stills, lambda still: pictures[still.spread - 1], doubted={2, 3})
    assert [still.same_as for still in found] == [None, None, 2]


def test_blank_pages_have_nothing_to_compare() -> None:
    assert repeats(*(with_noise(draw_spread(1, blank=True), seed) for seed in (1, 2))) == [None, None]


def test_repeats_name_the_first_spread_among_many() -> None:
    pictures = [with_noise(draw_spread(number), seed) for seed, number in enumerate((1, 2, 1, 3, 4, 2, 5))]
    pictures.append(with_noise(shifted(draw_spread(1), 8, 4, 0.01), 9))
    assert repeats(*pictures) == [None, None, 1, None, None, 2, None, 1]
    assert repeats(*(with_noise(draw_spread(1), seed) for seed in range(3))) == [None, 1, 1]


def test_the_best_still_of_the_same_pages_is_kept() -> None:
    stills = [replace(still_of(number, draw_spread(number)), same_as=same, quality=quality)
              for number, same, quality in ((1, None, 0.4), (2, None, 0.9), (3, 1, 0.8))]  # fmt: skip
    assert kept(stills) == [stills[2], stills[1]]


def test_stills_without_a_frame_stay_as_they_are() -> None:
    nothing = replace(still_of(1, draw_spread(1)), time_s=None, frame=None, quality=None, measured=None)
    assert find_repeats([nothing], lambda _: draw_spread(1)) == [nothing]
    assert kept([nothing]) == [nothing]
    assert find_repeats([], lambda _: draw_spread(1)) == []


def test_a_wrong_picture_is_refused() -> None:
    stills = [still_of(1, draw_spread(1)), still_of(2, draw_spread(1))]
    with pytest.raises(ValueError, match="uint8"):
        find_repeats(stills, lambda _: np.zeros((10, 10), np.uint8))


def test_pictures_of_two_sizes_are_not_the_same() -> None:
    assert repeats(draw_spread(1), draw_spread(1)[:, :900]) == [None, None]
