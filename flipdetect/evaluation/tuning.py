"""Hyperparameter search with Optuna: trainings of one configuration with drawn values, poor ones stopped early.

Trials lie in a database, so that the same command continues a study. Values are drawn by a tree-structured Parzen
estimator (Bergstra et al., 2011); a trial is stopped early if its best value so far is below the median of the earlier
ones at that epoch (Golovin et al., 2017). The test split is never evaluated.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import optuna
import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from tabulate import tabulate

from flipdetect.atomic import write_csv, write_text
from flipdetect.errors import ConfigError, ModelError
from flipdetect.evaluation.study import Config, Training, full_key, with_loggers, with_values

logger = logging.getLogger(__name__)

Space = dict[str, BaseDistribution]
Fit = Callable[[Path, optuna.Trial], tuple[float | None, int]]
"""Trains a configuration file and reports to the trial; returns the best value and the number of epochs."""

STARTUP_TRIALS = 5
"""Trials that all run to their end before any is stopped early."""
WARMUP_EPOCHS = 3
"""Epochs that every trial gets."""
HEARTBEAT_S = 60
"""How often a running trial reports to the database; one silent for twice as long was killed, and is retried."""
BEST_FILE, TRIALS_FILE, HISTORY_FILE = "best.yaml", "trials.csv", "history.png"
_PICTURES = ("AugmentedBatch", "EvaluationCurves", "WorstMistakes")
KINDS: dict[str, tuple[Callable[..., BaseDistribution], dict[str, Callable[[Any], Any]]]] = {
    "float": (FloatDistribution, {"low": float, "high": float, "step": float}),
    "log": (partial(FloatDistribution, log=True), {"low": float, "high": float}),
    "int": (IntDistribution, {"low": int, "high": int, "step": int}),
    "categorical": (CategoricalDistribution, {"choices": list}),
}
"""Optuna's distribution of each kind of range, and the fields that it takes with their types."""


@dataclass(frozen=True)
class Sweep:
    """What is varied, and by which metric of validation trials are compared: each by its best epoch."""

    name: str
    config: Config
    space: Space
    metric: str
    folder: Path

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """A loss is minimized, every other metric maximized."""
        return "minimize" if self.metric.endswith("_loss") else "maximize"

    def fingerprint(self) -> str:
        """Equal for sweeps whose trials can be compared."""
        ranges = {name: repr(distribution) for name, distribution in self.space.items()}
        fixed = with_values(self.config, dict.fromkeys(self.space))
        return Training(self.name, {"fixed": fixed, "ranges": ranges, "metric": self.metric}).fingerprint

    def write_trial(self, trial: optuna.Trial) -> Path:
        """Write the configuration of a trial, without pictures and TensorBoard; returns its path."""
        config = with_values(self.config, trial.params)
        trainer, name = config["trainer"], f"trial_{trial.number:04d}"
        csv_logger = {"class_path": "flipdetect.callbacks.ResumableCSVLogger", "init_args": {"save_dir": ""}}
        trainer |= {"logger": [csv_logger], "enable_model_summary": False}
        trainer["callbacks"] = [
            entry for entry in trainer.get("callbacks") or [] if not entry["class_path"].endswith(_PICTURES)
        ]
        path = self.folder / name / "config.yaml"
        config = with_loggers(config, self.folder, name)
        write_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        return path


def load_space(path: Path, config: Config) -> Space:
    """Read a search space: dotted names mapped to a kind and its limits; a `ConfigError` if one of them is invalid."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, Mapping) or not content:
        raise ConfigError(f"{path} must map names of values, such as model.lr, to their ranges; got {content!r}")
    space: Space = {}
    for key, entry in content.items():
        try:
            name = full_key(str(key), config)
            if name in space:
                raise ValueError("is listed twice")
            kind = entry.get("kind") if isinstance(entry, Mapping) else None
            if kind not in KINDS:
                raise ValueError(f"needs a kind out of {', '.join(KINDS)}, got {entry!r}")
            make, types = KINDS[kind]
            given = {field: value for field, value in entry.items() if field != "kind"}
            if wrong := (set(given) - set(types)) | (set(types) - set(given) - {"step"}):
                fields = ", ".join(sorted(wrong))
                raise ValueError(f"kind {kind} takes {', '.join(types)}; wrong or missing: {fields}")
            values = {field: types[field](value) for field, value in given.items()}  # YAML reads 1e-4 as text
            if kind == "categorical" and len(values["choices"]) < 2:
                raise ValueError(f"choices must be at least two, got {given['choices']!r}")
            if kind != "categorical" and not values["low"] < values["high"]:
                raise ValueError(f"low must be below high, got {given['low']} and {given['high']}")
            space[name] = make(**values)
        except (ConfigError, ValueError, TypeError) as error:
            raise ConfigError(f"{path}, {key}: {error}") from error
    return space


def open_study(sweep: Sweep, storage: str, seed: int) -> optuna.Study:
    """Open the study in a database, such as `sqlite:///tune.db`, or create it.

    Raises:
        ConfigError: if the database cannot be opened, or holds a study of that name about something else.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    retry = optuna.storages.RetryHeartbeatStaleTrialCallback()
    try:
        database = optuna.storages.RDBStorage(
            storage, heartbeat_interval=HEARTBEAT_S, heartbeat_stale_trial_callback=retry
        )
        study = optuna.create_study(
            study_name=sweep.name,
            storage=database,
            load_if_exists=True,
            direction=sweep.direction,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS),
        )
    except Exception as error:  # each database has errors of its own
        raise ConfigError(f"the study cannot be opened in {storage}: {error}; give another --output") from error
    if study.user_attrs.get("fingerprint", sweep.fingerprint()) != sweep.fingerprint():
        raise ConfigError(
            f"the study {sweep.name!r} in {storage} has another configuration, search space or metric, so its trials "
            "cannot be compared with new ones; give another --study, or another --output"
        )
    study.set_user_attr("fingerprint", sweep.fingerprint())
    # A seed's sequence starts over with each process: without the count, the first draws would be repeated.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    return study


