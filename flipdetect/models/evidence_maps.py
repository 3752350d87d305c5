"""Evidence maps: where in the frame a sheet, its edge and hands are, and the logit that follows from the maps.

The maps are logits at an eighth of the input's size. Rendered frames come with true maps, from which the backbone
learns where to look; from the label alone, one bit per frame, it takes far longer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Evidence = Literal["none", "maps", "both"]
"""What the logit is made from: the pooled embedding, the maps, or the sum of both."""

MAPS = ("sheet", "edge", "hands")
"""The maps, in the order of their channels: a moving sheet, its free edge, hands."""
DECIDING = 2
"""This many maps make the logit, the first ones; hands are visible with and without a flip."""
STRIDES = (8, 16, 32)
"""Of the fused feature maps, as far as a backbone has them; the maps have the first one."""
NEEDED_STRIDES = STRIDES[:2]

PRIOR_SHARE = 0.05
"""Prior of the share of a frame that a map covers. An untrained decoder outputs it everywhere (as in focal loss, Lin et
al., 2017, arXiv:1708.02002), and evidence is relative to it."""
FIRST_WEIGHT = 0.25
"""Of each kind of evidence in the logit, before training; positive, because evidence indicates a flip."""


class EvidenceBranch(nn.Module):
    """Fuses feature maps top-down into one (Lin et al., 2017, arXiv:1612.03144), and that into maps and a logit.

    Args:
        channels: of the feature maps, from fine to coarse.
        width: channels of the fused one.
        refine: whether a residual 3x3 convolution follows the fusion, so that each position sees its neighbours: useful
            where the backbone was pretrained for another task.
    """

    def __init__(self, channels: Sequence[int], width: int, *, refine: bool = False) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(each, width, kernel_size=1, bias=False) for each in channels)
        self.refine = None
        if refine:  # pre-activation as in residual networks (He et al., 2016, arXiv:1603.05027)
            conv = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
            self.refine = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), conv)
        self.norm = nn.BatchNorm2d(width)
        self.maps = nn.Conv2d(width, len(MAPS), kernel_size=1)
        self.head = nn.Linear(2 * DECIDING, 1)
        assert self.maps.bias is not None
        nn.init.constant_(self.maps.bias, math.log(PRIOR_SHARE / (1 - PRIOR_SHARE)))
        nn.init.constant_(self.head.weight, FIRST_WEIGHT)
        nn.init.zeros_(self.head.bias)

    def fuse(self, levels: Sequence[Tensor]) -> Tensor:
        """Feature maps (B, C_i, H_i, W_i), from fine to coarse -> (B, width, H_0, W_0), in their precision."""
        fine_to_coarse = [lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)]
        fused: Tensor = fine_to_coarse.pop()
        while fine_to_coarse:
            finer = fine_to_coarse.pop()
            fused = finer + F.interpolate(fused, size=finer.shape[-2:], mode="nearest")
        return fused if self.refine is None else fused + self.refine(fused)

    def forward(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """What `fuse` returned -> logits (B,) and maps (B, 3, H_0, W_0) as logits, both float32."""
        features = torch.relu(self.norm(fused.to(self.maps.weight.dtype)))
        maps: Tensor = self.maps(features).float()
        evidence = pool_evidence(maps[:, :DECIDING])
        logits: Tensor = self.head(evidence.to(self.head.weight.dtype))
        return logits.squeeze(1).float(), maps


def pool_evidence(maps: Tensor) -> Tensor:
    """Pool maps over the frame: (B, 2C) log-mean-exp of the C maps, then their mean probability.

    The former is the logarithm of the mean of exponentials over all positions, which lies between their mean and their
    maximum (Pinheiro and Collobert, 2015, arXiv:1411.6228): an edge covers few positions. Both are relative to
    `PRIOR_SHARE`, so that they start near 0.
    """
    flat = maps.flatten(2)
    # logsumexp(flat) - log(positions), in a form that does not fix the number of positions in an export.
    peak = flat.detach().amax(dim=2, keepdim=True)
    strongest = peak.squeeze(2) + (flat - peak).exp().mean(dim=2).log() - math.log(PRIOR_SHARE)
    area = flat.sigmoid().mean(dim=2) / PRIOR_SHARE - 1
    return torch.cat([strongest, area], dim=1)
