"""Frame files to scores: in order, whichever threads did the work; bounded, and the same by every engine."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.inference.folder import BATCH, SINGLE_BATCH, WAITING, Predictor
from flipdetect.inference.load import load_model
from flipdetect.inference.onnx_model import load_onnx
from flipdetect.records import ClassNames
from flipdetect.zoo import PRETRAINED
from tests.frame_sets import page_frame, write_frame
from tests.inference.exported import write_exported


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
