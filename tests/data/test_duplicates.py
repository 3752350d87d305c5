"""Copies are found whatever was done to the file; pictures that differ in a place are not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from flipdetect.data.audit.duplicates import (
    MOST,
    SIDE,
    FrameThumbnails,
    aligned_difference,
    find_copies,
)
from tests.data.drawn_books import drawn_frame


def thumbnail(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def of(grey: np.ndarray) -> FrameThumbnails:
    return FrameThumbnails((Path("absent.jpg"),) * len(grey), grey, {})


def encoded(frame: np.ndarray, quality: int, scale: float) -> np.ndarray:
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize(("quality", "scale"), [(95, 1.0), (40, 0.9), (40, 1.1), (25, 0.75)])
def test_a_frame_encoded_anew_is_a_copy(quality: int, scale: float) -> None:
    for book in range(5):
        frame = drawn_frame(book, True, 0)
        assert aligned_difference(thumbnail(frame), thumbnail(encoded(frame, quality, scale))) < MOST


def test_another_brightness_and_contrast_and_a_small_crop_make_no_other_picture() -> None:
    frame = drawn_frame(3, True, 0)
    paler = np.clip(frame * 0.8 + 30, 0, 255).astype(np.uint8)
    assert aligned_difference(thumbnail(frame), thumbnail(paler)) < MOST
    assert aligned_difference(thumbnail(frame), thumbnail(frame[2:-1, 1:-2])) < MOST


def test_a_hand_that_moved_makes_another_picture() -> None:
    assert aligned_difference(thumbnail(drawn_frame(1, False, 0)), thumbnail(drawn_frame(1, False, 1))) > 2 * MOST


def test_dark_frames_of_different_scenes_are_not_alike() -> None:
    dark = [thumbnail((drawn_frame(book, False, 0) * 0.06).astype(np.uint8)) for book in (0, 1)]
    assert aligned_difference(*dark) > MOST
    assert aligned_difference(np.zeros_like(dark[0]), dark[0]) == np.inf


def test_copies_are_found_among_many_and_only_between_groups() -> None:
    frames = [drawn_frame(book, flip, moment) for book in range(30) for flip in (True, False) for moment in range(2)]
    copies = [encoded(frames[position], 40, 0.9) for position in (0, 17, 90)]
    grey = np.stack([thumbnail(frame) for frame in [*frames, *copies]])
    groups = np.arange(len(grey))
    found = find_copies(of(grey), groups)
    assert {(copy.first, copy.second) for copy in found} == {(0, 120), (17, 121), (90, 122)}
    groups[121] = groups[17]
    assert len(find_copies(of(grey), groups)) == 2


def test_a_film_of_one_picture_costs_no_square() -> None:
    grey = np.repeat(thumbnail(drawn_frame(0, True, 0))[None], 3000, axis=0)
    grey[:10] = thumbnail(drawn_frame(1, True, 0))
    groups = np.arange(3000)
    groups[10:] = 10
    assert len(find_copies(of(grey), groups)) == 45


def test_flat_frames_are_left_out() -> None:
    grey = np.zeros((4, SIDE, SIDE), np.uint8)
    assert find_copies(of(grey), np.arange(4)) == []
    assert find_copies(of(grey[:0]), np.arange(0)) == []
