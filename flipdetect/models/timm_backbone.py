"""Any image backbone of the timm library under a one-logit head."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import timm
from torch import Tensor, nn

from flipdetect.errors import ModelError
from flipdetect.models.base import FrameModel, check_in_channels
from flipdetect.models.evidence_maps import NEEDED_STRIDES, STRIDES, Evidence
from flipdetect.models.imagenet import pretrained_overlay
from flipdetect.models.stages import Stage, find_levels, timm_stages
from flipdetect.models.weights import IMAGENET, start_from

POOLING = "avgmax"
"""Mean of average and maximum, for our own two models: the edge of a moving sheet covers few positions, and an
average over the whole frame drowns it (a reason, not yet an ablation). Pooling has no weights: ImageNet's still fit.
"""

MAP_WIDTH = 64
"""Channels into which feature maps are fused for maps of evidence."""


class TimmBackbone(FrameModel):
    """A timm backbone, its own global pooling (average for the convolutional ones), dropout and one logit.

    The head is new whatever the weights of the backbone are, unless a weights file of this program holds one.

    Args:
        name: what `timm.list_models()` calls it, for example `mobilenetv2_100` or `vgg16`.
        in_channels: 3 (RGB) or 1 (grey; ImageNet weights of the first layer are summed over RGB).
        weights: `imagenet` (see `flipdetect.models.imagenet`), `none` (random), or the path of a .safetensors, .ckpt,
            .pt or .pth file.
        dropout: share of the embedding dropped in training, before the logit.
        min_size: smallest height and width accepted, in pixels.
        backbone_args: further arguments of timm's constructor, for example `{drop_path_rate: 0.1}`.
        evidence: what makes the logit: "none" (the embedding), "maps" or "both"; see `FrameModel`. Maps need a
            backbone with feature maps of strides 8 and 16, as most convolutional ones have.
        refine_maps: whether a convolution follows the fusion of feature maps; see `EvidenceBranch`.

    Raises:
        ModelError: if timm has no such model or refuses the arguments, the weights cannot be had, or the backbone has
            no feature maps for the evidence.
    """

    def __init__(
        self,
        name: str,
        in_channels: int = 3,
        weights: str = IMAGENET,
        dropout: float = 0.2,
        min_size: int = 32,
        backbone_args: dict[str, Any] | None = None,
        evidence: Evidence = "none",
        refine_maps: bool = False,
    ) -> None:
        body = _create(name, check_in_channels(in_channels), weights, backbone_args or {})
        trained = (body.pretrained_cfg["mean"], body.pretrained_cfg["std"]) if weights == IMAGENET else None
        num_features = getattr(body, "head_hidden_size", None) or body.num_features
        if _has_fully_connected_trunk(body):
            body, num_features = _convolutions_only(body), body.num_features
        levels = {} if evidence == "none" else _levels(body, name)
        if evidence == "maps":  # layers behind the last feature map would never be used
            body.prune_intermediate_layers(list(levels), prune_norm=True, prune_head=True)
        super().__init__(
            body,
            num_features,
            in_channels=in_channels,
            dropout=dropout,
            min_size=min_size,
            evidence=evidence,
            level_channels=tuple(levels.values()),
            level_stages=find_levels(body, list(levels)),
            map_width=MAP_WIDTH,
            refine_maps=refine_maps,
        )
        self.name = name
        self.trained_statistics = trained
        self._levels = list(levels)
        if weights != IMAGENET:
            start_from(self, weights)

    def backbone_stages(self) -> list[Stage]:
        """The stem, timm's blocks or layers, and what comes behind them but before the pooling."""
        return timm_stages(self.backbone)

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


def _levels(body: Any, name: str) -> dict[int, int]:
    """Number and channels of the backbone's feature maps to be fused, from fine to coarse.

    Raises:
        ModelError: if it does not give out maps of the strides needed.
    """
    stages = getattr(body, "feature_info", None) if hasattr(body, "forward_intermediates") else None
    last = {stage["reduction"]: (number, stage["num_chs"]) for number, stage in enumerate(stages or [])}
    if not set(NEEDED_STRIDES) <= last.keys():
        raise ModelError(
            f"{name!r} gives out no feature maps of the strides {' and '.join(map(str, NEEDED_STRIDES))}, which maps "
            "of evidence are made of; set evidence: none, or choose another backbone"
        )
    return dict(last[stride] for stride in STRIDES if stride in last)


def _create(name: str, in_channels: int, weights: str, backbone_args: dict[str, Any]) -> Any:
    # To timm "hf-hub:owner/model" is a network address and "local-dir:" a folder: neither is meant here.
    if ":" in name or not timm.is_model(name):
        raise ModelError(f"timm has no model named {name!r}; {_similar_names(name)}")
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
    body.pretrained_cfg.pop("state_dict", None)  # or every copy of the model would carry the weights twice
    return body


def _similar_names(name: str) -> str:
    family = name.split(":")[-1].split("_")[0].rstrip("0123456789")
    found = timm.list_models(f"{family}*")[:8] if family else []
    return f"some that it has: {', '.join(found)}" if found else "timm.list_models() lists the names"


def _has_fully_connected_trunk(body: nn.Module) -> bool:
    """Whether timm keeps VGG's two 4096-wide layers in front of the classifier (90% of its parameters)."""
    return hasattr(body, "features") and hasattr(getattr(body, "pre_logits", None), "fc1")


def _convolutions_only(body: Any) -> nn.Sequential:
    """VGG's convolutions and an average pool; `features.*` keeps the names that timm's weight files use."""
    return nn.Sequential(
        OrderedDict(features=body.features, pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(start_dim=1))
    )
