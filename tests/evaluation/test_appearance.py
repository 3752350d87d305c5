"""Brightness and sharpness mean what they are called."""

from pathlib import Path

import cv2
import numpy as np

from flipdetect.evaluation.appearance import appearance, measure_files, texts
from tests.frame_sets import page_frame, write_frame


def test_brightness_and_sharpness() -> None:
    frame = page_frame(True, 1, 384)
    own, dark, blurred = (
        appearance(each)
        for each in (frame, (frame * 0.5).astype(np.uint8), np.asarray(cv2.GaussianBlur(frame, (0, 0), 3), np.uint8))
    )
    assert abs(dark.brightness - own.brightness / 2) < 0.01
    assert abs(dark.sharpness - own.sharpness) < 0.02
    assert blurred.sharpness < 0.6 * own.sharpness
    flat = appearance(np.full((50, 30, 3), 255, np.uint8))
    assert (flat.brightness, flat.sharpness, flat.height, flat.width) == (1.0, 0.0, 50, 30)


def test_files_keep_their_size(tmp_path: Path) -> None:
    write_frame(tmp_path / "large.jpg", page_frame(False, 1, 1600))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    large, broken = measure_files([tmp_path / "large.jpg", tmp_path / "broken.jpg"])
    assert large is not None
    assert (large.height, large.width) == (1600, 900)
    assert texts(large)[2:] == ("1600", "900")
    assert broken is None
    assert texts(broken) == ("", "", "", "")
