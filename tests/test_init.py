"""The package as a library: load a model, predict on decoded frames."""

import doctest
from pathlib import Path

import numpy as np
import pytest
import torch

import flipdetect
from flipdetect.errors import ConfigError, FrameError, ModelError
from flipdetect.inference.torch_model import TorchModel, load_torch_model
from flipdetect.sources.image import decode_frame
from flipdetect.tasks import TinyCNNClassifier
from flipdetect.zoo import pretrained_path
from tests.frame_sets import page_frame, write_frame


@pytest.fixture(scope="module")
def model() -> TorchModel:
    return load_torch_model(pretrained_path("tiny_cnn"), "cpu")


def test_the_example_in_the_docstring_runs() -> None:
    result = doctest.testmod(flipdetect)
    assert result.attempted > 0
    assert result.failed == 0


def test_names_exported_files_checkpoints_and_runs_load_alike(trained: Path) -> None:
    onnx = pretrained_path("tiny_cnn").with_suffix(".onnx")
    frame = page_frame(True, 0)
    assert flipdetect.load("tiny_cnn").predict(frame) == pytest.approx(flipdetect.load(onnx).predict(frame))
    for named in (trained, str(trained), trained.parent):
        assert flipdetect.load(named, device="cpu").path == trained
    with pytest.raises(ModelError, match="tiny_cnn, mobilenet_v2"):
        flipdetect.load("tiny")


def test_prediction_is_that_of_the_file(model: TorchModel, tmp_path: Path) -> None:
    write_frame(tmp_path / "page.png", page_frame(True, 5, height=640))
    from_file = model.probabilities(model.preprocess.load(tmp_path / "page.png")[np.newaxis])
    np.testing.assert_array_equal(model.predict(decode_frame(tmp_path / "page.png")), from_file)


def test_one_several_and_a_stream_of_frames_score_alike(model: TorchModel) -> None:
    frames = [page_frame(seed % 2 == 0, seed, height=128 + 16 * seed) for seed in range(5)]
    one_by_one = np.concatenate([model.predict(frame) for frame in frames])
    assert one_by_one.shape == (5,)
    assert one_by_one.dtype == np.float64
    assert model.predict(iter(frames), batch_size=2) == pytest.approx(one_by_one, abs=1e-6)
    same_size = np.stack([frames[0], frames[0]])
    assert model.predict(same_size) == pytest.approx(one_by_one[[0, 0]], abs=1e-6)
    assert model.predict([]).shape == (0,)


def test_a_stream_is_not_held_in_memory(model: TorchModel, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    scored = []
    original = TorchModel.probabilities

    def stream():
        for seed in range(6):
            drawn.append(seed)
            yield page_frame(True, seed)
            if seed == 3:
                raise KeyboardInterrupt

    def count(self: TorchModel, batch: np.ndarray) -> np.ndarray:
        scored.append(len(drawn))
        return original(self, batch)

    monkeypatch.setattr(TorchModel, "probabilities", count)
    with pytest.raises(KeyboardInterrupt):
        model.predict(stream(), batch_size=2)
    assert scored == [2, 4]


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((64, 36), np.uint8),
        np.zeros((64, 36, 4), np.uint8),
        np.zeros((64, 36, 3), np.float32),
        np.zeros((0, 36, 3), np.uint8),
        np.zeros((1, 1, 64, 36, 3), np.uint8),
        [[1, 2, 3]],
        ["page.jpg"],
    ],
    ids=["no colour", "four channels", "float", "empty", "five axes", "list", "path"],
)
def test_what_is_no_frame_is_refused(model: TorchModel, wrong) -> None:
    with pytest.raises(FrameError):
        model.predict(wrong)


def test_a_batch_of_no_frames_is_refused(model: TorchModel) -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        model.predict(page_frame(True, 0), batch_size=0)


def test_grey_models_take_colour_frames_as_they_read_colour_files(trained: Path, tmp_path: Path) -> None:
    content = torch.load(trained, weights_only=True)
    facts = content["flipdetect"]
    task = TinyCNNClassifier(**{**facts["arguments"], "in_channels": 1})
    facts["arguments"]["in_channels"] = 1
    facts["preprocess"].update(channels=1, mean=[0.5], std=[0.25])
    torch.save({"state_dict": task.state_dict(), "flipdetect": facts}, tmp_path / "grey.ckpt")
    grey = flipdetect.load(tmp_path / "grey.ckpt", device="cpu")
    write_frame(tmp_path / "page.png", page_frame(True, 5))
    from_file = grey.probabilities(grey.preprocess.load(tmp_path / "page.png")[np.newaxis])
    np.testing.assert_array_equal(grey.predict(decode_frame(tmp_path / "page.png")), from_file)
