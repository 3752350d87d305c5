"""A stand-in for training, for the commands that train several times."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import flipdetect.cli.train


class Trainings:
    """Stands for train.py: leaves a trained model and its metrics; fails or stops on demand."""

    def __init__(self, trained: Path) -> None:
        self.trained = trained
        self.calls: list[list[str]] = []
        self.configs: list[dict[str, Any]] = []
        self.status = 0

    def __call__(self, arguments: list[str]) -> int:
        self.calls.append(arguments)
        self.configs.append(yaml.safe_load(Path(arguments[1]).read_text()))
        settings = self.configs[-1]["trainer"]["logger"][0]["init_args"]
        folder = Path(settings["save_dir"], settings["name"], "version_0")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "last.ckpt").touch()
        if self.status == 0:
            (folder / "best.ckpt").write_bytes(self.trained.read_bytes())
            (folder / "metrics.json").write_text(json.dumps({"test_f1": 0.5, "epochs": 3, "fit_seconds": 7.5}))
        return self.status

    def splits(self) -> list[str]:
        """The split files that were trained with."""
        return [Path(config["data"]["split_file"]).name for config in self.configs]


@pytest.fixture
def trainings(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trainings:
    monkeypatch.chdir(tmp_path)
    made = Trainings(trained)
    monkeypatch.setattr(flipdetect.cli.train, "main", made)
    return made
