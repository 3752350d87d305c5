"""`flipdetect compare`: models on one split."""

import csv
import json
from pathlib import Path

import pytest

import flipdetect.export.onnx
from flipdetect.cli.main import main
from flipdetect.errors import ModelError
from tests.cli.conftest import Trainings
from tests.conftest import REPOSITORY

CONFIGS = [f"--config={REPOSITORY / 'configs' / name}.yaml" for name in ("tiny_cnn", "mobilenet")]


@pytest.fixture(autouse=True)
def without_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting takes long, and has tests of its own."""

    def refuse(*_: object) -> None:
        raise ModelError("not now")

    monkeypatch.setattr(flipdetect.export.onnx, "export_onnx", refuse)


def arguments(root: Path, *more: str) -> list[str]:
    return ["compare", "--output", "out", "--resamples", "100", *more, "--data", str(root)]


def test_configurations_are_trained_on_one_split_and_tabled(
    trainings: Trainings, monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(monreader_set, *CONFIGS)) == 0
    printed = capsys.readouterr().out
    assert "Take " in printed
    assert len(set(trainings.splits())) == 1
    (split,) = Path("out").glob("splits-*.csv")
    tested = {row["path"] for row in csv.DictReader(split.read_text().splitlines()) if row["split"] == "test"}
    rows = list(csv.DictReader(Path("out/predictions.csv").read_text().splitlines()))
    assert {row["model"] for row in rows} == {"tiny_cnn", "mobilenet"}
    assert {row["path"] for row in rows} == tested
    found = json.loads(Path("out/comparison.json").read_text())
    assert [each["model"] for each in found["models"]] == ["tiny_cnn", "mobilenet"]
    assert found["models"][0]["training_seconds"] == 7.5
    # The stand-in for training leaves one and the same model.
    assert {end: found["models"][1]["less_best"]["f1"][end] for end in ("value", "low", "high")} == {
        "value": 0.0, "low": 0.0, "high": 0.0,
    }  # fmt: skip
    assert "| tiny_cnn" in Path("out/comparison.md").read_text()
    table = list(csv.DictReader(Path("out/comparison.csv").read_text().splitlines()))
    assert float(table[0]["latency_ms"]) > 0
    assert len(json.loads(Path("out/footprints.json").read_text())) == 1
    assert main(arguments(monreader_set, *CONFIGS)) == 0
    assert len(trainings.calls) == 2


def test_a_configuration_without_a_data_set_of_its_own_is_compared_on_the_given_one(
    trainings: Trainings, monreader_set: Path
) -> None:
    assert main(arguments(monreader_set, CONFIGS[0], "--config=finetune_tiny")) == 0
    assert len(trainings.calls) == 2


def test_trained_models_are_evaluated_on_a_given_split(
    trained: Path, monreader_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    split = trained.with_name("splits.csv")
    given = ["--model", str(trained), "--model", str(trained.with_name("last.ckpt")), "--model", "tiny_cnn"]
    command = [*given, "--data", str(monreader_set), "--split-file", str(split), "--resamples", "100"]
    assert main(["compare", *command, "--output", "out", "--max-megabytes", "100"]) == 0
    found = json.loads(Path("out/comparison.json").read_text())
    assert [each["model"] for each in found["models"]] == ["tiny_cnn/version_0", "tiny_cnn/version_0-2", "tiny_cnn"]
    assert {each["frames"] for each in found["models"]} == {found["models"][0]["frames"]}


def test_a_model_that_has_seen_the_test_side_is_refused(
    trained: Path, monreader_set: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split(",") for line in trained.with_name("splits.csv").read_text().splitlines()]
    turned = {"train": "test", "test": "train"}
    lines = [",".join([*row[:-1], turned.get(row[-1], row[-1])]) for row in rows]
    (tmp_path / "turned.csv").write_text("\n".join(lines) + "\n")
    command = ["--model", str(trained), "--data", str(monreader_set)]
    command += ["--split-file", str(tmp_path / "turned.csv"), "--output", str(tmp_path / "out")]
    assert main(["compare", *command]) == 1
    assert "was trained or chosen on" in capfd.readouterr().err
