"""VGG: deep networks of 3×3 convolutions.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
arXiv 1409.1556, table 1. Five blocks of convolutions, each followed by 2×2 max pooling, then fully connected
layers of 4096, 4096 and 1000 units; 224×224 RGB. C has 1×1 convolutions where D has the third 3×3 of a block.

========= ================ ============
name      convs of a block parameters
========= ================ ============
vgg-a     1-1-2-2-2        132,863,336
vgg-a-lrn 1-1-2-2-2        132,863,336
vgg-b     2-2-2-2-2        133,047,848
vgg-c     2-2-3-3-3        133,638,952
vgg-d     2-2-3-3-3        138,357,544
vgg-e     2-2-4-4-4        143,667,240
vgg-a-bn  1-1-2-2-2        132,868,840
========= ================ ============

Deviations of all: the weights start as He et al. propose for ReLU (arXiv 1502.01852: variance 2 / fan-in,
biases 0), those of fc8 from N(0, 0.01²); the paper starts all of A's with a variance of 10⁻², which is
N(0, 0.1²) (N(0, 0.01²), often told of VGG, is AlexNet's), and the deeper networks from a trained A.
``vgg-a-bn`` puts batch norm (arXiv 1502.03167) between each convolution and its ReLU; the convolutions keep
their biases, which the norm makes useless, so that the networks with and without it differ by nothing else.
The normalization of ``vgg-a-lrn`` is AlexNet's, as in the paper.

``vgg-a-cifar`` (9,750,922 parameters) and ``vgg-a-bn-cifar`` (9,756,426) are configuration A for 32×32
images, which five poolings reduce to 1×1. Deviations: fully connected layers of 512, 512 and 10 units, no
dropout unless asked for. Weights start from Glorot's normal distribution (variance 2 / (fan-in + fan-out)),
which the paper found to work without pre-training. ``hidden_norm=True`` gives the two hidden layers of
``vgg-a-bn-cifar`` a batch norm too (9,758,474 parameters), as the paper on batch norm has it in every layer.
"""

from __future__ import annotations

from torch import nn

from utils.models.initialization import glorot_normal, kaiming_fan_in
from utils.models.options import scaled
from utils.models.registry import register
from utils.models.stacks import (
    NamedLayer,
    StackedNetwork,
    conv_relu,
    fully_connected_head,
    local_response_norm,
)

CHANNELS = (64, 128, 256, 512, 512)  # of the five blocks
CONVOLUTIONS: dict[str, tuple[int, ...]] = {  # in each block
    "A": (1, 1, 2, 2, 2),
    "A-LRN": (1, 1, 2, 2, 2),
    "B": (2, 2, 2, 2, 2),
    "C": (2, 2, 3, 3, 3),
    "D": (2, 2, 3, 3, 3),
    "E": (2, 2, 4, 4, 4),
}


class VGG(StackedNetwork):
    """Layers by the customary names: conv1_1, relu1_1, …, pool5, fc6, fc7, fc8."""

    def __init__(
        self,
        configuration: str,
        num_classes: int,
        in_channels: int,
        *,
        input_size: int = 224,
        hidden: tuple[int, int] = (4096, 4096),
        batch_norm: bool = False,
        hidden_norm: bool = False,
        dropout: float = 0.5,
        width: float = 1.0,
    ):
        channels = [scaled(wide, width) for wide in CHANNELS]
        side = input_size // 2 ** len(CHANNELS)
        super().__init__(
            f"VGG {configuration}",
            _features(configuration, in_channels, channels, batch_norm),
            fully_connected_head(
                channels[-1] * side**2,
                [scaled(units, width) for units in hidden],
                num_classes,
                dropout,
                batch_norm=hidden_norm,
            ),
            in_channels,
            input_size,
        )


def _features(
    configuration: str, in_channels: int, channels: list[int], batch_norm: bool
) -> list[NamedLayer]:
    layers: list[NamedLayer] = []
    for block, (number, wide) in enumerate(zip(CONVOLUTIONS[configuration], channels, strict=True), start=1):
        for place in range(1, number + 1):
            kernel = 1 if configuration == "C" and place == 3 else 3
            layers += conv_relu(
                f"{block}_{place}", in_channels, wide, kernel, padding=kernel // 2, batch_norm=batch_norm
            )
            in_channels = wide
        if configuration == "A-LRN" and block == 1:
            layers.append(("lrn1", local_response_norm()))
        layers.append((f"pool{block}", nn.MaxPool2d(2)))
    return layers


def _register(configuration: str) -> None:
    @register(f"vgg-{configuration.lower()}")
    def factory(
        num_classes: int = 1000, in_channels: int = 3, *, batch_norm: bool = False, dropout: float = 0.5
    ) -> VGG:
        model = VGG(configuration, num_classes, in_channels, batch_norm=batch_norm, dropout=dropout)
        kaiming_fan_in(model, outputs=[model.classifier.fc8])
        return model


for _configuration in CONVOLUTIONS:
    _register(_configuration)


@register("vgg-a-bn")
def vgg_a_bn(num_classes: int = 1000, in_channels: int = 3, *, dropout: float = 0.5) -> VGG:
    """Configuration A with batch norm, for 224×224 images."""
    model = VGG("A", num_classes, in_channels, batch_norm=True, dropout=dropout)
    kaiming_fan_in(model, outputs=[model.classifier.fc8])
    return model


@register("vgg-a-cifar")
def vgg_a_cifar(
    num_classes: int = 10, in_channels: int = 3, *, dropout: float = 0.0, width: float = 1.0
) -> VGG:
    """Configuration A for 32×32 images. ``width`` multiplies all numbers of channels and hidden units."""
    return _cifar(num_classes, in_channels, dropout, width, batch_norm=False)


@register("vgg-a-bn-cifar")
def vgg_a_bn_cifar(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    hidden_norm: bool = False,
    dropout: float = 0.0,
    width: float = 1.0,
) -> VGG:
    """``vgg-a-cifar`` with batch norm between each convolution and its ReLU.

    ``hidden_norm``: also between each hidden layer and its ReLU.
    """
    return _cifar(num_classes, in_channels, dropout, width, batch_norm=True, hidden_norm=hidden_norm)


def _cifar(
    num_classes: int,
    in_channels: int,
    dropout: float,
    width: float,
    *,
    batch_norm: bool,
    hidden_norm: bool = False,
) -> VGG:
    model = VGG(
        "A",
        num_classes,
        in_channels,
        input_size=32,
        hidden=(512, 512),
        batch_norm=batch_norm,
        hidden_norm=hidden_norm,
        dropout=dropout,
        width=width,
    )
    glorot_normal(model)
    return model
