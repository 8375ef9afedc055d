"""MobileNetV2 for 224×224 images, and a variant of it for 32×32.

Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
arXiv 1801.04381, table 2: 3,504,872 parameters and 300.8 million multiply-adds for 1000 classes.

Deviations of ``mobilenet-v2``: none is known. The paper leaves two things open, in which it follows
torchvision: block 1, whose expansion factor is 1, has no expanding 1×1 convolution, and dropout 0.2 comes
before the linear layer.

``mobilenet-v2-cifar`` (2,598,074 parameters) is the variant of a student report on CIFAR-10. Its deviations:

- the first convolution and the stage of 24 channels have stride 1 (``stage_stride`` sets the latter), so that
  32×32 pixels become 4×4, which are averaged without dropout;
- expansion factor 7 (``expansion``) where the paper has 6;
- block 1 keeps its expanding 1×1 convolution (``expand_first``);
- every block of stride 1 has a shortcut, a 1×1 convolution with batch norm where the channels differ
  (``project_shortcut``);
- ReLU instead of ReLU6.

``width`` is the paper's width multiplier: channels are rounded to the nearest multiple of 8 that is not
more than 10 % below, and the last 1×1 convolution is widened but not narrowed.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from utils.models.initialization import kaiming_fan_out
from utils.models.input_check import check_channels
from utils.models.options import checked_probability
from utils.models.registry import register

# Table 2: expansion factor t, output channels c, number of blocks n, stride s of the first of them
STAGES: tuple[tuple[int, int, int, int], ...] = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
FIRST, LAST = 32, 1280  # channels before the first and after the last stage


class InvertedResidual(nn.Module):
    """1×1 convolution to t times the channels, 3×3 for each channel alone, 1×1 without activation; shortcut.

    ``[B, in, H, W]`` -> ``[B, out, H / stride, W / stride]``. ``expand``: whether the first 1×1 is there.
    ``project_shortcut``: a shortcut also where the channels differ, if the stride is 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expansion: int,
        *,
        expand: bool,
        project_shortcut: bool,
        activation: type[nn.Module],
    ):
        super().__init__()
        hidden = in_channels * expansion
        self.expand = conv_bn(in_channels, hidden, 1, activation=activation) if expand else nn.Identity()
        self.depthwise = conv_bn(hidden, hidden, 3, stride=stride, groups=hidden, activation=activation)
        self.project = conv_bn(hidden, out_channels, 1)
        self.shortcut: nn.Module | None = None
        if stride == 1 and in_channels == out_channels:
            self.shortcut = nn.Identity()
        elif stride == 1 and project_shortcut:
            self.shortcut = conv_bn(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return y if self.shortcut is None else y + self.shortcut(x)


class MobileNetV2(nn.Module):
    """``[B, in_channels, H, W]`` -> logits ``[B, num_classes]``, for any size of image.

    ``stages``: rows (t, c, n, s) as in ``STAGES``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        stages: tuple[tuple[int, int, int, int], ...],
        *,
        first_stride: int,
        expand_first: bool,
        project_shortcut: bool,
        activation: type[nn.Module],
        dropout: float,
        width: float,
    ):
        super().__init__()
        if not 0 < width < math.inf:
            raise ValueError(f"width multiplies the numbers of channels and must be positive, got {width!r}")
        self.in_channels = in_channels
        source = multiple_of_8(FIRST * width)
        self.stem = conv_bn(in_channels, source, 3, stride=first_stride, activation=activation)
        for stage, (expansion, channels, count, first) in enumerate(stages, start=1):
            wide = multiple_of_8(channels * width)
            layers = []
            for number in range(count):
                block = InvertedResidual(
                    source,
                    wide,
                    first if number == 0 else 1,
                    expansion,
                    expand=expand_first or expansion != 1,
                    project_shortcut=project_shortcut,
                    activation=activation,
                )
                layers.append(block)
                source = wide
            self.add_module(f"stage{stage}", nn.Sequential(*layers))
        features = multiple_of_8(LAST * max(1.0, width))
        self.head = conv_bn(source, features, 1, activation=activation)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(checked_probability("dropout", dropout))
        self.fc = nn.Linear(features, num_classes)
        kaiming_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        check_channels("mobilenet-v2", x, self.in_channels)
        x = self.stem(x)
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        x = self.head(self.stage7(self.stage6(self.stage5(x))))
        return self.fc(self.dropout(self.pool(x).flatten(1)))


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    """Convolution (no bias, padding that keeps the size at stride 1), batch norm, the activation if any."""
    layers = nn.Sequential()
    layers.add_module(
        "conv",
        nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
        ),
    )
    layers.add_module("bn", nn.BatchNorm2d(out_channels))
    if activation is not None:
        layers.add_module("act", activation())
    return layers


def multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8, or the next above where that would be over 10 % less."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


@register("mobilenet-v2")
def mobilenet_v2(
    num_classes: int = 1000, in_channels: int = 3, *, dropout: float = 0.2, width: float = 1.0
) -> MobileNetV2:
    """MobileNetV2 of Sandler et al., arXiv 1801.04381, for 224×224 images."""
    return MobileNetV2(
        num_classes,
        in_channels,
        STAGES,
        first_stride=2,
        expand_first=False,
        project_shortcut=False,
        activation=nn.ReLU6,
        dropout=dropout,
        width=width,
    )


@register("mobilenet-v2-cifar")
def mobilenet_v2_cifar(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    expansion: int = 7,
    stage_stride: int = 1,
    expand_first: bool = True,
    project_shortcut: bool = True,
    width: float = 1.0,
) -> MobileNetV2:
    """The variant of Sandler et al., arXiv 1801.04381, for 32×32 images.

    ``expansion``: factor t of all blocks but the first (in the report 5, 6 or 7). ``stage_stride``: stride
    of the stage of 24 channels, 1 or 2; with 2 the last map has 2×2 pixels.
    """
    if not isinstance(expansion, int) or expansion < 1:
        raise ValueError(f"expansion must be a whole number from 1, got {expansion!r}")
    if stage_stride not in (1, 2):
        raise ValueError(f"stage_stride must be 1 or 2, got {stage_stride!r}")
    stages = tuple(
        (1 if t == 1 else expansion, c, n, stage_stride if c == 24 else s) for t, c, n, s in STAGES
    )
    return MobileNetV2(
        num_classes,
        in_channels,
        stages,
        first_stride=1,
        expand_first=expand_first,
        project_shortcut=project_shortcut,
        activation=nn.ReLU,
        dropout=0.0,
        width=width,
    )
