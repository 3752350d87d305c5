"""Whom a training reports to: the progress bar, MLflow, and an Optuna trial."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm
from pytorch_lightning.loggers import MLFlowLogger

from flipdetect.callbacks.checkpoints import run_folder
from flipdetect.errors import ConfigError
from flipdetect.progress import EVERY_S, Lines
from flipdetect.runs import run_files


class _Lines(Lines, Tqdm):
    """Lightning's bar as lines of a log."""


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, but on standard error: in a pipe, it would mix with the table of results.

    Args:
        refresh_rate: steps between two updates; 0 for no bar.
    """

    def __init__(self, refresh_rate: int = 5) -> None:
        super().__init__(refresh_rate=refresh_rate)

    def init_sanity_tqdm(self) -> Tqdm:
        """The bar of the sanity check."""
        return self._bar(super().init_sanity_tqdm, self.sanity_check_description, leave=False)

    def init_train_tqdm(self) -> Tqdm:
        """The bar of a training epoch."""
        return self._bar(super().init_train_tqdm, self.train_description)

    def init_validation_tqdm(self) -> Tqdm:
        """The bar of a validation run."""
        return self._bar(super().init_validation_tqdm, self.validation_description, leave=False)

    def init_test_tqdm(self) -> Tqdm:
        """The bar of a test run."""
        return self._bar(super().init_test_tqdm, self.test_description)

    def _bar(self, of_lightning: Callable[[], Tqdm], description: str, *, leave: bool = True) -> Tqdm:
        if not sys.stderr.isatty():
            # A bar that disappears when it ends, as that of validation, is only worth a line if it takes long.
            settings = {"disable": self.is_disabled, "leave": leave, "delay": 0 if leave else EVERY_S, "smoothing": 0}
            return _Lines(desc=description, file=sys.stderr, **settings)
        with redirect_stdout(sys.stderr):
            return of_lightning()


LONGEST = 500
"""Characters of a parameter that every MLflow store accepts."""


class MlflowArtifacts(Callback):
    """Logs to MLflow what its logger omits.

    - Parameters: the resolved configuration, each value under its dotted name.
    - Metrics: the final metrics of validation and test, as `final/...`.
    - Artifacts: the run's files (`run/`), its images (`pictures/`), the report if `RunReport` made one (`report/`),
      and the checkpoint, `model/best.ckpt`, which is loaded without executing code; MLflow's own format, a pickle, is
      not used.

    Without an MLflow logger it does nothing.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the configuration, so that an interrupted run has it, too."""
        run = run_folder(trainer)
        for log in _loggers(trainer):
            if run is None:
                continue
            if log._run_name is None:  # else MLflow invents one: "overjoyed-slug-911"
                log.experiment.set_tag(log.run_id, "mlflow.runName", f"{run.parent.name}/{run.name}")
            if (run / "config.yaml").is_file():
                log.log_hyperparams(parameters(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))))

    def on_results(self, trainer: Trainer, results: dict[str, float]) -> None:
        """Log the final metrics and all files."""
        run, checkpoint = run_folder(trainer), trainer.checkpoint_callback
        for log in _loggers(trainer):
            finite = {f"final/{name}": value for name, value in results.items() if math.isfinite(value)}
            log.log_metrics(finite, step=trainer.global_step)
            if run is None:
                continue
            files = run_files(run)
            if isinstance(checkpoint, ModelCheckpoint) and checkpoint.best_model_path:
                files.append((Path(checkpoint.best_model_path), "model"))
            for path, place in files:
                if path.is_file():
                    log.experiment.log_artifact(log.run_id, str(path), place)


def parameters(config: Any, prefix: str = "") -> dict[str, str]:
    """A nested configuration as short texts by dotted name; an item of a list of classes has the class's name."""
    found: dict[str, str] = {}
    if isinstance(config, Mapping):
        for key, item in config.items():
            found |= parameters(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(config, list) and any(isinstance(each, Mapping) for each in config):
        for place, item in enumerate(config):
            is_class = isinstance(item, Mapping) and "class_path" in item
            name = f"{prefix}.{place}-{item['class_path'].rpartition('.')[2]}" if is_class else f"{prefix}.{place}"
            settings = item.get("init_args", {}) if is_class else item
            found |= parameters(settings, name) if settings else {name: "default"}
    else:
        found[prefix] = str(config)[:LONGEST]
    return found


def _loggers(trainer: Trainer) -> list[MLFlowLogger]:
    return [log for log in trainer.loggers if isinstance(log, MLFlowLogger)] if trainer.is_global_zero else []


class OptunaPruning(Callback):
    """Report the best finite value so far of a metric (`val_f1`, say) to an `optuna.Trial` after each validation.

    A metric whose name ends in `_loss` is minimized. Afterwards, `best` is that value or None, `epochs` their number,
    and `pruned` tells whether Optuna stopped the training.
    """

    def __init__(self, trial: Any, metric: str) -> None:
        self.trial, self.metric = trial, metric
        self.best: float | None = None
        self.epochs = 0
        self.pruned = False

    # Not on_validation_epoch_end: callbacks run before the module there, which has yet to log.
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the value; a `ConfigError` if no such metric was logged."""
        if trainer.sanity_checking:
            return
        if self.metric not in trainer.callback_metrics:
            known = ", ".join(sorted(name for name in trainer.callback_metrics if name.startswith("val_")))
            raise ConfigError(f"no metric {self.metric!r} was logged; validation logs {known}")
        self.epochs += 1
        value = float(trainer.callback_metrics[self.metric])
        better = min if self.metric.endswith("_loss") else max
        if math.isfinite(value):
            self.best = value if self.best is None else better(self.best, value)
        if self.best is not None:
            self.trial.report(self.best, trainer.current_epoch)
            self.pruned = bool(self.trial.should_prune())
            trainer.should_stop = trainer.should_stop or self.pruned
