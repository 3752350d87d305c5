"""An exported model predicts without torch, and a file that is not one is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError, FrameError, ModelError
from flipdetect.inference.onnx_model import load_onnx
from flipdetect.onnx_session import SIZE_LIMIT
from flipdetect.sources.image import usable_cores
from tests.inference.exported import FACTS, SPEC, brightness_model, write_exported


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    return write_exported(tmp_path / "brightness.onnx")


def inputs(count: int, spec: PreprocessSpec = SPEC) -> np.ndarray:
    frames = np.random.default_rng(count).normal(size=(count, spec.channels, spec.height, spec.width))
    return frames.astype(np.float32)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


def test_all_that_prediction_needs_comes_from_the_file(exported: Path) -> None:
    model = load_onnx(exported)
    assert model.classes.names == ("open", "closed")
    assert model.preprocess == SPEC
    assert model.threshold == 0.25
    assert model.naming is not None
    assert model.naming.pattern == FACTS["naming"]["pattern"]
    assert (model.name, model.source, model.path) == ("brightness", "0" * 64, exported)


@pytest.mark.parametrize("count", [1, 7])
def test_batches_of_any_size_get_a_probability_and_a_map_per_frame(exported: Path, count: int) -> None:
    model, frames = load_onnx(exported), inputs(count)
    expected = sigmoid(frames[:, 0].mean(axis=(1, 2)))
    probabilities, hands = model.predict_with_maps(frames)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)
    np.testing.assert_array_equal(model.probabilities(frames), probabilities)
    assert hands is not None
    assert (hands.shape, hands.dtype) == ((count, 4, 2), np.float32)
    np.testing.assert_allclose(hands, sigmoid(frames[:, 0].reshape(count, 4, 4, 2, 4).mean(axis=(2, 4))), rtol=1e-5)


def test_extreme_logits_neither_overflow_nor_warn(exported: Path) -> None:
    frames = np.stack([np.full((3, 16, 8), value, np.float32) for value in (-1e6, 0, 1e6)])
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(load_onnx(exported).probabilities(frames), [0, 0.5, 1])


def test_a_model_without_maps_has_none(tmp_path: Path) -> None:
    model = load_onnx(write_exported(tmp_path / "plain.onnx", brightness_model(hands=False)))
    probabilities, hands = model.predict_with_maps(inputs(2))
    assert len(probabilities) == 2
    assert hands is None


def test_decoded_frames_of_any_size_are_brought_to_the_models_input(exported: Path) -> None:
    model = load_onnx(exported)
    frames = [np.full(shape, 200, np.uint8) for shape in ((64, 32, 3), (32, 16, 3), (16, 8, 3))]
    light = (200 / 255 - SPEC.mean[0]) / SPEC.std[0]
    np.testing.assert_allclose(model.predict(frames, batch_size=2), sigmoid(np.full(3, light)), rtol=1e-5)
    assert model.predict(frames[0]).shape == (1,)
    assert model.predict(iter([])).shape == (0,)
    with pytest.raises(FrameError, match="uint8"):
        model.predict(frames[0].astype(np.float32))
    with pytest.raises(FrameError, match="no pixels"):
        model.predict(frames[0][:0])
    with pytest.raises(ConfigError, match="batch_size"):
        model.predict(frames, batch_size=0)


def test_a_grey_model_takes_frames_in_colour(tmp_path: Path) -> None:
    spec = PreprocessSpec(height=16, width=8, channels=1, mean=(0.5,), std=(0.25,))
    path = write_exported(tmp_path / "grey.onnx", brightness_model(spec), preprocess=spec.to_dict())
    red = np.zeros((16, 8, 3), np.uint8)
    red[:, :, 0] = 255
    expected = sigmoid(np.array([(76 / 255 - 0.5) / 0.25]))  # ITU-R 601-2: 0.299 of 255
    np.testing.assert_allclose(load_onnx(path).predict(red), expected, rtol=1e-5)


def test_frames_of_another_size_are_refused(exported: Path) -> None:
    with pytest.raises(ModelError, match=r"\(B, 3, 16, 8\), got \(1, 3, 8, 16\)"):
        load_onnx(exported).probabilities(inputs(1).transpose(0, 1, 3, 2))


def test_threads_are_as_many_as_told_or_as_there_are_cores(exported: Path) -> None:
    for threads, expected in ((1, 1), (3, 3), (None, usable_cores())):
        assert load_onnx(exported, threads).session.get_session_options().intra_op_num_threads == expected
    with pytest.raises(ModelError, match="at least 1, got 0"):
        load_onnx(exported, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 99}, "version 99"),
        ({"classes": {"negative": "a", "positive": "a"}}, "cannot be used"),
        ({"classes": None}, "damaged"),
        ({"preprocess": {"version": 7}}, "cannot be used"),
        ({"preprocess": PreprocessSpec(height=32, width=8).to_dict()}, "do not fit its metadata"),
        ({"threshold": "high"}, "damaged"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"naming": {"pattern": "("}}, "cannot be used"),
        ({"naming": {"colour": 1}}, "damaged"),
    ],
)
def test_changed_metadata_is_refused(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        load_onnx(write_exported(tmp_path / "changed.onnx", **changes))


def test_what_is_no_exported_model_of_ours_is_refused(tmp_path: Path, exported: Path) -> None:
    whole = exported.read_bytes()
    files = {"empty": b"", "text": b"hello, I am not a model", "cut": whole[: len(whole) // 2]}
    foreign = brightness_model()
    files["foreign"] = foreign.SerializeToString()
    for name, value in (("mangled", "{"), ("list", "[]"), ("deep", "[" * 100_000)):
        foreign.metadata_props.add(key="flipdetect", value=value)
        files[name] = foreign.SerializeToString()
        del foreign.metadata_props[:]
    for name, data in files.items():
        (tmp_path / f"{name}.onnx").write_bytes(data)
    for name, words in (
        ("absent", "there is no file"),
        ("empty", "damaged"),
        ("text", "damaged"),
        ("cut", "damaged"),
        ("foreign", r"flipdetect did not write; .*flipdetect export"),
        ("mangled", "damaged"),
        ("list", "no JSON object"),
        ("deep", "damaged"),
    ):
        with pytest.raises(ModelError, match=words):
            load_onnx(tmp_path / f"{name}.onnx")
    with pytest.raises(ModelError, match="there is no file"):
        load_onnx(tmp_path)


def test_a_graph_that_cannot_run_is_refused(tmp_path: Path) -> None:
    model = brightness_model()
    model.graph.node[1].op_type = "NoSuchOperator"
    with pytest.raises(ModelError, match=rf"ONNX Runtime \({onnxruntime.__version__}\)"):
        load_onnx(write_exported(tmp_path / "unknown.onnx", model))
    model.graph.node[1].domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    with pytest.raises(ModelError, match="damaged, or not supported"):
        load_onnx(write_exported(tmp_path / "foreign.onnx", model))
    model = brightness_model()
    model.graph.output[1].name = "logits"
    with pytest.raises(ModelError, match="do not fit its metadata"):
        load_onnx(write_exported(tmp_path / "twice.onnx", model))


@pytest.mark.parametrize("where", ["initializer", "constant"])
@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/hostname"])
def test_a_file_with_parts_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, location: str
) -> None:
    (tmp_path / "here").mkdir()
    for folder in (tmp_path, tmp_path / "here"):
        (folder / "weights.bin").write_bytes(bytes(4))
    monkeypatch.chdir(tmp_path / "here")
    model = brightness_model()
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value=location)
    if where == "initializer":
        model.graph.initializer.append(tensor)
    else:
        model.graph.node.append(onnx.helper.make_node("Constant", [], ["w"], value=tensor))
    model.graph.node.append(onnx.helper.make_node("Identity", ["w"], ["unused"]))
    with pytest.raises(ModelError, match=r"parts\.onnx .*external data"):
        load_onnx(write_exported(Path("parts.onnx"), model))


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.truncate(SIZE_LIMIT + 1)
    with pytest.raises(ModelError, match="500,000,001 bytes"):
        load_onnx(tmp_path / "huge.onnx")


def test_a_missing_runtime_is_explained(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match="pip install onnxruntime"):
        load_onnx(exported)


def test_predicting_imports_no_torch(exported: Path) -> None:
    code = """
import json, sys
import numpy as np
from flipdetect.inference.load import load_model

model = load_model(sys.argv[1])
scores = model.predict([np.full((40, 30, 3), 200, np.uint8)] * 3)
print(json.dumps([len(scores), sorted({name.split(".")[0] for name in sys.modules})]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(exported)], capture_output=True, text=True, check=True)
    scored, modules = json.loads(done.stdout)
    assert scored == 3
    assert "onnxruntime" in modules
    assert not {"torch", "pytorch_lightning", "timm", "onnx", "matplotlib"} & set(modules)


def test_the_engine_prepares_no_reports_about_its_user(tmp_path: Path) -> None:
    code = "import flipdetect; flipdetect.load('tiny_cnn')"
    silent = {"ORT_DISABLE_TELEMETRY", "CI", "XDG_CACHE_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in silent} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert (done.stderr, list(tmp_path.iterdir())) == ("", [])
