"""Frames to check an exported model on."""

from pathlib import Path

import numpy as np
import pytest

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError
from flipdetect.export.onnx_files import sample_frames
from tests.frame_sets import write_frame


def test_a_sample_is_spread_over_the_folder(tmp_path: Path) -> None:
    spec = PreprocessSpec(height=16, width=8, mean=(0, 0, 0), std=(1, 1, 1))
    for number in range(20):
        write_frame(tmp_path / "deep" / f"{number}.png", np.full((16, 8, 3), 10 * number, np.uint8))
    (tmp_path / "deep" / "3.png").write_bytes(b"no picture")
    levels = (sample_frames(tmp_path, spec, 4).mean(axis=(1, 2, 3)) * 25.5).round().astype(int)
    assert levels.tolist() == [0, 6, 13, 19]
    assert len(sample_frames(tmp_path, spec, 100)) == 19
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no readable frame"):
        sample_frames(tmp_path / "empty", spec, 4)
