"""The ONNX file for other languages: the same probabilities as `flipdetect.load`, from pictures of any size."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import flipdetect
from flipdetect.cli.main import main
from tests.frame_sets import page_frame

pytest.importorskip("onnx", reason="needs the extra [export]")


def test_pictures_of_any_size_have_the_probabilities_of_the_model(tmp_path: Path) -> None:
    assert (
        main(["export", "--model", "mobilenet_v2", "--format", "onnx-portable", "--output", str(tmp_path / "any.onnx")])
        == 0
    )
    session = onnxruntime.InferenceSession(str(tmp_path / "any.onnx"))
    assert [(one.name, one.type) for one in session.get_inputs()] == [("image", "tensor(uint8)")]
    assert [(one.name, one.type) for one in session.get_outputs()] == [
        ("probability", "tensor(float)"),
        ("flip", "tensor(bool)"),
    ]
    model = flipdetect.load("mobilenet_v2")
    sizes = [(1920, 1080), (853, 479), (1080, 1920), (320, 180), (100, 60), (333, 1000)]
    for seed, (height, width) in enumerate(sizes):
        frame = page_frame(seed % 2 == 0, seed, max(height, 128))
        frame = np.ascontiguousarray(np.resize(frame, (height, width, 3)))
        probability, flip = session.run(None, {"image": frame})
        wanted = model.predict(frame)[0]
        assert probability[0] == pytest.approx(wanted, abs=0.01), (height, width)
        assert flip[0] == (probability[0] >= np.float32(model.threshold))
