"""Gathers the scores of a whole validation or test run for the callbacks that draw them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from flipdetect.metrics.calibration import calibrated


@dataclass(frozen=True)
class EpochScores:
    """Scores of one run over a side of the split.

    Attributes:
        stage: "val" or "test".
        indices: (N,) int64, positions in the data set's records.
        probabilities: (N,) float64.
        targets: (N,) int64, 0 or 1.
        threshold: the decision threshold in force.
    """

    stage: str
    indices: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    targets: npt.NDArray[np.int64]
    threshold: float


class ScoreCallback(Callback):
    """Base: hands a subclass the scores of each complete validation and test run, in the main process."""

    def __init__(self) -> None:
        self._batches: list[dict[str, torch.Tensor]] = []

    def on_scores(self, trainer: pl.Trainer, pl_module: pl.LightningModule, scores: EpochScores) -> None:
        """Do something with the scores of a run."""
        raise NotImplementedError

    def _keep(self, outputs: Any) -> None:
        self._batches.append({key: outputs[key].detach().cpu() for key in ("index", "probability", "target")})

    def _hand_over(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        batches, self._batches = self._batches, []
        if trainer.sanity_checking or not batches or not trainer.is_global_zero:
            return

        def joined(key: str) -> npt.NDArray[Any]:
            return torch.cat([batch[key] for batch in batches]).numpy()

        probabilities, targets = joined("probability").astype(np.float64), joined("target").astype(np.int64)
        threshold, temperature = (float(pl_module.get_buffer(name)) for name in ("threshold", "temperature"))
        probabilities = calibrated(probabilities, temperature)  # only now: it is chosen at the end of the run
        self.on_scores(trainer, pl_module, EpochScores(stage, joined("index"), probabilities, targets, threshold))

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0) -> None:  # type: ignore[no-untyped-def]  # noqa: D102
        self._keep(outputs)

    def on_test_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0) -> None:  # type: ignore[no-untyped-def]  # noqa: D102
        self._keep(outputs)

    # Not on_..._epoch_end: callbacks run before the module there, which has yet to choose the epoch's threshold.
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hand over the validation scores."""
        self._hand_over(trainer, pl_module, "val")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hand over the test scores."""
        self._hand_over(trainer, pl_module, "test")


def add_picture(trainer: pl.Trainer, tag: str, picture: npt.NDArray[np.uint8]) -> None:
    """Show a picture (H, W, 3) uint8 in every TensorBoard log of the run."""
    for log in trainer.loggers:
        if isinstance(log, TensorBoardLogger):
            log.experiment.add_image(tag, picture, trainer.current_epoch, dataformats="HWC")
