"""One LightningModule per model, interchangeable through `model.class_path`."""

from __future__ import annotations

from typing import Any

from flipdetect.errors import ModelError
from flipdetect.models.mobilenet import MobileNetV2
from flipdetect.models.resnet import ResNet18
from flipdetect.models.timm_backbone import TimmBackbone
from flipdetect.models.tiny_cnn import TinyCNN
from flipdetect.models.weights import IMAGENET, NO_WEIGHTS, load_weights_file
from flipdetect.tasks.base import FrameClassifier


class TinyCNNClassifier(FrameClassifier):
    """A small CNN for the CPU and the phone: frames (B, C, H, W) float32 -> logits (B,).

    Args:
        width: channels of the first stage; later stages are multiples of it.
        dropout: before the head, 0 to 1.
        weights: "none", or the path of a checkpoint or safetensors file to start from.
        kwargs: see `FrameClassifier`.
    """

    def __init__(self, width: int = 16, dropout: float = 0.2, weights: str = "none", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = TinyCNN(in_channels=self.in_channels, width=width, dropout=dropout)
        if weights == IMAGENET:
            raise ModelError("TinyCNN has no ImageNet weights; set weights: none, or the path of a file")
        if weights != NO_WEIGHTS:
            load_weights_file(self.model, weights)


class MobileNetV2Classifier(FrameClassifier):
    """MobileNetV2 (Sandler et al., 2018): frames (B, C, H, W) float32 -> logits (B,).

    Args:
        dropout: before the head, 0 to 1.
        weights: "imagenet", "none", or the path of a checkpoint or safetensors file.
        kwargs: see `FrameClassifier`.
    """

    def __init__(self, dropout: float = 0.2, weights: str = "none", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = MobileNetV2(in_channels=self.in_channels, dropout=dropout, weights=weights)


class ResNet18Classifier(FrameClassifier):
    """ResNet18 (He et al., 2016): frames (B, C, H, W) float32 -> logits (B,).

    Args:
        dropout: before the head, 0 to 1.
        weights: "imagenet", "none", or the path of a checkpoint or safetensors file.
        kwargs: see `FrameClassifier`.
    """

    def __init__(self, dropout: float = 0.0, weights: str = "none", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = ResNet18(in_channels=self.in_channels, dropout=dropout, weights=weights)


class TimmClassifier(FrameClassifier):
    """Any timm backbone under a new one-logit head: frames (B, C, H, W) float32 -> logits (B,).

    Args:
        name: of the timm model, such as "vgg16" or "efficientnet_lite0".
        dropout: before the head, 0 to 1.
        weights: "imagenet", "none", or the path of a checkpoint or safetensors file.
        backbone_args: further arguments of timm's constructor.
        kwargs: see `FrameClassifier`.
    """

    def __init__(
        self,
        name: str,
        dropout: float = 0.2,
        weights: str = "none",
        backbone_args: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = TimmBackbone(
            name, in_channels=self.in_channels, dropout=dropout, weights=weights, backbone_args=backbone_args
        )
