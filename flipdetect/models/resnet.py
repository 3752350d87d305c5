"""ResNet-18, a familiar baseline."""

from __future__ import annotations

from flipdetect.models.evidence_maps import Evidence
from flipdetect.models.timm_backbone import POOLING, TimmBackbone
from flipdetect.models.weights import IMAGENET


class ResNet18(TimmBackbone):
    """ResNet-18 (He et al., 2016, arXiv:1512.03385) with one logit; 11.2 million parameters.

    Args:
        in_channels: 3 (RGB) or 1 (grey).
        weights: `imagenet`, `none`, or the path of a file.
        dropout: share of the embedding dropped in training, before the logit.
        evidence: what makes the logit: "none" (the embedding), "maps" or "both"; see `FrameModel`.

    Raises:
        ModelError: if the weights cannot be loaded.
    """

    def __init__(
        self, in_channels: int = 3, weights: str = IMAGENET, dropout: float = 0.2, evidence: Evidence = "none"
    ) -> None:
        super().__init__(
            "resnet18",
            in_channels=in_channels,
            weights=weights,
            dropout=dropout,
            backbone_args={"global_pool": POOLING},
            evidence=evidence,
        )
