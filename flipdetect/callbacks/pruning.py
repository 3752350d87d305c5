"""Tell of every validation while a training goes on, and let the listener end it."""

from __future__ import annotations

from collections.abc import Callable

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from flipdetect.errors import ConfigError

Report = Callable[[int, float], bool]
"""Takes the epoch, from 0, and the metric's value; returns whether the training is to end."""


class EpochReport(Callback):
    """Hands the value of a metric to a function after each validation.

    Args:
        metric: as it is logged, such as `val_f1`.
        report: what is told; the training ends after the epoch in which it returns true.
    """

    def __init__(self, metric: str, report: Report) -> None:
        self.metric = metric
        self.report = report

    # Not on_validation_epoch_end: callbacks run before the module there, which has yet to log.
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the value.

        Raises:
            ConfigError: if no such metric was logged.
        """
        if trainer.sanity_checking:
            return
        if self.metric not in trainer.callback_metrics:
            known = ", ".join(sorted(name for name in trainer.callback_metrics if name.startswith("val_")))
            raise ConfigError(f"no metric {self.metric!r} was logged; validation logs {known}")
        if self.report(trainer.current_epoch, float(trainer.callback_metrics[self.metric])):
            trainer.should_stop = True
