"""LightningModules: how a model is trained and evaluated. One class per model, all interchangeable in YAML."""

from flipdetect.tasks.base import FrameClassifier, StepOutput
from flipdetect.tasks.box_detectors import FCOSLiteDetector, SSDLiteDetector, TorchvisionDetector
from flipdetect.tasks.classifiers import (
    EfficientNetLite0Classifier,
    MobileNetV2Classifier,
    ResNet18Classifier,
    TimmClassifier,
    TinyCNNClassifier,
)
from flipdetect.tasks.detection import DetectionOutput, ObjectDetector
from flipdetect.tasks.trainable import Trainable

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
