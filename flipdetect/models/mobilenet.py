"""MobileNetV2, fast on CPUs."""

from __future__ import annotations

from flipdetect.errors import ModelError
from flipdetect.models.evidence_maps import Evidence
from flipdetect.models.timm_backbone import POOLING, TimmBackbone
from flipdetect.models.weights import IMAGENET

WIDTHS = {0.35: "mobilenetv2_035", 0.5: "mobilenetv2_050", 0.75: "mobilenetv2_075", 1.0: "mobilenetv2_100"}
"""timm's name by channel multiplier."""


class MobileNetV2(TimmBackbone):
    """MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381), one logit; 2.2 million parameters at width 1.0.

    Args:
        in_channels: 3 (RGB) or 1 (grey).
        weights: `imagenet`, `flipdetect` (the pretrained model), `none`, or the path of a file.
        dropout: share of the embedding dropped in training, before the logit.
        evidence: what makes the logit: "none" (the embedding), "maps" or "both"; see `FrameModel`.
        width: multiplies the channels: 0.35, 0.5, 0.75 or 1.0. Half the channels train about twice as fast.

    Raises:
        ModelError: if timm does not have this width, or the weights cannot be loaded.
    """

    def __init__(
        self,
        in_channels: int = 3,
        weights: str = IMAGENET,
        dropout: float = 0.2,
        evidence: Evidence = "both",
        width: float = 1.0,
    ) -> None:
        if width not in WIDTHS:
            raise ModelError(f"MobileNetV2 comes in the widths {', '.join(map(str, WIDTHS))}, not {width}")
        super().__init__(
            WIDTHS[width],
            in_channels=in_channels,
            weights=weights,
            dropout=dropout,
            backbone_args={"global_pool": POOLING},
            evidence=evidence,
        )
