"""The factorized network for CIFAR-100 of a lecture on convolutional networks: 1×3 and 3×1 in place of 3×3.

The lecture prints this table (its rows; a ConvBlock is twice 1×3 and 3×1, each with ReLU; a Sub is 3×3 with
stride 2). Factorizing 3×3 like this is from Szegedy et al., "Rethinking the Inception Architecture for
Computer Vision", CVPR 2016, arXiv 1512.00567, section 3.2.

========= ========== ======== ===================== ========================
row       resolution channels receptive field       receptive field, printed
========= ========== ======== ===================== ========================
ConvBlock 32×32      32       5                     5
ConvBlock 32×32      32       9                     9
Sub       16×16      32       11                    15
ConvBlock 16×16      128      19                    15
ConvBlock 16×16      128      27                    23
Sub       8×8        128      31                    31
AvgPool   1×1        128
Linear               100
========= ========== ======== ===================== ========================

It has 549,156 parameters (552,036 with batch norm, 537,546 for 10 classes); the lecture prints "≈ 2M".

What the lecture leaves open, and is chosen here: convolutions keep the size (padding 1 along their long side)
and have biases, with batch norm too; dropout comes before the linear layer; weights start with variance
2 / fan-in. ``width`` is not in the lecture.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from utils.models.initialization import kaiming_fan_in
from utils.models.options import checked_probability, scaled
from utils.models.registry import register
from utils.models.stacks import StackedNetwork, conv_relu

# name and channels of each row up to the average
ROWS = (("block1", 32), ("block2", 32), ("sub1", 32), ("block3", 128), ("block4", 128), ("sub2", 128))


class FactorisedCNN(StackedNetwork):
    """``features`` has one child for each row of the table: block1, block2, sub1, block3, block4, sub2."""

    def __init__(self, num_classes: int, in_channels: int, batch_norm: bool, dropout: float, width: float):
        checked_probability("dropout", dropout)
        features, source = [], in_channels
        for name, channels in ROWS:
            wide = scaled(channels, width)
            row = _subsampling if name.startswith("sub") else _block
            features.append((name, row(source, wide, batch_norm)))
            source = wide
        classifier = [
            ("average", nn.AdaptiveAvgPool2d(1)),
            ("flatten", nn.Flatten()),
            ("drop", nn.Dropout(dropout)),
            ("linear", nn.Linear(source, num_classes)),
        ]
        super().__init__("factorised-cnn", features, classifier, in_channels, input_size=32)
        kaiming_fan_in(self)


def _block(source: int, wide: int, batch_norm: bool) -> nn.Sequential:
    """1×3, 3×1, 1×3, 3×1: ``[B, source, H, W]`` -> ``[B, wide, H, W]``."""
    along, across = {"kernel": (1, 3), "padding": (0, 1)}, {"kernel": (3, 1), "padding": (1, 0)}
    layers = []
    for number, shape in enumerate((along, across, along, across), start=1):
        layers += conv_relu(number, source, wide, **shape, batch_norm=batch_norm)
        source = wide
    return nn.Sequential(OrderedDict(layers))


def _subsampling(source: int, wide: int, batch_norm: bool) -> nn.Sequential:
    """3×3 with stride 2: ``[B, source, H, W]`` -> ``[B, wide, H / 2, W / 2]``."""
    return nn.Sequential(
        OrderedDict(conv_relu("", source, wide, 3, stride=2, padding=1, batch_norm=batch_norm))
    )


@register("factorised-cnn")
def factorised_cnn(
    num_classes: int = 100,
    in_channels: int = 3,
    *,
    batch_norm: bool = False,
    dropout: float = 0.0,
    width: float = 1.0,
) -> FactorisedCNN:
    """``dropout``: before the linear layer. ``width`` multiplies the numbers of channels."""
    return FactorisedCNN(num_classes, in_channels, batch_norm, dropout, width)
