"""The export command, called as a user calls it."""

from pathlib import Path

import pytest

from flipdetect.inference.onnx_model import load_onnx
from tests.scripts.test_scripts import script


@pytest.mark.slow
def test_a_model_is_exported_and_compared_on_rendered_frames(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.onnx"
    assert script("export_onnx")(["--checkpoint-path", str(trained), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert f"{output}: {output.stat().st_size:,} bytes" in printed
    assert "difference of probability on 16 frames" in printed
    assert load_onnx(output).name == "TinyCNN"


def test_it_is_compared_on_frames_of_ones_own(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint-path", str(trained), "--output", str(tmp_path / "half.onnx"), "--precision", "float16"]
    assert script("export_onnx")([*arguments, "--folder-path", str(monreader_set)]) == 0
    printed = capsys.readouterr().out
    assert "on 32 frames" in printed
    assert "(0.01 is allowed)" in printed


def test_what_is_wrong_is_explained(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    export, output = script("export_onnx"), tmp_path / "model.onnx"
    assert export(["--checkpoint-path", str(tmp_path / "absent.ckpt"), "--output", str(output)]) == 1
    assert "there is no checkpoint" in capfd.readouterr().err
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "0001.jpg").write_bytes(b"no picture")
    arguments = ["--checkpoint-path", str(trained), "--output", str(output)]
    assert export([*arguments, "--folder-path", str(tmp_path / "frames")]) == 1
    errors = capfd.readouterr().err
    assert "left out" in errors
    assert "no readable frame" in errors
    assert not output.exists()
