"""Pictures of the maps that a model learns: what covers each place, in truth and as the model has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from flipdetect.callbacks.scores import add_picture
from flipdetect.outputs.plots import figure_to_array, plot_batch
from flipdetect.outputs.plots.overlay import maps_over


class EvidenceMaps(Callback):
    """Shows training frames twice: with their true maps over them, and with the model's.

    Red is a sheet in the air, green its free edge, blue hands. Frames are those of an epoch's first batch that have a
    mask; the model is the one that validation judges. Without any, nothing is shown.

    Args:
        frames: how many to show.
        every_n_epochs: epochs between two pictures.
    """

    def __init__(self, frames: int = 8, every_n_epochs: int = 5) -> None:
        self.frames = frames
        self.every_n_epochs = every_n_epochs
        self._batch: dict[str, torch.Tensor] | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the first frames of an epoch for its validation."""
        if batch_idx > 0 or trainer.current_epoch % self.every_n_epochs or not trainer.is_global_zero:
            return
        if "maps" in batch and "image" in batch and pl_module.model.has_maps:  # type: ignore[union-attr]
            known = batch["has_maps"].nonzero().flatten()[: self.frames]
            self._batch = {key: batch[key][known] for key in ("image", "target", "maps")} if len(known) else None

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw them."""
        batch, self._batch = self._batch, None
        if batch is None:
            return
        predicted = pl_module.forward_maps(batch["image"])[1].sigmoid().cpu().numpy()  # type: ignore[operator]
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        images, titles = [], []
        for image, target, truth, maps in zip(
            batch["image"].cpu().numpy(), batch["target"], batch["maps"].cpu().numpy(), predicted, strict=True
        ):
            frame = data.preprocess.to_uint8(image)
            images.append(np.hstack([maps_over(frame, truth), maps_over(frame, maps)]))
            titles.append(f"{data.classes.names[int(target)]}: true, predicted")
        add_picture(trainer, "train/evidence_maps", figure_to_array(plot_batch(images, titles)))
