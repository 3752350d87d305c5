"""`flipdetect export`: files that predict like the model, and what is refused."""

from pathlib import Path

import pytest

from flipdetect.cli.main import main
from flipdetect.inference.onnx_model import load_onnx
from tests.frame_sets import make_monreader_set


@pytest.fixture(scope="module")
def many_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_monreader_set(tmp_path_factory.mktemp("many"), videos=9, frames=4, height=96)


def test_a_checkpoint_is_exported_and_checked(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.onnx"
    assert main(["export", "--model", str(trained), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert f"{output}: {output.stat().st_size:,} bytes" in printed
    assert "on 16 frames" in printed
    assert "frames that change class: 0" in printed
    assert load_onnx(output).name == "TinyCNN"
    half = tmp_path / "half.onnx"
    wanted = ["--format", "onnx-float16", "--data", str(monreader_set)]
    assert main(["export", "--model", str(trained), "--output", str(half), *wanted]) == 0
    assert "on 32 frames" in capsys.readouterr().out
    assert half.stat().st_size < 0.6 * output.stat().st_size


@pytest.mark.parametrize("pretrained", [False, True])
def test_integers_are_calibrated_on_frames(
    pretrained: bool, trained: Path, many_frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output = "tiny_cnn" if pretrained else str(trained), tmp_path / "model.int8.onnx"
    arguments = ["export", "--model", model, "--output", str(output), "--format", "onnx-int8"]
    assert main([*arguments, "--data", str(many_frames)]) == 0
    printed = capsys.readouterr().out
    assert f"{output}: {output.stat().st_size:,} bytes, 0." in printed
    assert "on 32 other frames" in printed
    assert load_onnx(output).name == ("tiny_cnn" if pretrained else "TinyCNN")


def test_too_few_frames_to_calibrate_on_are_refused(
    monreader_set: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "x.onnx"
    wanted = ["--model", "tiny_cnn", "--format", "onnx-int8", "--data", str(monreader_set), "--output", str(output)]
    assert main(["export", *wanted]) == 1
    assert "32 readable frames" in capfd.readouterr().err
    assert not output.exists()
