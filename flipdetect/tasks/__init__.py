"""LightningModules: how a model is trained and evaluated. One class per model, all interchangeable in YAML."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flipdetect.tasks.base import FrameClassifier, StepOutput
from flipdetect.tasks.classifiers import (
    EfficientNetLite0Classifier,
    MobileNetV2Classifier,
    ResNet18Classifier,
    TimmClassifier,
    TinyCNNClassifier,
)
from flipdetect.tasks.trainable import Trainable

if TYPE_CHECKING:
    from flipdetect.tasks.box_detectors import (
        DetectionOutput,
        FCOSLiteDetector,
        ObjectDetector,
        SSDLiteDetector,
        TorchvisionDetector,
    )

DETECTORS = ("DetectionOutput", "FCOSLiteDetector", "ObjectDetector", "SSDLiteDetector", "TorchvisionDetector")
"""Names that need torchvision, which takes time to import: only where such a name is asked for."""

__all__ = [
    "DetectionOutput",
    "EfficientNetLite0Classifier",
    "FCOSLiteDetector",
    "FrameClassifier",
    "MobileNetV2Classifier",
    "ObjectDetector",
    "ResNet18Classifier",
    "SSDLiteDetector",
    "StepOutput",
    "TimmClassifier",
    "TinyCNNClassifier",
    "TorchvisionDetector",
    "Trainable",
]


def __getattr__(name: str) -> Any:
    if name in DETECTORS:
        return getattr(import_module("flipdetect.tasks.box_detectors"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