def run_trials(study: optuna.Study, sweep: Sweep, fit: Fit, trials: int, timeout_s: float | None = None) -> None:
    """Train until the study has a number of trials, those of earlier calls included; a failed one is recorded.

    No trial is started after `timeout_s` seconds. After Ctrl-C, the values of the interrupted trial are tried first
    next time.
    """

    def objective(trial: optuna.Trial) -> float:
        for name, span in sweep.space.items():
            trial._suggest(name, span)  # what suggest_float and its like call
        logger.info("Trial %d: %s", trial.number, ", ".join(f"{n}={value}" for n, value in trial.params.items()))
        started = time.monotonic()
        try:
            best, epochs = fit(sweep.write_trial(trial), trial)
        except KeyboardInterrupt:
            study.enqueue_trial(trial.params)
            raise
        except optuna.TrialPruned:
            logger.info("Trial %d was stopped early", trial.number)
            raise
        except Exception as error:
            trial.set_user_attr("error", f"{type(error).__name__}: {error}"[:500])
            logger.warning("Trial %d failed: %s", trial.number, error)
            raise
        finally:
            trial.set_user_attr("seconds", round(time.monotonic() - started, 1))
        if best is None:
            trial.set_user_attr("error", f"no finite {sweep.metric} in any epoch")
            raise ConfigError(trial.user_attrs["error"])
        logger.info("Trial %d finished after %d epochs: %s %.4f", trial.number, epochs, sweep.metric, best)
        return best

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    # One at a time, since other processes may work on the same study.
    while len(finished(study)) < trials and (deadline is None or time.monotonic() < deadline):
        study.optimize(objective, n_trials=1, catch=(Exception,), gc_after_trial=True)


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ran to an end, successful or not; interrupted ones do not count, since their values are retried."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or "error" in trial.user_attrs
    ]


def write_results(study: optuna.Study, sweep: Sweep) -> str:
    """Write the table and the plot of all trials; returns the ten best as a table."""
    from optuna.visualization.matplotlib import plot_optimization_history

    columns = ("trial", "state", sweep.metric, "seconds", "error", *sweep.space)
    rows = [
        (trial.number, trial.state.name.lower(), trial.value, trial.user_attrs.get("seconds"),
         trial.user_attrs.get("error"), *(trial.params.get(name) for name in sweep.space))
        for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()
    ]  # fmt: skip
    write_csv(sweep.folder / TRIALS_FILE, columns, (["" if v is None else v for v in row] for row in rows))
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    if complete:
        figure: Any = plot_optimization_history(study, target_name=sweep.metric).figure
        figure.savefig(sweep.folder / HISTORY_FILE, dpi=120, bbox_inches="tight")
    complete.sort(key=lambda trial: trial.value or 0.0, reverse=sweep.direction == "maximize")
    shown = [[trial.number, trial.value, *(trial.params[name] for name in sweep.space)] for trial in complete[:10]]
    headers = ["trial", sweep.metric, *(name.rpartition(".")[2] for name in sweep.space)]
    states = [row[1] for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{tabulate(shown, headers=headers, floatfmt='.4g')}\n\n{len(rows)} trials: {counts or 'none'}"


def write_best(study: optuna.Study, sweep: Sweep, configs: Sequence[str]) -> Path:
    """Write the best trial's configuration as a complete one; a `ModelError` if no trial is complete."""
    best = None
    with suppress(ValueError):
        best = study.best_trial
    if best is None:
        errors = [trial.user_attrs["error"] for trial in finished(study) if "error" in trial.user_attrs]
        reason = f"; the last error: {errors[-1]}" if errors else ""
        raise ModelError(f"no trial of {study.study_name!r} is complete, so there is no best one{reason}")
    path = sweep.folder / BEST_FILE
    head = [
        f"# Best trial ({best.number}) of the study {sweep.name!r} of {', '.join(configs)}: validation {sweep.metric} "
        f"{best.value:.4f}.",
        f"# Run: python train.py --config {path}",
        *(f"#   {name}: {value!r}" for name, value in best.params.items()),
    ]
    config = {**with_values(sweep.config, best.params), "ckpt_path": None}
    write_text(path, "\n".join(head) + "\n" + yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return path
