"""Turns and pages of any source in one call, with a model that takes red frames for flips."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pikepdf
import pytest

import flipdetect
from flipdetect.errors import DataError, FrameError, ModelError
from flipdetect.inference.settings import EventSettings
from flipdetect.pipeline import api
from flipdetect.pipeline.extract_pages import ExtractSettings, Interrupted, extract_pages
from flipdetect.records import FrameScore
from flipdetect.sources.streams import ArrayStream, VideoStream, open_stream
from tests.frame_sets import write_frame
from tests.inference.looking import RATE, RednessModel, film, flat
from tests.pages.made_up import KnownMaps, surface
from tests.sources.films import write

TURNS = ((2.0, 2.8), (5.0, 5.6), (8.1, 9.0))


def frames(seconds: float = 11.0) -> Iterator[np.ndarray]:
    for place in range(int(seconds * RATE)):
        time = place / RATE
        yield flat(0.97 if any(start <= time <= end for start, end in TURNS) else 0.02)


@pytest.fixture(autouse=True)
def red(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("pipeline.api", "inference.settings"):
        monkeypatch.setattr(f"flipdetect.{room}.settings_of", lambda path: EventSettings())
    monkeypatch.setattr(api, "load_model", lambda model, **_: RednessModel(hands=0.0))


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


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three spreads and two turns."""
    return write(tmp_path_factory.mktemp("films") / "book.mp4", film((1, 2, 3)), rate=RATE)


def test_a_film_gives_turns_stills_and_scores(book: Path, tmp_path: Path) -> None:
    result = flipdetect.extract_pages(book)
    assert (result.video, result.source, result.complete, result.problems) == ("book", str(book), True, ())
    assert [event.number for event in result.events] == [1, 2]
    assert [still.spread for still in result.stills] == [1, 2, 3]
    assert result.frames == len(result.scores) > 20
    assert result.decoding == "key frames"
    written = flipdetect.extract_pages(book, stills=tmp_path / "pages", pdf=tmp_path / "book.pdf")
    assert written == result
    assert len(list((tmp_path / "pages").iterdir())) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.pdf", "pages"]


def test_pages_are_cut_out_and_named(book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownMaps(surface((216, 384), depth=1.6))
    monkeypatch.setattr("flipdetect.pipeline.write_outputs.page_network", lambda: known)
    result = flipdetect.extract_pages(book, pages=tmp_path / "pages", pdf=tmp_path / "book.pdf")
    named = [page for still in result.stills for page in still.pages]
    assert [page.side for page in named] == ["left", "right"] * 3
    assert sorted(Path(page.file) for page in named if page.file) == sorted((tmp_path / "pages").iterdir())
    spreads = json.loads(json.dumps(result.to_dict()))["spreads"]
    assert [page["file"] for spread in spreads for page in spread["pages"]] == [page.file for page in named]
    with pikepdf.open(tmp_path / "book.pdf") as document:
        assert len(document.pages) == 6


def test_arrays_are_films_without_images(tmp_path: Path) -> None:
    result = flipdetect.extract_pages(film((1, 2)), fps=RATE)
    assert (len(result.events), len(result.stills)) == (1, 2)
    with pytest.raises(DataError, match="images can be written of files only"):
        flipdetect.extract_pages(film((1, 2)), stills=tmp_path)
    with pytest.raises(DataError, match="use stream_flips"):
        flipdetect.extract_pages(0)


def test_what_cannot_be_written_is_an_error(book: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"book\.pdf cannot be written"):
        flipdetect.extract_pages(book, pdf=tmp_path / "file" / "book.pdf")


def test_scores_come_as_they_are_made_and_ctrl_c_keeps_them(book: Path) -> None:
    seen: list[FrameScore] = []

    def stop(scores: list[FrameScore]) -> None:
        seen.extend(scores)
        if len(seen) > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        extract_pages(VideoStream(book), RednessModel(), ExtractSettings(batch_size=4), on_scores=stop)
    assert isinstance(stopped.value, Interrupted)
    assert list(stopped.value.result.scores) == seen
    assert not stopped.value.result.complete


def test_a_film_that_cannot_be_read_has_that_as_its_problem(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no film")
    result = extract_pages(open_stream(tmp_path / "film.mp4"), RednessModel(), ExtractSettings())
    assert (result.frames, result.complete, len(result.problems)) == (0, False, 1)
    assert "film.mp4" in result.problems[0]


def test_the_threshold_is_the_models_unless_another_is_given() -> None:
    for threshold, expected in ((None, 0.5), (0.7, 0.7)):
        result = extract_pages(ArrayStream([]), RednessModel(), ExtractSettings(threshold))
        assert (result.threshold, result.model) == (expected, "red")
