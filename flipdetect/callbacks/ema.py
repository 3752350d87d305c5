"""An exponential moving average of the weights (EMA), which is validated and saved instead of the latest weights."""

from __future__ import annotations

from functools import partial
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from flipdetect.errors import ConfigError


class AveragedWeights(WeightAveraging):
    """Averages the weights after every step (Polyak and Juditsky, 1992), batch-norm statistics included.

    Validation uses the average, checkpoints store it as the model (and the current weights, to resume from), and it is
    the model after training. Early averages are short, so that the first, random weights do not stay in them: step t
    uses the decay min(decay, (1 + t) / (10 + t)).

    Lightning's callback, which this one extends, would also average the decision threshold, which is not a weight, and
    would restore the current weights for a test after training.

    List it before callbacks that use the model in validation.

    Args:
        decay: per step, 0 to below 1: the average spans about 1 / (1 - decay) steps. A few epochs work well.

    Raises:
        ConfigError: if the decay is impossible.
    """

    def __init__(self, decay: float = 0.995) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"AveragedWeights needs a decay in [0, 1), got {decay}; 0.995 averages about 200 steps")
        super().__init__(avg_fn=partial(_average, decay))  # no closure: processes that are spawned get a copy
        self._swapped = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the average to the module's device, which is known by now."""
        assert self._average_model is not None
        self._average_model.to(pl_module.device)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Swap the average in."""
        self._share_buffers(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)
        self._swapped = self._average_model is not None

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Swap the current weights back."""
        self._share_buffers(pl_module)
        super().on_validation_epoch_end(trainer, pl_module)
        self._swapped = False

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Swap the current weights back, before another callback saves them."""
        if self._swapped:
            self.on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the average in the module."""
        self._share_buffers(pl_module)
        super().on_train_end(trainer, pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Drop the average: a validation or test after the fit uses the weights that it loads."""
        if stage == "fit":
            self._average_model = None
            self._latest_update_step = 0

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store the average as the checkpoint's model, and the current weights separately."""
        if self._average_model is not None:
            self._share_buffers(pl_module)
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore both if a fit is resumed; otherwise the average, the checkpoint's model, is used."""
        if self._average_model is not None:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def _share_buffers(self, pl_module: LightningModule) -> None:
        """Copy the module's own buffers, such as the threshold, to the average; those of its layers are averaged."""
        if self._average_model is not None:
            for name, buffer in pl_module.named_buffers(recurse=False):
                self._average_model.module.get_buffer(name).copy_(buffer)


def _average(decay: float, mean: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
    # Without a transfer to the host, which a GPU would wait for.
    steps = steps if isinstance(steps, Tensor) else mean.new_tensor(steps)
    kept = ((1 + steps) / (10 + steps)).clamp(max=decay)
    # In this form, what does not change (a frozen weight) stays bit-identical.
    return mean + (current - mean) * (1 - kept)
