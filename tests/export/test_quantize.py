"""A quantised model is small, its probabilities nearly the same, and it is used as any exported model."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from flipdetect.errors import ModelError
from flipdetect.export import quantize
from flipdetect.export.onnx_files import shrink_graph
from flipdetect.export.quantize import LIGHT_WEIGHTS, multiplies_bytes_safely, quantize_checked
from flipdetect.inference.onnx_model import OnnxModel, load_onnx
from flipdetect.zoo import pretrained_path
from tests.frame_sets import page_frame
from tests.inference.exported import write_exported

SOURCE = pretrained_path("tiny_cnn").with_suffix(".onnx")


def pages(model: OnnxModel, seeds: range) -> np.ndarray:
    return np.stack(
        [model.preprocess.normalise(model.preprocess.resize(page_frame(s % 2 == 0, s, 400))) for s in seeds]
    )


@pytest.fixture(scope="module")
def whole() -> OnnxModel:
    return load_onnx(SOURCE, 1)


@pytest.fixture(scope="module")
def small(whole: OnnxModel, tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    path = tmp_path_factory.mktemp("int8") / "tiny.int8.onnx"
    quantize_checked(SOURCE, pages(whole, range(12)), pages(whole, range(3)), path, reduce_range=True)
    return load_onnx(path, 1)


def test_probabilities_are_nearly_the_same_in_three_tenths_of_the_bytes(whole: OnnxModel, small: OnnxModel) -> None:
    assert small.path.stat().st_size < 0.31 * SOURCE.stat().st_size
    frames = pages(whole, range(50, 62))
    (before, hands), (after, small_hands) = whole.predict_with_maps(frames), small.predict_with_maps(frames)
    assert np.abs(before - after).mean() < 0.05
    assert not np.array_equal(before, after)
    assert hands is not None
    assert small_hands is not None
    assert np.abs(hands - small_hands).mean() < 0.05


def test_metadata_is_kept_and_says_how_it_was_quantised(whole: OnnxModel, small: OnnxModel) -> None:
    for name in ("classes", "preprocess", "threshold", "naming", "name", "source", "has_maps"):
        assert getattr(small, name) == getattr(whole, name)
    proto = onnx.load(small.path)
    onnx.checker.check_model(proto, full_check=True)
    facts = json.loads(proto.metadata_props[0].value)
    assert facts["precision"] == "int8"
    assert facts["quantisation"] == {"method": "minmax", "reduced_range": True, "calibration_frames": 12}
    assert [entry.domain for entry in proto.opset_import] == [""]


def test_weights_are_integers_of_seven_bits_if_asked_for(small: OnnxModel) -> None:
    tensors = [numpy_helper.to_array(tensor) for tensor in onnx.load(small.path).graph.initializer]
    weights = [each for each in tensors if each.ndim == 4 and each.size >= LIGHT_WEIGHTS]
    assert len(weights) >= 15
    assert {each.dtype for each in weights} == {np.dtype(np.int8)}
    assert max(np.abs(each.astype(int)).max() for each in weights) <= 64


def test_what_cannot_be_quantised_is_refused(whole: OnnxModel, small: OnnxModel, tmp_path: Path) -> None:
    frames, target = pages(whole, range(2)), tmp_path / "x.onnx"
    with pytest.raises(ModelError, match="is in int8 already"):
        quantize_checked(small.path, frames, frames, target)
    for calibration, others in ((frames[:0], frames), (frames, frames[:, :, :-1])):
        with pytest.raises(ModelError, match="is calibrated on frames of shape"):
            quantize_checked(SOURCE, calibration, others, target)
    with pytest.raises(ModelError, match="there is no file"):
        quantize_checked(tmp_path / "absent.onnx", frames, frames, target)
    assert not list(tmp_path.iterdir())


def test_a_file_with_other_probabilities_is_not_kept(
    whole: OnnxModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"an earlier one")
    monkeypatch.setattr(quantize, "MEAN_LIMIT", -1.0)
    with pytest.raises(ModelError, match=r"differ by .* on average of 3 frames; -1 is allowed"):
        quantize_checked(SOURCE, pages(whole, range(2)), pages(whole, range(3)), path)
    assert path.read_bytes() == b"an earlier one"


def test_a_model_without_heavy_layers_is_unchanged(tmp_path: Path) -> None:
    source = write_exported(tmp_path / "plain.onnx")
    frames = np.random.default_rng(0).normal(size=(6, 3, 16, 8)).astype(np.float32)
    assert quantize_checked(source, frames, frames, tmp_path / "plain.int8.onnx").largest < 1e-6


@pytest.mark.parametrize(
    ("machine", "flags", "safe"),
    [
        ("x86_64", "fpu sse avx2", False),
        ("x86_64", "fpu avx512f avx512_vnni", True),
        ("AMD64", "fpu avx2 avx_vnni", True),
        ("aarch64", "", True),
        ("x86_64", None, False),
    ],
)
def test_seven_bits_are_for_processors_whose_sums_overflow(
    machine: str, flags: str | None, safe: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    if flags is not None:
        info.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(quantize, "CPU_INFO", info)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert multiplies_bytes_safely() == safe


def test_a_shrunk_graph_computes_the_same(whole: OnnxModel, tmp_path: Path) -> None:
    proto = onnx.load(SOURCE)
    proto.graph.initializer.add(name="unused", data_type=1, dims=[1], float_data=[1.0])
    count = len(proto.graph.initializer)
    shrink_graph(proto.graph)
    assert len(proto.graph.initializer) < count
    (tmp_path / "small.onnx").write_bytes(proto.SerializeToString())
    assert len(proto.SerializeToString()) < SOURCE.stat().st_size
    frames = pages(whole, range(2))
    np.testing.assert_array_equal(
        load_onnx(tmp_path / "small.onnx", 1).probabilities(frames), whole.probabilities(frames)
    )
