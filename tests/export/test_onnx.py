"""An exported model has the probabilities of the trained one, and all metadata that prediction needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import flipdetect
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError, ModelError
from flipdetect.export.onnx import LIMITS, OPSET, export_checked, export_onnx
from flipdetect.export.onnx_files import IR_VERSION, ModelDifference, compare_models, sample_frames
from flipdetect.inference.onnx_model import OnnxModel, file_digest, load_onnx
from flipdetect.inference.torch_model import TorchModel, load_torch_model
from flipdetect.records import ClassNames
from flipdetect.sources.naming import NamePattern
from flipdetect.tasks import TinyCNNClassifier
from flipdetect.zoo import pretrained_path
from tests.frame_sets import write_frame

GREY = PreprocessSpec(height=40, width=24, channels=1, mean=(0.5,), std=(0.25,))
NAMING = NamePattern(r"(?P<source>s\d+)_(?P<frame>\d+)_(?P<label>[01])", {"0": "closed", "1": "open"})


def grey_bundle(folder: Path, *, channels_last: bool = False) -> TorchModel:
    """An untrained small model of grey frames without maps; its batch norms have seen something."""
    torch.manual_seed(0)
    task = TinyCNNClassifier(in_channels=1, width=4, evidence="none", channels_last=channels_last)
    task.setup("predict")
    with torch.no_grad():
        for _ in range(20):
            task(torch.randn(8, 1, 40, 24))
    path = folder / "grey.ckpt"
    path.write_bytes(b"where it came from")
    return TorchModel(
        task=task.eval(),
        classes=ClassNames("closed", "open"),
        preprocess=GREY,
        threshold=0.75,
        naming=NAMING,
        path=path,
    )


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("tiny_cnn", "mobilenet_v2")]


@pytest.fixture(scope="module", params=["trained", "grey", *SLOW])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TorchModel, OnnxModel]:
    """A model, and the same one exported."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "grey":
        bundle = grey_bundle(folder, channels_last=True)
    elif request.param == "trained":
        bundle = load_torch_model(request.getfixturevalue("trained"), "cpu")
    else:
        bundle = load_torch_model(pretrained_path(request.param), "cpu")
    assert (bundle.temperature != 1) == (request.param != "grey")
    path = folder / "made" / "model.onnx"
    assert export_onnx(bundle, path) == path
    assert [found.name for found in path.parent.iterdir()] == ["model.onnx"]
    return bundle, load_onnx(path, threads=1)


def inputs(bundle: TorchModel, count: int) -> np.ndarray:
    """Noise as the model sees it, from dark to light: logits that lie apart."""
    spec, rng = bundle.preprocess, np.random.default_rng(count)
    frames = rng.integers(0, 256, (count, spec.height, spec.width, spec.channels))
    light = np.linspace(0.1, 1, count)[:, None, None, None]
    return np.stack([spec.normalise(frame) for frame in (frames * light).astype(np.uint8)])


def test_the_temperature_is_in_the_graph(pair: tuple[TorchModel, OnnxModel]) -> None:
    bundle, model = pair
    assert model.temperature == bundle.temperature
    frames = inputs(bundle, 3)
    (logits,) = model.session.run(["logits"], {"frames": frames})
    with torch.inference_mode():
        expected = bundle.task(torch.from_numpy(frames)) / bundle.temperature
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-3)


@pytest.mark.parametrize("count", [1, 7])
def test_probabilities_and_maps_are_those_of_the_model(pair: tuple[TorchModel, OnnxModel], count: int) -> None:
    bundle, model = pair
    difference = compare_models(bundle, model, inputs(bundle, count))
    assert difference.frames == count
    assert difference.largest <= LIMITS["float32"] == 1e-4
    assert difference.flipped == 0
    assert (difference.hands is not None) == bundle.task.model.has_maps == model.has_maps
    assert difference.hands is None or difference.hands <= 1e-4
    assert len(np.unique(model.probabilities(inputs(bundle, count)))) == count


def test_the_file_says_what_the_model_is(pair: tuple[TorchModel, OnnxModel]) -> None:
    bundle, model = pair
    for name in ("classes", "preprocess", "threshold", "naming"):
        assert getattr(model, name) == getattr(bundle, name)
    assert model.name == (
        bundle.path.stem if bundle.path.suffix == ".safetensors" else type(bundle.task.model).__name__
    )
    assert model.source == file_digest(bundle.path)


