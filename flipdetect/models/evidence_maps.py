"""Evidence for a flip that has a place in the frame: coarse maps of sheet, edge and hands, and what they say together.

The maps are logits at an eighth of the input's size. Rendered frames come with the truth about them, which teaches
the backbone where to look; the label alone, one bit per frame, takes far longer to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flipdetect.errors import ModelError

Evidence = Literal["none", "maps", "both"]
"""What a logit is made of: the pooled embedding alone, the maps alone, or the sum of both."""

MAPS = ("sheet", "edge", "hands")
"""The maps, in the order of their channels: a sheet in the air, its free edge, hands."""
DECIDING = 2
"""The first so many maps make the logit; hands are there with and without a flip."""
STRIDES = (8, 16, 32)
"""Of the feature maps that are fused, as far as a backbone has them; the maps have the first one's."""
NEEDED_STRIDES = STRIDES[:2]

PRIOR_SHARE = 0.05
"""A guess of the share of a frame that a map covers. An untrained decoder says so everywhere (as in focal loss, Lin et
al., 2017, arXiv:1708.02002), and evidence is measured against it."""
FIRST_WEIGHT = 0.25
"""Of each kind of evidence in the logit, before training; positive, because evidence speaks for a flip."""


class EvidenceBranch(nn.Module):
    """Fuses feature maps top-down into one (Lin et al., 2017, arXiv:1612.03144), and that into maps and a logit.

    Args:
        channels: of the feature maps, from fine to coarse.
        width: channels of the fused one.
        refine: whether a residual 3x3 convolution follows the fusion: where the feature maps come from a backbone that
            was trained for something else, each position has to look at its neighbours.
    """

    def __init__(self, channels: Sequence[int], width: int, *, refine: bool = False) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(each, width, kernel_size=1, bias=False) for each in channels)
        self.refine = _refinement(width) if refine else None
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


def _refinement(width: int) -> nn.Sequential:
    """Pre-activation as in residual networks (He et al., 2016, arXiv:1603.05027)."""
    conv = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
    return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), conv)


def pool_evidence(maps: Tensor) -> Tensor:
    """What maps say of the whole frame: of each, its strongest places and its area.

    The first is the logarithm of the mean of exponentials over all positions, which lies between their mean and their
    maximum (Pinheiro and Collobert, 2015, arXiv:1411.6228); an edge covers few of them. Both are relative to
    `PRIOR_SHARE`, so that they start near 0.

    Args:
        maps: (B, C, H, W) logits.

    Returns:
        (B, 2C): log-mean-exp of the C maps, then their mean probability.
    """
    flat = maps.flatten(2)
    # logsumexp(flat) - log(positions), in a form that leaves the number of positions open to an export.
    peak = flat.detach().amax(dim=2, keepdim=True)
    strongest = peak.squeeze(2) + (flat - peak).exp().mean(dim=2).log() - math.log(PRIOR_SHARE)
    area = flat.sigmoid().mean(dim=2) / PRIOR_SHARE - 1
    return torch.cat([strongest, area], dim=1)


def check_evidence(evidence: str) -> None:
    """Refuse a word that is no choice.

    Raises:
        ModelError: if `evidence` is none of those of `Evidence`.
    """
    if evidence not in get_args(Evidence):
        raise ModelError(f"evidence must be one of {', '.join(get_args(Evidence))}, got {evidence!r}")
