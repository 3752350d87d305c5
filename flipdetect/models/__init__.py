"""The networks: frames in, one logit out."""

from flipdetect.models.base import FrameModel
from flipdetect.models.evidence_maps import MAPS, Evidence
from flipdetect.models.timm_backbone import EfficientNetLite0, MobileNetV2, ResNet18, TimmBackbone
from flipdetect.models.tiny_cnn import TinyCNN

__all__ = ["MAPS", "EfficientNetLite0", "Evidence", "FrameModel", "MobileNetV2", "ResNet18", "TimmBackbone", "TinyCNN"]
