"""A small convolutional network for CPUs, trained from scratch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flipdetect.errors import ModelError
from flipdetect.models.base import FrameModel, Stage, check_in_channels
from flipdetect.models.evidence_maps import Evidence

MIN_SIZE = 16
"""Pixels. The stem and three stages halve the frame, so that one position remains to pool over."""

WIDE_UNITS, WIDE_KERNEL = 3, 5
"""Of the last stage: its positions have a receptive field of 183 pixels, most of a page and its surroundings. A smaller
one cannot distinguish a moving sheet from a gutter."""

LEVEL_STAGES = (2, 3)
"""Of the stages, those with strides of 8 and 16 pixels."""


class TinyCNN(FrameModel):
    """A strided stem, three stages that halve the frame, average and maximum pooled.

    The first two stages double the channels and end in a residual unit (He et al., 2016, arXiv:1512.03385). The last
    one has depthwise separable convolutions with wide kernels: a wide receptive field with few parameters. Maximum
    pooling keeps a thin sheet edge, which covers a few of hundreds of positions, visible in the embedding.

    Args:
        in_channels: 3 (RGB) or 1 (grey).
        width: channels after the stem. 16 makes 118 thousand parameters; 4 with one channel, 10 thousand.
        dropout: share of the embedding dropped in training, before the logit.
        evidence: what makes the logit: "none" (the embedding), "maps" or "both"; see `FrameModel`.

    Raises:
        ModelError: if an argument has an impossible value.
    """

    backbone: nn.Sequential

    def __init__(
        self, in_channels: int = 3, width: int = 16, dropout: float = 0.2, evidence: Evidence = "both"
    ) -> None:
        if width < 1:
            raise ModelError(f"width must be at least 1, got {width}")
        layers: list[nn.Module] = [halving_conv(check_in_channels(in_channels), width)]
        for channels in (width, 2 * width):
            layers += [halving_conv(channels, 2 * channels), ResidualUnit(2 * channels)]
        fine, coarse = 4 * width, 6 * width
        wide = [SeparableUnit(coarse, coarse, kernel_size=WIDE_KERNEL) for _ in range(WIDE_UNITS)]
        last = nn.Sequential(SeparableUnit(fine, coarse, kernel_size=3, stride=2), *wide)
        backbone = nn.Sequential(*layers, last, AverageAndMaxPool())
        super().__init__(
            backbone,
            2 * coarse,
            in_channels=in_channels,
            dropout=dropout,
            min_size=MIN_SIZE,
            evidence=evidence,
            level_channels=(fine, coarse),
            level_stages=LEVEL_STAGES,
            map_width=2 * width,
        )

    def backbone_stages(self) -> list[Stage]:
        """The stem, and the three stages that halve the frame."""
        stem, first, first_unit, second, second_unit, last, _ = self.backbone
        return [(stem,), (first, first_unit), (second, second_unit), (last,)]

    def pool_features(self, features: Tensor) -> Tensor:
        """Shapes as in the base class."""
        pooled: Tensor = self.backbone[-1](features)
        return pooled


class ResidualUnit(nn.Module):
    """(B, C, H, W) -> (B, C, H, W): one normalised convolution with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as in the class."""
        return torch.relu(x + self.norm(self.conv(x)))


class SeparableUnit(nn.Module):
    """(B, C_in, H, W) -> (B, C_out, ceil(H/stride), ceil(W/stride)): depthwise, then pointwise convolution.

    After MobileNet (Howard et al., 2017, arXiv:1704.04861); with a shortcut where the shape stays.
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, kernel_size, stride, kernel_size // 2, groups=in_channels, bias=False
        )
        self.inner_norm = nn.BatchNorm2d(in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as in the class."""
        inner = torch.relu(self.inner_norm(self.depthwise(x)))
        result = self.norm(self.pointwise(inner))
        return torch.relu(x + result if self.has_shortcut else result)


class AverageAndMaxPool(nn.Module):
    """(B, C, H, W) -> (B, 2C): the average and the maximum of each channel over the frame."""

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as in the class."""
        return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)


def halving_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """(B, C_in, H, W) -> (B, C_out, ceil(H/2), ceil(W/2)): a normalised convolution."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
