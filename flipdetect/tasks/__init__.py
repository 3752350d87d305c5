"""LightningModules: how a model is trained and evaluated. One class per model, all interchangeable in YAML."""

from flipdetect.tasks.base import FrameClassifier, StepOutput
from flipdetect.tasks.classifiers import (
    EfficientNetLite0Classifier,
    MobileNetV2Classifier,
    ResNet18Classifier,
    TimmClassifier,
    TinyCNNClassifier,
)

__all__ = [
    "EfficientNetLite0Classifier",
    "FrameClassifier",
    "MobileNetV2Classifier",
    "ResNet18Classifier",
    "StepOutput",
    "TimmClassifier",
    "TinyCNNClassifier",
]
