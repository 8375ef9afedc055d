"""Squeeze and excitation: each channel times a number between 0 and 1 that is computed from all channels.

Hu, Shen, Albanie, Sun, Wu, "Squeeze-and-Excitation Networks", CVPR 2018, arXiv 1709.01507.

``se-resnet-18-cifar`` is ResNet-18 with the stem for 32×32 images (see ``resnet``) and a
squeeze-and-excitation layer in every block, after the second batch norm and before the addition, as in the
paper's figure 3: 11,263,042 parameters for 10 classes, 11,309,212 for 100; 89,080 of them are in these
layers.

Deviations: the fully connected layers are written as 1×1 convolutions, which is the same; the paper has no
ResNet-18 and no such stem.
"""

from __future__ import annotations

from torch import Tensor, nn

from utils.models.registry import register
from utils.models.resnet import BLOCKS, BasicBlock, ResNet


class SqueezeExcitation(nn.Module):
    """x · s(x), where s(x) = sigmoid(W₂ ReLU(W₁ mean(x) + b₁) + b₂) is one number for each channel.

    ``[B, C, H, W]`` -> the same shape. W₁ leads to max(⌊C / reduction⌋, 1) channels. The output of ``gate``
    are the factors ``[B, C, 1, 1]``: a forward hook there can read them.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        if not isinstance(reduction, int) or reduction < 1:
            raise ValueError(f"reduction must be a whole number from 1, got {reduction!r}")
        squeezed = max(channels // reduction, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.relu = nn.ReLU()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(self.relu(self.reduce(self.pool(x)))))


@register("se-resnet-18-cifar")
def se_resnet18_cifar(
    num_classes: int = 10, in_channels: int = 3, *, reduction: int = 16, width: float = 1.0
) -> ResNet:
    """ResNet-18 for 32×32 images with squeeze and excitation (Hu et al., arXiv 1709.01507) in every block."""
    return ResNet(
        BasicBlock,
        BLOCKS["resnet-18"],
        num_classes,
        in_channels,
        small_images=True,
        width=width,
        recalibrate=lambda channels: SqueezeExcitation(channels, reduction),
    )
