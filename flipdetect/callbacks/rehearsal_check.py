"""Before and after fine-tuning: scores on one's own frames, and whether the model forgets those of other books."""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from tabulate import tabulate
from torch.utils.data import DataLoader

from flipdetect.data.dataset import Sample
from flipdetect.metrics.frame import FrameMetrics

logger = logging.getLogger(__name__)

SHOWN = ("auroc", "f1")
NOTABLE_LOSS = 0.02
"""Of AUROC on rendered frames: a hundred frames vary by about as much."""


class RehearsalCheck(Callback):
    """Prints AUROC and F1 on validation frames and on held-out rendered ones, before and after training.

    A few frames of one book can make a model better on that book and worse on every other, while validation, which is
    of the same book, looks perfect. The rendered frames are those of `data.mix_in` that training leaves out, of books
    of their own. Without `data.mix_in` nothing is printed.
    """

    def __init__(self) -> None:
        self._before: dict[str, dict[str, float]] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the weights that training starts from; not those of a resumed run."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        rendered = data.rehearsal_dataloader()
        if rendered is None or trainer.global_step > 0 or not trainer.is_global_zero:
            return
        self._before = {
            "your validation frames": _measure(pl_module, data.val_dataloader()),
            "rendered frames": _measure(pl_module, rendered),
        }

    def on_results(self, trainer: pl.Trainer, results: dict[str, float]) -> None:
        """Measure the best checkpoint, which the module holds by now, and print both."""
        if not self._before:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        after = {
            "your validation frames": {name: results[f"val_{name}"] for name in SHOWN},
            "rendered frames": _measure(trainer.lightning_module, data.rehearsal_dataloader()),
        }
        rows = [
            [where, *(value for name in SHOWN for value in (before[name], after[where][name]))]
            for where, before in self._before.items()
        ]
        table = tabulate(rows, ["", "AUROC before", "after", "F1 before", "after"], floatfmt=".3f", missingval="-")
        logger.info("Before and after training:\n%s", table)
        lost = self._before["rendered frames"]["auroc"] - after["rendered frames"]["auroc"]
        if lost > NOTABLE_LOSS:
            logger.warning(
                "On books other than yours the model has become worse: AUROC on rendered frames fell by %.3f. Train "
                "for fewer epochs, with a lower model.lr, or raise data.mix_in.share.",
                lost,
            )


def _measure(module: pl.LightningModule, loader: DataLoader[Sample]) -> dict[str, float]:
    """Metrics at the module's threshold of all frames that a loader gives."""
    task: Any = module
    metrics = FrameMetrics().to(module.device)
    was_training = module.training
    module.eval()
    try:
        with torch.inference_mode(), torch.autocast(module.device.type, enabled=False):
            for batch in loader:
                moved = task.transfer_batch_to_device(batch, module.device, 0)
                metrics.update(task.batch_logits(moved).sigmoid(), moved["target"].long())
    finally:
        module.train(was_training)
    return metrics.compute(task.decision.own_threshold)
