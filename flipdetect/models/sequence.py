"""From the frames of a clip to one logit: what a frame model sees in each, what moves between them, and when.

A single frame may leave open what its neighbours tell: a page that stands off stays where it is, a sheet in the air
does not. The parts here are small and sit on a frame model that is trained already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from flipdetect.errors import ModelError
from flipdetect.models.base import FrameModel
from flipdetect.models.evidence_maps import MAPS, pool_evidence
from flipdetect.models.tiny_cnn import AverageAndMaxPool, halving_conv

Temporal = Literal["tcn", "gru"]
"""What looks along time: dilated convolutions, or a recurrent unit in both directions."""

SHRINK = 4
"""Motion is looked for at a quarter of the input's size: a sheet's edge stays seen, a tremor of the hand does not."""
WINDOW = 9
"""Places of the shrunken frame, along each side, over which light is evened out: about a hand's width."""
FAINT = 0.1
"""Contrast, in the input's normalised units, below which a surface counts as plain; its noise is not blown up."""
MOTION_WIDTH = (16, 32, 48)
"""Channels of the motion branch's three convolutions."""
DILATIONS = (1, 2, 4)
"""With three taps each, a place in time comes to see seven frames to either side."""


@dataclass(frozen=True)
class ClipOutput:
    """What is said of B clips of T frames.

    Attributes:
        logits: (B,) float32, of a clip that holds a flip.
        frame_logits: (B, T) float32, of a frame that shows one; 0 where there is no frame.
        maps: (N, 3, Hm, Wm) float32 logits of the N frames that are there, clip by clip; see `EvidenceBranch`.
    """

    logits: Tensor
    frame_logits: Tensor
    maps: Tensor


class SequenceHead(nn.Module):
    """Frames' features and motion, looked at along time: one logit per frame and one per clip.

    Untrained, its frame logits are those of the frame model, and a clip's logit is their log-mean-exp, which lies
    between their mean and their maximum (Pinheiro and Collobert, 2015, arXiv:1411.6228): the head starts as a good way
    to aggregate frames and can only learn what is better on the training side.

    Args:
        coarse_channels: of the frame model's coarsest feature map.
        temporal: "tcn" for `TemporalConvolutions`, "gru" for a gated recurrent unit (Cho et al., 2014,
            arXiv:1406.1078) run in both directions.
        motion: whether differences of neighbouring frames are looked at, too.
        hidden: channels along time; even.
        dropout: in training, of the channels along time, 0 to below 1.

    Raises:
        ModelError: if an argument has a value that cannot work.
    """

    def __init__(
        self,
        coarse_channels: int,
        *,
        temporal: Temporal = "tcn",
        motion: bool = True,
        hidden: int = 64,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if temporal not in get_args(Temporal):
            raise ModelError(f"temporal must be one of {', '.join(get_args(Temporal))}, got {temporal!r}")
        if hidden < 2 or hidden % 2:
            raise ModelError(f"hidden must be an even number from 2, got {hidden}")
        if not 0.0 <= dropout < 1.0:
            raise ModelError(f"dropout must be in [0, 1), got {dropout}")
        features = 2 * coarse_channels + 2 * len(MAPS) + 1
        self.pool = AverageAndMaxPool()
        self.embed = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, hidden))
        self.motion = MotionBranch(hidden) if motion else None
        self.temporal: nn.Module = (
            TemporalConvolutions(hidden, dropout) if temporal == "tcn" else RecurrentUnit(hidden, dropout)
        )
        self.frame_head = nn.Linear(hidden, 1)
        self.clip_head = nn.Linear(2 * hidden, 1)
        for head in (self.frame_head, self.clip_head):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, images: Tensor, present: Tensor, seen: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Judge clips.

        Args:
            images: (B, T, C, H, W) float32, normalised.
            present: (B, T) bool, where there is a frame; those of a clip come first.
            seen: of the N frames that are there, clip by clip: the frame model's logits (N,), maps (N, 3, Hm, Wm) and
                coarsest feature map (N, C_c, H_c, W_c), all float32.

        Returns:
            Logits of the clips (B,) and of their frames (B, T), both float32.
        """
        logits, maps, coarse = seen
        features = torch.cat([self.pool(coarse), pool_evidence(maps), logits[:, None]], dim=1)
        embedded: Tensor = self.embed(features)
        if self.motion is not None:
            embedded = embedded + self.motion(images, present, maps)
        states: Tensor = self.temporal(_placed(embedded, present), present)
        frame_logits = (_placed(logits, present) + self.frame_head(states).squeeze(2)) * present
        pooled = torch.cat([_mean(states, present), _maximum(states, present)], dim=1)
        clip_logits = _log_mean_exp(frame_logits, present) + self.clip_head(pooled).squeeze(1)
        return clip_logits.float(), frame_logits.float()


class MotionBranch(nn.Module):
    """What moves between a frame and its neighbours: N frames of clips -> (N, width).

    Differences are taken of grey pictures whose light is evened out (local contrast normalisation: Jarrett et al.,
    2009, doi:10.1109/ICCV.2009.5459469), so that a lamp, a shadow or an exposure that changes is no motion; and of the
    maps, so that what moves is told to be a sheet or a hand.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second, third = MOTION_WIDTH
        self.stem = halving_conv(2, first)
        self.deeper = nn.Sequential(halving_conv(first + 3 * len(MAPS), second), halving_conv(second, third))
        self.pool = AverageAndMaxPool()
        self.out = nn.Linear(2 * third, width)

    def forward(self, images: Tensor, present: Tensor, maps: Tensor) -> Tensor:
        """Images (B, T, C, H, W), present (B, T) bool and maps (N, 3, Hm, Wm) of the present frames -> (N, width)."""
        even = _placed(even_light(images[present]), present)
        moved = self.stem(neighbour_differences(even, present)[present])
        shares = _placed(maps.sigmoid(), present)
        moving = neighbour_differences(shares, present)
        evidence = torch.cat([shares, moving], dim=2)[present]
        if evidence.shape[-2:] != moved.shape[-2:]:  # a backbone that rounds sizes down
            moved = F.adaptive_avg_pool2d(moved, (evidence.shape[-2], evidence.shape[-1]))
        result: Tensor = self.out(self.pool(self.deeper(torch.cat([moved, evidence], dim=1))))
        return result


