"""A sweep: trainings of one configuration with values that Optuna draws, the hopeless ones ended early.

Trials and their values per epoch lie in a database, so that the same command goes on where it was stopped. Values are
drawn by a tree-structured Parzen estimator (Bergstra et al., 2011); a trial ends early if its best value so far is
below the median of the earlier ones at that epoch (Golovin et al., 2017). The split is the configuration's own: nothing
of the test side is looked at.
"""

from __future__ import annotations

import copy
import gc
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flipdetect.atomic import write_text
from flipdetect.errors import ConfigError
from flipdetect.evaluation.config_overrides import Config
from flipdetect.evaluation.search_space import Range, Value, with_values

logger = logging.getLogger(__name__)

Fit = Callable[[Path, str, Callable[[int, float], bool]], None]
"""Trains: configuration file, metric, and what is told it after each epoch and may end the training."""

REMEDY = "pip install 'flipdetect[tune]'"
STARTUP_TRIALS = 5
"""Trials that are all finished before any is ended early."""
WARMUP_EPOCHS = 3
"""Epochs that every trial gets."""
# They draw pictures, which a sweep throws away.
_LEFT_OUT = ("AugmentedBatch", "EvaluationCurves", "WorstMistakes", "EvidenceMaps")
_ERROR_LENGTH = 500
_INTERRUPTED = "interrupted"
"""Attribute of a study: the numbers of such trials."""


@dataclass(frozen=True)
class Sweep:
    """What is varied, and by what it is judged.

    Attributes:
        name: of the study in the database.
        config: complete, as `train.py` takes it.
        space: what is drawn.
        metric: logged by validation; the best value over a trial's epochs counts.
        maximize: whether more of it is better.
        folder: where trials lie, `trial_0000` and so on.
    """

    name: str
    config: Config
    space: tuple[Range, ...]
    metric: str
    maximize: bool
    folder: Path

    def fingerprint(self) -> str:
        """What a study's trials must have in common to be compared, as text."""
        varied = {each.name: None for each in self.space}
        fixed = with_values(self.config, varied)
        return json.dumps([fixed, [repr(each) for each in self.space], self.metric], sort_keys=True, default=str)

    def trial_config(self, values: dict[str, Value], number: int) -> Config:
        """The configuration of one trial: its values, a folder and a log of its own, no pictures."""
        config = copy.deepcopy(with_values(self.config, values))
        trainer = config["trainer"]
        trainer["logger"] = [
            {
                "class_path": "flipdetect.callbacks.ResumableCSVLogger",
                "init_args": {"save_dir": str(self.folder), "name": f"trial_{number:04d}"},
            }
        ]
        trainer["callbacks"] = [
            entry
            for entry in trainer.get("callbacks") or []
            if str(entry.get("class_path", "")).rpartition(".")[2] not in _LEFT_OUT
        ]
        trainer["enable_model_summary"] = False
        config["ckpt_path"] = None
        return config


