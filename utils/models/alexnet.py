"""AlexNet: with one tower, with the two of 2012, and for 32×32 images.

Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS 2012
(no arXiv id), and Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014,
arXiv 1404.5997, which has one tower. Five convolutions, three of them followed by overlapping 3×3 max pooling
with stride 2, and three fully connected layers; maps of 55², 27², 13² and 6² pixels.

================= ===================== ========== =========================================================
built as          channels              parameters
================= ===================== ========== =========================================================
alexnet           64-192-384-256-256    61,100,840 one tower, as in torchvision
alexnet, towers=2 96-256-384-384-256    60,965,224 2012: conv2, 4, 5 see one half of the channels; local
                                                   response normalization after conv1 and conv2
alexnet-cifar     64-192-384-256-256     4,816,714 one tower for 32×32
================= ===================== ========== =========================================================

The first convolution, 11×11 with stride 4, gives 54.25 pixels on the 224 that the paper states. It comes to
55 with two pixels of padding on 224 (the default) or without padding on 227 (``input_size=227``).

Deviations:

- One tower: conv4 has the 256 channels of the author's code and of torchvision; a footnote of the paper
  says 384. No normalization, as in torchvision. Weights start with variance 2 / fan-in, those of fc8 from
  N(0, 0.01²), biases at 0.
- Two towers: the layers are the paper's, and so are their first weights: N(0, 0.01²), biases 1 in conv2,
  conv4, conv5 and the hidden layers, so that their ReLUs are on, 0 elsewhere. The two towers are groups of
  channels on one device.
- Dropout follows the two hidden layers, as the paper of 2012 describes it (torchvision has it before them).
- ``alexnet-cifar``: the first convolution is 5×5 with stride 1 (padding 2), so that maps have 32², 16², 8²
  and 4² pixels; hidden layers have 512 units each; weights start as with one tower. ``batch_norm=True`` puts
  batch norm before each ReLU of the convolutions.
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

CHANNELS = {1: (64, 192, 384, 256, 256), 2: (96, 256, 384, 384, 256)}  # by the number of towers
PADDING_TO_55 = {224: 2, 227: 0}  # of the 11×11 convolution with stride 4


class AlexNet(StackedNetwork):
    """Layers by the customary names: conv1, relu1, lrn1, pool1, …, pool5, fc6, fc7, fc8."""

    def __init__(self, num_classes: int, in_channels: int, towers: int, input_size: int, dropout: float):
        if towers not in CHANNELS:
            raise ValueError(f"towers must be 1 or 2, got {towers!r}")
        if input_size not in PADDING_TO_55:
            raise ValueError(
                f"alexnet takes images of 224 or 227 pixels a side, got input_size={input_size!r}"
            )
        channels = CHANNELS[towers]
        first = conv_relu(1, in_channels, channels[0], 11, stride=4, padding=PADDING_TO_55[input_size])
        super().__init__(
            "alexnet",
            _features(first, channels, groups=towers, normalize=towers == 2),
            fully_connected_head(channels[-1] * 6 * 6, (4096, 4096), num_classes, dropout),
            in_channels,
            input_size,
        )
        if towers == 1:
            kaiming_fan_in(self, outputs=[self.classifier.fc8])
        else:
            gaussian(self, std=0.01)
            convolutions, hidden = self.features, self.classifier
            for layer in (convolutions.conv2, convolutions.conv4, convolutions.conv5, hidden.fc6, hidden.fc7):
                nn.init.ones_(layer.bias)


class AlexNetCifar(StackedNetwork):
    """The one-tower AlexNet with a first convolution and a head for 32×32 images."""

    def __init__(self, num_classes: int, in_channels: int, batch_norm: bool, dropout: float, width: float):
        channels = tuple(scaled(wide, width) for wide in CHANNELS[1])
        first = conv_relu(1, in_channels, channels[0], 5, padding=2, batch_norm=batch_norm)
        super().__init__(
            "alexnet-cifar",
            _features(first, channels, batch_norm=batch_norm),
            fully_connected_head(channels[-1] * 4 * 4, (scaled(512, width),) * 2, num_classes, dropout),
            in_channels,
            input_size=32,
        )
        kaiming_fan_in(self, outputs=[self.classifier.fc8])


def _features(
    first: list[NamedLayer],
    channels: tuple[int, ...],
    *,
    groups: int = 1,
    normalize: bool = False,
    batch_norm: bool = False,
) -> list[NamedLayer]:
    """The first convolution as it is given, and all that follows up to pool5.

    Of the five, conv3 alone sees all channels when there are two ``groups``.
    """
    one, two, three, four, five = channels
    norm = batch_norm
    return [
        *first,
        *([("lrn1", local_response_norm())] if normalize else []),
        ("pool1", _pool()),
        *conv_relu(2, one, two, 5, padding=2, groups=groups, batch_norm=norm),
        *([("lrn2", local_response_norm())] if normalize else []),
        ("pool2", _pool()),
        *conv_relu(3, two, three, 3, padding=1, batch_norm=norm),
        *conv_relu(4, three, four, 3, padding=1, groups=groups, batch_norm=norm),
        *conv_relu(5, four, five, 3, padding=1, groups=groups, batch_norm=norm),
        ("pool5", _pool()),
    ]


def _pool() -> nn.MaxPool2d:
    """Overlapping pooling. ``ceil_mode`` halves 32, 16 and 8 and changes nothing for 55, 27 and 13."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


@register("alexnet")
def alexnet(
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    towers: int = 1,
    input_size: int = 224,
    dropout: float = 0.5,
) -> AlexNet:
    """AlexNet with one tower, or with ``towers=2`` that of 2012; ``input_size`` 224 or 227."""
    return AlexNet(num_classes, in_channels, towers, input_size, dropout)


@register("alexnet-cifar")
def alexnet_cifar(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    batch_norm: bool = False,
    dropout: float = 0.5,
    width: float = 1.0,
) -> AlexNetCifar:
    """AlexNet for 32×32 images. ``width`` multiplies all numbers of channels and hidden units."""
    return AlexNetCifar(num_classes, in_channels, batch_norm, dropout, width)
