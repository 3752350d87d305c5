"""What every LightningModule here has: losses, learning rates of backbone and head, memory format, a stop at NaN."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from flipdetect.errors import ConfigError, TrainingError
from flipdetect.models.imagenet import check_statistics
from flipdetect.parameters import check_range

logger = logging.getLogger(__name__)


class Trainable(pl.LightningModule):
    """Base of all tasks. A subclass sets `self.model`, which has a `backbone`.

    Args:
        lr: peak learning rate of what is not the backbone, and of the backbone if `backbone_lr` is null.
        backbone_lr: peak learning rate of the backbone; smaller than `lr` when it is pretrained.
        weight_decay: of AdamW; norms and biases are excluded.
        warmup_epochs: epochs of linear warm-up before the cosine decay; may be a fraction.
        final_lr_ratio: where the cosine ends, as a share of the peak.
        channels_last: memory format NHWC, which about doubles MobileNetV2's speed on CPUs; null: by the machine, see
            `resolve_channels_last`.

    Raises:
        ConfigError: if a value, also one of a subclass, is impossible.
    """

    model: Any

    def __init__(
        self,
        lr: float = 1e-3,
        backbone_lr: float | None = None,
        weight_decay: float = 0.01,
        warmup_epochs: float = 1.0,
        final_lr_ratio: float = 0.01,
        channels_last: bool | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()  # those of the subclasses, too
        for name in self.hparams:
            check_range(f"model.{name}", self.hparams[name])
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

    def setup(self, stage: str) -> None:
        """Bring the weights into the memory format of the device that is used, before the optimiser is created."""
        device = self.device if self._trainer is None else self.trainer.strategy.root_device
        self.channels_last = resolve_channels_last(self._channels_last, device)
        if self.channels_last:
            self.model.to(memory_format=torch.channels_last)
        if stage == "fit" and self._trainer is not None:
            order = "channels last" if self.channels_last else "channels first"
            logger.info("Training on %s in %s, %s.", device.type, self.trainer.precision, order)
            check_statistics(self.model, getattr(getattr(self.trainer, "datamodule", None), "preprocess", None))

    def in_format(self, images: Tensor) -> Tensor:
        """Frames (B, C, H, W) in the memory format of the weights."""
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def check_finite(self, values: Tensor, batch: dict[str, Any], what: str) -> None:
        """Stop before anything that is not finite is learnt, saved or reported; the batch is saved next to the run."""
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
        """AdamW (Loshchilov and Hutter, 2019) with linear warm-up and cosine decay, stepped per batch."""
        groups = parameter_groups(
            self, self.backbone, lr=self.lr, backbone_lr=self.backbone_lr, weight_decay=self.weight_decay
        )
        # On a GPU, one kernel for all weights instead of hundreds of small ones; not with float16, whose gradients a
        # fused optimiser unscales itself, so that they could not be clipped.
        fused = self.device.type == "cuda" and not str(self.trainer.precision).startswith("16-mixed")
        optimizer = AdamW(groups, lr=self.lr, fused=fused or None)
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise ConfigError("the cosine schedule needs an end: set trainer.max_epochs or trainer.max_steps")
        warmup = round(self.warmup_epochs * steps / max(1, self.trainer.max_epochs or 1))
        schedule = warmup_cosine(optimizer, warmup=warmup, steps=int(steps), final_ratio=self.final_lr_ratio)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def map_loss(maps: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of maps (N, 3, Hm, Wm) as logits against shares in [0, 1] of the same shape -> () float32.

    A backbone that rounds sizes down has fewer positions than the truth, which is then averaged to fit.
    """
    if truth.shape[-2:] != maps.shape[-2:]:
        truth = F.adaptive_avg_pool2d(truth, (maps.shape[-2], maps.shape[-1]))
    return F.binary_cross_entropy_with_logits(maps, truth)


def twin_margins(logits: Tensor, targets: Tensor, pairs: Tensor) -> Tensor:
    """How far the flip of each pair of twins lies above its twin.

    Twins share a number of `pairs` (B,) int64, negative for frames without one. Returns (P,) differences of logits. Two
    twins of one class are no pair: neither must lie above the other.
    """
    flips, others = targets > 0.5, targets <= 0.5
    same = (pairs[:, None] == pairs[None, :]) & (pairs >= 0)[:, None]
    flip, other = torch.nonzero(same & flips[:, None] & others[None, :], as_tuple=True)
    return logits[flip] - logits[other]


def rank_loss(margins: Tensor) -> Tensor:
    """Logistic ranking loss of (P,) margins, P > 0 -> () float32 (RankNet: Burges et al., 2005)."""
    return F.softplus(-margins).mean()


def parameter_groups(
    module: nn.Module, backbone: nn.Module, *, lr: float, backbone_lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Parameters of backbone and head, each with and without weight decay (norms and biases).

    Frozen parameters are included, because a callback may unfreeze them later.
    """
    of_backbone = {id(parameter) for parameter in backbone.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        groups.setdefault((id(parameter) in of_backbone, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": backbone_lr if in_backbone else lr,
            "weight_decay": weight_decay if decays else 0.0,
            "name": f"{'backbone' if in_backbone else 'head'}{'' if decays else ', no decay'}",
        }
        for (in_backbone, decays), parameters in groups.items()
    ]


def warmup_cosine(optimizer: Optimizer, *, warmup: int, steps: int, final_ratio: float) -> LambdaLR:
    """Per step: linear warm-up over `warmup` steps, then a cosine to `final_ratio` of the peak at step `steps`."""

    def ratio(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return final_ratio + (1 - final_ratio) * (1 + math.cos(math.pi * progress)) / 2

    return LambdaLR(optimizer, ratio)


def resolve_channels_last(wanted: bool | None, device: torch.device) -> bool:
    """Whether frames and weights lie in memory channels last (NHWC).

    Left open, they do on CPUs and CUDA GPUs, whose convolutions are written for it; elsewhere (MPS) they do not. The
    measurements are in docs/guides/data-loading.md.
    """
    return device.type in ("cpu", "cuda") if wanted is None else wanted
