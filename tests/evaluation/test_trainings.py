"""A study trains each run once, goes on after an interruption, and sums up its seeds."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flipdetect.errors import ConfigError, ModelError
from flipdetect.evaluation.config_overrides import Variation
from flipdetect.evaluation.trainings import Run, run_study, runs_as_dict, spread, summary

LOGGERS = [
    {"class_path": "A", "init_args": {"save_dir": "logs", "name": "x", "flush": 1}},
    {"class_path": "B", "init_args": {"save_dir": "logs", "name": "x"}},
]
VARIATION = Variation("base", {"trainer": {"logger": LOGGERS}}, {"model.lr": 0.1})


class Recorder:
    """Stands for train.py: keeps the calls, and leaves what a run leaves."""

    def __init__(self, status: int = 0, file: str = "metrics.json") -> None:
        self.calls: list[list[str]] = []
        self.status = status
        self.file = file

    def __call__(self, arguments: list[str]) -> int:
        self.calls.append(arguments)
        config = yaml.safe_load(Path(arguments[1]).read_text())
        (settings,) = {
            tuple(log["init_args"][key] for key in ("save_dir", "name")) for log in config["trainer"]["logger"]
        }
        folder = Path(*settings) / "version_0"
        folder.mkdir(parents=True, exist_ok=True)
        seed = int(arguments[2].removeprefix("--seed_everything="))
        values = {"val_f1": 0.5 + seed / 10, "test_f1": 0.4, "val_auroc": 0.9, "test_auroc": 0.8}
        (folder / self.file).write_text(json.dumps(values))
        print("a table that belongs on standard error")
        return self.status


def study(folder: Path, train: Callable[[list[str]], int], *seeds: int) -> list[Run]:
    return list(run_study([VARIATION], seeds, folder, train))


def test_finished_runs_are_found_and_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = Recorder()
    first = study(tmp_path, train, 0, 1)
    assert [call[2:] for call in train.calls] == [
        ["--seed_everything=0", "--model.lr=0.1"], ["--seed_everything=1", "--model.lr=0.1"],
    ]  # fmt: skip
    assert study(tmp_path, train, 0, 1) == first
    assert len(train.calls) == 2
    assert [run.seed for run in study(tmp_path, train, 0, 1, 2)] == [0, 1, 2]
    assert len(train.calls) == 3
    assert first[1].figures == {"val_f1": 0.6, "test_f1": 0.4, "val_auroc": 0.9, "test_auroc": 0.8}
    assert capsys.readouterr().out == ""
    assert LOGGERS[0]["init_args"]["save_dir"] == "logs"


def test_another_configuration_is_another_run(tmp_path: Path) -> None:
    train = Recorder()
    study(tmp_path, train, 0)
    list(run_study([Variation("base", VARIATION.config, {"model.lr": 0.2})], [0], tmp_path, train))
    assert len(train.calls) == 2


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path, Recorder(130, "last.ckpt"), 0)
    train = Recorder()
    study(tmp_path, train, 0, 1)
    assert train.calls[0][-1] == "--ckpt_path=last"
    assert "--ckpt_path=last" not in train.calls[1]


@pytest.mark.parametrize(("status", "file"), [(1, "metrics.json"), (0, "nothing.json")])
def test_a_failed_training_is_an_error(tmp_path: Path, status: int, file: str) -> None:
    with pytest.raises(ModelError, match=r"seed 3.*train\.py --config"):
        study(tmp_path, Recorder(status, file), 3)


def test_a_configuration_without_a_folder_is_refused(tmp_path: Path) -> None:
    for logger in (None, True, [{"class_path": "A"}]):
        with pytest.raises(ConfigError, match="save_dir"):
            list(run_study([Variation("x", {"trainer": {"logger": logger}})], [0], tmp_path, Recorder()))


def test_seeds_are_summed_up() -> None:
    runs = [Run("base", seed, "f", {"val_f1": value}) for seed, value in enumerate((0.5, 0.8, 0.6))]
    found = summary([*runs, Run("other", 0, "f", {"val_f1": 0.0})], "base")["val_f1"]
    assert (found.min, found.max) == (0.5, 0.8)
    assert found.mean == pytest.approx(1.9 / 3)
    assert found.spread == pytest.approx(0.3)
    assert math.isnan(spread([0.5, math.nan]).spread)
    assert runs_as_dict(runs)["summary"]["base"]["val_f1"]["max"] == 0.8
