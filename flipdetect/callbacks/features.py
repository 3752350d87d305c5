"""Train on cached outputs of the frozen stages of a backbone: see `flipdetect.data.features`."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from flipdetect.callbacks.freezing import BackboneFreezing
from flipdetect.data.cache import ChunkCache
from flipdetect.data.features import encode_frames
from flipdetect.errors import ConfigError

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from flipdetect.data.dataset import FrameDataset, Sample


class CachedFeatures(Callback):
    """Runs the stages that `BackboneFreezing` freezes once over each copy of a frame, and trains on their outputs.

    An epoch then runs only the rest of the network: seconds for a head. Features are stored in `data.cache_dir` and
    reused while frames, augmentation, seed and frozen weights stay the same. Validation during the fit uses features,
    too; the evaluation after it runs the whole network on frames.

    Args:
        copies: of each training frame; an epoch uses a random one of them. More copies give more variety, and each
            takes the same time and disk space.
        plain: whether the first copy is the frame without augmentation. Better false for rendered frames: what is
            learnt from frames as rendered transfers less to photographs.

    Raises:
        ConfigError: if `copies` is below 1.
    """

    def __init__(self, copies: int = 4, plain: bool = True) -> None:
        if copies < 1:
            raise ConfigError(f"CachedFeatures.copies must be at least 1, got {copies}")
        self.copies = copies
        self.plain = plain
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the data module return features from now on.

        Raises:
            ConfigError: if nothing is frozen for the whole training, or several processes train.
        """
        if stage != "fit":
            return
        module: Any = pl_module
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        stages = _frozen_stages(trainer, module)
        if trainer.world_size > 1:
            raise ConfigError("CachedFeatures trains in one process, which takes seconds; set trainer.devices: 1")
        folder = data.cache_dir
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="flipdetect-features-")
            folder = Path(self._temporary.name)
        module.encoded_stages = stages
        precision = str(trainer.precision)
        cache = ChunkCache(folder / "features", data.cache_bytes)
        workers = data.loading()["num_workers"]

        def encode(frames: FrameDataset, *, training: bool) -> Dataset[Sample]:
            if not training and module.model.mirrored:
                return frames  # a score is the mean over a frame and its mirror image
            return encode_frames(
                frames,
                lambda images: _encode(trainer, module, stages, images, exact=not training),
                cache=cache,
                identity=f"{_digest(module.model, stages)} {precision if training else 'exact'}",
                copies=self.copies if training else 1,
                plain=self.plain or not training,
                workers=workers,
            )

        data.encode = encode

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make it return frames again."""
        if stage == "fit":
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            data.encode = None
            if self._temporary is not None:
                self._temporary.cleanup()


def _frozen_stages(trainer: pl.Trainer, module: Any) -> int:
    freezing = next((each for each in trainer.callbacks if isinstance(each, BackboneFreezing)), None)  # type: ignore[attr-defined]
    if freezing is None or freezing.unfreeze_at_epoch is not None or freezing.train_batch_norm:
        raise ConfigError(
            "CachedFeatures needs stages that stay frozen: also list flipdetect.callbacks.BackboneFreezing, without "
            "unfreeze_at_epoch and train_batch_norm. To unfreeze, start from its result without CachedFeatures"
        )
    if module.model.has_maps and not module.model.level_stages:
        raise ConfigError(
            f"CachedFeatures does not know the stages of {type(module.model).__name__}'s backbone, from which maps are "
            "made; set model.evidence: none, or remove CachedFeatures"
        )
    return freezing.frozen_stages(0, len(module.model.backbone_stages()))


def _encode(trainer: pl.Trainer, module: Any, stages: int, images: Tensor, *, exact: bool) -> list[Tensor]:
    """Outputs of the frozen stages for frames (B, C, H, W); exact: in full precision, as in inference."""
    was_training = module.model.training
    module.model.eval()
    try:
        frames = images.to(module.device)
        if module.channels_last:
            frames = frames.contiguous(memory_format=torch.channels_last)
        with nullcontext() if exact else trainer.precision_plugin.forward_context():
            encoded: list[Tensor] = module.model.encode(frames, stages)
        return encoded
    finally:
        module.model.train(was_training)


def _digest(model: Any, stages: int) -> str:
    """Of the weights of the first stages, and of which feature maps they output."""
    digest = hashlib.blake2b(f"{type(model).__name__} {stages} {model.level_stages}".encode(), digest_size=16)
    for stage in model.backbone_stages()[:stages]:
        for part in stage:
            for name, tensor in part.state_dict().items():
                digest.update(f"{name} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