class TemporalConvolutions(nn.Module):
    """(B, T, C) -> (B, T, C): residual convolutions with growing dilation (Bai et al., 2018, arXiv:1803.01271).

    Other than there they look both ways: a clip is judged once it is over.
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel_size=3, padding=dilation, dilation=dilation) for dilation in DILATIONS
        )
        # Over channels, not over a batch: clips shorter than others leave no trace in it.
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in DILATIONS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, present: Tensor) -> Tensor:
        """Shapes as in the class; present (B, T) bool. Where no frame is, there are zeros."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            change = conv(norm(states).mul(present[..., None]).transpose(1, 2)).transpose(1, 2)
            states = (states + self.dropout(torch.relu(change))) * present[..., None]
        return states


class RecurrentUnit(nn.Module):
    """(B, T, C) -> (B, T, C): a gated recurrent unit in both directions."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, channels // 2, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, present: Tensor) -> Tensor:
        """Shapes as in the class; present (B, T) bool. Where no frame is, there are zeros."""
        lengths = present.sum(dim=1).cpu()
        packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
        found, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=states.shape[1])
        dropped: Tensor = self.dropout(found)
        return dropped


def look_at_frames(model: FrameModel, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What a frame model sees in frames (N, C, H, W): logits (N,), maps and coarsest feature map, all float32.

    Raises:
        ModelError: if the model has no maps, or the shape does not fit.
    """
    logits, maps, levels = model.forward_levels(images)
    return logits, maps, levels[-1].float()


def even_light(images: Tensor) -> Tensor:
    """Frames (N, C, H, W) float32 -> (N, 1, ceil(H/4), ceil(W/4)): grey, small, of even light and contrast."""
    grey = F.avg_pool2d(images.mean(dim=1, keepdim=True), SHRINK, ceil_mode=True)

    def around(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False)

    off = grey - around(grey)
    contrast: Tensor = off / (around(off.square()).sqrt() + FAINT)
    return contrast


def neighbour_differences(values: Tensor, present: Tensor) -> Tensor:
    """What changed since the frame before, and what changes until the one behind; 0 where there is none.

    Args:
        values: (B, T, C, H, W).
        present: (B, T) bool, the frames of a clip first.

    Returns:
        (B, T, 2C, H, W).
    """
    step = (values[:, 1:] - values[:, :-1]) * present[:, 1:, None, None, None]
    nothing = torch.zeros_like(values[:, :1])
    return torch.cat([torch.cat([nothing, step], dim=1), torch.cat([step, nothing], dim=1)], dim=2)


def _placed(values: Tensor, present: Tensor) -> Tensor:
    """Values (N, ...) of the frames that are there -> (B, T, ...), zeros elsewhere."""
    result = values.new_zeros(*present.shape, *values.shape[1:])
    result[present] = values
    return result


def _mean(states: Tensor, present: Tensor) -> Tensor:
    return (states * present[..., None]).sum(dim=1) / present.sum(dim=1, keepdim=True)


def _maximum(states: Tensor, present: Tensor) -> Tensor:
    return states.masked_fill(~present[..., None], -torch.inf).amax(dim=1)


def _log_mean_exp(logits: Tensor, present: Tensor) -> Tensor:
    return logits.masked_fill(~present, -torch.inf).logsumexp(dim=1) - present.sum(dim=1).log()
