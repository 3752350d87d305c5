"""Previews can be played, show what was found, and are whole or absent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from flipdetect.errors import ConfigError, DataError
from flipdetect.outputs import preview
from flipdetect.outputs.preview import preview_rate, write_preview
from flipdetect.records import FlipEvent, FrameScore, VideoResult
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


TURN = FlipEvent(1, 5.15, 5.2, 5.25, None, None, None, 0.9, 0.9)
SCORES = tuple(FrameScore("a.mp4", "a", None, p, "flip", time_s=t) for t, p in ((5.0, 0.0), (5.1, 0.25), (5.5, 0.75)))
RESULT = VideoResult("a", "a.mp4", 0.5, 3, (TURN,), scores=SCORES)


def make(path: Path, size: tuple[int, int] = (320, 180), times: tuple[float, ...] = (5.0, 5.1, 5.2, 5.5)) -> Path:
    write_preview(path, ((time, made_up_picture(GREY, size[1], size[0])) for time in times), RESULT)
    return path


@pytest.mark.parametrize("name", ["preview.mp4", "preview.GIF"])
def test_frames_keep_their_times_and_turns_have_a_border(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / "new" / name.lower())
    pictures, times = shown(path)
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.5], abs=0.02)
    assert {picture.shape for picture in pictures} == {(220, 328, 3)}
    borders = [picture[2, 2].astype(int) - picture[60, 160] for picture in pictures]
    assert [bool(border[0] > 50) for border in borders] == [False, False, True, False]
    # Blue, the fuller the more probable; orange in the turn.
    blue = [int((picture[..., 2].astype(int) - picture[..., 0] > 60).sum()) for picture in pictures]
    assert blue[0] < 10 < blue[1] < blue[3]
    for picture in pictures:
        assert (np.abs(picture[6:182, 6:322].astype(int) - GREY) < 26).all(), "nothing covers the film"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("size", "name", "expected"),
    [((1920, 1080), "a.mp4", (854, 480)), ((1080, 1920), "a.gif", (180, 320)), ((333, 101), "a.mp4", (332, 100)),
     ((40, 30), "a.mp4", (40, 30))],
)  # fmt: skip
def test_pictures_are_reduced(tmp_path: Path, size: tuple[int, int], name: str, expected: tuple[int, int]) -> None:
    pictures, _ = shown(make(tmp_path / name, size))
    border = max(min(expected) // 96 * 2, 4)
    height, width, _ = pictures[0].shape
    assert (width, height % 2) == (expected[0] + 2 * border, 0)
    assert expected[1] + 2 * border < height < expected[1] + 2 * border + max(expected[1] // 5, 36)


def test_an_mp4_names_no_program(tmp_path: Path) -> None:
    with av.open(str(make(tmp_path / "a.mp4"))) as container:
        assert "encoder" not in container.metadata
        assert "creation_time" not in container.metadata


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_a_film_whose_size_changes_keeps_that_of_its_first_frame(tmp_path: Path, name: str) -> None:
    """Case 07 and situation F13: pictures turn midway, stamps leap by hours."""
    sizes, times = ((180, 320), (320, 180), (90, 160)), (5.0, 5.1, 90_000.0)
    frames = [(time, made_up_picture(GREY, *size)) for time, size in zip(times, sizes, strict=True)]
    write_preview(tmp_path / name, frames, RESULT)
    pictures, shown_s = shown(tmp_path / name)
    assert {picture.shape for picture in pictures} == {(220, 328, 3)}
    assert shown_s == pytest.approx([0.0, 0.1, 60.1], abs=0.02)
    turned = pictures[1]
    assert turned[60, 14].max() < 40  # black beside an upright picture, which is not stretched
    assert (np.abs(turned[60, 164].astype(int) - GREY) < 14).all()


def test_a_film_narrower_than_its_bar_has_a_preview(tmp_path: Path) -> None:
    """Situation F13."""
    assert shown(make(tmp_path / "a.gif", (8, 320)))[0][0].shape == (360, 16, 3)
    assert shown(make(tmp_path / "a.mp4", (18, 642)))[0][0].shape == (520, 22, 3)


def test_the_same_film_gives_the_same_preview(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 480, 270, 3)).astype(np.uint8) // 4
    frames = [(n / 10, picture + np.uint8(60) * (n % 3)) for n, picture in enumerate(noise)]
    for name in "abc":
        write_preview(tmp_path / f"{name}.mp4", frames, RESULT)
    assert len({(tmp_path / f"{name}.mp4").read_bytes() for name in "abc"}) == 1


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_an_interruption_leaves_nothing(tmp_path: Path, name: str) -> None:
    def interrupted() -> Iterator[tuple[float, NDArray[np.uint8]]]:
        yield 0.0, made_up_picture(GREY, 48, 64)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_preview(tmp_path / name, interrupted(), RESULT)
    with pytest.raises(DataError, match="no frame to show"):
        write_preview(tmp_path / name, [], RESULT)
    assert list(tmp_path.iterdir()) == []


def test_a_gif_has_a_limit_and_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "GIF_FRAMES", 3)
    with pytest.raises(DataError, match=r"3 frames at most; write an \.mp4"):
        make(tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_complaints(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.mp4 or \.gif, got 'a\.avi'"):
        make(tmp_path / "a.avi")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        make(tmp_path / "file" / "a.mp4")


def test_a_gif_of_a_long_film_has_fewer_frames_per_second() -> None:
    assert (preview_rate(Path("a.mp4"), 7200), preview_rate(Path("a.gif"), 10)) == (10.0, 4.0)
    assert preview_rate(Path("a.gif"), 3000) * 3000 < preview.GIF_FRAMES
