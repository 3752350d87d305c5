"""Distillation: a network learns what trained ones say of its frames, besides the labels."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.nn import functional as F

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError
from flipdetect.inference.resolve import resolve_model
from flipdetect.inference.torch_model import TorchModel, load_torch_model


class Distillation(Callback):
    """Mixes the probability that trained networks give to a frame into the frame's target (Hinton et al., 2015).

    The teachers see the same augmented frames, resized to their own input size. Their logits, before calibration, are
    averaged. Validation and test use the labels alone.

    Args:
        teachers: pretrained models, runs, checkpoints or `.safetensors` files, as for `flipdetect predict --model`.
        share: of the teachers in the target, 0 to 1; the rest is the label's.

    Raises:
        ConfigError: if there is no teacher, or the share is impossible; at the start of training, if the outputs of
            frozen stages are cached, or frames have other channels than a teacher's.
        ModelError: at the start of training, if a teacher cannot be loaded.
    """

    def __init__(self, teachers: list[str], share: float = 0.7) -> None:
        if not teachers or not 0 < share <= 1:
            raise ConfigError(f"Distillation needs teachers and a share in (0, 1], got {teachers} and {share}")
        self.teachers, self.share = teachers, share
        self._models: list[TorchModel] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Load the teachers; they are no part of the model and of its checkpoints."""
        self._models = [load_torch_model(resolve_model(name), "cpu") for name in self.teachers]
        channels = _spec(trainer).channels
        for model in self._models:
            if model.preprocess.channels != channels:
                raise ConfigError(
                    f"the teacher {model.path} sees {model.preprocess.channels} channels, data.preprocess.channels is "
                    f"{channels}; choose another teacher"
                )
            model.task.to(pl_module.device)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Add `soft_target` (B,) to a batch."""
        if "image" not in batch:
            raise ConfigError("Distillation needs frames: leave CachedFeatures out of trainer.callbacks")
        spec = _spec(trainer)
        with torch.no_grad():
            logits = [model.task(as_seen_by(model.preprocess, batch["image"], spec)) for model in self._models]
        said = torch.stack(logits).mean(dim=0).sigmoid()
        batch["soft_target"] = torch.lerp(batch["target"], said.to(batch["target"].dtype), self.share)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the teachers go."""
        self._models = []


def as_seen_by(other: PreprocessSpec, images: Tensor, own: PreprocessSpec) -> Tensor:
    """Frames (B, C, H, W) preprocessed as `own`, resized and normalised as `other`."""
    std, mean = (images.new_tensor(values)[:, None, None] for values in (own.std, own.mean))
    other_std, other_mean = (images.new_tensor(values)[:, None, None] for values in (other.std, other.mean))
    size = (other.height, other.width)
    resized = F.interpolate(images, size=size, mode="bilinear", antialias=True) if images.shape[-2:] != size else images
    return (resized * std + mean - other_mean) / other_std


def _spec(trainer: Trainer) -> PreprocessSpec:
    datamodule: Any = getattr(trainer, "datamodule", None)
    spec: PreprocessSpec = datamodule.preprocess
    return spec
