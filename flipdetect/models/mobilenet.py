"""MobileNetV2: the model for a CPU with pretrained weights."""

from __future__ import annotations

from flipdetect.models.timm_backbone import POOLING, TimmBackbone
from flipdetect.models.weights import IMAGENET


class MobileNetV2(TimmBackbone):
    """MobileNetV2, width 1.0 (Sandler et al., 2018, arXiv:1801.04381), one logit; 2.2 million parameters.

    Args:
        in_channels: 3 (RGB) or 1 (grey).
        weights: `imagenet`, `none`, or the path of a weights file.
        dropout: share of the embedding dropped in training, before the logit.

    Raises:
        ModelError: if the weights cannot be had.
    """

    def __init__(self, in_channels: int = 3, weights: str = IMAGENET, dropout: float = 0.2) -> None:
        super().__init__(
            "mobilenetv2_100",
            in_channels=in_channels,
            weights=weights,
            dropout=dropout,
            backbone_args={"global_pool": POOLING},
        )
