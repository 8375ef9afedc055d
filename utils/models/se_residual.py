"""A small residual network for 32×32 images in which squeeze and excitation comes after the addition.

The network of a student report on CIFAR-10, with 8 blocks in each of three stages of 16, 32 and 64
channels. It builds on He et al., arXiv 1512.03385 (``resnet_cifar``), and on squeeze and excitation of Hu
et al., arXiv 1709.01507 (``squeeze_excitation``), and differs from both papers:

- the second activation of a block comes before the addition, and none after it;
- squeeze and excitation acts on the sum, not on the branch;
- two linear layers with dropout follow the global average pooling;
- where the shape changes, the shortcut is a 1×1 convolution of stride 2 with batch norm.

773,842 parameters with the default options. Deviations from the report: none in the architecture; the
padding, bias and order of layers, which it does not give, are such that parameters, activations and
multiply-adds come out as its table has them. ``width`` is not in the report.

With 16 channels and the default reduction of 16, squeeze and excitation in the first stage has a single
unit with ReLU. Where its weights start so that it is off for every image, the factors are the same for all
images and that unit has no gradient.
"""

from __future__ import annotations

from torch import Tensor, nn

from utils.models.initialization import kaiming_fan_out
from utils.models.input_check import check_channels
from utils.models.options import checked_probability, scaled
from utils.models.registry import register
from utils.models.resnet import projection
from utils.models.squeeze_excitation import SqueezeExcitation

CHANNELS = (16, 32, 64)
HIDDEN = 128
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class SEResidualBlock(nn.Module):
    """``convs`` times 3×3 convolution, batch norm, activation; the shortcut added; squeeze and excitation.

    ``[B, in, H, W]`` -> ``[B, out, H / stride, W / stride]``. ``reduction=None``: no squeeze and excitation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        convs: int,
        reduction: int | None,
        activation: type[nn.Module],
    ):
        super().__init__()
        self.shortcut = projection(in_channels, out_channels, stride)
        self.branch = nn.Sequential()
        for number in range(1, convs + 1):
            source, step = (in_channels, stride) if number == 1 else (out_channels, 1)
            self.branch.add_module(
                f"conv{number}", nn.Conv2d(source, out_channels, 3, step, padding=1, bias=False)
            )
            self.branch.add_module(f"bn{number}", nn.BatchNorm2d(out_channels))
            self.branch.add_module(f"act{number}", activation())
        self.se = nn.Identity() if reduction is None else SqueezeExcitation(out_channels, reduction)

    def forward(self, x: Tensor) -> Tensor:
        return self.se(self.branch(x) + self.shortcut(x))


class SEResidualNet(nn.Module):
    """``[B, in_channels, H, W]`` -> logits ``[B, num_classes]``; any size of image, 32×32 in the report."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        blocks: int,
        convs: int,
        reduction: int | None,
        activation: str,
        dropout: float,
        width: float,
    ):
        super().__init__()
        for name, value in {"blocks": blocks, "convs": convs}.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number from 1, got {value!r}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        act = ACTIVATIONS[activation]
        self.in_channels = in_channels
        channels = [scaled(wide, width) for wide in CHANNELS]
        self.conv1 = nn.Conv2d(in_channels, channels[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.act1 = act()
        source = channels[0]
        for stage, wide in enumerate(channels, start=1):
            layers = []
            for number in range(blocks):
                stride = 2 if stage > 1 and number == 0 else 1
                layers.append(SEResidualBlock(source, wide, stride, convs, reduction, act))
                source = wide
            self.add_module(f"stage{stage}", nn.Sequential(*layers))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Linear(source, HIDDEN)
        self.act2 = act()
        self.dropout = nn.Dropout(checked_probability("dropout", dropout))
        self.fc2 = nn.Linear(HIDDEN, num_classes)
        kaiming_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        check_channels("se-residual", x, self.in_channels)
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        x = self.act2(self.fc1(self.pool(x).flatten(1)))
        return self.fc2(self.dropout(x))


@register("se-residual")
def se_residual(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    blocks: int = 8,
    convs: int = 2,
    reduction: int | None = 16,
    activation: str = "relu",
    dropout: float = 0.5,
    width: float = 1.0,
) -> SEResidualNet:
    """The squeeze-and-excitation variant of He et al., arXiv 1512.03385, described above.

    ``blocks``: in each of the three stages. ``convs``: 3×3 convolutions in a block. ``activation``: "relu",
    "tanh" or "sigmoid", everywhere but inside squeeze and excitation.
    """
    return SEResidualNet(num_classes, in_channels, blocks, convs, reduction, activation, dropout, width)
