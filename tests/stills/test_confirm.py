"""Pictures compared print by print."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from flipdetect.records import Still
from flipdetect.stills.measure import FrameMeter, compare_pictures, confirm_repeats
from tests.inference.drawn_pages import Picture, draw_spread, shifted, with_hand, with_noise


def still_of(number: int, picture: Picture, same_as: int | None = None) -> Still:
    quality = FrameMeter()(picture)
    return Still(number, "v", number, number + 1.0, number + 0.5, number, 0.9, same_as=same_as, measured=quality)


def confirmed(pictures: list[Picture], same_as: list[int | None]) -> list[int | None]:
    stills = [
        still_of(place + 1, picture, same) for place, (picture, same) in enumerate(zip(pictures, same_as, strict=True))
    ]
    return [still.same_as for still in confirm_repeats(stills, lambda still: pictures[still.spread - 1])]


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
def test_the_same_pages_agree(again: Picture) -> None:
    agreement = compare_pictures(with_noise(draw_spread(1), 1), with_noise(again, 2))
    assert agreement.median > 0.8
    assert agreement.blocks > 40


@pytest.mark.parametrize("other", [2, 3, 4])
def test_other_pages_of_one_layout_do_not(other: int) -> None:
    agreement = compare_pictures(with_noise(draw_spread(1), 1), with_noise(draw_spread(other), 2))
    assert agreement.median < 0.6


def test_blank_pages_have_nothing_to_compare() -> None:
    pages = [with_noise(draw_spread(1, blank=True), seed) for seed in (1, 2)]
    assert compare_pictures(pages[0], pages[1]).blocks < 12
    assert confirmed(pages, [None, 1]) == [None, None]


def test_a_repeat_is_confirmed_and_a_false_one_dropped() -> None:
    pictures = [with_noise(draw_spread(number), seed) for seed, number in enumerate((1, 2, 1, 3, 4, 2))]
    assert confirmed(pictures, [None, None, 1, 1, None, 2]) == [None, None, 1, None, None, 2]


def test_a_repeat_that_fingerprints_missed_is_found() -> None:
    pictures = [with_noise(draw_spread(number), seed) for seed, number in enumerate((1, 2, 3, 4, 5))]
    pictures.append(with_noise(shifted(draw_spread(1), 8, 4, 0.01), 9))
    assert confirmed(pictures, [None] * 6) == [None, None, None, None, None, 1]


def test_the_first_of_a_chain_stays_its_name() -> None:
    pictures = [with_noise(draw_spread(1), seed) for seed in range(3)]
    assert confirmed(pictures, [None, 1, 2]) == [None, 1, 1]


def test_stills_without_a_frame_stay_as_they_are() -> None:
    nothing = replace(still_of(1, draw_spread(1)), time_s=None, frame=None, quality=None, measured=None)
    assert confirm_repeats([nothing], lambda _: draw_spread(1)) == [nothing]
    assert confirm_repeats([], lambda _: draw_spread(1)) == []


def test_a_wrong_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        compare_pictures(np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8))


def test_pictures_of_two_sizes_cannot_be_the_same() -> None:
    assert compare_pictures(draw_spread(1), draw_spread(1)[:, :500]).blocks == 0
