"""Corruptions keep size, type and their input, and do what their names say."""

from collections.abc import Callable

import numpy as np
import pytest

from flipdetect.evaluation import robustness as change
from tests.frame_sets import page_frame

FRAME = page_frame(True, 3, height=160)


@pytest.mark.parametrize("each", change.FULL.values(), ids=change.FULL.keys())
def test_each_is_a_pure_function_of_the_frame(each: Callable[[np.ndarray], np.ndarray]) -> None:
    before = FRAME.copy()
    result = each(FRAME)
    assert (result.shape, result.dtype) == (FRAME.shape, np.uint8)
    assert (before == FRAME).all()
    assert not np.shares_memory(result, FRAME)
    assert (each(FRAME) == result).all()
    assert (result != FRAME).any()
    assert each(FRAME[:33, :20]).shape == (33, 20, 3)


def test_twice_mirrored_or_turned_is_the_frame() -> None:
    for twice in (change.mirror, change.half_turn):
        assert (twice(twice(FRAME)) == FRAME).all()
    assert (change.mirror(FRAME)[:, 0] == FRAME[:, -1]).all()
    assert (change.half_turn(FRAME)[0, 0] == FRAME[-1, -1]).all()


def test_strength_zero_changes_nothing() -> None:
    for same in (
        change.brightness(FRAME, 1.0), change.contrast(FRAME, 1.0), change.hue_shift(FRAME, 0.0),
        change.noise(FRAME, 0.0), change.rotate_and_zoom(FRAME), change.low_resolution(FRAME, 1.0),
    ):  # fmt: skip
        assert np.abs(same.astype(int) - FRAME).max() <= 1


def test_brightness_multiplies_and_clips() -> None:
    values = np.array([[[0, 100, 250]]], np.uint8)
    assert change.brightness(values, 1.15).tolist() == [[[0, 115, 255]]]
    assert change.brightness(values, 0.85).tolist() == [[[0, 85, 212]]]


def test_colour_is_turned_or_gone() -> None:
    red = np.full((2, 2, 3), (200, 0, 0), np.uint8)
    assert change.hue_shift(red, 120)[0, 0].tolist() == [0, 200, 0]
    assert change.hue_shift(red, -120)[0, 0].tolist() == [0, 0, 200]
    grey = change.greyscale(FRAME)
    assert (grey[..., :1] == grey).all()
    assert np.abs(change.hue_shift(grey, 77).astype(int) - grey).max() <= 1


def test_blur_and_low_resolution_take_detail_and_noise_adds_it() -> None:
    def detail(frame: np.ndarray) -> float:
        return float(np.abs(np.diff(frame.astype(float), axis=1)).mean())

    assert detail(change.blur(FRAME, 0.02)) < detail(change.blur(FRAME, 0.005)) < detail(FRAME)
    assert detail(change.low_resolution(FRAME, 0.25)) < detail(change.low_resolution(FRAME, 0.5)) < detail(FRAME)
    assert detail(change.noise(FRAME, 20)) > detail(change.noise(FRAME, 5)) > detail(FRAME)


def test_rotation_is_counter_clockwise_about_the_centre() -> None:
    frame = np.zeros((41, 41, 3), np.uint8)
    frame[20, 30:38] = 255
    turned = change.rotate_and_zoom(frame, 90)
    assert turned[5, 20].min() == 255
    assert turned[20, 34].max() == 0
