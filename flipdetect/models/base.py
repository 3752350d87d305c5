"""What every frame classifier has in common: a backbone, and what makes one logit of its features."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from flipdetect.errors import ModelError
from flipdetect.models.evidence import Evidence, EvidenceBranch, check_evidence


def logit_head(in_features: int, dropout: float) -> nn.Sequential:
    """Dropout and one linear unit: (B, in_features) -> (B, 1).

    Raises:
        ModelError: if `dropout` is not in [0, 1).
    """
    if not 0.0 <= dropout < 1.0:
        raise ModelError(f"dropout must be in [0, 1), got {dropout}")
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(in_features, 1))


class FrameModel(nn.Module):
    """A binary classifier of single frames.

    Attributes:
        backbone: (B, in_channels, H, W) float32 -> (B, num_features) pooled embedding; what a freezing
            callback holds still.
        head: (B, num_features) -> (B, 1); always trained. None if the maps alone make the logit.
        evidence: maps of sheet, edge and hands and their part in the logit; always trained. None without maps.
        in_channels: colour channels of the input, 3 for RGB or 1 for grey.
        num_features: length of the embedding.
        min_size: smallest height and width, in pixels, that the backbone can reduce.
        level_channels: as below.
        mirrored: outside training, logit and maps are the mean of a frame's own and its mirror image's. Off at first.

    Args:
        evidence: "none": the logit is made of the embedding; "maps": of the maps; "both": of both, as a sum.
        level_channels: of the feature maps that `_pyramid` returns, from fine to coarse; needed for maps.
        map_width: channels into which they are fused.

    Raises:
        ModelError: if `dropout` or `evidence` has a value that cannot work.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_features: int,
        *,
        in_channels: int,
        dropout: float,
        min_size: int = 1,
        evidence: Evidence = "none",
        level_channels: Sequence[int] = (),
        map_width: int = 1,
    ) -> None:
        super().__init__()
        check_evidence(evidence)
        self.in_channels = in_channels
        self.num_features = num_features
        self.min_size = min_size
        self.level_channels = tuple(level_channels)
        self.mirrored = False
        self.backbone = backbone
        self.head = None if evidence == "maps" else logit_head(num_features, dropout)
        self.evidence = None if evidence == "none" else EvidenceBranch(level_channels, map_width)

    @property
    def has_maps(self) -> bool:
        """Whether `forward_maps` can be called."""
        return self.evidence is not None

    def forward_features(self, x: Tensor) -> Tensor:
        """Embed frames.

        Args:
            x: (B, in_channels, H, W) float32, normalised as the preprocessing says.

        Returns:
            (B, num_features) float32, also under autocast.

        Raises:
            ModelError: if the shape does not fit this model, or the model has no embedding.
        """
        if self.head is None:
            raise ModelError("with evidence: maps a model has no embedding; set evidence: both or none")
        self._check_input(x)
        features: Tensor = self.backbone(x)
        return features.float()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) float32 -> (B,) float32 logits of the positive class.

        Raises:
            ModelError: if the shape does not fit this model.
        """
        if self.evidence is not None:
            return self.forward_maps(x)[0]
        if self._mirrors:
            return _halves_mean(self._embedded_logits(_with_mirror_images(x)))
        return self._embedded_logits(x)

    def _embedded_logits(self, x: Tensor) -> Tensor:
        features = self.forward_features(x)
        with _own_precision(x.device.type):
            return self._logits(features)

    def forward_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and where the evidence for them lies.

        Args:
            x: (B, in_channels, H, W) float32.

        Returns:
            (B,) float32 logits of the positive class, and (B, 3, ceil(H/8), ceil(W/8)) float32 logits of what covers
            each position: a sheet in the air, its free edge, hands. Float32 under autocast, too.

        Raises:
            ModelError: if the shape does not fit this model, or it has no maps.
        """
        if not self._mirrors:
            return self.forward_levels(x)[:2]
        logits, maps, _ = self.forward_levels(_with_mirror_images(x))
        own, mirror = maps.unflatten(0, (2, -1))
        return _halves_mean(logits), (own + mirror.flip(-1)) / 2

    @property
    def _mirrors(self) -> bool:
        return self.mirrored and not self.training

    def forward_levels(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """What `forward_maps` returns, mirror images left aside, and the feature maps that it is made of.

        Returns:
            Logits (B,), maps (B, 3, Hm, Wm), and feature maps (B, C_i, H_i, W_i) with C_i of `level_channels`, from
            fine to coarse; under autocast the latter have its precision.

        Raises:
            ModelError: as `forward_maps`.
        """
        if self.evidence is None:
            raise ModelError("with evidence: none a model has no maps; set evidence: both or maps")
        self._check_input(x)
        embedding, levels = self._pyramid(x)
        fused = self.evidence.fuse(levels)
        with _own_precision(x.device.type):
            logits, maps = self.evidence(fused.float())
            if embedding is not None:
                logits = logits + self._logits(embedding.float())
        return logits, maps, levels

    def _pyramid(self, x: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """The embedding (None if there is no head to read it) and the backbone's feature maps, from fine to coarse.

        The first has a stride of 8 pixels.
        """
        raise NotImplementedError

    def _logits(self, features: Tensor) -> Tensor:
        assert self.head is not None
        logits: Tensor = self.head(features.to(next(self.head.parameters()).dtype))
        return logits.squeeze(1).float()

    def _check_input(self, x: Tensor) -> None:
        # Under export the shape is symbolic: a check would bake one size into the graph.
        if torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
            return
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ModelError(
                f"{type(self).__name__} takes frames of shape (B, {self.in_channels}, H, W), "
                f"got {tuple(x.shape)}; the model's in_channels and the preprocessing must agree"
            )
        if min(x.shape[2:]) < self.min_size:
            raise ModelError(
                f"{type(self).__name__} needs frames of at least {self.min_size}x{self.min_size} pixels, "
                f"got {x.shape[2]}x{x.shape[3]} (height x width); raise the input size of the preprocessing"
            )


def _with_mirror_images(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (2B, C, H, W): frames, and after them their mirror images."""
    return torch.cat([x, x.flip(-1)])


def _halves_mean(logits: Tensor) -> Tensor:
    """(2B,) -> (B,): the mean of the first half and the second."""
    halves: Tensor = logits.unflatten(0, (2, -1))
    return halves.mean(dim=0)


def _own_precision(device_type: str) -> AbstractContextManager[object]:
    """Autocast switched off where it is on.

    bfloat16 has 8 significant bits: logits rounded to them tie by the dozen and blur the threshold. What is small
    therefore runs in its own precision even where the backbone is autocast.
    """
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()  # an export would keep the other as a part of the graph


def check_in_channels(in_channels: int) -> int:
    """`in_channels` itself, if frames can have that many.

    Raises:
        ModelError: if it is neither 1 nor 3.
    """
    if in_channels not in (1, 3):
        raise ModelError(f"in_channels must be 3 (RGB) or 1 (grey), got {in_channels}")
    return in_channels
