"""Evaluation in parts, robustness."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from tests.scripts.test_scripts import script

CONFIG = str(REPOSITORY / "configs" / "tiny_cnn.yaml")


def test_evaluate_writes_parts_predictions_failures_and_figures(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("p.csv", "f.json", "m.png")]
    arguments = ["--checkpoint-path", str(trained), "--folder-path", str(monreader_set), "--split", "test"]
    outputs = ["--output", str(files[0]), "--json", str(files[1]), "--failures", str(files[2])]
    assert script("evaluate")([*arguments, "--by", "kind", "--by", "label", "video", *outputs]) == 0
    printed = capsys.readouterr().out
    assert "by label and video" in printed
    assert "best F1 (oracle)" in printed
    side = {
        row["path"] for row in csv.DictReader((trained.parent / "splits.csv").open()) if row["split"] == "test"
    }  # fmt: skip
    rows = list(csv.DictReader(files[0].open()))
    assert {row["path"] for row in rows} == side
    assert {row["truth"] for row in rows} == {"flip", "notflip"}
    (found,) = json.loads(files[1].read_text())
    assert (found["split"], found["frames"]) == ("test", len(side))
    assert {tuple(group["by"]) for group in found["groups"]} == {("kind",), ("label", "video")}
    trained_on = json.loads((trained.parent / "metrics.json").read_text())
    assert found["auroc"] == pytest.approx(trained_on["test_auroc"], abs=1e-5)
    assert found["f1"] == pytest.approx(trained_on["test_f1"], abs=1e-5)
    assert Image.open(files[2]).format == "PNG"


def test_evaluate_averages_models(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [str(trained), str(trained.with_name("last.ckpt"))]
    output = tmp_path / "p.csv"
    arguments = ["--folder-path", str(monreader_set), "--ensemble", "--checkpoint-path"]
    assert script("evaluate")([*arguments, *models, "--output", str(output)]) == 0
    assert "mean of 2 models' logits" in capsys.readouterr().out
    by_model: dict[str, list[float]] = {}
    for row in csv.DictReader(output.open()):
        by_model.setdefault(row["model"], []).append(float(row["probability"]))
    for low, mean, high in zip(
        by_model[models[0]], by_model["mean of 2 models' logits"], by_model[models[1]], strict=True
    ):
        assert min(low, high) - 1e-6 <= mean <= max(low, high) + 1e-6
    with pytest.raises(SystemExit):
        script("evaluate")([*arguments, models[0]])


def test_a_side_needs_a_split_file(
    trained: Path, monreader_set: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint-path", str(trained), "--folder-path", str(monreader_set), "--split", "val"]
    assert script("evaluate")([*arguments, "--split-file", str(tmp_path / "absent.csv")]) == 1
    assert "--split-file" in capfd.readouterr().err


def test_robustness_prints_writes_and_draws(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "r.json", tmp_path / "r.png"]
    arguments = ["--checkpoint-path", str(trained), "--folder-path", str(monreader_set), "--split", "test"]
    assert script("robustness")([*arguments, "--json", str(files[0]), "--chart", str(files[1])]) == 0
    assert "brightness +15%" in capsys.readouterr().out
    (found,) = json.loads(files[0].read_text())
    assert [each["name"] for each in found["conditions"]][:2] == ["clean", "brightness +15%"]
    assert len(found["conditions"]) == 8
    assert Image.open(files[1]).width > 500
