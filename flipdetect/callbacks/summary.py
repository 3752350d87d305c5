"""What a training achieved: F1 with its 95% CI and plain warnings; metrics before and after fine-tuning."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from tabulate import tabulate
from torch.utils.data import DataLoader

from flipdetect.callbacks.scores import EpochScores, ScoreCallback
from flipdetect.data.dataset import Sample
from flipdetect.metrics.bootstrap import bootstrap_ci
from flipdetect.metrics.frame import FrameMetrics

logger = logging.getLogger(__name__)

FEW_STEPS = 10
"""Steps per epoch below which a data set is small enough that fine-tuning is the better start."""
NO_VIDEOS, FEW_VIDEOS = 5, 10
"""Videos below which metrics say nothing, and little."""
FROM_SCRATCH = ("none", "imagenet")
COMPARED = ("auroc", "f1")
YOURS, RENDERED = "your validation frames", "rendered frames"
NOTABLE_LOSS = 0.02
"""Of AUROC on rendered frames: chance differences on a hundred frames are about as large."""


class TrainingSummary(ScoreCallback):
    """Summarises the test of the best checkpoint (without a test split: its validation) in `text`, and logs warnings.

    Warnings are logged where the model is no better than predicting every frame positive, ranks frames worse than
    chance, has a threshold of 0 or 1, was tested on a handful of videos, or where an epoch has so few steps that
    fine-tuning a pretrained model is the better start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Recommend fine-tuning where there are few frames and the weights are not those of a page-turn detector."""
        steps, weights = trainer.num_training_batches, pl_module.hparams.get("weights", "none")
        limited = trainer.limit_train_batches != 1.0  # as in configs/debug
        if steps < FEW_STEPS and not limited and weights in FROM_SCRATCH and trainer.is_global_zero:
            logger.warning(
                "An epoch has only %d steps: there are few training frames. For page turns, fine-tuning a pretrained "
                "model needs far fewer than training from scratch: --config finetune",
                steps,
            )

    def on_results(self, trainer: Trainer, results: dict[str, float]) -> None:
        """Write `text` and log the warnings."""
        stage = "test" if "test" in self.last_scores else "val"
        scores = self.last_scores.get(stage)
        if scores is None or np.isnan(scores.probabilities).any():
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        records = getattr(data.split, stage)
        videos = [records[index].video for index in scores.indices]
        split = "Test" if stage == "test" else "Validation"
        self.text, warnings = summarise(scores, videos, split=split, positive=data.classes.positive)
        for sentence in warnings:
            logger.warning("%s", sentence)


def summarise(scores: EpochScores, videos: Sequence[str], *, split: str, positive: str) -> tuple[str, list[str]]:
    """A sentence about the F1 of a "Test" or "Validation" split, and warnings; `videos` (N,) is that of each frame."""
    found = bootstrap_ci(scores.probabilities, scores.targets, videos, scores.threshold, metrics=("f1", "auroc"))
    f1, auroc = found["f1"], found["auroc"].value
    positives, frames, count = int(scores.targets.sum()), len(scores.targets), f1.videos
    baseline = 2 * positives / (positives + frames)
    ci = f"95% CI {f1.low:.3f} to {f1.high:.3f}" if f1.is_bounded else "no 95% CI"
    text = (
        f"{split} F1 {f1.value:.3f} ({ci}), on {_videos(count)} ({positives} of {frames} frames are {positive}). "
        f"Predicting {positive} for every frame: F1 {baseline:.3f}."
    )
    warnings = []
    if split != "Test":
        warnings.append(
            "There is no test split: threshold and checkpoint were chosen on the validation frames, so these metrics "
            "are optimistic. Set data.test_fraction, or evaluate on other videos with flipdetect evaluate"
        )
    if f1.value <= baseline:
        warnings.append(
            f"The model is no better than predicting {positive} for every frame: F1 {f1.value:.3f} against "
            f"{baseline:.3f}. Train longer or on more frames, or, for page turns, fine-tune a pretrained model: "
            "--config finetune"
        )
    elif f1.is_bounded and f1.low <= baseline:
        warnings.append(
            f"The 95% CI of F1 includes {baseline:.3f}, the F1 of predicting {positive} for every frame: more "
            f"{split.lower()} videos are needed to show that the model is better"
        )
    if auroc < 0.5:
        warnings.append(
            f"{split} AUROC is {auroc:.3f}: below 0.5, the model ranks frames worse than chance. Check the labels, and "
            "that the splits come from the same kind of videos"
        )
    if round(scores.threshold, 3) in (0, 1):
        warnings.append(
            f"The threshold is {scores.threshold:.3f}: nearly every frame gets the same class. The probabilities do "
            "not separate the classes on the validation split"
        )
    if count < FEW_VIDEOS:
        says = "nothing" if count < NO_VIDEOS else "little"
        warnings.append(
            f"F1 {f1.value:.3f} on {_videos(count)} says {says} about other videos: label frames of at least "
            f"{FEW_VIDEOS} {split.lower()} videos, or use flipdetect cross-validate"
        )
    return text, warnings


def _videos(count: int) -> str:
    return f"{count} video{'s' if count != 1 else ''}"


class RehearsalCheck(Callback):
    """Logs AUROC and F1 on validation frames and on held-out rendered frames, before and after fine-tuning.

    A few frames of one book can make a model better on that book and worse on all others, while validation, on the
    same book, looks perfect. The rendered frames are those of `data.mix_in` that are held out from training, of other
    books. Without `data.mix_in` nothing is logged.
    """

    def __init__(self) -> None:
        self._before: dict[str, dict[str, float]] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate the initial weights, unless the run is resumed."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        rendered = data.rehearsal_dataloader()
        if rendered is None or trainer.global_step > 0 or not trainer.is_global_zero:
            return
        self._before = {YOURS: _evaluate(pl_module, data.val_dataloader()), RENDERED: _evaluate(pl_module, rendered)}

    def on_results(self, trainer: Trainer, results: dict[str, float]) -> None:
        """Evaluate the best checkpoint, which is loaded by now, and log both."""
        if not self._before:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        after = {
            YOURS: {name: results[f"val_{name}"] for name in COMPARED},
            RENDERED: _evaluate(trainer.lightning_module, data.rehearsal_dataloader()),
        }
        rows = [
            [where, *(value for name in COMPARED for value in (before[name], after[where][name]))]
            for where, before in self._before.items()
        ]
        table = tabulate(rows, ["", "AUROC before", "after", "F1 before", "after"], floatfmt=".3f", missingval="-")
        logger.info("Before and after training:\n%s", table)
        lost = self._before[RENDERED]["auroc"] - after[RENDERED]["auroc"]
        if lost > NOTABLE_LOSS:
            logger.warning(
                "The model has become worse on other books: AUROC on rendered frames fell by %.3f. Train for fewer "
                "epochs or with a lower model.lr, or raise data.mix_in.share.",
                lost,
            )


def _evaluate(module: LightningModule, loader: DataLoader[Sample]) -> dict[str, float]:
    """Metrics of all frames of a loader at the module's threshold."""
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
