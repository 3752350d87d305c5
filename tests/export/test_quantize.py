"""A model in integers is small, says nearly the same, and is used as any exported model."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError, ModelError
from flipdetect.export import quantize
from flipdetect.export.compact import compact
from flipdetect.export.onnx_writing import write_float16
from flipdetect.export.quantize import (
    LIGHT_WEIGHTS,
    Quantisation,
    multiplies_bytes_safely,
    quantize_checked,
    quantize_int8,
)
from flipdetect.export.sample import sample_frames
from flipdetect.inference.onnx_model import OnnxModel, load_onnx
from flipdetect.zoo import shipped_path
from tests.frame_sets import page_frame, write_frame
from tests.inference.exported import write_exported

SOURCE = shipped_path("tiny_cnn").with_suffix(".onnx")


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
    assert quantize_int8(SOURCE, pages(whole, range(12)), path, Quantisation(reduce_range="yes")) == path
    return load_onnx(path, 1)


def test_it_says_nearly_the_same_in_less_than_three_tenths_of_the_bytes(whole: OnnxModel, small: OnnxModel) -> None:
    assert small.path.stat().st_size < 0.3 * SOURCE.stat().st_size
    frames = pages(whole, range(50, 62))
    (before, hands), (after, small_hands) = whole.predict_with_maps(frames), small.predict_with_maps(frames)
    assert np.abs(before - after).mean() < 0.05
    assert not np.array_equal(before, after)
    assert hands is not None
    assert small_hands is not None
    assert np.abs(hands - small_hands).mean() < 0.05


def test_it_carries_what_the_model_carries(whole: OnnxModel, small: OnnxModel) -> None:
    for name in ("classes", "preprocess", "threshold", "naming", "name", "source", "has_maps"):
        assert getattr(small, name) == getattr(whole, name)
    proto = onnx.load(small.path)
    onnx.checker.check_model(proto, full_check=True)
    facts = json.loads(proto.metadata_props[0].value)
    assert facts["precision"] == "int8"
    assert facts["quantisation"] == {"method": "minmax", "reduced_range": True, "calibration_frames": 12}
    assert [entry.domain for entry in proto.opset_import] == [""]


def test_weights_are_integers_of_seven_bits_if_so_told(small: OnnxModel) -> None:
    tensors = [numpy_helper.to_array(tensor) for tensor in onnx.load(small.path).graph.initializer]
    weights = [each for each in tensors if each.ndim == 4 and each.size >= LIGHT_WEIGHTS]
    assert len(weights) >= 15
    assert {each.dtype for each in weights} == {np.dtype(np.int8)}
    assert max(np.abs(each.astype(int)).max() for each in weights) <= 64


def test_integers_are_not_made_smaller_again(whole: OnnxModel, small: OnnxModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is in int8 already"):
        quantize_int8(small.path, pages(whole, range(2)), tmp_path / "again.onnx")
    half = write_float16(SOURCE, tmp_path / "half.onnx")
    with pytest.raises(ModelError, match="is in float16 already"):
        write_float16(half, tmp_path / "quarter.onnx")


def test_float16_of_an_exported_file_halves_it(whole: OnnxModel, tmp_path: Path) -> None:
    half = load_onnx(write_float16(SOURCE, tmp_path / "half.onnx"), 1)
    assert half.path.stat().st_size < 0.55 * SOURCE.stat().st_size
    frames = pages(whole, range(4))
    np.testing.assert_allclose(half.probabilities(frames), whole.probabilities(frames), atol=1e-2)


def test_frames_that_do_not_fit_are_refused(whole: OnnxModel, tmp_path: Path) -> None:
    frames = pages(whole, range(2))
    for wrong in (frames[:0], frames[:, :, :-1]):
        with pytest.raises(ModelError, match="is calibrated on frames of shape"):
            quantize_int8(SOURCE, wrong, tmp_path / "x.onnx")
    with pytest.raises(ModelError, match="must be one of minmax, percentile, entropy, got 'best'"):
        Quantisation("best")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="auto, yes, no, got 'maybe'"):
        Quantisation(reduce_range="maybe")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="there is no file"):
        quantize_int8(tmp_path / "absent.onnx", frames, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_says_something_else_is_not_kept(
    whole: OnnxModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"an earlier one")
    monkeypatch.setattr(quantize, "MEAN_LIMIT", -1.0)
    with pytest.raises(ModelError, match=r"differ by .* on average of 3 frames; -1 is allowed"):
        quantize_checked(SOURCE, pages(whole, range(2)), pages(whole, range(3)), path)
    assert path.read_bytes() == b"an earlier one"


def test_a_model_without_heavy_layers_stays_as_it_is(tmp_path: Path) -> None:
    source = write_exported(tmp_path / "plain.onnx")
    model = load_onnx(source, 1)
    frames = np.random.default_rng(0).normal(size=(6, 3, 16, 8)).astype(np.float32)
    small = load_onnx(quantize_int8(source, frames, tmp_path / "plain.int8.onnx"), 1)
    np.testing.assert_allclose(small.probabilities(frames), model.probabilities(frames), atol=1e-6)


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
    monkeypatch.setattr(quantize, "_CPU_INFO", info)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert multiplies_bytes_safely() == safe
    assert Quantisation().reduces == (not safe)
    assert not Quantisation(reduce_range="no").reduces


def test_a_compacted_graph_computes_the_same(whole: OnnxModel, tmp_path: Path) -> None:
    proto = onnx.load(SOURCE)
    proto.graph.initializer.add(name="nobody_asks_for_this", data_type=1, dims=[1], float_data=[1.0])
    compact(proto)
    assert "nobody_asks_for_this" not in {tensor.name for tensor in proto.graph.initializer}
    (tmp_path / "compact.onnx").write_bytes(proto.SerializeToString())
    assert len(proto.SerializeToString()) < SOURCE.stat().st_size
    frames = pages(whole, range(2))
    np.testing.assert_array_equal(
        load_onnx(tmp_path / "compact.onnx", 1).probabilities(frames), whole.probabilities(frames)
    )


def test_a_sample_is_spread_over_the_folder(tmp_path: Path) -> None:
    spec = PreprocessSpec(height=16, width=8, mean=(0, 0, 0), std=(1, 1, 1))
    for number in range(20):
        write_frame(tmp_path / "deep" / f"{number}.png", np.full((16, 8, 3), 10 * number, np.uint8))
    (tmp_path / "deep" / "3.png").write_bytes(b"no picture")

    def levels(frames: np.ndarray) -> list[int]:
        return (frames.mean(axis=(1, 2, 3)) * 25.5).round().astype(int).tolist()

    assert levels(sample_frames(tmp_path, spec, 4).frames) == [0, 6, 13, 19]
    all_frames = sample_frames(tmp_path, spec, 100)
    assert len(all_frames.frames) == 19
    rest, aside = all_frames.divided(4)
    assert len(rest) == 15
    assert levels(aside) == [0, 7, 13, 19]
    with pytest.raises(DataError, match="20 are needed"):
        all_frames.divided(10)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no readable frame"):
        sample_frames(tmp_path / "empty", spec, 4)
