"""Scores of films and of frame files: what is scored, in which order it is reported, by which threads."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError
from flipdetect.inference.load import load_model
from flipdetect.inference.onnx_model import load_onnx
from flipdetect.inference.score import BATCH, SINGLE_BATCH, WAITING, Predictor, score_video
from flipdetect.records import ClassNames, FrameScore
from flipdetect.sources.streams import ArrayStream, StreamFrame
from flipdetect.zoo import PRETRAINED
from tests.frame_sets import page_frame, write_frame
from tests.inference.exported import write_exported
from tests.inference.looking import RednessModel, flat, page


def frames(values: list[float | None], refine: int) -> list[StreamFrame]:
    return [
        StreamFrame(
            "film.mp4",
            place / 30,
            place,
            None if value is None else flat(value),
            "" if value is not None else "torn",
            fine=place % refine != 0,
        )
        for place, value in enumerate(values)
    ]


def scores_of(values: list[float | None], model: RednessModel, refine: int = 1, **settings: object) -> list[FrameScore]:
    batches = score_video(frames(values, refine), model, 0.5, video="film", **settings)  # type: ignore[arg-type]
    return [score for batch in batches for score in batch]


def score(values: list[float | None], **settings: Any) -> tuple[list[int | None], RednessModel]:
    model = RednessModel()
    return [score.frame for score in scores_of(values, model, **settings)], model


def test_every_frame_is_scored_in_order_when_nothing_is_refined() -> None:
    found, model = score([0.1] * 21, batch_size=8)
    assert found == list(range(21))
    assert sum(model.batches) == 21
    assert max(model.batches) == 8


def test_a_calm_film_is_scored_coarsely() -> None:
    found, model = score([0.1] * 31, refine=3, batch_size=4)
    assert found == list(range(0, 31, 3))
    assert sum(model.batches) == len(found)


def test_frames_between_are_scored_where_scores_change() -> None:
    values = [0.05] * 12 + [0.9] * 9 + [0.05] * 12
    found, _ = score(values, refine=3, batch_size=4)
    # Between 9 and 12 the scores rise, between 18 and 21 they fall; inside the turn they are equal.
    assert found == sorted({*range(0, 33, 3), 10, 11, 19, 20})
    assert found == sorted(found)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 64])
def test_what_is_scored_does_not_depend_on_the_batch_size(batch_size: int) -> None:
    rng = np.random.default_rng(3)
    values = [float(value) for value in rng.choice([0.05, 0.3, 0.9], 50)]
    assert score(values, refine=4, batch_size=batch_size)[0] == score(values, refine=4, batch_size=7)[0]


def test_a_stream_may_ask_the_model_itself() -> None:
    model = RednessModel()
    stream = ArrayStream([page(1)] * 3)
    assert len(list(score_video(stream, model, 0.5, batch_size=3))) == 1
    assert stream.look is not None
    assert stream.look(page(1)).hidden.all()  # hands are there from the start, perhaps on all of a small book
    model.hands = 0.0
    assert not stream.look(page(1)).hidden.any()
    model.hands = 1.0
    opinion = stream.look(page(1))
    assert opinion is not None
    assert (opinion.is_flip, bool(opinion.hidden.all())) == (False, True)  # they cover half of the pages
    model.hands = None
    assert stream.look(page(1)) is None
    asked = len(model.batches)
    known = [StreamFrame("film.mp4", place / 30, place, flat(0.1), opinion=opinion) for place in range(3)]
    (scores,) = score_video(known, model, 0.5)
    assert [score.probability for score in scores] == [round(opinion.probability, 6)] * 3
    assert all(score.quality and (score.quality.coverage or 0) > 0.5 for score in scores)
    assert len(model.batches) == asked


def test_frames_after_the_last_coarse_one_are_scored_if_that_is_a_flip() -> None:
    assert score([0.1] * 3 + [0.9] * 3, refine=3)[0] == [0, 1, 2, 3, 4, 5]
    assert score([0.1] * 6, refine=3)[0] == [0, 3]


def test_an_unreadable_frame_is_reported_with_its_reason_wherever_it_stands() -> None:
    model = RednessModel()
    values: list[float | None] = [None, 0.1, None, 0.1, 0.1, 0.1, None, 0.1]
    found = scores_of(values, model, refine=3, batch_size=2)
    assert [(score.frame, score.error) for score in found if score.error] == [(0, "torn"), (2, "torn"), (6, "torn")]
    assert all(score.time_s is not None for score in found)
    assert [score.frame for score in found] == sorted(score.frame or 0 for score in found)


def test_the_quality_is_measured_with_the_hands_that_lie_over_the_frame() -> None:
    model = RednessModel()
    measured = scores_of([0.6] * 3, model)
    assert all(score.quality is not None for score in measured)
    assert all(score.quality and score.quality.coverage and score.quality.coverage > 0.3 for score in measured)
    model.hands = None
    blind = scores_of([0.6] * 3, model)
    assert all(score.quality is not None and score.quality.coverage is None for score in blind)


def test_nothing_is_measured_unless_wanted() -> None:
    assert all(score.quality is None for score in scores_of([0.6] * 3, RednessModel(), measure=False))


def test_an_impossible_batch_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        score([0.1], batch_size=0)


class Brightness:
    """Stands for an engine: the probability is how bright a frame is; notes who called it, with how many frames."""

    classes, preprocess, naming = ClassNames(), PreprocessSpec(height=16, width=8, mean=(0,) * 3, std=(1,) * 3), None

    def __init__(self, is_single_threaded: bool) -> None:
        self.is_single_threaded = is_single_threaded
        self.calls: list[tuple[int, int]] = []

    def probabilities(self, frames: np.ndarray) -> np.ndarray:
        self.calls.append((threading.get_ident(), len(frames)))
        time.sleep(0.002 * float(frames[0].mean()))  # so that later batches can overtake
        return np.asarray(frames.mean(axis=(1, 2, 3)), np.float64)


@pytest.fixture(scope="module")
def grey_frames(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """24 frames, darker from one to the next."""
    root = tmp_path_factory.mktemp("grey")
    paths = [root / f"{number:02d}.png" for number in range(24)]
    for number, path in enumerate(paths):
        write_frame(path, np.full((16, 8, 3), 250 - 10 * number, np.uint8))
    return paths


@pytest.mark.parametrize("single", [True, False])
def test_scores_come_in_order_in_batches_of_a_fixed_size(grey_frames: list[Path], single: bool) -> None:
    model = Brightness(single)
    batches = list(Predictor(model, 0.5, batch_size=5, workers=3).predict(grey_frames, grey_frames[0].parent))
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 4]
    scores = [score for batch in batches for score in batch]
    assert [score.path for score in scores] == [path.name for path in grey_frames]
    assert [score.probability for score in scores] == pytest.approx([(250 - 10 * n) / 255 for n in range(24)], abs=1e-6)
    assert sorted(size for _, size in model.calls) == [4, 5, 5, 5, 5]


def test_a_model_with_all_cores_is_called_from_one_thread(grey_frames: list[Path]) -> None:
    model = Brightness(False)
    list(Predictor(model, 0.5, workers=3).predict(grey_frames, Path()))
    assert {caller for caller, _ in model.calls} == {threading.get_ident()}
    assert [size for _, size in model.calls] == [BATCH, 24 - BATCH]


def test_a_single_threaded_model_is_called_from_several(grey_frames: list[Path]) -> None:
    model = Brightness(True)
    list(Predictor(model, 0.5, workers=3).predict(grey_frames, Path()))
    callers = {caller for caller, _ in model.calls}
    assert 1 < len(callers) <= 3
    assert threading.get_ident() not in callers
    assert {size for _, size in model.calls} == {SINGLE_BATCH}


@pytest.mark.parametrize("single", [True, False])
def test_no_more_is_read_ahead_than_said_and_an_end_is_an_end(grey_frames: list[Path], single: bool) -> None:
    drawn: list[Path] = []

    def paths() -> Iterator[Path]:
        for path in grey_frames:
            drawn.append(path)
            yield path

    found = Predictor(Brightness(single), 0.5, batch_size=1, workers=1).predict(paths(), Path())
    next(found)
    assert len(drawn) <= max(WAITING, 2)
    found.close()
    assert len(drawn) <= max(WAITING, 2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


@pytest.mark.parametrize("single", [True, False])
def test_unreadable_files_stand_where_they_belong(grey_frames: list[Path], tmp_path: Path, single: bool) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    mixed = [tmp_path / "text.jpg", grey_frames[0], tmp_path / "absent.jpg"]
    model = Brightness(single)
    (scores,) = Predictor(model, 0.5, batch_size=3, workers=2).predict(mixed, tmp_path)
    assert [score.probability is None for score in scores] == [True, False, True]
    assert "no such file" in scores[2].error
    (scores,) = Predictor(model, 0.5, batch_size=3, workers=2).predict(mixed[:1], tmp_path)
    assert scores[0].error
    assert len(model.calls) == 1  # of no frames, nothing is asked


def test_nothing_to_score_is_no_score() -> None:
    assert list(Predictor(Brightness(True), 0.5).predict([], Path())) == []
    assert list(Predictor(Brightness(False), 0.5).predict([], Path())) == []


def test_an_error_of_the_model_is_raised(grey_frames: list[Path]) -> None:
    model = Brightness(True)
    model.probabilities = lambda frames: 1 / 0  # type: ignore[assignment,method-assign]
    with pytest.raises(ZeroDivisionError):
        list(Predictor(model, 0.5).predict(grey_frames, Path()))


def test_an_exported_model_says_whether_it_takes_one_core(tmp_path: Path) -> None:
    path = write_exported(tmp_path / "model.onnx")
    assert load_onnx(path, 1).is_single_threaded
    assert not load_onnx(path, 2).is_single_threaded


@pytest.mark.parametrize("name", PRETRAINED)
def test_engines_score_a_folder_alike(name: str, tmp_path: Path) -> None:
    for number in range(10):
        write_frame(tmp_path / f"{number}.jpg", page_frame(number % 2 == 0, number, height=1024))
    paths = sorted(tmp_path.iterdir())
    scores = {}
    for engine in ("onnx", "torch"):
        model = load_model(name, engine, "cpu", threads=1)  # type: ignore[arg-type]
        batches = Predictor(model, model.threshold, workers=2).predict(paths, tmp_path)
        scores[engine] = np.array([score.probability for batch in batches for score in batch])
    np.testing.assert_allclose(scores["onnx"], scores["torch"], rtol=0, atol=1e-4)
