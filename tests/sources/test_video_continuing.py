"""Going on with a video: as a reading from the start would have; what lies before is skipped."""

from pathlib import Path

import numpy as np
import pytest

from flipdetect.sources.video import Place, open_video
from tests.sources.films import B_FRAMES, number_of, numbered, read, write

UNEVEN = np.cumsum(np.random.default_rng(5).integers(20, 90, 100)).tolist()


def as_known(frames, at: int) -> Place:
    """The place of a frame as a table with six decimals tells it."""
    return Place(round(frames[at].time_s, 6), frames[at].index, round(frames[0].time_s, 6))


@pytest.mark.parametrize("options", [{}, {"stride": 3}, {"rate_hz": 10.0}, {"rate_hz": 8.0}, {"rate_hz": 60.0}])
@pytest.mark.parametrize("stamps", [None, UNEVEN], ids=["even", "uneven"])
def test_what_comes_is_what_would_have_come(tmp_path: Path, options: dict, stamps: list[int] | None) -> None:
    path = write(tmp_path / "film.mp4", map(numbered, range(100)), options=B_FRAMES, stamps=stamps)
    whole = read(path, **options)
    for at in (0, 1, len(whole) // 2, len(whole) - 2, len(whole) - 1):
        rest = read(path, place=as_known(whole, at), **options)
        assert [(frame.index, frame.time_s) for frame in rest] == [(f.index, f.time_s) for f in whole[at:]]
        assert all(number_of(frame.image) == frame.index for frame in rest)


def test_what_lies_before_is_not_decoded(film: Path) -> None:
    with open_video(film, place=Place(95 / 25, 95, 0.0)) as video:
        assert [frame.index for frame in video] == list(range(95, 100))
        assert video._work.decoding.index <= 10
        assert not video.lost


@pytest.mark.parametrize("suffix", ["ts", "264", "mkv", "avi"])
def test_other_formats_give_the_same_frames(tmp_path: Path, suffix: str) -> None:
    codec = {"codec": "mpeg4"} if suffix == "avi" else {"options": B_FRAMES}
    form = {"264": "h264", "ts": "mpegts"}.get(suffix)
    path = write(tmp_path / f"film.{suffix}", map(numbered, range(100)), container_format=form, **codec)
    whole = read(path, rate_hz=12.5)
    rest = read(path, rate_hz=12.5, place=as_known(whole, 33))
    assert [(frame.index, frame.time_s) for frame in rest] == [(f.index, f.time_s) for f in whole[33:]]
    assert [number_of(frame.image) for frame in rest] == [number_of(frame.image) for frame in whole[33:]]


def test_a_time_that_no_frame_has_is_found_by_its_number(film: Path) -> None:
    assert [frame.index for frame in read(film, place=Place(1.99, 50, 0.0))] == list(range(50, 100))
