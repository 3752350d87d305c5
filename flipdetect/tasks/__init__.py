"""LightningModules: how a model is trained and judged. One class per model, all interchangeable in YAML."""

from flipdetect.tasks.base import FrameClassifier, StepOutput
from flipdetect.tasks.classifiers import (
    EfficientNetLite0Classifier,
    MobileNetV2Classifier,
    ResNet18Classifier,
    TimmClassifier,
    TinyCNNClassifier,
)
from flipdetect.tasks.sequence import SequenceClassifier

__all__ = [
    "EfficientNetLite0Classifier",
    "FrameClassifier",
    "MobileNetV2Classifier",
    "ResNet18Classifier",
    "SequenceClassifier",
    "StepOutput",
    "TimmClassifier",
    "TinyCNNClassifier",
]
