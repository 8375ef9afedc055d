"""What a convolutional network has to beat: a linear classifier and a multi-layer perceptron on the pixels.

LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 86(11),
1998, section III, compares LeNet with both; the default hidden layers, 300 and 100 units, are one of its
networks. Deviations: ReLU instead of a scaled tanh, logits with cross entropy instead of a squared error.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from utils.models.input_check import check_input
from utils.models.registry import register


class Perceptron(nn.Module):
    """Flatten, then fully connected layers with ReLU between them; with none hidden, a linear classifier.

    ``[B, in_channels, *input_size]`` -> logits ``[B, num_classes]``.
    """

    def __init__(
        self, num_classes: int, in_channels: int, hidden: Sequence[int], input_size: int | tuple[int, int]
    ):
        super().__init__()
        self.in_channels = in_channels
        self.input_size = _height_width(input_size)
        widths = [in_channels * self.input_size[0] * self.input_size[1], *hidden]
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        for number, (wide, narrow) in enumerate(zip(widths[:-1], widths[1:], strict=True), start=1):
            layers[f"hidden{number}"] = nn.Linear(wide, narrow)
            layers[f"relu{number}"] = nn.ReLU()
        layers["output"] = nn.Linear(widths[-1], num_classes)
        self.layers = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        check_input("a network on the flattened image", x, self.in_channels, self.input_size)
        return self.layers(x)


def mlp_width(parameters: int, in_features: int, num_classes: int = 10) -> int:
    """Units of the one hidden layer with which an MLP comes closest to a number of parameters, at least 1.

    With n inputs, h hidden units and K classes there are (n + 1)·h + (h + 1)·K parameters, which gives
    h = (parameters − K) / (n + 1 + K).
    """
    return max(1, round((parameters - num_classes) / (in_features + 1 + num_classes)))


@register("linear")
def linear(
    num_classes: int = 10, in_channels: int = 1, *, input_size: int | tuple[int, int] = 28
) -> Perceptron:
    """A linear classifier on the pixels. ``input_size``: side of a square image, or (height, width)."""
    return Perceptron(num_classes, in_channels, (), input_size)


@register("mlp")
def mlp(
    num_classes: int = 10,
    in_channels: int = 1,
    *,
    hidden: int | Sequence[int] = (300, 100),
    input_size: int | tuple[int, int] = 28,
) -> Perceptron:
    """A multi-layer perceptron with hidden layers of the given widths (one number: one hidden layer).

    As many parameters as the modern LeNet on 28×28 images (61,706; this has 62,020)::

        build_model("mlp", hidden=mlp_width(61_706, in_features=28 * 28), input_size=28)
    """
    widths = tuple(hidden) if isinstance(hidden, list | tuple) else (hidden,)
    if not widths or any(not isinstance(width, int) or width < 1 for width in widths):
        raise ValueError(
            f"hidden must hold at least one positive width, got {hidden!r}; for none, build 'linear'"
        )
    return Perceptron(num_classes, in_channels, widths, input_size)


def _height_width(size: int | tuple[int, int]) -> tuple[int, int]:
    pair = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if len(pair) != 2 or any(not isinstance(side, int) or side < 1 for side in pair):
        raise ValueError(f"input_size must be one positive number or (height, width), got {size!r}")
    return pair
