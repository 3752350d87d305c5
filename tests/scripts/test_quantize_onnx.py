"""The quantising command, called as a user calls it; its file is taken by inference.py."""

import csv
from pathlib import Path

import pytest

from flipdetect.cli.inference import main as inference
from flipdetect.inference.onnx_model import load_onnx
from tests.frame_sets import make_monreader_set
from tests.scripts.test_scripts import script


@pytest.fixture(scope="module")
def many_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_monreader_set(tmp_path_factory.mktemp("many"), videos=9, frames=4, height=96)


def test_a_checkpoint_becomes_integers_that_inference_takes(
    trained: Path, many_frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.int8.onnx"
    arguments = ["--checkpoint-path", str(trained), "--calibration-path", str(many_frames), "--output", str(output)]
    assert script("quantize_onnx")([*arguments, "--frames", "40"]) == 0
    printed = capsys.readouterr().out
    assert f"{output}: {output.stat().st_size:,} bytes, 0." in printed
    assert "on 32 other frames" in printed
    assert load_onnx(output).name == "TinyCNN"
    table = tmp_path / "out.csv"
    assert inference(["--folder-path", str(many_frames), "--checkpoint-path", str(output), "--output", str(table)]) == 0
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    assert len(rows) == 72
    assert all(row["probability"] for row in rows)


def test_a_shipped_model_becomes_float16_without_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "half.onnx"
    assert script("quantize_onnx")(["--model", "tiny_cnn", "--precision", "float16", "--output", str(output)]) == 0
    assert "0.52 of the float32 file" in capsys.readouterr().out
    assert load_onnx(output).name == "tiny_cnn"


def test_what_is_wrong_is_explained(monreader_set: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    quantize, output = script("quantize_onnx"), tmp_path / "x.onnx"
    with pytest.raises(SystemExit) as stop:
        quantize(["--model", "tiny_cnn", "--output", str(output)])
    assert stop.value.code == 2
    assert "--calibration-path" in capfd.readouterr().err
    assert quantize(["--model", "tiny_cnn", "--calibration-path", str(monreader_set), "--output", str(output)]) == 1
    assert "32 readable frames are too few" in capfd.readouterr().err
    absent = ["--checkpoint-path", str(tmp_path / "absent.onnx"), "--calibration-path", str(monreader_set)]
    assert quantize([*absent, "--output", str(output)]) == 1
    assert "there is no file" in capfd.readouterr().err
    assert not output.exists()
