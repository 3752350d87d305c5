"""The stages of timm's backbones: which of their layers are applied one after another, and what is between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from timm.models import ConvNeXt, EfficientNet, MobileNetV3, RegNet, ResNet
from torch import nn

Stage = tuple[nn.Module, ...]
"""Modules that are applied one after another."""

LAYOUTS: dict[type[nn.Module], tuple[str, ...]] = {
    EfficientNet: ("conv_stem bn1", "blocks.*", "conv_head bn2"),
    MobileNetV3: ("conv_stem bn1", "blocks.*"),
    ResNet: ("conv1 bn1 act1 maxpool", "layer1", "layer2", "layer3", "layer4"),
    RegNet: ("stem", "s1", "s2", "s3", "s4", "final_conv"),
    ConvNeXt: ("stem", "stages.*", "norm_pre"),
}
"""By class, what its `forward_features` computes: one stage per entry, or one per child of what ends in `.*`."""


def timm_stages(body: nn.Module) -> list[Stage]:
    """The stages of a timm model up to its pooling, or of VGG's convolutions; a single one where they are not known.

    Args:
        body: a timm model, or an `nn.Sequential` that starts with VGG's `features`.
    """
    if type(body) is nn.Sequential:
        return _split_after_pools(body[0])
    stages = [stage for entry in LAYOUTS.get(type(body), ()) for stage in _entry_stages(body, entry)]
    # Where nothing is to be computed, timm has placeholders.
    return [stage for stage in stages if not all(isinstance(module, nn.Identity) for module in stage)] or [(body,)]


def find_levels(body: Any, levels: Sequence[int]) -> tuple[int, ...]:
    """The stages behind which feature maps come out; empty if the model is a single stage.

    Args:
        body: a timm model.
        levels: positions of the feature maps in its `feature_info`.
    """
    ends = [stage[-1] for stage in timm_stages(body)]
    if ends == [body]:
        return ()
    return tuple(ends.index(body.get_submodule(body.feature_info[level]["module"])) for level in levels)


def _entry_stages(body: nn.Module, entry: str) -> list[Stage]:
    if entry.endswith(".*"):
        return [(child,) for child in body.get_submodule(entry.removesuffix(".*")).children()]
    return [tuple(body.get_submodule(name) for name in entry.split())]


def _split_after_pools(features: nn.Module) -> list[Stage]:
    stages: list[list[nn.Module]] = [[]]
    for module in features.children():
        stages[-1].append(module)
        if isinstance(module, nn.MaxPool2d):
            stages.append([])
    return [tuple(stage) for stage in stages if stage]
