"""What every frame classifier has in common: a backbone that embeds a frame, a head that makes one logit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flipdetect.errors import ModelError


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
        head: (B, num_features) -> (B, 1); always trained.
        in_channels: colour channels of the input, 3 for RGB or 1 for grey.
        num_features: length of the embedding.
        min_size: smallest height and width, in pixels, that the backbone can reduce.
    """

    def __init__(
        self, backbone: nn.Module, num_features: int, *, in_channels: int, dropout: float, min_size: int = 1
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.num_features = num_features
        self.min_size = min_size
        self.backbone = backbone
        self.head = logit_head(num_features, dropout)

    def forward_features(self, x: Tensor) -> Tensor:
        """Embed frames.

        Args:
            x: (B, in_channels, H, W) float32, normalised as the preprocessing says.

        Returns:
            (B, num_features) float32, also under autocast.

        Raises:
            ModelError: if the shape does not fit this model.
        """
        # Under export the shape is symbolic: a check would bake one size into the graph.
        if not (torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()):
            self._check_input(x)
        features: Tensor = self.backbone(x)
        return features.float()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) float32 -> (B,) float32 logits of the positive class.

        Raises:
            ModelError: if the shape does not fit this model.
        """
        features = self.forward_features(x)
        # bfloat16 has 8 significant bits: logits rounded to them tie by the dozen and blur the threshold.
        # The head costs nothing, so it runs in its own precision even where the backbone is autocast.
        if torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self._logits(features)
        return self._logits(features)

    def _logits(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(features.to(next(self.head.parameters()).dtype))
        return logits.squeeze(1).float()

    def _check_input(self, x: Tensor) -> None:
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


def check_in_channels(in_channels: int) -> int:
    """`in_channels` itself, if frames can have that many.

    Raises:
        ModelError: if it is neither 1 nor 3.
    """
    if in_channels not in (1, 3):
        raise ModelError(f"in_channels must be 3 (RGB) or 1 (grey), got {in_channels}")
    return in_channels
