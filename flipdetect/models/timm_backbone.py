"""Any image backbone of the timm library under a one-logit head."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import timm
from torch import nn

from flipdetect.errors import ModelError
from flipdetect.models.base import FrameModel, check_in_channels
from flipdetect.models.weights import IMAGENET, NO_WEIGHTS, load_weights_file, pretrained_overlay

POOLING = "avgmax"
"""Mean of average and maximum, for our own two models: the edge of a moving sheet covers few positions, and an
average over the whole frame drowns it (a reason, not yet an ablation). Pooling has no weights: ImageNet's still fit.
"""


class TimmBackbone(FrameModel):
    """A timm backbone, its own global pooling (average for the convolutional ones), dropout and one logit.

    The head is new whatever the weights of the backbone are, unless a weights file of this program holds one.

    Args:
        name: what `timm.list_models()` calls it, for example `mobilenetv2_100` or `vgg16`.
        in_channels: 3 (RGB) or 1 (grey; ImageNet weights of the first layer are summed over RGB).
        weights: `imagenet` (downloaded once by timm, then cached), `none` (random), or the path of a
            .safetensors, .ckpt, .pt or .pth file.
        dropout: share of the embedding dropped in training, before the logit.
        min_size: smallest height and width accepted, in pixels.
        backbone_args: further arguments of timm's constructor, for example `{drop_path_rate: 0.1}`.

    Raises:
        ModelError: if timm has no such model or refuses the arguments, or the weights cannot be had.
    """

    def __init__(
        self,
        name: str,
        in_channels: int = 3,
        weights: str = IMAGENET,
        dropout: float = 0.2,
        min_size: int = 32,
        backbone_args: dict[str, Any] | None = None,
    ) -> None:
        body = _create(name, check_in_channels(in_channels), weights, backbone_args or {})
        num_features = getattr(body, "head_hidden_size", None) or body.num_features
        if _has_fully_connected_trunk(body):
            body, num_features = _convolutions_only(body), body.num_features
        super().__init__(body, num_features, in_channels=in_channels, dropout=dropout, min_size=min_size)
        self.name = name
        if weights not in (IMAGENET, NO_WEIGHTS):
            load_weights_file(self, weights)


def _create(name: str, in_channels: int, weights: str, backbone_args: dict[str, Any]) -> Any:
    # To timm "hf-hub:owner/model" is a network address and "local-dir:" a folder: neither is meant here.
    if ":" in name or not timm.is_model(name):
        raise ModelError(f"timm has no model named {name!r}; {_similar_names(name)}")
    overlay = pretrained_overlay(name) if weights == IMAGENET else None
    try:
        return timm.create_model(
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
