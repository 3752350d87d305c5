"""The jobs beside the two main ones, called as a user calls them."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import REPOSITORY


def script(name: str) -> Callable[[list[str]], int]:
    """The main function of a script, which is not part of the package."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_evaluate_prints_a_row_per_model_and_set(
    trained: Path, monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint-path", str(trained), "--folder-path", str(monreader_set), str(monreader_set)]
    assert script("evaluate")([*arguments, "--per-video"]) == 0
    printed = capsys.readouterr().out
    assert "notflip/0008" in printed
    assert len([line for line in printed.splitlines() if line.startswith(str(trained))]) == 2 + 2 + 2


def test_evaluate_gives_intervals_over_videos_differences_and_costs(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [str(trained), str(trained.with_name("last.ckpt"))]
    arguments = ["--checkpoint-path", *models, "--folder-path", str(monreader_set), "--split", "test"]
    arguments += ["--split-file", str(trained.with_name("splits.csv")), "--json", str(tmp_path / "f.json")]
    assert script("evaluate")([*arguments, "--resamples", "100", "--costs", "5", "1"]) == 0
    printed = capsys.readouterr().out
    assert "difference of" in printed
    assert "cost per frame" in printed
    assert " [" in next(line for line in printed.splitlines() if line.startswith(models[0]))
    one, other = json.loads((tmp_path / "f.json").read_text())
    assert one["intervals"]["f1"]["value"] == pytest.approx(one["f1"], abs=1e-5)
    assert one["intervals"]["f1"]["videos"] == one["videos"]
    assert one["differences"] == []
    assert other["differences"][0]["differences"]["f1"]["value"] == pytest.approx(other["f1"] - one["f1"], abs=1e-5)
    assert one["costs"] == {"missed_flip": 5.0, "false_alarm": 1.0}
    assert len(one["threshold_curve"]["f1"]) == 101
    assert set(one["reliability"]) == {"width", "mass"}
    assert script("evaluate")([*arguments, "--resamples", "0"]) == 0
    assert "difference of" not in capsys.readouterr().out
    with pytest.raises(SystemExit):
        script("evaluate")(["--model", "tiny_cnn", "--folder-path", str(monreader_set), "--costs", "5", "1"])


def test_evaluate_takes_shipped_models_by_name(monreader_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script("evaluate")(["--model", "tiny_cnn", "--folder-path", str(monreader_set)]) == 0
    assert any(line.startswith("tiny_cnn") for line in capsys.readouterr().out.splitlines())
    with pytest.raises(SystemExit) as stop:
        script("evaluate")(["--folder-path", str(monreader_set)])
    assert stop.value.code == 2
    assert "--model" in capsys.readouterr().err


def test_evaluate_explains_what_is_wrong(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert script("evaluate")(["--checkpoint-path", str(trained), "--folder-path", str(tmp_path)]) == 1
    assert "no usable frames" in capfd.readouterr().err


@pytest.mark.slow
def test_flip_strip_is_a_picture_of_several_frames(trained: Path, tmp_path: Path) -> None:
    output = tmp_path / "images" / "strip.png"
    arguments = ["--checkpoint-path", str(trained), "--output", str(output), "--frames", "3"]
    assert script("flip_strip")(arguments) == 0
    with Image.open(output) as picture:
        assert picture.width > picture.height


def test_flip_strip_refuses_what_is_no_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert script("flip_strip")(["--checkpoint-path", str(tmp_path / "absent.ckpt")]) == 1
    assert "there is no checkpoint" in capfd.readouterr().err
