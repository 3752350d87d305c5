"""Random numbers of an epoch depend on the epoch, not on what ran before it."""

from __future__ import annotations

import os
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from flipdetect.data.dataset import stream_seed


class EpochSeed(Callback):
    """Seeds torch at the start of each epoch from (global seed, epoch).

    Dropout draws from torch's global stream, whose state no checkpoint holds. With this, a resumed run draws what
    an uninterrupted one would have drawn.
    """

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed at the first batch: Lightning leaves `on_train_epoch_start` out of an epoch resumed in its middle."""
        if batch_idx > 0:
            return
        seed = int(os.environ.get("PL_GLOBAL_SEED", "0"))
        torch.manual_seed(stream_seed(seed, trainer.current_epoch, trainer.global_rank))
