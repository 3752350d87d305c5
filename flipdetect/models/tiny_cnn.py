"""A small convolutional network for CPUs, trained from scratch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flipdetect.errors import ModelError
from flipdetect.models.base import FrameModel, check_in_channels

STAGES = 3
# The stem and the stages halve the frame 1 + 3 times; 16 pixels leave one position to pool over.
MIN_SIZE = 2 ** (1 + STAGES)


class TinyCNN(FrameModel):
    """A strided stem, three stages that halve the frame and double the channels, average and maximum pooled.

    The first two stages end in a residual unit (He et al., 2016,
    arXiv:1512.03385). The pooled maximum keeps a thin sheet edge, which covers a few positions of hundreds,
    from drowning in the average of the page around it.

    Args:
        in_channels: 3 (RGB) or 1 (grey).
        width: channels after the stem. 16 makes 144 thousand parameters; 4 with one channel, 9 thousand.
        dropout: share of the embedding dropped in training, before the logit.

    Raises:
        ModelError: if `in_channels`, `width` or `dropout` has a value that cannot work.
    """

    def __init__(self, in_channels: int = 3, width: int = 16, dropout: float = 0.2) -> None:
        if width < 1:
            raise ModelError(f"width must be at least 1, got {width}")
        layers: list[nn.Module] = [_halving_conv(check_in_channels(in_channels), width)]
        channels = width
        for stage in range(STAGES):
            layers.append(_halving_conv(channels, 2 * channels))
            channels *= 2
            # At the last stage a residual unit would double the parameters of the whole network.
            if stage < STAGES - 1:
                layers.append(ResidualUnit(channels))
        backbone = nn.Sequential(*layers, AverageAndMaxPool())
        super().__init__(backbone, 2 * channels, in_channels=in_channels, dropout=dropout, min_size=MIN_SIZE)


class ResidualUnit(nn.Module):
    """(B, C, H, W) -> (B, C, H, W): one normalised convolution beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as in the class."""
        return torch.relu(x + self.norm(self.conv(x)))


class AverageAndMaxPool(nn.Module):
    """(B, C, H, W) -> (B, 2C): the average and the maximum of each channel over the frame."""

    def forward(self, x: Tensor) -> Tensor:
        """Shapes as in the class."""
        return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)


def _halving_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
