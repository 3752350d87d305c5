"""The LightningModule for clips: does a sequence of frames contain a flip?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flipdetect.errors import ConfigError, ModelError
from flipdetect.models.base import FrameModel
from flipdetect.models.mobilenet import MobileNetV2
from flipdetect.models.sequence import ClipOutput, SequenceHead, Temporal, look_at_frames
from flipdetect.models.tiny_cnn import TinyCNN
from flipdetect.models.weights import FLIPDETECT, IMAGENET, NO_WEIGHTS, read_state_dict, start_from
from flipdetect.tasks.base import FrameClassifier
from flipdetect.tasks.decision import Decision

FrameNet = Literal["tiny_cnn", "mobilenet_v2"]
HEAD_PREFIX = "head."


class SequenceClassifier(FrameClassifier):
    """A frame model and what looks along time: clips (B, T, C, H, W) float32 -> logits (B,).

    A frame by itself, (C, H, W) of a batch (B, C, H, W), is a clip of one: in a program that judges single frames the
    model does that, and sees no motion. The loss is that of the clip's label, plus that of the frames' labels, of the
    maps and of twins, each with its weight. Metrics and the threshold, chosen on validation, are of clips.

    Args:
        frame_model: "tiny_cnn" or "mobilenet_v2".
        width: of the frame model; null for its own default.
        evidence: of the frame model, "maps" or "both": maps are needed.
        weights: "flipdetect" (start the frame model from the trained one that ships with the package), "none", or the
            path of a checkpoint: of a frame model, or of a sequence model, whose head and threshold are taken over too.
        frozen: whether the frame model stays as it is, batch norms included; trains several times as fast.
        temporal: what looks along time, "tcn" or "gru".
        motion: whether differences of neighbouring frames are looked at, too.
        hidden: channels along time.
        dropout: of those, in training, 0 to below 1.
        frame_weight: of the loss of the frames' own labels beside the clip's, in training. 0 where frames have no
            labels but their clip's.
        kwargs: see `FrameClassifier`; `lr` is of the head, `backbone_lr` of the frame model.

    Raises:
        ConfigError, ModelError: if a value cannot work, or the weights do not fit.
    """

    def __init__(
        self,
        frame_model: FrameNet = "tiny_cnn",
        width: float | None = None,
        evidence: Literal["maps", "both"] = "maps",
        weights: str = FLIPDETECT,
        frozen: bool = False,
        temporal: Temporal = "tcn",
        motion: bool = True,
        hidden: int = 64,
        dropout: float = 0.2,
        frame_weight: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not frame_weight >= 0:
            raise ConfigError(f"model frame_weight must be at least 0, got {frame_weight}")
        if weights == IMAGENET:
            raise ModelError("the sequence model starts from weights: flipdetect, none, or the path of a file")
        self.frame_weight = frame_weight
        self.frozen = frozen
        self.model = _frame_model(frame_model, self.in_channels, width, evidence)
        start_from(self.model, weights)
        self.head = SequenceHead(
            self.model.level_channels[-1], temporal=temporal, motion=motion, hidden=hidden, dropout=dropout
        )
        self._head_started = weights not in (NO_WEIGHTS, FLIPDETECT) and _start_head(self.head, Path(weights))
        if frozen:
            self.model.requires_grad_(False)

    @property
    def backbone(self) -> nn.Module:
        """The frame model as a whole: it may be pretrained and frozen, and has a learning rate of its own."""
        return self.model

    def train(self, mode: bool = True) -> SequenceClassifier:
        """Set the mode; a frozen frame model stays in evaluation."""
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def _weights_decision(self) -> Decision | None:
        # That of a frame model is one of frames.
        return super()._weights_decision() if self._head_started else None

    def forward(self, images: Tensor, present: Tensor | None = None) -> Tensor:
        """Clips (B, T, C, H, W), or frames (B, C, H, W) as clips of one, float32 -> logits (B,) float32.

        Args:
            images: of the clips, normalised.
            present: (B, T) bool, where there is a frame, those of a clip first; None: everywhere.

        Raises:
            ModelError: if the shape does not fit, or a clip has no frame.
        """
        return self.forward_clips(images[:, None] if images.ndim == 4 else images, present).logits

    def forward_clips(self, images: Tensor, present: Tensor | None = None) -> ClipOutput:
        """All that is said of clips (B, T, C, H, W) float32; arguments and errors as in `forward`."""
        if images.ndim != 5:
            raise ModelError(f"a batch of clips has the shape (B, T, C, H, W), got {tuple(images.shape)}")
        if present is None:
            present = torch.ones(images.shape[:2], dtype=torch.bool, device=images.device)
        if not present.any(dim=1).all():
            raise ModelError("a clip has no frame; leave it out")
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            seen = look_at_frames(self.model, self._in_format(images[present]))
        # What is small runs in full precision, also under autocast: see `FrameModel`.
        with torch.autocast(images.device.type, enabled=False):
            logits, frame_logits = self.head(images, present, seen)
        return ClipOutput(logits, frame_logits, seen[1])

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One optimisation step on a batch of `ClipSample`s -> loss () float32.

        Logged are the losses of the clips' label (`train_loss`), frames' labels, maps and twins, each unweighted.
        """
        present, targets = batch["present"], batch["target"]
        output = self.forward_clips(batch["image"], present)
        loss = self._label_loss(output.logits, targets) + self._twins_term(output.logits, targets, batch)
        if self.frame_weight > 0:
            of_frames = F.binary_cross_entropy_with_logits(output.frame_logits[present], batch["frame_target"][present])
            self.log("train_frame_loss", of_frames, on_step=False, on_epoch=True, batch_size=int(present.sum()))
            loss = loss + self.frame_weight * of_frames
        if not self.frozen and self._learns_maps(batch):
            loss = loss + self._maps_term(output.maps, batch["maps"][present], batch["has_maps"][present])
        return loss

    def batch_logits(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits (B,) of a batch of `ClipSample`s."""
        logits: Tensor = self(batch["image"], batch["present"])
        return logits


def _frame_model(name: str, in_channels: int, width: float | None, evidence: Literal["maps", "both"]) -> FrameModel:
    if evidence not in ("maps", "both"):
        raise ConfigError(f"the sequence model needs evidence: maps or both, got {evidence!r}")
    if name == "tiny_cnn":
        if width is not None and width != int(width):
            raise ConfigError(f"width of tiny_cnn is a number of channels, got {width}")
        return TinyCNN(in_channels, evidence=evidence, **({} if width is None else {"width": int(width)}))
    if name == "mobilenet_v2":
        sizes = {} if width is None else {"width": width}
        return MobileNetV2(in_channels, weights=NO_WEIGHTS, evidence=evidence, **sizes)
    raise ConfigError(f"frame_model must be tiny_cnn or mobilenet_v2, got {name!r}")


def _start_head(head: SequenceHead, path: Path) -> bool:
    """Load the head from a file, if it holds one.

    Raises:
        ModelError: if it is that of other settings.
    """
    stored = {
        key.removeprefix(HEAD_PREFIX): value
        for key, value in read_state_dict(path).items()
        if key.startswith(HEAD_PREFIX)
    }
    own = head.state_dict()
    if not any(key in own for key in stored):  # a frame model has a head too, another one
        return False
    unfit = [key for key in own.keys() | stored.keys() if key not in own or key not in stored]
    unfit += [key for key in own.keys() & stored.keys() if own[key].shape != stored[key].shape]
    if unfit:
        raise ModelError(
            f"the sequence model in {path} has other settings (such as {min(unfit)}); set model.init_args temporal, "
            "motion and hidden as it was trained"
        )
    head.load_state_dict(stored)
    return True
