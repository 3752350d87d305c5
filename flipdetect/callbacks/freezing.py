"""Transfer learning: keep the backbone, or its first stages, as they are, for ever or for the first epochs."""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from flipdetect.errors import ConfigError

logger = logging.getLogger(__name__)

Part = list[nn.Module]
"""The modules of a stage, at any depth."""


class BackboneFreezing(Callback):
    """Freezes stages of the backbone before training, and thaws them at their epochs.

    A frozen stage computes the same in training and afterwards: its weights do not learn, its batch norms normalise by
    their running statistics and do not update them, dropout and stochastic depth are off. For models with
    `backbone_stages` (see `flipdetect.models.base.FrameModel`). Layers of the backbone behind the last stage, such as
    a convolution after the pooling, are frozen and thawed with it.

    What is frozen depends on the epoch alone: a resumed run goes on as an uninterrupted one. The optimiser holds the
    backbone's parameters from the start, with `backbone_lr`: thawing adds no parameter group, which a learning-rate
    schedule could not follow.

    Args:
        stages: how many to freeze, counted from the input, at least 1; null for all.
        unfreeze_at_epoch: the first epoch in which something thaws, 0 at the earliest; null for never.
        unfreeze_every: null to thaw everything at that epoch; else the epochs, at least 1, from one stage to the next,
            from the last frozen one to the first (gradual unfreezing: Howard and Ruder, 2018, arXiv:1801.06146).
        train_batch_norm: whether the weights of batch norms in frozen stages keep learning.
        freeze_statistics: whether all batch norms of the backbone, also in stages that learn, normalise by their
            running statistics and do not update them, as is usual in fine-tuning with small batches. Null: unless
            `train_batch_norm` is set. If it is off, those in frozen stages do so unless `train_batch_norm` is set.

    Raises:
        ConfigError: if a value cannot work; when training starts, also if the model has fewer stages.
    """

    def __init__(
        self,
        stages: int | None = None,
        unfreeze_at_epoch: int | None = None,
        unfreeze_every: int | None = None,
        train_batch_norm: bool = False,
        freeze_statistics: bool | None = None,
    ) -> None:
        _check_at_least(1, "stages", stages)
        _check_at_least(0, "unfreeze_at_epoch", unfreeze_at_epoch)
        _check_at_least(1, "unfreeze_every", unfreeze_every)
        if unfreeze_every is not None and unfreeze_at_epoch is None:
            raise ConfigError(
                f"BackboneFreezing unfreeze_every is {unfreeze_every}, but unfreeze_at_epoch is null; set the epoch in "
                "which the last stage thaws"
            )
        self.stages = stages
        self.unfreeze_at_epoch = unfreeze_at_epoch
        self.unfreeze_every = unfreeze_every
        self.train_batch_norm = train_batch_norm
        self.freeze_statistics = not train_batch_norm if freeze_statistics is None else freeze_statistics
        self._frozen: int | None = None
        self._still: Part = []

    def frozen_stages(self, epoch: int, total: int) -> int:
        """How many of a backbone's `total` stages are frozen in an epoch, counted from the input."""
        count = total if self.stages is None else self.stages
        if self.unfreeze_at_epoch is None or epoch < self.unfreeze_at_epoch:
            return count
        if self.unfreeze_every is None:
            return 0
        return max(0, count - 1 - (epoch - self.unfreeze_at_epoch) // self.unfreeze_every)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Freeze the weights, before a distributed strategy wraps the module.

        Raises:
            ConfigError: if the backbone has fewer stages than are to be frozen.
        """
        if stage != "fit":
            return
        parts = backbone_parts(pl_module)
        if self.stages is not None and self.stages > len(parts):
            name = type(pl_module.model).__name__
            raise ConfigError(
                f"BackboneFreezing stages must be at most {len(parts)}, which the backbone of {name} has, "
                f"got {self.stages}; null freezes all of them"
            )
        self._frozen = None
        self._set_learning(parts, frozen=len(parts))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze as the epoch has it; a resumed run may start in the middle of one."""
        self._follow_epoch(trainer, pl_module)
        norms = [module for module in self._still if isinstance(module, _BatchNorm)]
        means = [norm.running_mean for norm in norms if norm.running_mean is not None]
        if means and not any(mean.any() for mean in means):
            logger.warning(
                "BackboneFreezing keeps the statistics of batch norms that have never seen data: they do not normalise "
                "anything. Start from trained weights, or leave the callback out."
            )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Thaw what is to thaw in this epoch."""
        self._follow_epoch(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """See to it that what is frozen is in evaluation mode, whoever has put the module into training mode."""
        for module in self._still:
            if module.training:
                module.training = False  # not eval(): of the modules inside, some may train

    def _follow_epoch(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        parts = backbone_parts(pl_module)
        frozen = self.frozen_stages(trainer.current_epoch, len(parts))
        if frozen != self._frozen:
            logger.info(
                "Epoch %d: of the backbone's %d stages, %d are frozen.", trainer.current_epoch, len(parts), frozen
            )
        self._frozen = frozen
        self._set_modes(parts, frozen)
        if self._set_learning(parts, frozen) and isinstance(trainer.strategy, DDPStrategy):
            # The wrapper exchanges the gradients of those parameters alone that learnt when it was made.
            trainer.strategy.model = pl_module
            trainer.strategy.configure_ddp()

    def _set_learning(self, parts: list[Part], frozen: int) -> bool:
        """Freeze and thaw weights; returns whether some learn that did not before."""
        thawed = False
        for number, part in enumerate(parts[: self.stages]):
            for module in part:
                learns = number >= frozen or (self.train_batch_norm and isinstance(module, _BatchNorm))
                for parameter in module.parameters(recurse=False):
                    thawed |= learns and not parameter.requires_grad
                    parameter.requires_grad_(learns)
        return thawed

    def _set_modes(self, parts: list[Part], frozen: int) -> None:
        before, self._still = self._still, []
        for number, part in enumerate(parts):
            self._still += [module for module in part if self._keeps_still(module, number < frozen)]
        still = {id(module) for module in self._still}
        for module in before:
            if id(module) not in still:
                module.training = True
        for module in self._still:
            module.training = False

    def _keeps_still(self, module: nn.Module, frozen: bool) -> bool:
        """Whether a module is to be in evaluation mode."""
        if isinstance(module, _BatchNorm):
            return self.freeze_statistics or (frozen and not self.train_batch_norm)
        return frozen


def backbone_parts(pl_module: pl.LightningModule) -> list[Part]:
    """All modules of a classifier's backbone by stage; those of no stage are of the last one."""
    model: Any = pl_module.model
    backbone: Any = pl_module.backbone
    parts = [[module for top in stage for module in top.modules()] for stage in model.backbone_stages()]
    placed = {id(module) for part in parts for module in part}
    parts[-1] += [module for module in backbone.modules() if id(module) not in placed]
    return parts


def _check_at_least(lowest: int, name: str, value: int | None) -> None:
    if value is not None and value < lowest:
        raise ConfigError(f"BackboneFreezing {name} must be null or at least {lowest}, got {value}")
