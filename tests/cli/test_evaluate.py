"""`flipdetect evaluate`: tables, files, pictures, errors."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from flipdetect.cli.main import main


def evaluate(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments)])


def test_a_row_per_model_and_data_set(trained: Path, monreader_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data", monreader_set, "--data", monreader_set)
    assert evaluate("--model", trained, *data, "--resamples", 0) == 0
    printed = capsys.readouterr().out
    assert len([line for line in printed.splitlines() if line.startswith(str(trained))]) == 2 + 2


def test_slices_predictions_mistakes_clips_and_json(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("p.csv", "f.json", "m.png")]
    outputs = ("--output", files[0], "--json", files[1], "--mistakes", files[2])
    slices = ("--by", "kind", "--by", "label,video")
    assert evaluate("--model", trained, "--data", monreader_set, "--split", "test", *slices, "--clips", *outputs) == 0
    printed = capsys.readouterr().out
    assert "by label and video" in printed
    assert "best F1 (oracle)" in printed
    assert "F1 of frames" in printed
    splits = csv.DictReader((trained.parent / "splits.csv").open())
    tested = {row["path"] for row in splits if row["split"] == "test"}
    rows = list(csv.DictReader(files[0].open()))
    assert {row["path"] for row in rows} == tested
    assert {row["truth"] for row in rows} == {"flip", "notflip"}
    (found,) = json.loads(files[1].read_text())
    assert (found["split"], found["frames"]) == ("test", len(tested))
    assert {tuple(group["by"]) for group in found["groups"]} == {("kind",), ("label", "video")}
    trained_on = json.loads((trained.parent / "metrics.json").read_text())
    assert found["auroc"] == pytest.approx(trained_on["test_auroc"], abs=1e-5)
    assert found["f1"] == pytest.approx(trained_on["test_f1"], abs=1e-5)
    assert found["clips"]["threshold_from"] == "validation"
    assert Image.open(files[2]).format == "PNG"


def test_ci_over_videos_differences_and_costs(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = (str(trained), str(trained.with_name("last.ckpt")))
    json_file = tmp_path / "f.json"
    options = ("--split", "test", "--resamples", 100, "--costs", 5, 1)
    named = ("--model", models[0], "--model", models[1], "--data", monreader_set)
    assert evaluate(*named, *options, "--json", json_file) == 0
    printed = capsys.readouterr().out
    assert "difference of" in printed
    assert "cost per frame" in printed
    assert " [" in next(line for line in printed.splitlines() if line.startswith(models[0]))
    one, other = json.loads(json_file.read_text())
    assert one["ci"]["f1"]["value"] == pytest.approx(one["f1"], abs=1e-5)
    assert one["ci"]["f1"]["videos"] == one["videos"]
    assert one["differences"] == []
    assert other["differences"][0]["differences"]["f1"]["value"] == pytest.approx(other["f1"] - one["f1"], abs=1e-5)
    assert one["costs"] == {"missed_flip": 5.0, "false_alarm": 1.0}


def test_robustness_and_a_report(monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json_file, report = tmp_path / "r.json", tmp_path / "report"
    options = ("--robustness", "basic", "--json", json_file, "--report", report)
    assert evaluate("--model", "tiny_cnn", "--data", monreader_set, *options) == 0
    assert "brightness +15%" in capsys.readouterr().out
    (found,) = json.loads(json_file.read_text())
    assert [each["name"] for each in found["robustness"]["conditions"]][:2] == ["clean", "brightness +15%"]
    assert len(found["robustness"]["conditions"]) == 8
    assert "Corrupted frames" in (report / "index.html").read_text()


def test_pretrained_models_are_spot_checked_without_torch(monreader_set: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from flipdetect.cli.main import main; "
        "sys.exit(main(sys.argv[1:]) or 10 * ('torch' in sys.modules))"
    )
    picture = tmp_path / "spot.png"
    command = [sys.executable, "-c", code, "evaluate", "--spot-check", "6", "--picture", str(picture)]
    arguments = ["--data", str(monreader_set), "--model", "tiny_cnn"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if ".jpg" in line]) == 6
    assert "of 3 flip and" in done.stdout
    assert Image.open(picture).width > 400


def test_found_turns_are_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("flips.csv", "events.csv"):
        (tmp_path / name).write_text("start_s,peak_s,end_s\n1,2,3\n")
    assert evaluate("--events", tmp_path / "flips.csv", "--truth", tmp_path / "events.csv") == 0
    assert "1.000" in capsys.readouterr().out
