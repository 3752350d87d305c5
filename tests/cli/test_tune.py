"""`flipdetect tune`: trains, continues, and writes a configuration that trains."""

import csv
from pathlib import Path

import pytest
import yaml

from flipdetect.cli.main import main
from flipdetect.cli.train import main as train
from tests.conftest import REPOSITORY, SMALL

pytest.importorskip("optuna")

CONFIG = str(REPOSITORY / "configs" / "tiny_cnn.yaml")


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "space.yaml"
    lines = ("model.lr: {kind: log, low: 0.001, high: 0.01}", "data.pairs: {kind: categorical, choices: [true, false]}")
    path.write_text("\n".join(lines))
    return path


@pytest.mark.slow
def test_a_study_continues_and_its_best_configuration_trains(
    space: Path, monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [part for each in SMALL for part in ("--override", each.removeprefix("--"))]
    arguments = ["tune", "--config", CONFIG, "--space", str(space), "--data", str(monreader_set), *overrides]
    assert main([*arguments, "--trials", "1"]) == 0
    assert main([*arguments, "--trials", "2"]) == 0
    assert "2 trials: 2 complete" in capsys.readouterr().out
    folder = Path("runs/tune/tiny_cnn")
    assert [row["state"] for row in csv.DictReader((folder / "trials.csv").open())] == ["complete", "complete"]
    names = set(next(csv.reader((folder / "trial_0000" / "version_0" / "metrics.csv").open())))
    assert "val_f1" in names
    assert not any(name.startswith("test_") for name in names)
    best = yaml.safe_load((folder / "best.yaml").read_text())
    assert best["trainer"]["logger"][0]["init_args"]["name"] == "tiny_cnn"
    assert train(["--config", str(folder / "best.yaml")]) == 0
    assert Path("logs/tiny_cnn/version_0/best.ckpt").is_file()
