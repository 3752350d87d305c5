"""What training minimises and how: losses, learning rates of backbone and head, their schedule, memory format."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def map_loss(maps: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of maps (N, 3, Hm, Wm) as logits against shares in [0, 1] of the same shape -> () float32.

    A backbone that rounds sizes down has fewer positions than the truth, which is then averaged to fit.
    """
    if truth.shape[-2:] != maps.shape[-2:]:
        truth = F.adaptive_avg_pool2d(truth, (maps.shape[-2], maps.shape[-1]))
    return F.binary_cross_entropy_with_logits(maps, truth)


def twin_margins(logits: Tensor, targets: Tensor, pairs: Tensor) -> Tensor:
    """How far the flip of each pair of twins lies above its twin.

    Args:
        logits: (B,) float32.
        targets: (B,) in {0, 1}.
        pairs: (B,) int64, the same number for both twins, negative for frames without one.

    Returns:
        (P,) differences of logits. Two twins of one class are no pair: neither must lie above the other.
    """
    flips, others = targets > 0.5, targets <= 0.5
    same = (pairs[:, None] == pairs[None, :]) & (pairs >= 0)[:, None]
    flip, other = torch.nonzero(same & flips[:, None] & others[None, :], as_tuple=True)
    return logits[flip] - logits[other]


def rank_loss(margins: Tensor) -> Tensor:
    """Logistic ranking loss of (P,) margins, P > 0 -> () float32 (RankNet: Burges et al., 2005)."""
    return F.softplus(-margins).mean()


def parameter_groups(
    module: nn.Module, backbone: nn.Module, *, lr: float, backbone_lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Parameters of backbone and head, each with and without weight decay (norms and biases).

    Frozen parameters are included, because a callback may unfreeze them later.
    """
    of_backbone = {id(parameter) for parameter in backbone.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        groups.setdefault((id(parameter) in of_backbone, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": backbone_lr if in_backbone else lr,
            "weight_decay": weight_decay if decays else 0.0,
            "name": f"{'backbone' if in_backbone else 'head'}{'' if decays else ', no decay'}",
        }
        for (in_backbone, decays), parameters in groups.items()
    ]


def warmup_cosine(optimizer: Optimizer, *, warmup: int, steps: int, final_ratio: float) -> LambdaLR:
    """Per step: linear warm-up over `warmup` steps, then a cosine to `final_ratio` of the peak at step `steps`."""

    def ratio(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return final_ratio + (1 - final_ratio) * (1 + math.cos(math.pi * progress)) / 2

    return LambdaLR(optimizer, ratio)


def fused_optimiser(device: torch.device, precision: str | int | None) -> bool:
    """Whether the optimiser's step is one kernel for all weights.

    On CUDA GPUs, where a step would else be hundreds of small ones; not with float16, whose gradients a fused optimiser
    unscales itself, so that they could not be clipped.
    """
    return device.type == "cuda" and not str(precision).startswith("16-mixed")


def resolve_channels_last(wanted: bool | None, device: torch.device) -> bool:
    """Whether frames and weights lie in memory channels last (NHWC).

    Left open, they do on CPUs and CUDA GPUs, whose convolutions are written for it; elsewhere (MPS) they do not. The
    measurements are in docs/guides/data-loading.md.

    Args:
        wanted: by the configuration; None leaves it open.
        device: that trains.
    """
    return device.type in ("cpu", "cuda") if wanted is None else wanted
