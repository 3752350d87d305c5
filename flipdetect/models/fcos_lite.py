"""A small dense detector: a timm backbone, a feature pyramid and a head of depthwise separable convolutions, as FCOS.

FCOS (Tian et al., 2019, arXiv:1904.01355) predicts at each position the distances to the four edges of the box that the
position lies in. Its targets and losses (focal, generalised IoU, centre-ness) are torchvision's. Pyramid and head are
those of the mobile detectors (SSDLite: Sandler et al., 2018): a 3x3 convolution is a depthwise and a pointwise one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork

from flipdetect.errors import ModelError
from flipdetect.models.base import Stage
from flipdetect.models.box_model import Boxes, Candidates, DenseBoxModel
from flipdetect.models.timm_backbone import body_stages, create_body, pyramid_levels
from flipdetect.models.weights import IMAGENET, start_from

WIDTH = 96
"""Channels of the pyramid and the head."""
DEPTH = 2
"""Convolutions of each branch of the head, before its output."""
GROUPS = 16
"""Of the group norms: independent of the batch, which is small in detection."""
FIRST_DISTANCE = 3.0
"""What the untrained head predicts for each edge, in strides. From 0 the ReLU would pass no gradient."""


class FCOSLite(DenseBoxModel):
    """Dense detector on any timm backbone with feature maps of strides 8, 16 and 32; takes pictures of any size.

    Args:
        num_classes: K.
        name: timm's name of the backbone.
        weights: `imagenet` (see `flipdetect.models.imagenet`), `none` (random), or the path of a weights file.
        backbone_args: further arguments of timm's constructor.

    Raises:
        ModelError: if the backbone cannot be built, has other feature maps, or the weights cannot be loaded.
    """

    def __init__(
        self,
        num_classes: int,
        name: str = "efficientnet_lite0",
        weights: str = IMAGENET,
        backbone_args: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.backbone = body = create_body(name, 3, weights, backbone_args or {})
        levels = pyramid_levels(body, name)
        strides = [int(body.feature_info[level]["reduction"]) for level in levels]
        if strides != [8, 16, 32]:
            raise ModelError(f"a detector needs feature maps of the strides 8, 16 and 32; {name!r} has {strides}")
        body.prune_intermediate_layers(list(levels), prune_norm=True, prune_head=True)
        self._levels = list(levels)
        self.pyramid = FeaturePyramidNetwork(list(levels.values()), WIDTH)
        self.pyramid.layer_blocks = nn.ModuleList(_separable(WIDTH) for _ in levels)
        if weights == IMAGENET:
            self.trained_statistics = body.pretrained_cfg["mean"], body.pretrained_cfg["std"]
        head = FCOSHead(WIDTH, 1, num_classes, num_convs=0)
        for branch in (head.classification_head, head.regression_head):
            branch.conv = nn.Sequential(*(_separable(WIDTH) for _ in range(DEPTH)))
        nn.init.constant_(head.regression_head.bbox_reg.bias, FIRST_DISTANCE)
        anchors = AnchorGenerator(tuple((stride,) for stride in strides), ((1.0,),) * len(strides))
        # Only its targets and losses are used: the input is normalised already, and candidates are chosen here.
        pyramid = nn.Identity()
        pyramid.out_channels = WIDTH  # type: ignore[assignment]
        self.fcos = FCOS(pyramid, num_classes, anchor_generator=anchors, head=head)
        if weights != IMAGENET:
            start_from(self, weights)

    def backbone_stages(self) -> list[Stage]:
        """The stem and timm's blocks."""
        return body_stages(self.backbone)

    def losses(self, images: Tensor, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """`classification` (focal), `bbox_regression` (generalised IoU) and `bbox_ctrness`, each () float32."""
        levels = self._features(images)
        outputs = {name: values.float() for name, values in self.fcos.head(levels).items()}
        anchors = self._anchors(images, levels)
        sizes = [level.shape[-2] * level.shape[-1] for level in levels]
        found: dict[str, Tensor] = self.fcos.compute_loss(list(targets), outputs, [anchors] * len(images), sizes)
        return found

    def candidates(self, images: Tensor) -> Candidates:
        """See `DenseBoxModel.candidates`. A score is the geometric mean of class probability and centre-ness."""
        levels = self._features(images)
        outputs = self.fcos.head(levels)
        anchors = self._anchors(images, levels)
        scores = (outputs["cls_logits"].float().sigmoid() * outputs["bbox_ctrness"].float().sigmoid()).sqrt()
        centre = (anchors[:, :2] + anchors[:, 2:]) / 2
        stride = (anchors[:, 2:] - anchors[:, :2]).repeat(1, 2)
        away = outputs["bbox_regression"].float() * stride
        return Candidates(torch.cat([centre - away[..., :2], centre + away[..., 2:]], dim=-1), scores)

    def _features(self, images: Tensor) -> list[Tensor]:
        body: Any = self.backbone
        levels = body.forward_intermediates(images, indices=self._levels, intermediates_only=True)
        return list(self.pyramid({str(number): level for number, level in enumerate(levels)}).values())

    def _anchors(self, images: Tensor, levels: list[Tensor]) -> Tensor:
        """(P, 4): at each position a square of the side of its stride."""
        one = ImageList(images[:1], [(images.shape[-2], images.shape[-1])])
        anchors: Tensor = self.fcos.anchor_generator(one, levels)[0]
        return anchors


def _separable(width: int) -> nn.Sequential:
    """A depthwise 3x3 and a pointwise convolution (Howard et al., 2017), group norm and ReLU6."""
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.GroupNorm(GROUPS, width),
        nn.ReLU6(inplace=True),
    )
