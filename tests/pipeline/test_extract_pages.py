"""`extract_pages`, as the package offers it and inside, with a model that takes red frames for flips."""

from pathlib import Path

import pytest

import flipdetect
from flipdetect.errors import DataError
from flipdetect.inference.settings import EventSettings
from flipdetect.pipeline import api
from flipdetect.pipeline.extract_pages import ExtractSettings, Interrupted, extract_pages
from flipdetect.records import FrameScore
from flipdetect.sources.streams import ArrayStream, VideoStream, open_stream
from tests.inference.looking import RATE, RednessModel, film
from tests.sources.films import write


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three spreads and two turns."""
    return write(tmp_path_factory.mktemp("films") / "book.mp4", film((1, 2, 3)), rate=RATE)


@pytest.fixture
def red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flipdetect.pipeline.extract_pages.settings_of", lambda path: EventSettings())
    monkeypatch.setattr(api, "load_model", lambda *_, **__: RednessModel(hands=0.0))


def test_a_film_gives_turns_stills_and_scores(red: None, book: Path, tmp_path: Path) -> None:
    result = flipdetect.extract_pages(book)
    assert (result.video, result.source, result.complete, result.problems) == ("book", str(book), True, ())
    assert [event.number for event in result.events] == [1, 2]
    assert [still.spread for still in result.stills] == [1, 2, 3]
    assert result.frames == len(result.scores) > 50
    written = flipdetect.extract_pages(book, stills=tmp_path / "pages", pdf=tmp_path / "book.pdf")
    assert written == result
    assert len(list((tmp_path / "pages").iterdir())) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.pdf", "pages"]


def test_arrays_are_films_without_images(red: None, tmp_path: Path) -> None:
    result = flipdetect.extract_pages(film((1, 2)), fps=RATE)
    assert (len(result.events), len(result.stills)) == (1, 2)
    with pytest.raises(DataError, match="images can be written of files only"):
        flipdetect.extract_pages(film((1, 2)), stills=tmp_path)
    with pytest.raises(DataError, match="use stream_flips"):
        flipdetect.extract_pages(0)


def test_what_cannot_be_written_is_an_error(red: None, book: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"book\.pdf cannot be written"):
        flipdetect.extract_pages(book, pdf=tmp_path / "file" / "book.pdf")


def test_scores_come_as_they_are_made_and_ctrl_c_keeps_them(book: Path) -> None:
    seen: list[FrameScore] = []

    def stop(scores: list[FrameScore]) -> None:
        seen.extend(scores)
        if len(seen) > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        extract_pages(VideoStream(book), RednessModel(), ExtractSettings(), on_scores=stop)
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
