"""What every LightningModule here has: a backbone and a head with learning rates of their own, and a stop at NaN."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW

from flipdetect.errors import ConfigError, TrainingError
from flipdetect.tasks.optimization import fused_optimiser, parameter_groups, resolve_channels_last, warmup_cosine

logger = logging.getLogger(__name__)


class Trainable(pl.LightningModule):
    """Base of all tasks. A subclass sets `self.model`, which has a `backbone`.

    Args:
        lr: peak learning rate of what is not the backbone, and of the backbone if `backbone_lr` is None.
        backbone_lr: peak learning rate of the backbone.
        weight_decay: of AdamW; norms and biases are excluded.
        warmup_epochs: epochs of linear warm-up before the cosine decay; may be a fraction.
        final_lr_ratio: where the cosine ends, as a share of the peak.
        channels_last: memory format NHWC; None: by the machine, see `resolve_channels_last`.
    """

    model: Any

    def __init__(
        self,
        lr: float,
        backbone_lr: float | None,
        weight_decay: float,
        warmup_epochs: float,
        final_lr_ratio: float,
        channels_last: bool | None,
    ) -> None:
        super().__init__()
        self.lr = lr
        self.backbone_lr = lr if backbone_lr is None else backbone_lr
        self.weight_decay = weight_decay
        self.warmup_epochs = warmup_epochs
        self.final_lr_ratio = final_lr_ratio
        self._channels_last = channels_last
        self.channels_last = resolve_channels_last(channels_last, self.device)

    @property
    def backbone(self) -> nn.Module:
        """The part that may be pretrained and frozen; Lightning's finetuning callbacks look for it here."""
        found: nn.Module = self.model.backbone
        return found

    def set_memory_format(self, stage: str) -> None:
        """Bring the weights into the memory format of the device that is used, before the optimiser is created."""
        device = self.device if self._trainer is None else self.trainer.strategy.root_device
        self.channels_last = resolve_channels_last(self._channels_last, device)
        if self.channels_last:
            self.model.to(memory_format=torch.channels_last)
        if stage == "fit" and self._trainer is not None:
            order = "channels last" if self.channels_last else "channels first"
            logger.info("Training on %s in %s, %s.", device.type, self.trainer.precision, order)

    def in_format(self, images: Tensor) -> Tensor:
        """Frames (B, C, H, W) in the memory format of the weights."""
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def check_finite(self, values: Tensor, batch: dict[str, Any], what: str) -> None:
        """Stop before anything that is not finite is learnt, saved or reported; the batch is saved next to the run.

        Raises:
            TrainingError: if a value is not finite.
        """
        if bool(torch.isfinite(values).all()):
            return
        checkpoint: Any = self.trainer.checkpoint_callback
        folder = getattr(checkpoint, "dirpath", None)
        saved = ""
        if folder is not None:
            path = Path(folder, f"not_finite_batch_{self.global_rank}.pt")
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({name: value for name, value in batch.items() if isinstance(value, Tensor)}, path)
            saved = f" The batch is saved in {path}."
        raise TrainingError(
            f"{what} is not finite in epoch {self.current_epoch}, step {self.global_step}: training stops.{saved} "
            f"Lower model.lr (now {self.lr:g}), set trainer.gradient_clip_val: 1.0, or use trainer.precision: 32-true"
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Have a resumed run use the rates and the weight decay of its configuration, not those that were saved."""
        for optimizer in checkpoint.get("optimizer_states", []):
            for group in optimizer["param_groups"]:
                peak = self.backbone_lr if group["name"].startswith("backbone") else self.lr
                if peak != group["initial_lr"]:
                    group["lr"] *= peak / group["initial_lr"]
                    group["initial_lr"] = peak
                group["weight_decay"] = 0.0 if "no decay" in group["name"] else self.weight_decay
            for schedule in checkpoint.get("lr_schedulers", []):
                schedule["base_lrs"] = [group["initial_lr"] for group in optimizer["param_groups"]]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW (Loshchilov and Hutter, 2019) with linear warm-up and cosine decay, stepped per batch.

        Raises:
            ConfigError: if the training has no end.
        """
        groups = parameter_groups(
            self, self.backbone, lr=self.lr, backbone_lr=self.backbone_lr, weight_decay=self.weight_decay
        )
        optimizer = AdamW(groups, lr=self.lr, fused=fused_optimiser(self.device, self.trainer.precision) or None)
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise ConfigError("the cosine schedule needs an end: set trainer.max_epochs or trainer.max_steps")
        warmup = round(self.warmup_epochs * steps / max(1, self.trainer.max_epochs or 1))
        schedule = warmup_cosine(optimizer, warmup=warmup, steps=int(steps), final_ratio=self.final_lr_ratio)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
