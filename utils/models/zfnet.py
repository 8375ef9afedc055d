"""ZFNet: AlexNet with a finer first layer, found by looking at what its filters respond to.

Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, arXiv 1311.2901, figure 3.
AlexNet's first convolution, 11×11 with stride 4, becomes 7×7 with stride 2, the second gets stride 2, and one
tower sees all channels: 96-256-384-384-256 channels, maps of 110², 55², 26², 13² and 6² pixels. 62,357,608
parameters. Contrast normalization across channels follows pool1 and pool2.

Deviations of ``zfnet``:

- The paper gives the sizes of the maps and no padding. Here one pixel around the image, and pooling windows
  that may reach over the edge (``ceil_mode``), lead to its sizes.
- The normalization is AlexNet's; the paper gives no constants.
- Weights start from N(0, 0.01²) and biases at 0, which is how "initialized to 10⁻²" is read here. The paper
  also scales down filters whose root mean square exceeds 0.1 while it trains; that is left out.

Deviations of ``zfnet-cifar`` (6,080,394 parameters, 32×32 images): the first convolution is 3×3 with stride
1, the second has stride 1 and padding 2, so that maps have 32², 16², 8² and 4² pixels; no contrast
normalization; hidden layers have 512 units each; weights start with variance 2 / fan-in, those of fc8 from
N(0, 0.01²). ``batch_norm=True`` puts batch norm before each ReLU of the convolutions.
"""

from __future__ import annotations

from torch import nn

from utils.models.initialization import gaussian, kaiming_fan_in
from utils.models.options import scaled
from utils.models.registry import register
from utils.models.stacks import (
    NamedLayer,
    StackedNetwork,
    conv_relu,
    fully_connected_head,
    local_response_norm,
)

CHANNELS = (96, 256, 384, 384, 256)


class ZFNet(StackedNetwork):
    """Layers by the customary names: conv1, relu1, pool1, lrn1, …, pool5, fc6, fc7, fc8."""

    def __init__(self, num_classes: int, in_channels: int, dropout: float):
        one, two = CHANNELS[:2]
        features = [
            *conv_relu(1, in_channels, one, 7, stride=2, padding=1),  # 110 pixels a side
            ("pool1", _pool()),  # 55
            ("lrn1", local_response_norm()),
            *conv_relu(2, one, two, 5, stride=2),  # 26
            ("pool2", _pool()),  # 13
            ("lrn2", local_response_norm()),
            *_upper_features(CHANNELS, batch_norm=False),  # 6
        ]
        head = fully_connected_head(CHANNELS[-1] * 6 * 6, (4096, 4096), num_classes, dropout)
        super().__init__("zfnet", features, head, in_channels, input_size=224)
        gaussian(self, std=0.01)


class ZFNetCifar(StackedNetwork):
    """ZFNet with first layers and a head for 32×32 images."""

    def __init__(self, num_classes: int, in_channels: int, batch_norm: bool, dropout: float, width: float):
        channels = tuple(scaled(wide, width) for wide in CHANNELS)
        one, two = channels[:2]
        features = [
            *conv_relu(1, in_channels, one, 3, padding=1, batch_norm=batch_norm),  # 32 pixels a side
            ("pool1", _pool()),  # 16
            *conv_relu(2, one, two, 5, padding=2, batch_norm=batch_norm),
            ("pool2", _pool()),  # 8
            *_upper_features(channels, batch_norm),  # 4
        ]
        head = fully_connected_head(channels[-1] * 4 * 4, (scaled(512, width),) * 2, num_classes, dropout)
        super().__init__("zfnet-cifar", features, head, in_channels, input_size=32)
        kaiming_fan_in(self, outputs=[self.classifier.fc8])


def _upper_features(channels: tuple[int, ...], batch_norm: bool) -> list[NamedLayer]:
    """conv3 to pool5."""
    _, two, three, four, five = channels
    return [
        *conv_relu(3, two, three, 3, padding=1, batch_norm=batch_norm),
        *conv_relu(4, three, four, 3, padding=1, batch_norm=batch_norm),
        *conv_relu(5, four, five, 3, padding=1, batch_norm=batch_norm),
        ("pool5", _pool()),
    ]


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


@register("zfnet")
def zfnet(num_classes: int = 1000, in_channels: int = 3, *, dropout: float = 0.5) -> ZFNet:
    """ZFNet for 224×224 images."""
    return ZFNet(num_classes, in_channels, dropout)


@register("zfnet-cifar")
def zfnet_cifar(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    batch_norm: bool = False,
    dropout: float = 0.5,
    width: float = 1.0,
) -> ZFNetCifar:
    """ZFNet for 32×32 images. ``width`` multiplies all numbers of channels and hidden units."""
    return ZFNetCifar(num_classes, in_channels, batch_norm, dropout, width)
