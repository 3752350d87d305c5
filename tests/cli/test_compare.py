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
    # The stand-in leaves one and the same model; on so few test videos the difference may have no bounds.
    difference = found["models"][1]["less_best"]["f1"]
    assert difference["value"] == 0.0
    assert {difference["low"], difference["high"]} <= {0.0, None}
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
