"""Hyperparameter search: search spaces, resuming, pruning, failures, results; the trainings are simulated."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from PIL import Image

from flipdetect.errors import ConfigError, ModelError
from tests.conftest import REPOSITORY

optuna = pytest.importorskip("optuna")

from flipdetect.evaluation.tuning import (  # noqa: E402 - needs Optuna
    Fit,
    Sweep,
    finished,
    load_space,
    open_study,
    run_trials,
    write_best,
    write_results,
)

CONFIG: dict[str, Any] = {
    "seed_everything": 0,
    "trainer": {
        "logger": [{"class_path": "x.CSVLogger", "init_args": {"save_dir": "logs"}}],
        "callbacks": [{"class_path": "a.EarlyStopping"}, {"class_path": "b.WorstMistakes"}],
    },
    "model": {"class_path": "x.TinyCNNClassifier", "init_args": {"lr": 0.1, "width": 16, "weights": "none"}},
    "data": {"batch_size": 32, "augment": None},
    "ckpt_path": "last",
}
RATE = "model.init_args.lr"


def space_file(folder: Path, content: Any) -> Path:
    path = folder / "space.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    space = load_space(space_file(tmp_path, {"model.lr": {"kind": "log", "low": "1e-4", "high": 1}}), CONFIG)
    return Sweep("mine", CONFIG, space, "val_f1", tmp_path / "runs")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[str]:
    """A database, in memory where there is such a folder: on a busy disk each of its many small writes waits."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield f"sqlite:///{folder}/tune.db"


