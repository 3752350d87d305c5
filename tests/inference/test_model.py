"""Decoded frames become what a model sees, nearly as if they were resized in one step."""

import cv2
import numpy as np
import pytest

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.inference.model import resize_frame
from tests.frame_sets import page_frame


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (1281, 721), (2160, 3840), (300, 200), (64, 36)])
def test_large_frames_are_resized_as_in_one_step(size: tuple[int, int], fit: str) -> None:
    spec = PreprocessSpec(height=128, width=72, fit=fit)  # type: ignore[arg-type]
    frame = cv2.resize(page_frame(True, 3, 960), size[::-1], interpolation=cv2.INTER_CUBIC)
    before = frame.copy()
    found, expected = resize_frame(spec, frame), spec.resize(frame)
    assert found.shape == expected.shape == (128, 72, 3)
    assert found.dtype == np.uint8
    difference = np.abs(found.astype(int) - expected)
    assert difference.mean() < 1
    assert difference.max() <= 32
    np.testing.assert_array_equal(frame, before)


def test_a_frame_no_more_than_four_times_as_large_is_resized_at_once() -> None:
    spec = PreprocessSpec(height=128, width=72)
    frame = page_frame(False, 1, 500)
    np.testing.assert_array_equal(resize_frame(spec, frame), spec.resize(frame))


def test_grey_models_get_large_frames_too() -> None:
    spec = PreprocessSpec(height=64, width=36, channels=1, mean=(0.5,), std=(0.25,))
    assert resize_frame(spec, page_frame(True, 1, 960)).shape == (64, 36, 1)
