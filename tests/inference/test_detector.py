"""Exported detectors: boxes in pixels of the picture, what their files say, and what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import flipdetect
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError, FrameError, ModelError
from flipdetect.inference.detector import Detector
from flipdetect.inference.load import load_model, load_trained
from flipdetect.inference.onnx_model import OnnxDetector, load_onnx, load_onnx_detector
from flipdetect.records import FoundBox
from flipdetect.zoo import pretrained_path
from tests.inference.detectors import CLASSES, SPEC, write_fixed_detector

WIDE = np.full((64, 128, 3), 255, np.uint8)  # letterboxed by a half, with 16 rows of padding above and below


@pytest.fixture
def fixed(tmp_path: Path) -> OnnxDetector:
    return load_onnx_detector(write_fixed_detector(tmp_path / "fixed.onnx"), threads=1)


def test_boxes_are_in_pixels_of_the_picture_and_inside_it(fixed: OnnxDetector) -> None:
    (found,) = fixed.predict(WIDE)
    np.testing.assert_allclose(found.boxes, [[32, 8, 96, 56], [0, 0, 20, 48]])
    np.testing.assert_allclose(found.scores, [1, 0.625])
    assert found.labels.tolist() == [0, 1]
    tall, large = fixed.predict([WIDE.transpose(1, 0, 2), np.repeat(np.repeat(WIDE, 3, 0), 3, 1)])
    np.testing.assert_allclose(tall.boxes[0], [0, 40, 64, 88])
    np.testing.assert_allclose(large.boxes, 3 * found.boxes)


def test_boxes_in_the_padding_alone_are_left_out(tmp_path: Path) -> None:
    spec = PreprocessSpec(height=64, width=64, mean=(0.5,) * 3, std=(0.5,) * 3)
    detector = load_onnx_detector(write_fixed_detector(tmp_path / "fixed.onnx", preprocess=spec.to_dict()), 1)
    (found,) = detector.predict(np.zeros((256, 16, 3), np.uint8), threshold=0)  # 4 of 64 columns: 30 to 34
    np.testing.assert_allclose(found.boxes, [[0, 80, 16, 176]])


def test_a_threshold_of_ones_own(fixed: OnnxDetector) -> None:
    dark = np.zeros((64, 64, 3), np.uint8)
    assert [len(fixed.predict(dark, threshold)[0].scores) for threshold in (None, 0, 0.1, 0.7)] == [1, 3, 2, 0]
    assert len(fixed.predict(np.stack([dark] * 5), batch_size=2)) == 5
    assert fixed.predict([]) == []
    with pytest.raises(ConfigError, match=r"between 0 and 1, got 1\.5"):
        fixed.predict(dark, 1.5)
    with pytest.raises(FrameError, match="uint8 array"):
        fixed.predict(dark.astype(np.float32))


def test_boxes_get_the_names_of_their_classes(fixed: OnnxDetector) -> None:
    (found,) = fixed.predict(WIDE)
    assert fixed.named(found)[1] == FoundBox("hand", 0.625, 0.0, 0.0, 20.0, 48.0)


def test_the_public_function_loads_either_kind(fixed: OnnxDetector) -> None:
    detector = flipdetect.load(fixed.path)
    assert isinstance(detector, Detector)
    assert (detector.classes, detector.preprocess, detector.threshold) == (CLASSES, SPEC, 0.5)
    assert not isinstance(load_trained(pretrained_path("ensemble")), Detector)


def test_an_export_next_to_its_checkpoint_is_used(tmp_path: Path) -> None:
    write_fixed_detector(tmp_path / "best.onnx")
    assert load_trained(tmp_path / "best.ckpt").runs_on == "ONNX Runtime, cpu"


def test_a_classifier_is_not_taken_for_a_detector_nor_the_reverse(fixed: OnnxDetector, tmp_path: Path) -> None:
    for load in (load_onnx, load_model):
        with pytest.raises(ModelError, match=r"fixed\.onnx.* is a detector"):
            load(fixed.path)
    with pytest.raises(ModelError, match="classifier of frames; a detector is needed"):
        load_onnx_detector(pretrained_path("ensemble"))


def test_files_that_were_changed_are_refused(tmp_path: Path) -> None:
    changes = (
        ({"version": 2}, "version 2 of an exported detector"),
        ({"classes": {"names": []}}, "non-empty names"),
        ({"classes": {"names": ["book", "book"]}}, "different"),
        ({"classes": None}, "damaged"),
        ({"threshold": 1.5}, "between 0 and 1"),
        ({"preprocess": {**SPEC.to_dict(), "width": 32}}, "do not fit its metadata"),
    )
    for change, words in changes:
        with pytest.raises(ModelError, match=words):
            load_onnx_detector(write_fixed_detector(tmp_path / "changed.onnx", **change))


def test_labels_and_numbers_beyond_the_classes_are_errors(fixed: OnnxDetector, tmp_path: Path) -> None:
    few = load_onnx_detector(write_fixed_detector(tmp_path / "few.onnx", classes={"names": ["book"]}))
    with pytest.raises(ModelError, match="labels beyond its 1 classes"):
        few.predict(WIDE)
    proto = onnx.load(fixed.path)
    for node in proto.graph.node:
        if node.output[0] == "two":
            node.attribute[0].f = 0.0
    onnx.save(proto, fixed.path)
    with pytest.raises(ModelError, match="no numbers"):
        load_onnx_detector(fixed.path).predict(np.full((64, 64, 3), 0, np.uint8), 0)


def test_detection_needs_no_torch(fixed: OnnxDetector) -> None:
    code = (
        "import sys, numpy as np, flipdetect\n"
        f"found, = flipdetect.load({str(fixed.path)!r}).predict(np.full((64, 64, 3), 255, np.uint8))\n"
        "sys.exit(len(found.scores) if 'torch' not in sys.modules else 100)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 2
