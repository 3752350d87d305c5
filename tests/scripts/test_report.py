"""`evaluate.py --report` from model to page, and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.evaluation.report.made_up import made_up_scores, save
from tests.scripts.test_scripts import script


@pytest.mark.slow
def test_evaluate_writes_a_report_that_can_be_made_again(trained: Path, monreader_set: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    arguments = ["--checkpoint-path", str(trained), "--folder-path", str(monreader_set), "--report", str(report)]
    assert script("evaluate")([*arguments, "--robustness", "2"]) == 0
    judged = json.loads((report / "judged.json").read_text())
    assert judged["threshold_origin"].startswith("stored in the model")
    assert len(judged["model_hash"]) == len(judged["set_hash"]) == 16
    assert "TinyCNN" in judged["facts"]["Architecture"]
    page = (report / "index.html").read_text(encoding="utf-8")
    for section in ("robustness", "mistakes", "training", "parts"):
        assert f'id="{section}"' in page
    rows = (report / "predictions.csv").read_text().splitlines()
    assert len(rows) == 33
    assert rows[0].endswith("measured_brightness,measured_sharpness,frame_height,frame_width")
    before = (report / "index.html").read_bytes()
    assert script("report")([str(report)]) == 0
    assert (report / "index.html").read_bytes() == before
    # Once more over it: what is not asked for any longer goes.
    assert script("evaluate")([*arguments, str(monreader_set / "flip")][:-1]) == 0
    assert not (report / "robustness.json").exists()


def test_a_folder_of_other_things_is_left_alone(
    trained: Path, monreader_set: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "holiday.jpg").write_text("x")
    arguments = ["--checkpoint-path", str(trained), "--folder-path", str(monreader_set), "--resamples", "0"]
    assert script("evaluate")([*arguments, "--report", str(tmp_path)]) == 1
    assert "holds other things (holiday.jpg)" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_table_alone_makes_a_report(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, made_up_scores(8))
    (tmp_path / "judged.json").unlink()
    assert script("report")([str(tmp_path)]) == 1
    assert "judged.json cannot be read" in capfd.readouterr().err
    assert script("report")([str(tmp_path), "--threshold", "2"]) == 1
    assert script("report")([str(tmp_path), "--threshold", "0.4", "--model", "five folds", "--set", "books"]) == 0
    assert "five folds" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert script("report")([str(tmp_path), "--threshold", "0.4"]) == 1
    assert "leave --threshold out" in capfd.readouterr().err
