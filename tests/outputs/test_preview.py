"""Previews can be played, show what was found, and are whole or absent."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from flipdetect.errors import ConfigError, DataError
from flipdetect.outputs import preview
from flipdetect.outputs.preview import PreviewWriter
from tests.outputs.made_up import made_up_picture

GREY = (120, 130, 120)


def shown(path: Path) -> tuple[list[NDArray[np.uint8]], list[float]]:
    if path.suffix == ".gif":
        with Image.open(path) as image:
            pictures, lengths = [], []
            for number in range(image.n_frames):
                image.seek(number)
                pictures.append(np.asarray(image.convert("RGB")))
                lengths.append(image.info["duration"] / 1000)
            return pictures, np.cumsum([0.0, *lengths[:-1]]).tolist()
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.to_ndarray(format="rgb24") for frame in frames], [float(frame.time) for frame in frames]


def make(path: Path, size: tuple[int, int] = (320, 180), times: tuple[float, ...] = (5.0, 5.1, 5.2, 5.5)) -> Path:
    with PreviewWriter(path, 10.0, size) as writer:
        for number, time in enumerate(times):
            frame = made_up_picture(GREY, size[1], size[0])
            writer.write(frame, time, number / 4 if number else None, number == 2, number // 2)
    return path


@pytest.mark.parametrize("name", ["preview.mp4", "preview.GIF"])
def test_frames_keep_their_times_and_turns_have_a_border(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / "new" / name.lower())
    pictures, times = shown(path)
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.5], abs=0.02)
    assert {picture.shape for picture in pictures} == {(180, 320, 3)}
    borders = [picture[2, 2].astype(int) - picture[60, 160] for picture in pictures]
    assert [bool(border[0] > 50) for border in borders] == [False, False, True, False]
    # Blue, the fuller the more probable; orange in the turn.
    blue = [int((picture[..., 2].astype(int) - picture[..., 0] > 60).sum()) for picture in pictures]
    assert blue[0] == 0
    assert 0 < blue[1] < blue[3]
    assert (np.abs(pictures[0][60, 160].astype(int) - GREY) < 12).all()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("size", "name", "expected"),
    [((1920, 1080), "a.mp4", (854, 480)), ((1080, 1920), "a.gif", (180, 320)), ((333, 101), "a.mp4", (332, 100)),
     ((40, 30), "a.mp4", (40, 30))],
)  # fmt: skip
def test_pictures_are_reduced(tmp_path: Path, size: tuple[int, int], name: str, expected: tuple[int, int]) -> None:
    pictures, _ = shown(make(tmp_path / name, size))
    assert pictures[0].shape == (expected[1], expected[0], 3)


def test_an_mp4_names_no_program(tmp_path: Path) -> None:
    with av.open(str(make(tmp_path / "a.mp4"))) as container:
        assert "encoder" not in container.metadata
        assert "creation_time" not in container.metadata


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_an_interruption_leaves_nothing(tmp_path: Path, name: str) -> None:
    def interrupted() -> None:
        with PreviewWriter(tmp_path / name, 10.0, (64, 48)) as writer:
            writer.write(made_up_picture(GREY, 48, 64), 0.0, 0.5, False)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="no frame came"), PreviewWriter(tmp_path / name, 10.0, (64, 48)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_gif_has_a_limit_and_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "GIF_FRAMES", 3)
    with pytest.raises(DataError, match=r"3 frames at most; write an \.mp4"):
        make(tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_complaints(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.mp4 or \.gif, got 'a\.avi'"):
        PreviewWriter(tmp_path / "a.avi", 10.0, (64, 48))
    with pytest.raises(ConfigError, match="more than 0, got 0"):
        PreviewWriter(tmp_path / "a.mp4", 0, (64, 48))
    with pytest.raises(ValueError, match="with block"):
        PreviewWriter(tmp_path / "a.mp4", 10.0, (64, 48)).write(made_up_picture(GREY), 0.0, 0.5, False)
    with pytest.raises(ValueError, match="160x90 came"), PreviewWriter(tmp_path / "a.mp4", 10.0, (64, 48)) as writer:
        writer.write(made_up_picture(GREY), 0.0, 0.5, False)
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(DataError, match="cannot be written"),
        PreviewWriter(tmp_path / "file" / "a.mp4", 10.0, (64, 48)),
    ):
        pass