def open_study(sweep: Sweep, storage: str, seed: int) -> Any:
    """The study in a database, made if need be.

    Args:
        sweep: what it must be about.
        storage: a database's address, such as `sqlite:///tune.db`.
        seed: of what is drawn.

    Raises:
        ConfigError: if Optuna is not installed, the database cannot be opened, or it holds a study of that name about
            another configuration or search space.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f"sweeps need Optuna, which is not installed; {REMEDY}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            study_name=sweep.name,
            storage=storage,
            load_if_exists=True,
            direction="maximize" if sweep.maximize else "minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS),
        )
        known = study.user_attrs.get("fingerprint")
        if known is None:
            study.set_user_attr("fingerprint", sweep.fingerprint())
    except Exception as error:  # each database has errors of its own
        raise ConfigError(f"the study cannot be opened in {storage}: {error}; correct --storage") from error
    if known not in (None, sweep.fingerprint()):
        raise ConfigError(
            f"the study {sweep.name!r} in {storage} has another configuration, search space or metric, so that its "
            "trials cannot be compared with new ones; take another --study, or another --storage"
        )
    _release_orphans(study)
    # The sequence of a seed begins anew with each start: without the count, the first draws would be repeated.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    return study


def run_trials(study: Any, sweep: Sweep, fit: Fit, trials: int, timeout_s: float | None = None) -> None:
    """Train until the study has a number of trials. A trial that fails is recorded, and the rest goes on.

    Args:
        study: of `open_study`.
        sweep: what it is about.
        fit: trains.
        trials: that the study is to have in all, those of earlier calls included.
        timeout_s: seconds after which no further one is begun.

    Raises:
        KeyboardInterrupt: after Ctrl-C; the values of the interrupted trial are the next ones to be tried.
    """
    started = time.monotonic()
    while (number := len(finished(study))) < trials:
        if timeout_s is not None and time.monotonic() - started > timeout_s:
            logger.info("The time is up after %d of %d trials; the same command goes on", number, trials)
            return
        trial = study.ask()
        trial.set_user_attr("process", _process())
        _run(study, trial, sweep, fit)
        gc.collect()


def finished(study: Any) -> list[Any]:
    """Trials that ran to an end, good or bad; interrupted ones do not count, as their values are tried again."""
    left = interrupted(study)
    return [
        trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished() and trial.number not in left
    ]


def interrupted(study: Any) -> frozenset[int]:
    """Numbers of the trials that were interrupted."""
    return frozenset(study.user_attrs.get(_INTERRUPTED, ()))


def best_trial(study: Any) -> Any:
    """The best complete trial.

    Raises:
        ConfigError: if there is none.
    """
    complete = [trial for trial in finished(study) if trial.state.name == "COMPLETE"]
    if not complete:
        errors = [str(trial.user_attrs.get("error")) for trial in finished(study) if trial.user_attrs.get("error")]
        why = f"; the last one: {errors[-1]}" if errors else ""
        raise ConfigError(f"no trial of {study.study_name!r} came to a result, so that there is no best one{why}")
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    return min(complete, key=lambda trial: (sign * trial.value, trial.number))


def _run(study: Any, trial: Any, sweep: Sweep, fit: Fit) -> None:
    """One trial, recorded whatever happens."""
    from optuna.trial import TrialState

    values = {each.name: each.draw(trial) for each in sweep.space}
    path = sweep.folder / f"trial_{trial.number:04d}" / "config.yaml"
    write_text(path, yaml.safe_dump(sweep.trial_config(values, trial.number), sort_keys=False, allow_unicode=True))
    drawn = ", ".join(f"{name.rpartition('.')[2]}={_short(value)}" for name, value in values.items())
    logger.info("Trial %d: %s", trial.number, drawn)
    listener = _Listener(trial, sweep.maximize)
    started = time.monotonic()
    error = ""
    try:
        fit(path, sweep.metric, listener)
    except KeyboardInterrupt:
        _give_up(study, trial.number, trial.params)
        raise
    except Exception as caught:  # whatever a training dies of, the sweep is to outlive it
        error = f"{type(caught).__name__}: {caught}"[:_ERROR_LENGTH]
    if not error and listener.best is None:
        error = f"no finite {sweep.metric} in any epoch"
    for name, value in (
        ("seconds", round(time.monotonic() - started, 1)), ("epochs", len(listener.values)), ("error", error)
    ):  # fmt: skip
        trial.set_user_attr(name, value)
    if error:
        study.tell(trial, state=TrialState.FAIL)
        logger.warning("Trial %d failed: %s", trial.number, error)
        return
    if listener.pruned:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, listener.best)
    how = "ended early" if listener.pruned else "done"
    logger.info(
        "Trial %d %s after %d epochs: %s %.4f", trial.number, how, len(listener.values), sweep.metric, listener.best
    )


class _Listener:
    """Hears a trial's metric after each epoch, passes the best so far on, and says when it is hopeless."""

    def __init__(self, trial: Any, maximize: bool) -> None:
        self._trial = trial
        self._better = max if maximize else min
        self.values: list[float] = []
        self.best: float | None = None
        self.pruned = False

    def __call__(self, epoch: int, value: float) -> bool:
        self.values.append(value)
        if value == value:  # not NaN
            self.best = value if self.best is None else self._better(self.best, value)
        if self.best is not None:
            self._trial.report(self.best, epoch)
            self.pruned = bool(self._trial.should_prune())
        return self.pruned


def _release_orphans(study: Any) -> None:
    """Give up trials whose process was killed on this machine."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        machine, _, number = str(trial.user_attrs.get("process", "")).rpartition(":")
        if machine == platform.node() and not _is_alive(int(number)):
            _give_up(study, trial.number, trial.params)


def _give_up(study: Any, number: int, values: dict[str, Value]) -> None:
    """End a trial that was interrupted; its values are the next ones to be tried."""
    from optuna.trial import TrialState

    study.set_user_attr(_INTERRUPTED, [*study.user_attrs.get(_INTERRUPTED, []), number])
    study.tell(number, state=TrialState.FAIL)
    if values:
        study.enqueue_trial(values)


def _process() -> str:
    return f"{platform.node()}:{os.getpid()}"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
