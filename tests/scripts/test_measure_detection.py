"""The command that measures object detection."""

from pathlib import Path

import pytest

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.models.weights import write_packed
from flipdetect.runs import CHECKPOINT_VERSION
from flipdetect.tasks import FCOSLiteDetector
from tests.scripts.loading import load_script


@pytest.mark.slow
def test_it_trains_on_a_generated_set_and_times_a_detector(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_script("measure_detection")
    monkeypatch.setattr(script, "SIDE", 64)
    small = ["--model.backbone=mobilenetv2_035", "--model.backbone_args=null", "--trainer.max_epochs=1"]
    script.shapes(tmp_path, 20, "detect_scratch", small)
    assert "20 pictures of two classes, input 64x64, detect_scratch: test mAP" in capfd.readouterr().out

    task = FCOSLiteDetector(classes=["a"], backbone="mobilenetv2_035", weights="none")
    facts = {
        "version": CHECKPOINT_VERSION, "kind": "detection", "threshold": 0.5, "classes": {"names": ["a"]},
        "task": "flipdetect.tasks.box_detectors.FCOSLiteDetector", "arguments": dict(task.hparams),
        "preprocess": PreprocessSpec(height=64, width=64).to_dict(), "naming": None,
    }  # fmt: skip
    write_packed(tmp_path / "a.safetensors", task.state_dict(), facts)
    script.latency(tmp_path / "a.safetensors", threads=1, calls=2)
    assert "one picture, input 64x64, 1 threads" in capfd.readouterr().out
