"""An exported detector finds what the trained one finds; its 8-bit form nearly; what cannot be exported is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from flipdetect.cli.main import main
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ModelError
from flipdetect.export.detector_onnx import LEAST_SHARE, export_detector, export_detector_checked
from flipdetect.export.onnx_files import compare_detectors
from flipdetect.inference.load import load_trained
from flipdetect.inference.onnx_model import OnnxDetector, file_digest, load_onnx_detector
from flipdetect.inference.torch_model import TorchDetector, load_checkpoint, load_torch_model
from flipdetect.models.weights import write_packed
from flipdetect.tasks import FCOSLiteDetector
from tests.frame_sets import write_frame

SPEC = PreprocessSpec(height=128, width=96, mean=(0.5,) * 3, std=(0.5,) * 3)
CLASSES = ["book", "page", "hand"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small detector with random weights, whose boxes and scores vary from place to place."""
    torch.manual_seed(0)
    task = FCOSLiteDetector(classes=CLASSES, backbone="test_efficientnet", weights="none")
    with torch.no_grad():
        for _ in range(10):
            task.model.backbone(torch.randn(4, 3, 128, 96))  # batch norms see something
        head = task.model.fcos.head
        head.classification_head.cls_logits.weight.normal_(std=0.5)
        head.classification_head.cls_logits.bias.fill_(-2.0)
        head.regression_head.bbox_reg.weight.normal_(std=0.1)
        head.regression_head.bbox_reg.bias.fill_(1.0)  # in strides; boxes at the edges have overlaps that are equal
    path = tmp_path_factory.mktemp("detector") / "best.safetensors"
    facts = {
        "version": 2,
        "kind": "detection",
        "task": "flipdetect.tasks.box_detectors.FCOSLiteDetector",
        "arguments": dict(task.hparams),
        "threshold": 0.3,
        "classes": {"names": CLASSES},
        "preprocess": SPEC.to_dict(),
        "naming": None,
    }
    write_packed(path, task.state_dict(), facts)
    return path


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (12, 16, 12, 3)).repeat(8, 1).repeat(8, 2)
    return np.stack([SPEC.normalise(frame.astype(np.uint8)) for frame in blocks])


@pytest.fixture(scope="module")
def pair(packed: Path) -> tuple[TorchDetector, OnnxDetector]:
    trained = load_checkpoint(packed, "cpu")
    assert isinstance(trained, TorchDetector)
    return trained, load_onnx_detector(export_detector(trained, packed.with_suffix(".onnx")), 1)


def test_boxes_and_scores_are_those_of_the_trained_one(
    pair: tuple[TorchDetector, OnnxDetector], frames: np.ndarray
) -> None:
    parity = compare_detectors(*pair, frames[:12])
    assert parity.frames == 12
    assert parity.detections > 200
    assert parity.share >= LEAST_SHARE["float32"] == 0.999
    trained, exported = (detector.boxes(frames[:1])[0] for detector in pair)
    assert len(set(exported.labels)) == 3
    np.testing.assert_allclose(exported.scores, trained.scores, atol=1e-4)
    assert (np.diff(exported.scores) <= 0).all()
    assert exported.boxes.min() >= 0
    assert (exported.boxes <= [96, 128, 96, 128]).all()


def test_a_picture_without_an_object_gives_no_box(pair: tuple[TorchDetector, OnnxDetector], tmp_path: Path) -> None:
    proto = onnx.load(pair[1].path)
    (lowest,) = (node for node in proto.graph.node if node.output[0].endswith("lowest"))
    lowest.attribute[0].floats[0] = 0.999
    onnx.save(proto, tmp_path / "strict.onnx")
    (found,) = load_onnx_detector(tmp_path / "strict.onnx").boxes(np.zeros((1, 3, 128, 96), np.float32))
    assert [values.shape for values in found] == [(0, 4), (0,), (0,)]
    assert found.labels.dtype == np.int64


def test_the_file_says_what_the_detector_is(pair: tuple[TorchDetector, OnnxDetector]) -> None:
    trained, exported = pair
    for name in ("classes", "preprocess", "threshold"):
        assert getattr(exported, name) == getattr(trained, name)
    assert (exported.name, exported.source) == ("FCOSLite", file_digest(trained.path))
    proto = onnx.load(exported.path)
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 18)]
    assert str(Path(torch.__file__).parent).encode() not in exported.path.read_bytes()


def test_the_export_next_to_the_trained_file_is_used_while_it_is_of_that_file(
    pair: tuple[TorchDetector, OnnxDetector],
) -> None:
    assert isinstance(load_trained(pair[0].path), OnnxDetector)
    assert isinstance(load_trained(pair[0].path, engine="torch"), TorchDetector)


def test_what_takes_a_classifier_refuses_the_trained_detector(packed: Path) -> None:
    with pytest.raises(ModelError, match=r"best\.safetensors cannot be used: it is a detector"):
        load_torch_model(packed, "cpu")


def test_a_process_that_has_trained_nothing_loads_it(packed: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "from flipdetect.inference.torch_model import load_checkpoint\n"
        f"detector = load_checkpoint(pathlib.Path({str(packed)!r}), 'cpu')\n"
        "sys.exit(len(detector.classes))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == len(CLASSES)


def test_float16_halves_the_file(pair: tuple[TorchDetector, OnnxDetector], frames: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    parity = export_detector_checked(pair[0], path, frames[:4], precision="float16")
    assert parity.share >= LEAST_SHARE["float16"]
    assert path.stat().st_size < 0.7 * pair[1].path.stat().st_size


def test_commands_export_quantise_and_predict(
    pair: tuple[TorchDetector, OnnxDetector], packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = tmp_path / "data", tmp_path / "best.int8.onnx"
    rng = np.random.default_rng(1)
    for number in range(64):
        write_frame(data / f"{number}.png", rng.integers(0, 256, (16, 12, 3), np.uint8).repeat(8, 0).repeat(8, 1))
    arguments = ["export", "--model", str(pair[1].path), "--data", str(data), "--output", str(output)]
    assert main([*arguments, "--format", "onnx-int8"]) == 0
    assert "nearly the same detections on 32 other pictures" in capsys.readouterr().out
    assert output.stat().st_size < 0.6 * pair[1].path.stat().st_size
    small = load_onnx_detector(output, 1)
    assert small.classes == tuple(CLASSES)
    found = tmp_path / "found.csv"
    assert main(["predict", str(data), "--model", str(packed), "--engine", "torch", "-o", str(found)]) == 0
    again = tmp_path / "again.csv"
    assert main(["predict", str(data), "--model", str(packed), "-o", str(again)]) == 0
    assert len(found.read_text().splitlines()) > 64
    assert abs(len(found.read_text().splitlines()) - len(again.read_text().splitlines())) <= 1
