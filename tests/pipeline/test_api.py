"""Turns from any source in one call, with a model that takes red frames for flips."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import flipdetect
from flipdetect.errors import DataError, FrameError, ModelError
from flipdetect.inference.settings import EventSettings
from flipdetect.pipeline import api
from flipdetect.sources.streams import ArrayStream
from tests.frame_sets import write_frame
from tests.inference.looking import RednessModel, flat
from tests.sources.films import write

RATE = 20
TURNS = ((2.0, 2.8), (5.0, 5.6), (8.1, 9.0))


def frames(seconds: float = 11.0) -> Iterator[np.ndarray]:
    for place in range(int(seconds * RATE)):
        time = place / RATE
        yield flat(0.97 if any(start <= time <= end for start, end in TURNS) else 0.02)


@pytest.fixture(autouse=True)
def red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "settings_of", lambda path: EventSettings())
    monkeypatch.setattr(api, "load_model", lambda model, **_: RednessModel())


def check(events: list, tolerance: float = 0.11) -> None:
    assert [event.number for event in events] == [1, 2, 3]
    for event, (start, end) in zip(events, TURNS, strict=True):
        assert event.start_s == pytest.approx(start, abs=tolerance)
        assert event.end_s == pytest.approx(end, abs=tolerance)


def test_a_video(tmp_path: Path) -> None:
    path = write(tmp_path / "book.mp4", frames(), rate=RATE)
    check(flipdetect.detect_flips(path, "tiny_cnn"))
    check(flipdetect.detect_flips(str(path), "tiny_cnn", rate_hz=5))
    check(list(flipdetect.stream_flips(path, "tiny_cnn")))


def test_arrays_and_arrays_with_times() -> None:
    check(flipdetect.detect_flips(frames(), "tiny_cnn", fps=RATE))
    check(flipdetect.detect_flips(((place / RATE, frame) for place, frame in enumerate(frames())), "tiny_cnn"))


def test_a_folder_of_one_clip(tmp_path: Path) -> None:
    for number, frame in enumerate(frames()):
        write_frame(tmp_path / f"0001_{number:09d}.png", frame)
    check(flipdetect.detect_flips(tmp_path, "tiny_cnn", fps=RATE))
    write_frame(tmp_path / "0002_000000001.png", flat(0.1))
    with pytest.raises(DataError, match="2 films"):
        flipdetect.detect_flips(tmp_path, "tiny_cnn")


def test_turns_are_streamed_soon_after_they_end() -> None:
    seen = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal seen
        for frame in frames():
            seen += 1
            yield frame

    reported = [(event.end_s, seen / RATE) for event in flipdetect.stream_flips(counted(), "tiny_cnn", fps=RATE)]
    assert len(reported) == 3
    for end, at in reported:
        assert end < at <= end + 0.6


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"nothing\.mp4"):
        flipdetect.detect_flips(tmp_path / "nothing.mp4")
    with pytest.raises(DataError, match="no frames"):
        flipdetect.detect_flips(tmp_path)
    with pytest.raises(DataError, match="Give seconds"):
        flipdetect.detect_flips(0)
    with pytest.raises(ModelError, match="no_such_model"):
        flipdetect.detect_flips(tmp_path, "no_such_model")


def test_the_camera_is_the_number_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Camera(ArrayStream):
        def __init__(self, index: int, seconds: float | None) -> None:
            asked.append((index, seconds))
            super().__init__(frames(), RATE)

    monkeypatch.setattr("flipdetect.sources.streams.CameraStream", Camera)
    check(flipdetect.detect_flips(2, "tiny_cnn", seconds=3))
    check(list(flipdetect.stream_flips(2, "tiny_cnn")))
    assert asked == [(2, 3), (2, None)]
