"""Resumable training: a checkpoint after Ctrl-C, random numbers that depend on the epoch, curves that continue."""

from __future__ import annotations

import csv
import logging
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.loggers.csv_logs import _ExperimentWriter
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.trainer.states import TrainerFn

from flipdetect.callbacks.provenance import run_folder
from flipdetect.data.dataset import stream_seed
from flipdetect.runs import LAST

logger = logging.getLogger(__name__)


class InterruptCheckpoint(Callback):
    """Makes sure that an interrupted run leaves a `last.ckpt`.

    A `last.ckpt` of a completed epoch is kept: resuming from it repeats an uninterrupted run exactly. If there is none
    yet, the current state is saved.
    """

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save if there is no checkpoint yet, and log the option that resumes the run."""
        folder = run_folder(trainer)
        fitting = trainer.state.fn == TrainerFn.FITTING
        if folder is None or not fitting or not isinstance(exception, KeyboardInterrupt):
            return
        last = folder / LAST
        if not last.exists() and trainer.global_step > 0:
            trainer.save_checkpoint(last)
        if last.exists():
            logger.warning("Interrupted. Resume with the same command and --ckpt_path %s", last)
        else:
            logger.warning("Interrupted before the first step: there is nothing to resume.")


class EpochSeed(Callback):
    """Seeds torch at the start of each epoch from (global seed, epoch).

    Dropout draws from torch's global stream, whose state is in no checkpoint. With this callback, a resumed run draws
    the same numbers as an uninterrupted one.
    """

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed at the first batch: Lightning skips `on_train_epoch_start` in an epoch that is resumed in its middle."""
        if batch_idx == 0:
            seed = int(os.environ.get("PL_GLOBAL_SEED", "0"))
            torch.manual_seed(stream_seed(seed, trainer.current_epoch, trainer.global_rank))


class ResumableCSVLogger(CSVLogger):
    """`CSVLogger` that continues an existing `metrics.csv`; Lightning's own deletes it."""

    @property
    def experiment(self) -> _ExperimentWriter:
        """The writer. If the folder has a `metrics.csv`, its rows are kept."""
        if self._experiment is not None:
            return self._experiment
        path = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
        history = path.read_text(encoding="utf-8") if path.is_file() else ""
        writer: _ExperimentWriter = super().experiment
        if history:
            path.write_text(history, encoding="utf-8")
            # The writer rewrites the header when keys are added, so it must know the existing ones.
            writer.metrics_keys = next(csv.reader(history.splitlines()))
        return writer
