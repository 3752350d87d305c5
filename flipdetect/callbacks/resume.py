"""Ctrl-C: leave something to go on from, and say how."""

from __future__ import annotations

import logging

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn

from flipdetect.callbacks.files import run_folder
from flipdetect.runs import LAST

logger = logging.getLogger(__name__)


class InterruptCheckpoint(Callback):
    """Sees to it that an interrupted run leaves a `last.ckpt`.

    After a completed epoch there is one, and it is left alone: resuming from a whole epoch repeats an uninterrupted
    run exactly. Before that, the state of the moment is saved.
    """

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save if there is nothing yet, and name the way to go on."""
        folder = run_folder(trainer)
        fitting = trainer.state.fn == TrainerFn.FITTING
        if folder is None or not fitting or not isinstance(exception, KeyboardInterrupt):
            return
        last = folder / LAST
        if not last.exists() and trainer.global_step > 0:
            trainer.save_checkpoint(last)
        if last.exists():
            logger.warning("Interrupted. Go on with the same command and --ckpt_path %s", last)
        else:
            logger.warning("Interrupted before the first step: there is nothing to go on from.")
