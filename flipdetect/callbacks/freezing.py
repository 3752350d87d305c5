"""Transfer learning: keep the backbone as it is, for ever or for the first epochs."""

from __future__ import annotations

from typing import cast

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BaseFinetuning
from pytorch_lightning.strategies import DDPStrategy
from torch import nn
from torch.optim import Optimizer

from flipdetect.errors import ConfigError


class BackboneFreezing(BaseFinetuning):
    """Freezes the module's `backbone` before training and thaws it at an epoch, through Lightning's own finetuning.

    The optimiser holds the backbone's parameters from the start, with `backbone_lr`: thawing adds no parameter group,
    which a learning-rate schedule could not follow.

    Args:
        unfreeze_at_epoch: the first epoch in which the backbone learns, 0 at the earliest; null for never.
        train_batch_norm: whether batch norms of the frozen backbone keep learning.

    Raises:
        ConfigError: if the epoch is negative.
    """

    def __init__(self, unfreeze_at_epoch: int | None = None, train_batch_norm: bool = False) -> None:
        super().__init__()
        if unfreeze_at_epoch is not None and unfreeze_at_epoch < 0:
            raise ConfigError(f"unfreeze_at_epoch must be null or at least 0, got {unfreeze_at_epoch}")
        self.unfreeze_at_epoch = unfreeze_at_epoch
        self.train_batch_norm = train_batch_norm

    def freeze_before_training(self, pl_module: pl.LightningModule) -> None:
        """Freeze the backbone."""
        self.freeze(pl_module.backbone, train_bn=self.train_batch_norm)

    def finetune_function(self, pl_module: pl.LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Thaw the backbone when its epoch has come; on a resumed run it may have come before."""
        if self.unfreeze_at_epoch is None or epoch < self.unfreeze_at_epoch:
            return
        backbone = cast(nn.Module, pl_module.backbone)
        frozen = any(not parameter.requires_grad for parameter in backbone.parameters())
        self.make_trainable(backbone)
        strategy = pl_module.trainer.strategy
        if frozen and isinstance(strategy, DDPStrategy):
            # The wrapper exchanges the gradients of those parameters alone that learnt when it was made.
            strategy.model = pl_module
            strategy.configure_ddp()
