"""What all LightningModules share: steps, loss, metrics, decision threshold, optimiser and schedule."""

from __future__ import annotations

import logging
import math
from typing import Any, TypedDict, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from flipdetect.errors import ConfigError
from flipdetect.metrics.frame import FrameMetrics
from flipdetect.metrics.threshold import best_f1_threshold
from flipdetect.models.base import FrameModel

logger = logging.getLogger(__name__)

DEFAULT_THRESHOLD = 0.5


class StepOutput(TypedDict):
    """What a validation or test step returns, for callbacks.

    Keys:
        loss: () float32.
        probability, target: (B,) float32.
        index: (B,) int64, positions in the data set's records.
    """

    loss: Tensor
    probability: Tensor
    target: Tensor
    index: Tensor


class FrameClassifier(pl.LightningModule):
    """Base of the interchangeable classifiers: one logit per frame, trained with binary cross-entropy.

    A subclass sets `self.model`. The decision threshold is chosen on validation at the end of every epoch (best F1)
    and lives in the state dict, so that each checkpoint carries its own.

    Args:
        in_channels: channels of a frame; the command line links it to `data.preprocess.channels`.
        lr: peak learning rate of the head, and of the backbone if `backbone_lr` is null.
        backbone_lr: peak learning rate of the backbone; smaller than `lr` when it is pretrained.
        weight_decay: of AdamW; norms and biases are left out.
        warmup_epochs: epochs of linear warm-up before the cosine decay; may be a fraction.
        final_lr_ratio: where the cosine ends, as a share of the peak.
        positive_weight: weight of the positive class in the loss; null weighs both alike.
        label_smoothing: pulls targets from 0 and 1 towards 0.5 by this share, 0 to below 1.
        channels_last: memory format NHWC; about doubles MobileNetV2's speed on CPUs.

    Raises:
        ConfigError: if a value cannot work.
    """

    model: FrameModel
    threshold: Tensor

    def __init__(
        self,
        in_channels: int = 3,
        lr: float = 1e-3,
        backbone_lr: float | None = None,
        weight_decay: float = 0.01,
        warmup_epochs: float = 1.0,
        final_lr_ratio: float = 0.01,
        positive_weight: float | None = None,
        label_smoothing: float = 0.0,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.in_channels = in_channels
        self.lr = _positive("lr", lr)
        self.backbone_lr = self.lr if backbone_lr is None else _positive("backbone_lr", backbone_lr)
        self.weight_decay = weight_decay
        self.warmup_epochs = warmup_epochs
        self.final_lr_ratio = final_lr_ratio
        self.positive_weight = None if positive_weight is None else _positive("positive_weight", positive_weight)
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"model label_smoothing must lie in [0, 1), got {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.channels_last = channels_last
        self.register_buffer("threshold", torch.tensor(DEFAULT_THRESHOLD, dtype=torch.float64))
        self.train_metrics, self.val_metrics, self.test_metrics = (
            FrameMetrics(),
            FrameMetrics(),
            FrameMetrics(),
        )

    @property
    def backbone(self) -> nn.Module:
        """The part that may be pretrained and frozen; Lightning's finetuning callbacks look for it here."""
        return self.model.backbone

    def setup(self, stage: str) -> None:
        """Bring the weights into the memory format before the optimiser sees them."""
        if self.channels_last:
            self.model.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Frames (B, C, H, W) float32 -> logits (B,) float32."""
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return cast(Tensor, self.model(images)).float()

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy of logits (B,) against targets (B,) in {0, 1} -> () float32.

        Label smoothing after Szegedy et al. (2016).
        """
        smoothed = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        weight = None if self.positive_weight is None else logits.new_tensor(self.positive_weight)
        return F.binary_cross_entropy_with_logits(logits, smoothed, pos_weight=weight)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One optimisation step on a batch of `Sample`s -> loss () float32."""
        logits = self(batch["image"])
        loss = self.loss(logits, batch["target"])
        self.train_metrics.update(logits.detach().sigmoid(), batch["target"].long())
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(logits))
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training F1 (on augmented frames, at threshold 0.5)."""
        self.log("train_f1", self.train_metrics.compute(DEFAULT_THRESHOLD)["f1"])
        self.train_metrics.reset()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> StepOutput:
        """Score a batch of the validation side."""
        return self._evaluate(batch, self.val_metrics, "val")

    def on_validation_epoch_end(self) -> None:
        """Choose the threshold (while training) and log the epoch's metrics at it."""
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self._choose_threshold()
        self._log_metrics(self.val_metrics, "val")

    def _choose_threshold(self) -> None:
        probabilities, targets = (values.cpu().numpy() for values in self.val_metrics.collected())
        try:
            self.threshold.fill_(best_f1_threshold(probabilities, targets).threshold)
        except ValueError as error:
            logger.warning("The threshold stays at %.3f: %s", self.threshold.item(), error)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> StepOutput:
        """Score a batch of the test side."""
        return self._evaluate(batch, self.test_metrics, "test")

    def on_test_epoch_end(self) -> None:
        """Log the test metrics at the threshold that validation chose."""
        self._log_metrics(self.test_metrics, "test")

    def _evaluate(self, batch: dict[str, Tensor], metrics: FrameMetrics, stage: str) -> StepOutput:
        targets = batch["target"]
        # Inference runs in full precision: the threshold must be chosen on the scores that it will meet.
        with torch.autocast(self.device.type, enabled=False):
            logits = self(batch["image"])
        loss, probability = self.loss(logits, targets), logits.sigmoid()
        metrics.update(probability, targets.long())
        self.log(f"{stage}_loss", loss, on_epoch=True, sync_dist=True, batch_size=len(logits))
        return StepOutput(loss=loss, probability=probability, target=targets, index=batch["index"])

    def _log_metrics(self, metrics: FrameMetrics, stage: str) -> None:
        threshold = self.threshold.item()
        values = {f"{stage}_{name}": value for name, value in metrics.compute(threshold).items()}
        metrics.reset()
        headline = f"{stage}_f1"
        self.log(headline, values.pop(headline), prog_bar=True)
        self.log_dict(values)
        self.log(f"{stage}_threshold", threshold)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW (Loshchilov and Hutter, 2019) with linear warm-up and cosine decay, stepped per batch."""
        optimizer = AdamW(self._parameter_groups(), lr=self.lr)
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise ConfigError("the cosine schedule needs an end: set trainer.max_epochs or trainer.max_steps")
        warmup = round(self.warmup_epochs * steps / max(1, self.trainer.max_epochs or 1))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self._schedule(optimizer, warmup, int(steps)), "interval": "step"},
        }

    def _schedule(self, optimizer: Optimizer, warmup: int, steps: int) -> LambdaLR:
        def ratio(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            progress = min(1.0, (step - warmup) / max(1, steps - warmup))
            return self.final_lr_ratio + (1 - self.final_lr_ratio) * (1 + math.cos(math.pi * progress)) / 2

        return LambdaLR(optimizer, ratio)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Backbone and head, each with and without weight decay; frozen parameters too, they may thaw later."""
        backbone = {id(parameter) for parameter in self.backbone.parameters()}
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for parameter in self.model.parameters():
            groups.setdefault((id(parameter) in backbone, parameter.ndim > 1), []).append(parameter)
        return [
            {
                "params": parameters,
                "lr": self.backbone_lr if in_backbone else self.lr,
                "weight_decay": self.weight_decay if decays else 0.0,
                "name": f"{'backbone' if in_backbone else 'head'}{'' if decays else ', no decay'}",
            }
            for (in_backbone, decays), parameters in groups.items()
        ]


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ConfigError(f"model {name} must be positive, got {value}")
    return value