def test_the_file_is_one_of_plain_onnx_and_names_no_path(pair: tuple[TorchModel, OnnxModel]) -> None:
    bundle, model = pair
    proto = onnx.load(model.path)
    onnx.checker.check_model(proto, full_check=True)
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", OPSET)]
    assert proto.ir_version == IR_VERSION
    assert (proto.producer_name, proto.producer_version) == ("flipdetect", flipdetect.__version__)
    sizes = [dim.dim_value for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    assert sizes == [0, bundle.preprocess.channels, bundle.preprocess.height, bundle.preprocess.width]
    data = model.path.read_bytes()
    for trace in (str(Path(flipdetect.__file__).parent), str(Path(torch.__file__).parent), str(bundle.path.parent)):
        assert trace.encode() not in data


def test_an_export_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    bundle = grey_bundle(tmp_path, channels_last=True)
    frames, before = inputs(bundle, 3), {key: value.clone() for key, value in bundle.task.state_dict().items()}
    scores = bundle.probabilities(frames)
    first, second = (export_onnx(bundle, tmp_path / f"{name}.onnx") for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    np.testing.assert_array_equal(bundle.probabilities(frames), scores)
    for key, value in bundle.task.state_dict().items():
        assert torch.equal(value, before[key])


def test_float16_halves_the_file_and_changes_little(trained: Path, tmp_path: Path) -> None:
    bundle = load_torch_model(trained, "cpu")
    frames = inputs(bundle, 5)
    path = tmp_path / "model.onnx"
    whole = export_onnx(bundle, path).stat().st_size
    difference = export_checked(bundle, path, frames, precision="float16")
    assert 0.45 * whole < path.stat().st_size < 0.6 * whole
    assert 0 < difference.largest <= LIMITS["float16"]
    assert load_onnx(path).probabilities(frames).dtype == np.float64


def changed(bundle: TorchModel, change: Callable[[torch.nn.Module], None]) -> TorchModel:
    with torch.no_grad():
        change(bundle.task.model)
    return bundle


def test_weights_beyond_float16_are_refused(tmp_path: Path) -> None:
    bundle = changed(grey_bundle(tmp_path), lambda model: model.backbone[1][0].weight.fill_(1e6))
    with pytest.raises(ModelError, match="too large for float16"):
        export_onnx(bundle, tmp_path / "model.onnx", precision="float16")
    assert not (tmp_path / "model.onnx").exists()


def test_a_file_that_says_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, path = grey_bundle(tmp_path), tmp_path / "model.onnx"
    path.write_bytes(b"an earlier one")
    monkeypatch.setitem(LIMITS, "float32", -1.0)
    with pytest.raises(ModelError, match=r"differ by up to .* on 2 frames; -1 is allowed"):
        export_checked(bundle, path, inputs(bundle, 2))
    assert path.read_bytes() == b"an earlier one"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["grey.ckpt", "model.onnx"]


def test_differences_are_counted(tmp_path: Path) -> None:
    bundle = grey_bundle(tmp_path)
    frames = inputs(bundle, 20)
    other = changed(grey_bundle(tmp_path), lambda model: model.head[1].bias.add_(1))
    scores = np.stack([one.probabilities(frames) for one in (bundle, other)])
    low, high = (replace(one, threshold=float(np.median(scores))) for one in (bundle, other))
    changes = (scores[0] >= low.threshold) != (scores[1] >= low.threshold)
    assert changes.any()
    differences = np.abs(scores[0] - scores[1])
    mean, largest = (pytest.approx(value, rel=1e-5) for value in (differences.mean(), differences.max()))
    assert compare_models(low, high, frames) == ModelDifference(20, mean, largest, None, int(changes.sum()))
    with pytest.raises(ModelError, match="without a frame"):
        compare_models(low, high, frames[:0])


def test_what_cannot_be_exported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = grey_bundle(tmp_path)
    path = tmp_path / "model.onnx"
    with pytest.raises(ModelError, match="float32, float16, got 'int8'"):
        export_onnx(bundle, path, precision="int8")  # type: ignore[arg-type]
    monkeypatch.setattr("flipdetect.export.onnx_files.SIZE_LIMIT", 1000)
    with pytest.raises(ModelError, match="1,000 at most"):
        export_onnx(bundle, path)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    with pytest.raises(ModelError, match="pip install onnxscript"):
        export_onnx(bundle, path)
    assert not path.exists()


def test_a_sample_is_spread_over_the_folder(tmp_path: Path) -> None:
    spec = PreprocessSpec(height=16, width=8, mean=(0, 0, 0), std=(1, 1, 1))
    for number in range(20):
        write_frame(tmp_path / "deep" / f"{number}.png", np.full((16, 8, 3), 10 * number, np.uint8))
    (tmp_path / "deep" / "3.png").write_bytes(b"no picture")
    levels = (sample_frames(tmp_path, spec, 4).mean(axis=(1, 2, 3)) * 25.5).round().astype(int)
    assert levels.tolist() == [0, 6, 13, 19]
    assert len(sample_frames(tmp_path, spec, 100)) == 19
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no readable frame"):
        sample_frames(tmp_path / "empty", spec, 4)
