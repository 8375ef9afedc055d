"""Networks that are one stack of layers, convolutions first, by the names of the papers and of Caffe.

These are conv1, relu1, pool1, …, fc6, fc7, fc8. Every function returns pairs of name and layer for
``named_stack``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from utils.models.input_check import check_input
from utils.models.options import checked_probability

NamedLayer = tuple[str, nn.Module]


class StackedNetwork(nn.Module):
    """``features`` (convolutions and pooling), then ``classifier``.

    ``[B, in_channels, input_size, input_size]`` -> logits ``[B, num_classes]``. ``title`` is what the error
    for an input of another shape calls the network.
    """

    def __init__(
        self,
        title: str,
        features: Iterable[NamedLayer],
        classifier: Iterable[NamedLayer],
        in_channels: int,
        input_size: int,
    ):
        super().__init__()
        self.title, self.in_channels, self.input_size = title, in_channels, (input_size, input_size)
        self.features = nn.Sequential(OrderedDict(features))
        self.classifier = nn.Sequential(OrderedDict(classifier))

    def forward(self, x: Tensor) -> Tensor:
        check_input(self.title, x, self.in_channels, self.input_size)
        return self.classifier(self.features(x))


def conv_relu(
    number: int | str,
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    groups: int = 1,
    batch_norm: bool = False,
) -> list[NamedLayer]:
    """A convolution with biases, batch norm if asked for, and ReLU: conv1, bn1, relu1 for number 1."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups)
    norm = [(f"bn{number}", nn.BatchNorm2d(out_channels))] if batch_norm else []
    return [(f"conv{number}", conv), *norm, (f"relu{number}", nn.ReLU())]


def fully_connected_head(
    in_features: int,
    hidden: Sequence[int],
    num_classes: int,
    dropout: float,
    first: int = 6,
    *,
    batch_norm: bool = False,
) -> list[NamedLayer]:
    """Flatten, hidden layers with ReLU and dropout after each, a linear output: fc6, relu6, drop6, fc7, ….

    The layers are numbered from ``first``: 6 after five convolutions, or five blocks of them. With
    ``batch_norm`` there is a norm before each ReLU: bn6, bn7.
    """
    checked_probability("dropout", dropout)
    layers: list[NamedLayer] = [("flatten", nn.Flatten())]
    for number, width in enumerate(hidden, start=first):
        norm = [(f"bn{number}", nn.BatchNorm1d(width))] if batch_norm else []
        layers += [
            (f"fc{number}", nn.Linear(in_features, width)),
            *norm,
            (f"relu{number}", nn.ReLU()),
            (f"drop{number}", nn.Dropout(dropout)),
        ]
        in_features = width
    return [*layers, (f"fc{first + len(hidden)}", nn.Linear(in_features, num_classes))]


def local_response_norm() -> nn.LocalResponseNorm:
    """AlexNet's normalization across channels: x / (2 + 10⁻⁴ · Σ x²)^0.75, summed over 5 channels around.

    Krizhevsky, Sutskever, Hinton, NeurIPS 2012, section 3.3. torch divides its ``alpha`` by the number of
    channels in the sum and the paper does not, so it is 5 · 10⁻⁴ here. The constants are made for pixels from
    0 to 255 less their mean; on images scaled to variance 1 the sum is small and the layer little more than a
    division by 2^0.75.
    """
    return nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
