"""ResNet-18 to ResNet-152 for 224×224 images, and the same networks with a stem for 32×32.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385, table 1: a
7×7 convolution of stride 2, 3×3 max pooling of stride 2, four stages of residual blocks with 64, 128, 256
and 512 channels, global average pooling and a linear layer. A block has two 3×3 convolutions (18, 34), or a
1×1 convolution, a 3×3 and a 1×1 to four times the channels ("bottleneck": 50, 101, 152).

========== ============ ========== ====== =================
name       blocks       parameters GMACs  GMACs, stride 3×3
========== ============ ========== ====== =================
resnet-18  2, 2, 2, 2   11,689,512  1.814 the same
resnet-34  3, 4, 6, 3   21,797,672  3.664 the same
resnet-50  3, 4, 6, 3   25,557,032  3.858 4.089
resnet-101 3, 4, 23, 3  44,549,160  7.570 7.801
resnet-152 3, 8, 36, 3  60,192,808 11.282 11.514
========== ============ ========== ====== =================

``stride_in`` says which convolution of a bottleneck halves the map: "1x1", the first, is the paper's; "3x3"
is the form known as v1.5, which torchvision has.

Deviations:

- 18 and 34 layers, too, take 1×1 projections where the shape changes (the paper's option B); its table 2 has
  them with zero padding (option A), table 3 compares both for 34.
- ``-cifar``: the stem is one 3×3 convolution of stride 1 without pooling, so that 32×32 pixels become 4×4 in
  the last stage. This is customary, and not in the paper, whose networks for 32×32 are in ``resnet_cifar``.
- ``width`` (not in the paper) multiplies all numbers of channels.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from utils.models.initialization import kaiming_fan_out
from utils.models.input_check import check_channels
from utils.models.options import scaled
from utils.models.registry import register

BLOCKS: dict[str, tuple[int, int, int, int]] = {  # table 1, blocks of conv2_x to conv5_x
    "resnet-18": (2, 2, 2, 2),
    "resnet-34": (3, 4, 6, 3),
    "resnet-50": (3, 4, 6, 3),
    "resnet-101": (3, 4, 23, 3),
    "resnet-152": (3, 8, 36, 3),
}
BOTTLENECK = ("resnet-50", "resnet-101", "resnet-152")
CHANNELS = (64, 128, 256, 512)

Recalibrate = Callable[[int], nn.Module]  # from a number of channels to a layer that keeps the shape


class BasicBlock(nn.Module):
    """3×3, 3×3, the shortcut added, ReLU: ``[B, in, H, W]`` -> ``[B, channels, H / stride, W / stride]``.

    ``recalibrate`` makes a layer for the end of the branch, before the addition. ``stride_in`` has no effect.
    """

    expansion = 1

    def __init__(
        self, in_channels: int, channels: int, stride: int, stride_in: str, recalibrate: Recalibrate | None
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.recalibrate = recalibrate(channels) if recalibrate else nn.Identity()
        self.shortcut = projection(in_channels, channels, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.recalibrate(self.bn2(self.conv2(y)))
        return self.relu2(y + self.shortcut(x))


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1, the shortcut added, ReLU.

    ``[B, in, H, W]`` -> ``[B, 4·channels, H / stride, W / stride]``; ``stride_in`` says where the stride is.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, stride: int, stride_in: str, recalibrate: Recalibrate | None
    ):
        super().__init__()
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        out_channels = self.expansion * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.recalibrate = recalibrate(out_channels) if recalibrate else nn.Identity()
        self.shortcut = projection(in_channels, out_channels, stride)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        y = self.recalibrate(self.bn3(self.conv3(y)))
        return self.relu3(y + self.shortcut(x))


class ResNet(nn.Module):
    """``[B, in_channels, H, W]`` -> logits ``[B, num_classes]``, for any size of image.

    ``blocks``: number of blocks in each of the four stages. ``small_images``: the stem for 32×32.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        num_classes: int,
        in_channels: int,
        *,
        small_images: bool,
        stride_in: str = "1x1",
        width: float = 1.0,
        recalibrate: Recalibrate | None = None,
    ):
        super().__init__()
        if stride_in not in ("1x1", "3x3"):
            raise ValueError(f"stride_in must be '1x1' (the paper) or '3x3' (v1.5), got {stride_in!r}")
        self.in_channels = in_channels
        channels = [scaled(wide, width) for wide in CHANNELS]
        if small_images:
            self.conv1 = nn.Conv2d(in_channels, channels[0], 3, padding=1, bias=False)
        else:
            self.conv1 = nn.Conv2d(in_channels, channels[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity() if small_images else nn.MaxPool2d(3, stride=2, padding=1)
        source = channels[0]
        for stage, (wide, count) in enumerate(zip(channels, blocks, strict=True), start=1):
            layers = []
            for number in range(count):
                stride = 2 if stage > 1 and number == 0 else 1
                layers.append(block(source, wide, stride, stride_in, recalibrate))
                source = block.expansion * wide
            self.add_module(f"stage{stage}", nn.Sequential(*layers))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(source, num_classes)
        kaiming_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        check_channels("a residual network", x, self.in_channels)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        return self.fc(self.pool(x).flatten(1))


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The identity where the shape stays, a 1×1 convolution with batch norm where it changes."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


def _register(name: str, small_images: bool) -> None:
    block = Bottleneck if name in BOTTLENECK else BasicBlock

    def factory(
        num_classes: int = 10 if small_images else 1000,
        in_channels: int = 3,
        *,
        stride_in: str = "1x1",
        width: float = 1.0,
    ) -> ResNet:
        return ResNet(
            block,
            BLOCKS[name],
            num_classes,
            in_channels,
            small_images=small_images,
            stride_in=stride_in,
            width=width,
        )

    factory.__doc__ = (
        f"{name} of He et al., arXiv 1512.03385, "
        f"{'with a 3×3 stem for 32×32 images' if small_images else 'for 224×224 images'}."
    )
    register(f"{name}-cifar" if small_images else name)(factory)


for _name in BLOCKS:
    _register(_name, small_images=False)
    _register(_name, small_images=True)
