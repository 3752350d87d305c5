"""Transfer learning: freeze the backbone or its first stages, and train on their cached outputs."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from flipdetect.data.cache import ChunkCache
from flipdetect.data.features import encode_frames
from flipdetect.errors import ConfigError

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from flipdetect.data.dataset import FrameDataset, Sample

logger = logging.getLogger(__name__)

Part = list[nn.Module]
"""The modules of a stage, at any depth."""


class BackboneFreezing(Callback):
    """Freezes stages of the backbone before training, and unfreezes them at given epochs.

    A frozen stage computes the same in training and in evaluation: its weights do not change, dropout and stochastic
    depth are off. All batch norms of the backbone, also in stages that learn, use their running statistics without
    updating them, as is usual in fine-tuning with small batches. For models with `backbone_stages` (see
    `flipdetect.models.base.FrameModel`). Layers of the backbone after the last stage, such as a convolution after the
    pooling, belong to the last stage.

    What is frozen depends on the epoch alone, so that a resumed run equals an uninterrupted one. The optimiser has the
    backbone's parameters from the start, with `backbone_lr`: unfreezing adds no parameter group, which a learning-rate
    schedule could not follow.

    Args:
        stages: how many to freeze, counted from the input, at least 1; null for all.
        unfreeze_at_epoch: the first epoch in which a stage is unfrozen, at least 0; null for never.
        unfreeze_every: null to unfreeze all stages at that epoch; else the epochs, at least 1, between one stage and
            the next, from the last frozen one to the first (gradual unfreezing: Howard and Ruder, 2018,
            arXiv:1801.06146).

    Raises:
        ConfigError: if a value is impossible; when training starts, also if the model has fewer stages.
    """

    def __init__(
        self, stages: int | None = None, unfreeze_at_epoch: int | None = None, unfreeze_every: int | None = None
    ) -> None:
        for name, value, lowest in (
            ("stages", stages, 1),
            ("unfreeze_at_epoch", unfreeze_at_epoch, 0),
            ("unfreeze_every", unfreeze_every, 1),
        ):
            if value is not None and value < lowest:
                raise ConfigError(f"BackboneFreezing {name} must be null or at least {lowest}, got {value}")
        if unfreeze_every is not None and unfreeze_at_epoch is None:
            raise ConfigError(
                f"BackboneFreezing unfreeze_every is {unfreeze_every}, but unfreeze_at_epoch is null; set the epoch in "
                "which the last stage is unfrozen"
            )
        self.stages = stages
        self.unfreeze_at_epoch = unfreeze_at_epoch
        self.unfreeze_every = unfreeze_every
        self._frozen: int | None = None
        self._still: Part = []  # modules in evaluation mode

    def frozen_stages(self, epoch: int, total: int) -> int:
        """How many of a backbone's `total` stages are frozen in an epoch, counted from the input."""
        count = total if self.stages is None else self.stages
        if self.unfreeze_at_epoch is None or epoch < self.unfreeze_at_epoch:
            return count
        if self.unfreeze_every is None:
            return 0
        return max(0, count - 1 - (epoch - self.unfreeze_at_epoch) // self.unfreeze_every)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Freeze the weights, before a distributed strategy wraps the module."""
        if stage != "fit":
            return
        parts = _backbone_parts(pl_module)
        if self.stages is not None and self.stages > len(parts):
            name = type(pl_module.model).__name__
            raise ConfigError(
                f"BackboneFreezing stages must be at most {len(parts)}, which the backbone of {name} has, "
                f"got {self.stages}; null freezes all of them"
            )
        self._frozen = None
        self._set_learning(parts, frozen=len(parts))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze according to the epoch; a resumed run may start in the middle of one."""
        self.on_train_epoch_start(trainer, pl_module)
        norms = [module for module in self._still if isinstance(module, _BatchNorm)]
        means = [norm.running_mean for norm in norms if norm.running_mean is not None]
        if means and not any(mean.any() for mean in means):
            logger.warning(
                "BackboneFreezing keeps the statistics of batch norms that have never seen data: they do not normalise "
                "anything. Start from trained weights, or remove the callback."
            )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unfreeze the stages of this epoch."""
        parts = _backbone_parts(pl_module)
        frozen = self.frozen_stages(trainer.current_epoch, len(parts))
        if frozen != self._frozen:
            logger.info(
                "Epoch %d: of the backbone's %d stages, %d are frozen.", trainer.current_epoch, len(parts), frozen
            )
        self._frozen = frozen
        self._set_modes(parts, frozen)
        if self._set_learning(parts, frozen) and isinstance(trainer.strategy, DDPStrategy):
            # The wrapper exchanges only the gradients of parameters that were unfrozen when it was created.
            trainer.strategy.model = pl_module
            trainer.strategy.configure_ddp()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Keep frozen modules in evaluation mode, even if something has called `train()` on the whole module."""
        for module in self._still:
            if module.training:
                module.training = False  # not eval(): modules inside may be in training mode

    def _set_learning(self, parts: list[Part], frozen: int) -> bool:
        """Freeze and unfreeze weights; returns whether some learn that did not before."""
        unfrozen = False
        for number, part in enumerate(parts[: self.stages]):
            for parameter in (each for module in part for each in module.parameters(recurse=False)):
                unfrozen |= number >= frozen and not parameter.requires_grad
                parameter.requires_grad_(number >= frozen)
        return unfrozen

    def _set_modes(self, parts: list[Part], frozen: int) -> None:
        for module in self._still:
            module.training = True
        self._still = [m for n, part in enumerate(parts) for m in part if n < frozen or isinstance(m, _BatchNorm)]
        for module in self._still:
            module.training = False


def _backbone_parts(pl_module: LightningModule) -> list[Part]:
    """All modules of a classifier's backbone by stage; those of no stage belong to the last one."""
    model: Any = pl_module.model
    backbone: Any = pl_module.backbone
    parts = [[module for top in stage for module in top.modules()] for stage in model.backbone_stages()]
    placed = {id(module) for part in parts for module in part}
    parts[-1] += [module for module in backbone.modules() if id(module) not in placed]
    return parts


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
        self._network: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the data module return features from now on; a `ConfigError` if nothing stays frozen."""
        if stage != "fit":
            return
        module: Any = pl_module
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        freezing = next((each for each in trainer.callbacks if isinstance(each, BackboneFreezing)), None)  # type: ignore[attr-defined]
        if freezing is None or freezing.unfreeze_at_epoch is not None:
            raise ConfigError(
                "CachedFeatures needs stages that stay frozen: also list flipdetect.callbacks.BackboneFreezing, "
                "without unfreeze_at_epoch. To unfreeze, start from its result without CachedFeatures"
            )
        if module.model.has_maps and not module.model.level_stages:
            raise ConfigError(
                f"CachedFeatures does not know the stages of {type(module.model).__name__}'s backbone, from which maps "
                "are made; set model.evidence: none, or remove CachedFeatures"
            )
        stages = freezing.frozen_stages(0, len(module.model.backbone_stages()))
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

            def run(images: Tensor) -> list[Tensor]:
                images = module.in_format(images.to(module.device))
                network = self._network or module.model.for_encoding(stages, images[:1])
                self._network = network
                # Validation in full precision, as in inference.
                with trainer.precision_plugin.forward_context() if training else nullcontext():
                    found: list[Tensor] = network.encode(images, stages)
                return found

            return encode_frames(
                frames,
                run,
                cache=cache,
                identity=f"{_digest(module.model, stages)} {precision if training else 'exact'}",
                copies=self.copies if training else 1,
                plain=self.plain or not training,
                workers=workers,
            )

        data.encode = encode

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make it return frames again."""
        if stage == "fit":
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            data.encode = self._network = None
            if self._temporary is not None:
                self._temporary.cleanup()


def _digest(model: Any, stages: int) -> str:
    """Of the weights of the first stages, and of which feature maps they output."""
    digest = hashlib.blake2b(f"{type(model).__name__} {stages} {model.level_stages}".encode(), digest_size=16)
    for stage in model.backbone_stages()[:stages]:
        for part in stage:
            for name, tensor in part.state_dict().items():
                digest.update(f"{name} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
