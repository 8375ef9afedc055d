"""A small VGG for 32×32 images whose first layer cuts the image into patches of 2×2 pixels.

The baseline of a student report on CIFAR-10. It joins the blocks of two 3×3 convolutions of Simonyan and
Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, arXiv 1409.1556,
with batch norm (Ioffe and Szegedy, arXiv 1502.03167) and the "patchify" stem, a 2×2 convolution of stride
2, of Dosovitskiy et al., arXiv 2010.11929. The options are the report's variants:

============================================ ==========
options                                      parameters
============================================ ==========
(none)                                        1,315,786
``downsampling="stride"``                     1,315,786
``head="gap"``                                1,185,866
``downsampling="stride", head="gap"``         1,185,866
``batch_norm=False``                          1,313,866
============================================ ==========

Deviations from VGG: the stem, batch norm, three blocks of 64, 128 and 256 channels, one hidden linear layer
of 128 units. ``width`` is not in the report; it does not change the hidden layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from utils.models.initialization import kaiming_fan_out
from utils.models.input_check import check_input
from utils.models.options import checked_probability, scaled
from utils.models.registry import register

CHANNELS = (64, 128, 256)
HIDDEN = 128
IMAGE = 32  # pixels a side
LAST = IMAGE // 2**4  # halved by the stem and by three blocks


class PatchifyVGG(nn.Module):
    """``[B, in_channels, 32, 32]`` -> logits ``[B, num_classes]``.

    ``downsampling``: at the end of each block 2×2 max pooling ("pool") or stride 2 in its second
    convolution ("stride"). ``head``: "flatten" and two linear layers with dropout, or "gap", global average
    pooling and one.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        downsampling: str,
        head: str,
        batch_norm: bool,
        dropout: float,
        width: float,
    ):
        super().__init__()
        if downsampling not in ("pool", "stride"):
            raise ValueError(f"downsampling must be 'pool' or 'stride', got {downsampling!r}")
        if head not in ("flatten", "gap"):
            raise ValueError(f"head must be 'flatten' or 'gap', got {head!r}")
        checked_probability("dropout", dropout)
        self.in_channels = in_channels
        channels = [scaled(wide, width) for wide in CHANNELS]
        self.stem = nn.Sequential()
        _add_conv(self.stem, 1, nn.Conv2d(in_channels, channels[0], kernel_size=2, stride=2), batch_norm)
        source = channels[0]
        for number, wide in enumerate(channels, start=1):
            block = nn.Sequential()
            _add_conv(block, 1, nn.Conv2d(source, wide, 3, padding=1), batch_norm)
            stride = 2 if downsampling == "stride" else 1
            _add_conv(block, 2, nn.Conv2d(wide, wide, 3, stride, padding=1), batch_norm)
            if downsampling == "pool":
                block.add_module("pool", nn.MaxPool2d(2))
            self.add_module(f"block{number}", block)
            source = wide
        self.head = nn.Sequential()
        if head == "gap":
            self.head.add_module("pool", nn.AdaptiveAvgPool2d(1))
            self.head.add_module("flatten", nn.Flatten())
            self.head.add_module("fc", nn.Linear(source, num_classes))
        else:
            self.head.add_module("flatten", nn.Flatten())
            self.head.add_module("fc1", nn.Linear(source * LAST * LAST, HIDDEN))
            self.head.add_module("relu", nn.ReLU())
            self.head.add_module("dropout", nn.Dropout(dropout))
            self.head.add_module("fc2", nn.Linear(HIDDEN, num_classes))
        kaiming_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        check_input("patchify-vgg", x, self.in_channels, (IMAGE, IMAGE))
        return self.head(self.block3(self.block2(self.block1(self.stem(x)))))


def _add_conv(layers: nn.Sequential, number: int, conv: nn.Conv2d, batch_norm: bool) -> None:
    """Append the convolution as conv<number>, batch norm if wanted, and ReLU."""
    layers.add_module(f"conv{number}", conv)
    if batch_norm:
        layers.add_module(f"bn{number}", nn.BatchNorm2d(conv.out_channels))
    layers.add_module(f"relu{number}", nn.ReLU())


@register("patchify-vgg")
def patchify_vgg(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    downsampling: str = "pool",
    head: str = "flatten",
    batch_norm: bool = True,
    dropout: float = 0.5,
    width: float = 1.0,
) -> PatchifyVGG:
    """A small VGG (Simonyan and Zisserman, arXiv 1409.1556) with a patchify stem, for 32×32 images."""
    return PatchifyVGG(num_classes, in_channels, downsampling, head, batch_norm, dropout, width)
