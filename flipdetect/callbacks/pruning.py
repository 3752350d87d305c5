"""Report validation to an Optuna trial, and stop the training when Optuna prunes it.

`optuna_integration.PyTorchLightningPruningCallback` does this for the distribution `lightning` alone: with
`pytorch_lightning`, which this package uses, it raises ImportError (optuna-integration 5.0).
"""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from flipdetect.errors import ConfigError


class OptunaPruning(Callback):
    """Report the best value so far of a metric after each validation.

    Args:
        trial: an `optuna.Trial`.
        metric: as it is logged, such as `val_f1`; a name that ends in `_loss` is minimized.

    Attributes:
        best: the best finite value so far; None if there is none.
        epochs: how many were reported.
        pruned: whether Optuna stopped the training.
    """

    def __init__(self, trial: Any, metric: str) -> None:
        self.trial, self.metric = trial, metric
        self.best: float | None = None
        self.epochs = 0
        self.pruned = False

    # Not on_validation_epoch_end: callbacks run before the module there, which has yet to log.
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the value.

        Raises:
            ConfigError: if no such metric was logged.
        """
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