def learning(score: Callable[[float], float], epochs: int = 6) -> Fit:
    """A training whose metric rises over the epochs to what the learning rate is worth."""

    def fit(path: Path, trial: Any) -> tuple[float, int]:
        final = score(yaml.safe_load(path.read_text())["model"]["init_args"]["lr"])
        for epoch in range(epochs):
            trial.report(final * (epoch + 1) / epochs, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return final, epochs

    return fit


def test_each_kind_of_range_is_read(tmp_path: Path) -> None:
    content = {
        "model.lr": {"kind": "log", "low": "1e-4", "high": 0.1},  # YAML reads 1e-4 as text
        "model.init_args.width": {"kind": "int", "low": 8, "high": 32, "step": 8},
        "data.batch_size": {"kind": "categorical", "choices": [16, 32]},
        "model.init_args.weights": {"kind": "categorical", "choices": ["none", None]},
    }
    space = load_space(space_file(tmp_path, content), CONFIG)
    assert set(space) == {RATE, "model.init_args.width", "data.batch_size", "model.init_args.weights"}
    assert space[RATE] == optuna.distributions.FloatDistribution(1e-4, 0.1, log=True)
    assert space["model.init_args.width"] == optuna.distributions.IntDistribution(8, 32, step=8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model.learning_rate": {"kind": "log", "low": 1e-4, "high": 1.0}}, "learning_rate"),
        ({"data.batchsize": {"kind": "int", "low": 1, "high": 3}}, "did you mean data.batch_size"),
        ({"data": {"kind": "int", "low": 1, "high": 3}}, "has no value data"),
        ({"model.lr": {"kind": "uniform", "low": 0, "high": 1}}, "needs a kind out of float, log"),
        ({"model.lr": [0.1, 0.2]}, "needs a kind"),
        ({"model.lr": {"kind": "log", "low": 0, "high": 1}}, "model.lr"),
        ({"model.lr": {"kind": "float", "low": 1, "high": 1}}, "low must be below high"),
        ({"model.lr": {"kind": "float", "low": 0}}, "missing: high"),
        ({"model.lr": {"kind": "log", "low": 0.1, "high": 1, "step": 0.1}}, "kind log takes low, high"),
        ({"model.lr": {"kind": "float", "low": "small", "high": 1}}, "small"),
        ({"data.batch_size": {"kind": "categorical", "choices": [8]}}, "at least two"),
        ({"model.lr": {"kind": "float", "low": 0, "high": 1}, RATE: {"kind": "float", "low": 0, "high": 1}}, "twice"),
        ("- a\n- b\n", "must map names"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_an_invalid_space_is_refused_by_name(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_space(space_file(tmp_path, content), CONFIG)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs" / "tune").glob("*.yaml")), ids=lambda path: path.stem)
def test_spaces_of_the_package_fit_their_configurations(path: Path) -> None:
    from flipdetect.cli.lightning_cli import resolve_config
    from flipdetect.cli.train_arguments import read_arguments

    space = load_space(path, resolve_config(read_arguments(["--config", str(REPOSITORY / "configs" / path.name)])))
    assert len(space) >= 8
    assert RATE in space


def test_a_study_finds_better_values_and_stops_poor_trials_early(sweep: Sweep, storage: str) -> None:
    study = open_study(sweep, storage, seed=0)
    run_trials(study, sweep, learning(lambda rate: 1 - abs(rate - 0.01)), trials=10)
    states = [trial.state.name for trial in finished(study)]
    assert len(states) == 10
    assert states[:5] == ["COMPLETE"] * 5
    assert "PRUNED" in states
    assert study.best_value > 0.95
    best = yaml.safe_load(write_best(study, sweep, ["configs/x.yaml"]).read_text())
    assert best["model"]["init_args"]["lr"] == study.best_params[RATE]
    assert best["trainer"] == CONFIG["trainer"]
    assert best["ckpt_path"] is None
    trial = yaml.safe_load((sweep.folder / "trial_0007" / "config.yaml").read_text())
    assert trial["trainer"]["callbacks"] == [{"class_path": "a.EarlyStopping"}]
    assert trial["trainer"]["logger"][0]["init_args"]["name"] == "trial_0007"


def test_the_same_call_continues_without_repeating_itself(sweep: Sweep, storage: str) -> None:
    run_trials(open_study(sweep, storage, seed=0), sweep, learning(lambda rate: rate), trials=2)
    study = open_study(sweep, storage, seed=0)
    run_trials(study, sweep, learning(lambda rate: rate), trials=4)
    run_trials(study, sweep, learning(lambda rate: rate), trials=4)
    assert len({trial.params[RATE] for trial in finished(study)}) == len(study.trials) == 4


def test_after_ctrl_c_the_same_values_are_tried_first(sweep: Sweep, storage: str) -> None:
    def interrupt(path: Path, trial: Any) -> tuple[float, int]:
        raise KeyboardInterrupt

    study = open_study(sweep, storage, seed=0)
    with pytest.raises(KeyboardInterrupt):
        run_trials(study, sweep, interrupt, trials=2)
    assert finished(study) == []
    again = open_study(sweep, storage, seed=0)
    run_trials(again, sweep, learning(lambda rate: rate), trials=2)
    assert again.trials[1].params == again.trials[0].params
    assert len(finished(again)) == 2


def test_failed_trials_are_recorded_and_the_study_continues(sweep: Sweep, storage: str) -> None:
    outcomes: Iterator[Any] = iter([RuntimeError("out of memory"), (None, 1), (0.25, 1)])

    def sometimes(path: Path, trial: Any) -> tuple[float | None, int]:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    study = open_study(sweep, storage, seed=0)
    run_trials(study, sweep, sometimes, trials=2)
    write_results(study, sweep)
    with pytest.raises(ModelError, match="no finite val_f1"):
        write_best(study, sweep, ["x"])
    run_trials(study, sweep, sometimes, trials=3)
    assert "3 trials: 2 fail, 1 complete" in write_results(study, sweep)
    rows = list(csv.DictReader((sweep.folder / "trials.csv").open()))
    assert rows[0]["error"] == "RuntimeError: out of memory"
    assert float(rows[2]["val_f1"]) == 0.25
    assert Image.open(sweep.folder / "history.png").width > 500


def test_a_loss_is_minimized_and_no_trial_starts_late(sweep: Sweep, storage: str) -> None:
    loss = replace(sweep, metric="val_loss")
    study = open_study(loss, storage, seed=0)
    run_trials(study, loss, learning(lambda rate: rate, epochs=1), trials=4, timeout_s=-1)
    assert finished(study) == []
    run_trials(study, loss, learning(lambda rate: rate, epochs=1), trials=4)
    assert study.best_value == min(trial.value for trial in finished(study) if trial.value is not None)


def test_another_search_space_or_configuration_needs_another_study(sweep: Sweep, storage: str) -> None:
    open_study(sweep, storage, seed=0)
    wider = replace(sweep, space={RATE: optuna.distributions.FloatDistribution(1e-5, 1.0, log=True)})
    for other in (wider, replace(sweep, config={**CONFIG, "seed_everything": 1})):
        with pytest.raises(ConfigError, match="give another --study"):
            open_study(other, storage, seed=0)


def test_a_storage_that_cannot_be_opened_is_named(sweep: Sweep, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another --output"):
        open_study(sweep, f"sqlite:///{tmp_path}/absent/tune.db", seed=0)
