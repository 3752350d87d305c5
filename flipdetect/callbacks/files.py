"""Where a run's files lie, and how they are written."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint


def run_folder(trainer: pl.Trainer) -> Path | None:
    """The folder of the run's checkpoints, made if absent; None if the run keeps none (`fast_dev_run`)."""
    checkpoint = trainer.checkpoint_callback
    if trainer.fast_dev_run or not isinstance(checkpoint, ModelCheckpoint) or not checkpoint.dirpath:
        return None
    folder = Path(checkpoint.dirpath)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all: under a temporary name, then renamed."""
    part = path.with_name(path.name + ".tmp")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
