"""Losses of training: the label, the rendered maps, and the order of twins."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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
