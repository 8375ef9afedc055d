"""DenseNets for 32×32 images: every layer sees the outputs of all layers before it in its block.

Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks", CVPR 2017, arXiv
1608.06993: a 3×3 convolution, three dense blocks on 32², 16² and 8² pixels, between them transitions (batch
norm, 1×1 convolution, 2×2 average pooling), at the end batch norm, global average pooling and a linear
layer. Each layer of a block adds ``growth`` channels.

============== ===== ====== ==========
name           depth growth parameters
============== ===== ====== ==========
densenet          40     12  1,019,722
densenet-bc      100     12    769,162
============== ===== ====== ==========

"bc": a 1×1 convolution to 4·growth channels comes before each 3×3 (bottleneck), transitions halve the
channels (compression), and the first convolution has 2·growth channels instead of 16.

Deviations: transitions and the end have ReLU after the batch norm, as in the authors' code. The paper's
dropout of 0.2 (without augmentation) is left at 0 by default.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from utils.models.initialization import kaiming_fan_out
from utils.models.input_check import check_channels
from utils.models.options import checked_probability
from utils.models.registry import register

BLOCKS = 3
STEM = 16  # channels of the first convolution without bottlenecks
BOTTLENECK = 4  # a bottleneck has this many times growth channels
COMPRESSION = 2  # the transitions of -bc divide the channels by this


class DenseLayer(nn.Module):
    """Batch norm, ReLU, 3×3 convolution, the result appended; ``bottleneck``: before it the same with 1×1.

    ``[B, C, H, W]`` -> ``[B, C + growth, H, W]``, the first C channels being the input.
    """

    def __init__(self, in_channels: int, growth: int, bottleneck: bool, dropout: float):
        super().__init__()
        channels = in_channels
        self.branch = nn.Sequential()
        if bottleneck:
            self.branch.add_module("bn1", nn.BatchNorm2d(channels))
            self.branch.add_module("relu1", nn.ReLU())
            self.branch.add_module("conv1", nn.Conv2d(channels, BOTTLENECK * growth, 1, bias=False))
            channels = BOTTLENECK * growth
        number = 2 if bottleneck else 1
        self.branch.add_module(f"bn{number}", nn.BatchNorm2d(channels))
        self.branch.add_module(f"relu{number}", nn.ReLU())
        self.branch.add_module(f"conv{number}", nn.Conv2d(channels, growth, 3, padding=1, bias=False))
        if dropout:
            self.branch.add_module("dropout", nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.branch(x)], dim=1)


class DenseNet(nn.Module):
    """``[B, in_channels, H, W]`` -> logits ``[B, num_classes]``, for images from 4×4, 32×32 in the paper."""

    def __init__(
        self, num_classes: int, in_channels: int, depth: int, growth: int, dropout: float, *, bottleneck: bool
    ):
        super().__init__()
        convs = 2 if bottleneck else 1  # in a layer
        if not isinstance(depth, int) or depth < 4 + BLOCKS * convs or (depth - 4) % (BLOCKS * convs):
            raise ValueError(
                f"depth must be 4 plus a multiple of {BLOCKS * convs} ({BLOCKS} blocks of layers with "
                f"{convs} convolution{'s' * (convs > 1)}, 4 layers outside), got {depth!r}"
            )
        if not isinstance(growth, int) or growth < 1:
            raise ValueError(f"growth must be a whole number from 1, got {growth!r}")
        checked_probability("dropout", dropout)
        self.in_channels = in_channels
        channels = 2 * growth if bottleneck else STEM
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        for number in range(1, BLOCKS + 1):
            layers = []
            for _ in range((depth - 4) // (BLOCKS * convs)):
                layers.append(DenseLayer(channels, growth, bottleneck, dropout))
                channels += growth
            self.add_module(f"block{number}", nn.Sequential(*layers))
            if number < BLOCKS:
                narrow = channels // COMPRESSION if bottleneck else channels
                self.add_module(f"transition{number}", transition(channels, narrow))
                channels = narrow
        self.last_bn = nn.BatchNorm2d(channels)
        self.last_relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        kaiming_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        check_channels("densenet", x, self.in_channels, at_least=2 ** (BLOCKS - 1))
        x = self.transition1(self.block1(self.conv1(x)))
        x = self.block3(self.transition2(self.block2(x)))
        x = self.last_relu(self.last_bn(x))
        return self.fc(self.pool(x).flatten(1))


def transition(in_channels: int, out_channels: int) -> nn.Sequential:
    """Batch norm, ReLU, 1×1 convolution, 2×2 average pooling: ``[B, in, H, W]`` -> ``[B, out, H/2, W/2]``."""
    layers = nn.Sequential()
    layers.add_module("bn", nn.BatchNorm2d(in_channels))
    layers.add_module("relu", nn.ReLU())
    layers.add_module("conv", nn.Conv2d(in_channels, out_channels, 1, bias=False))
    layers.add_module("pool", nn.AvgPool2d(2))
    return layers


@register("densenet")
def densenet(
    num_classes: int = 10, in_channels: int = 3, *, depth: int = 40, growth: int = 12, dropout: float = 0.0
) -> DenseNet:
    """DenseNet of Huang et al., arXiv 1608.06993, for 32×32 images; ``depth``: 4 plus a multiple of 3."""
    return DenseNet(num_classes, in_channels, depth, growth, dropout, bottleneck=False)


@register("densenet-bc")
def densenet_bc(
    num_classes: int = 10, in_channels: int = 3, *, depth: int = 100, growth: int = 12, dropout: float = 0.0
) -> DenseNet:
    """DenseNet-BC of Huang et al., arXiv 1608.06993, for 32×32 images; ``depth``: 4 plus a multiple of 6."""
    return DenseNet(num_classes, in_channels, depth, growth, dropout, bottleneck=True)
