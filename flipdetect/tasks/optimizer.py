"""AdamW with a learning rate for the backbone and one for the head, linear warm-up and cosine decay."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


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
