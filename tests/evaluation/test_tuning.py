"""Sweeps: what is counted, gone on with, ended early and recorded, over trainings that are made up."""

import csv
import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from PIL import Image

from flipdetect.errors import ConfigError
from flipdetect.evaluation.search_space import Range
from flipdetect.evaluation.tuning import Fit, Sweep, best_trial, finished, interrupted, open_study, run_trials
from flipdetect.evaluation.tuning_files import trials_table, write_best, write_trials

pytest.importorskip("optuna")

CONFIG: dict[str, Any] = {
    "seed_everything": 0,
    "trainer": {"logger": True, "callbacks": [{"class_path": "a.EarlyStopping"}, {"class_path": "b.WorstMistakes"}]},
    "model": {"class_path": "x.Y", "init_args": {"lr": 0.1}},
    "ckpt_path": "last",
}
SPACE = (Range("model.init_args.lr", "log", 1e-4, 1.0),)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep("mine", CONFIG, SPACE, "val_f1", True, tmp_path / "runs")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[str]:
    """A database, in memory where there is such a folder: on a busy disk each of its many small writes waits."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield f"sqlite:///{folder}/tune.db"


def learning(score: Callable[[float], float], epochs: int = 6) -> Fit:
    """A training whose metric rises over the epochs to what the learning rate is worth."""

    def fit(path: Path, metric: str, report: Callable[[int, float], bool]) -> None:
        rate = yaml.safe_load(path.read_text())["model"]["init_args"]["lr"]
        for epoch in range(epochs):
            if report(epoch, score(rate) * (epoch + 1) / epochs):
                return

    return fit


def test_a_sweep_finds_better_values_and_ends_hopeless_trials_early(sweep: Sweep, storage: str) -> None:
    study = open_study(sweep, storage, seed=0)
    run_trials(study, sweep, learning(lambda rate: 1 - abs(rate - 0.01)), trials=10)
    states = [trial.state.name for trial in finished(study)]
    assert len(states) == 10
    assert states[:5] == ["COMPLETE"] * 5
    assert "PRUNED" in states
    assert best_trial(study).value > 0.95
    early = next(trial for trial in finished(study) if trial.state.name == "PRUNED")
    assert 3 < early.user_attrs["epochs"] < 6


def test_the_best_configuration_is_a_normal_file(sweep: Sweep, storage: str) -> None:
    study = open_study(sweep, storage, seed=0)
    run_trials(study, sweep, learning(lambda rate: rate), trials=3)
    path = write_best(study, sweep, ["configs/x.yaml"])
    best = yaml.safe_load(path.read_text())
    assert best["model"]["init_args"]["lr"] == best_trial(study).params["model.init_args.lr"]
    assert best["trainer"] == CONFIG["trainer"]
    assert best["ckpt_path"] is None
    assert "python train.py --config" in path.read_text()


def test_trials_have_a_log_of_their_own_and_draw_no_pictures(sweep: Sweep) -> None:
    trial = sweep.trial_config({"model.init_args.lr": 0.5}, 7)
    assert trial["trainer"]["callbacks"] == [{"class_path": "a.EarlyStopping"}]
    assert trial["trainer"]["logger"][0]["init_args"]["name"] == "trial_0007"
    assert trial["ckpt_path"] is None
    assert CONFIG["trainer"]["logger"] is True


def test_the_same_call_goes_on_and_does_not_repeat_itself(sweep: Sweep, storage: str) -> None:
    run_trials(open_study(sweep, storage, seed=0), sweep, learning(lambda rate: rate), trials=2)
    study = open_study(sweep, storage, seed=0)
    run_trials(study, sweep, learning(lambda rate: rate), trials=4)
    run_trials(study, sweep, learning(lambda rate: rate), trials=4)
    rates = [trial.params["model.init_args.lr"] for trial in finished(study)]
    assert len(rates) == 4
    assert len(set(rates)) == 4


def test_ctrl_c_leaves_values_that_are_tried_again(sweep: Sweep, storage: str) -> None:
    def interrupt(path: Path, metric: str, report: Callable[[int, float], bool]) -> None:
        report(0, 0.5)
        raise KeyboardInterrupt

    study = open_study(sweep, storage, seed=0)
    with pytest.raises(KeyboardInterrupt):
        run_trials(study, sweep, interrupt, trials=2)
    assert finished(study) == []
    again = open_study(sweep, storage, seed=0)
    run_trials(again, sweep, learning(lambda rate: rate), trials=2)
    assert interrupted(again) == {0}
    assert again.trials[1].params == again.trials[0].params
    assert len(finished(again)) == 2


def test_a_killed_process_is_noticed(sweep: Sweep, storage: str) -> None:
    study = open_study(sweep, storage, seed=0)
    trial = study.ask()
    values = SPACE[0].draw(trial)
    trial.set_user_attr("process", f"{platform.node()}:{2**22 + 17}")  # above the largest number a process can have
    running = study.ask()
    running.set_user_attr("process", "another machine:1")
    again = open_study(sweep, storage, seed=0)
    assert interrupted(again) == {0}
    run_trials(again, sweep, learning(lambda rate: rate), trials=1)
    assert finished(again)[0].params["model.init_args.lr"] == values
    assert again.trials[1].state.name == "RUNNING"


def test_a_failing_trial_is_recorded_and_the_rest_goes_on(sweep: Sweep, storage: str) -> None:
    tried = []

    def sometimes(path: Path, metric: str, report: Callable[[int, float], bool]) -> None:
        tried.append(path)
        if len(tried) == 1:
            raise RuntimeError("out of memory")
        if len(tried) == 2:
            report(0, float("nan"))
            return
        report(0, 0.25)

    study = open_study(sweep, storage, seed=0)
    run_trials(study, sweep, sometimes, trials=3)
    assert [trial.state.name for trial in finished(study)] == ["FAIL", "FAIL", "COMPLETE"]
    write_trials(study, sweep)
    rows = list(csv.DictReader((sweep.folder / "trials.csv").open()))
    assert [row["state"] for row in rows] == ["failed", "failed", "complete"]
    assert rows[0]["error"] == "RuntimeError: out of memory"
    assert "no finite val_f1" in rows[1]["error"]
    assert float(rows[2]["value"]) == 0.25
    assert "3 trials: 2 failed, 1 complete" in trials_table(study, sweep)
    assert Image.open(sweep.folder / "history.png").width > 500


def test_a_sweep_without_a_result_says_why(sweep: Sweep, storage: str) -> None:
    def fail(path: Path, metric: str, report: Callable[[int, float], bool]) -> None:
        raise ConfigError("the batch is odd")

    study = open_study(sweep, storage, seed=0)
    run_trials(study, sweep, fail, trials=1)
    write_trials(study, sweep)
    with pytest.raises(ConfigError, match="the batch is odd"):
        write_best(study, sweep, ["x"])


def test_less_loss_is_better(sweep: Sweep, storage: str) -> None:
    loss = replace(sweep, metric="val_loss", maximize=False)
    study = open_study(loss, storage, seed=0)
    run_trials(study, loss, learning(lambda rate: rate, epochs=1), trials=4)
    assert best_trial(study).value == min(trial.value for trial in finished(study))


def test_time_that_is_up_begins_no_trial(sweep: Sweep, storage: str) -> None:
    study = open_study(sweep, storage, seed=0)
    run_trials(study, sweep, learning(lambda rate: rate), trials=5, timeout_s=-1)
    assert finished(study) == []


def test_another_search_space_needs_another_study(sweep: Sweep, storage: str) -> None:
    open_study(sweep, storage, seed=0)
    wider = replace(sweep, space=(Range("model.init_args.lr", "log", 1e-5, 1.0),))
    with pytest.raises(ConfigError, match="take another --study"):
        open_study(wider, storage, seed=0)
    other = replace(sweep, config={**CONFIG, "seed_everything": 1})
    with pytest.raises(ConfigError, match="another configuration"):
        open_study(other, storage, seed=0)
    json.loads(sweep.fingerprint())


def test_a_storage_that_cannot_be_opened(sweep: Sweep, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="correct --storage"):
        open_study(sweep, f"sqlite:///{tmp_path}/absent/tune.db", seed=0)
