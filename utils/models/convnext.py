"""ConvNeXt-T for 224×224 images and for 32×32: a residual network with the habits of a transformer.

Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", CVPR 2022, arXiv 2201.03545: a 4×4
convolution of stride 4, four stages of 3, 3, 9 and 3 blocks with 96, 192, 384 and 768 channels, 2×2
convolutions of stride 2 between them, layer norm instead of batch norm and one GELU in each block.
28,589,128 parameters for 1000 classes.

``convnext-t-cifar``: the stem is a 3×3 convolution of stride 1, so that 32×32 pixels become 4×4 in the last
stage; 27,825,802 parameters for 10 classes, 27,895,012 for 100. It is the form of a student report on
CIFAR-10 and CIFAR-100, not of the paper.

Deviations: the two linear layers of a block are written as 1×1 convolutions, which is the same. Layer norm
in the paper's sense runs over the channels of one pixel (``ChannelNorm``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.models.input_check import check_channels
from utils.models.options import checked_probability
from utils.models.registry import register

DEPTHS = (3, 3, 9, 3)
CHANNELS = (96, 192, 384, 768)
LAYER_SCALE = 1e-6  # where the factors of the branches start
EPSILON = 1e-6  # of layer norm, as in the authors' code


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel: ``[B, C, H, W]`` -> the same shape."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # [B, H, W, C]
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)  # [B, C, H, W]


class StochasticDepth(nn.Module):
    """While training, each example is set to 0 with probability ``p`` and divided by 1 − p otherwise.

    At the end of a residual branch this skips the block (Huang et al., "Deep Networks with Stochastic Depth",
    arXiv 1603.09382). In evaluation mode nothing happens.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = checked_probability("stochastic_depth", p)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        keep = x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(1 - self.p)
        return x * keep / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class ConvNeXtBlock(nn.Module):
    """7×7 for each channel alone, layer norm, 1×1 to 4·C, GELU, 1×1 back, a factor per channel; input added.

    ``[B, C, H, W]`` -> the same shape.
    """

    def __init__(self, channels: int, stochastic_depth: float):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = ChannelNorm(channels)
        self.expand = nn.Conv2d(channels, 4 * channels, 1)
        self.gelu = nn.GELU()
        self.project = nn.Conv2d(4 * channels, channels, 1)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), LAYER_SCALE))
        self.drop = StochasticDepth(stochastic_depth)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x))
        y = self.project(self.gelu(self.expand(y)))
        return x + self.drop(y * self.scale)


class ConvNeXt(nn.Module):
    """``[B, in_channels, H, W]`` -> logits ``[B, num_classes]``.

    Any size of image from 32×32, or from 8×8 with the stem for ``small_images``. ``stochastic_depth`` is the
    probability of skipping the last block while training; it grows linearly from 0 in the first.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        depths: Sequence[int],
        channels: Sequence[int],
        stochastic_depth: float,
        *,
        small_images: bool,
    ):
        super().__init__()
        if len(depths) != 4 or len(channels) != 4:
            raise ValueError(
                f"depths and channels need four numbers each, one a stage, got {depths!r} and {channels!r}"
            )
        checked_probability("stochastic_depth", stochastic_depth)
        self.in_channels = in_channels
        self.smallest = 8 if small_images else 32  # pixels a side that leave one in the last stage
        if small_images:
            first = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        else:
            first = nn.Conv2d(in_channels, channels[0], 4, stride=4)
        self.stem = nn.Sequential()
        self.stem.add_module("conv", first)
        self.stem.add_module("norm", ChannelNorm(channels[0]))
        last, number = max(sum(depths) - 1, 1), 0
        for stage, (count, wide) in enumerate(zip(depths, channels, strict=True), start=1):
            if stage > 1:
                down = nn.Sequential()
                down.add_module("norm", ChannelNorm(channels[stage - 2]))
                down.add_module("conv", nn.Conv2d(channels[stage - 2], wide, 2, stride=2))
                self.add_module(f"down{stage}", down)
            blocks = []
            for _ in range(count):
                blocks.append(ConvNeXtBlock(wide, stochastic_depth * number / last))
                number += 1
            self.add_module(f"stage{stage}", nn.Sequential(*blocks))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.norm = ChannelNorm(channels[-1])
        self.fc = nn.Linear(channels[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)  # the paper's appendix A
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        check_channels("convnext-t", x, self.in_channels, self.smallest)
        x = self.stage1(self.stem(x))
        x = self.stage2(self.down2(x))
        x = self.stage3(self.down3(x))
        x = self.stage4(self.down4(x))
        return self.fc(self.norm(self.pool(x)).flatten(1))


@register("convnext-t")
def convnext_t(
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    depths: Sequence[int] = DEPTHS,
    channels: Sequence[int] = CHANNELS,
    stochastic_depth: float = 0.1,
) -> ConvNeXt:
    """ConvNeXt-T of Liu et al., arXiv 2201.03545, for 224×224 images; the paper's stochastic depth is 0.1."""
    return ConvNeXt(num_classes, in_channels, depths, channels, stochastic_depth, small_images=False)


@register("convnext-t-cifar")
def convnext_t_cifar(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    depths: Sequence[int] = DEPTHS,
    channels: Sequence[int] = CHANNELS,
    stochastic_depth: float = 0.1,
) -> ConvNeXt:
    """ConvNeXt-T (Liu et al., arXiv 2201.03545) with a 3×3 stem of stride 1 for 32×32 images."""
    return ConvNeXt(num_classes, in_channels, depths, channels, stochastic_depth, small_images=True)
