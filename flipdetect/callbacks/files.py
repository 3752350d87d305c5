"""Where a run's files lie."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint


def run_folder(trainer: pl.Trainer) -> Path | None:
    """The folder of the run's checkpoints, made if absent; None if the run keeps none (`fast_dev_run`)."""
    checkpoint = trainer.checkpoint_callback
    quick = getattr(trainer, "fast_dev_run", False)
    if quick or not isinstance(checkpoint, ModelCheckpoint) or not checkpoint.dirpath:
        return None
    folder = Path(checkpoint.dirpath)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
