"""An exponential moving average of the weights: steadier than the weights of any one step, and what is kept."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from flipdetect.errors import ConfigError


class AveragedWeights(WeightAveraging):
    """Averages the weights after every step (Polyak and Juditsky, 1992), batch-norm statistics included.

    Validation judges the average, checkpoints hold it as the model (and, to go on from, the weights of the moment
    beside it), and it is what remains after training. Early on the average is short, so that it does not drag the
    first, random weights along: step t decays it by min(decay, (1 + t) / (10 + t)).

    Lightning's callback, which this one extends, would average the decision threshold, too, which is chosen anew after
    each validation and no weight, and would bring back the weights of the moment for a test after training.

    To be listed before callbacks that look at the model in validation.

    Args:
        decay: of the average per step, 0 to below 1. It reaches back about 1 / (1 - decay) steps; a few epochs are
            right.

    Raises:
        ConfigError: if the decay cannot work.
    """

    def __init__(self, decay: float = 0.995) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"AveragedWeights needs a decay in [0, 1), got {decay}; 0.995 averages about 200 steps")
        super().__init__(avg_fn=partial(_decayed, decay))
        self.decay = decay
        self._swapped = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring the average to the module's device, which the module has reached by now."""
        assert self._average_model is not None
        self._average_model.to(pl_module.device)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average in the module's place."""
        self._share_buffers(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)
        self._swapped = self._average_model is not None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights of the moment back."""
        self._share_buffers(pl_module)
        super().on_validation_epoch_end(trainer, pl_module)
        self._swapped = False

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Put the weights of the moment back, before another callback saves them."""
        if self._swapped:
            self.on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average in the module."""
        self._share_buffers(pl_module)
        super().on_train_end(trainer, pl_module)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forget the average: a validation or test after the fit is about the weights that it loads."""
        if stage == "fit":
            self._average_model = None
            self._latest_update_step = 0

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Make the average the checkpoint's model, and keep the weights of the moment beside it."""
        if self._average_model is not None:
            self._share_buffers(pl_module)
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore both if a fit goes on; else the model of the checkpoint, the average, is what is wanted."""
        if self._average_model is not None:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def _share_buffers(self, pl_module: pl.LightningModule) -> None:
        """Give the average the module's own buffers, such as the threshold; those of its layers are averaged."""
        if self._average_model is not None:
            for name, buffer in pl_module.named_buffers(recurse=False):
                self._average_model.module.get_buffer(name).copy_(buffer)


def _decayed(decay: float, average: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
    """A step of the average; `steps` were averaged before. Without a loop over the host, which a GPU would wait for."""
    if not isinstance(steps, Tensor):
        steps = average.new_tensor(steps)
    kept = ((1 + steps) / (10 + steps)).clamp(max=decay)
    # In this form what does not change, such as a frozen weight, keeps its value to the bit.
    return average + (current - average) * (1 - kept)
