"""The all-convolutional networks: Model C and the three networks made from it.

Springenberg, Dosovitskiy, Brox, Riedmiller, "Striving for Simplicity: The All Convolutional Net", ICLR 2015
workshop, arXiv 1412.6806, tables 1 and 2. 32×32 RGB; 3×3 convolutions with 96, then 192 channels, which
differ in how the map shrinks from 32 to 16 and to 8. All end alike: a 3×3 convolution without padding (8 to
6), two 1×1 convolutions, global average pooling over the 6×6 maps; no fully connected layer.

============== =============================== ======================== =======================
name           the map shrinks by              parameters (10 classes)  parameters (100 classes)
============== =============================== ======================== =======================
model-c        3×3 max pooling, stride 2                        954,730                  972,100
strided-cnn-c  stride 2 in the layer before                     954,730                  972,100
convpool-cnn-c pooling after one more layer                   1,369,738                1,387,108
all-cnn-c      one more layer, with stride 2                  1,369,738                1,387,108
============== =============================== ======================== =======================

(The paper's table prints "≈ 1.3 M" for the first two.)

Dropout is the paper's: 20 % of the input values and 50 % of the values after each layer that shrinks the map.
``dropout=0, input_dropout=0`` switches it off.

Deviations:

- Pooling and strided convolutions are padded by one pixel; the paper does not say how it comes to the 6×6
  maps that it averages, and without padding they would be 5×5.
- No ReLU after the last convolution, which the paper's table has: a class whose map is all zero would get
  no gradient. ``last_relu=True`` puts it back.
- The weights start with variance 2 / fan-in, those of the last convolution from N(0, 0.01²), biases at 0; the
  paper does not say how.
- ``batch_norm=True`` and ``width`` are not in the paper.
"""

from __future__ import annotations

from torch import nn

from utils.models.initialization import kaiming_fan_in
from utils.models.options import checked_probability, scaled
from utils.models.registry import register
from utils.models.stacks import NamedLayer, StackedNetwork, conv_relu

POOL = "pool"
# table 2 of the paper up to the common end: the channels of a convolution, with its stride if that is not 1
PLANS: dict[str, tuple[int | tuple[int, int] | str, ...]] = {
    "Model C": (96, 96, POOL, 192, 192, POOL),
    "Strided-CNN-C": (96, (96, 2), 192, (192, 2)),
    "ConvPool-CNN-C": (96, 96, 96, POOL, 192, 192, 192, POOL),
    "All-CNN-C": (96, 96, (96, 2), 192, 192, (192, 2)),
}
LAST_CHANNELS = 192


class AllCNN(StackedNetwork):
    """Convolutions are numbered through: the 1×1 convolutions of ``classifier`` have the last two numbers."""

    def __init__(
        self,
        plan: str,
        num_classes: int,
        in_channels: int,
        *,
        dropout: float,
        input_dropout: float,
        batch_norm: bool,
        width: float,
        last_relu: bool,
    ):
        checked_probability("dropout", dropout)
        checked_probability("input_dropout", input_dropout)
        layers: list[NamedLayer] = [("drop0", nn.Dropout(input_dropout))]
        source, number, shrunk = in_channels, 0, 0
        for step in PLANS[plan]:
            if step == POOL:
                stride = 2
                layers.append((f"pool{shrunk + 1}", nn.MaxPool2d(3, stride, padding=1)))
            else:
                channels, stride = step if isinstance(step, tuple) else (step, 1)
                number += 1
                wide = scaled(channels, width)
                layers += conv_relu(number, source, wide, 3, stride=stride, padding=1, batch_norm=batch_norm)
                source = wide
            if stride == 2:
                shrunk += 1
                layers.append((f"drop{shrunk}", nn.Dropout(dropout)))
        wide = scaled(LAST_CHANNELS, width)
        layers += conv_relu(number + 1, source, wide, 3, batch_norm=batch_norm)
        head = conv_relu(number + 2, wide, wide, 1, batch_norm=batch_norm)
        output, relu = conv_relu(number + 3, wide, num_classes, 1)
        head += [output, relu] if last_relu else [output]
        head += [("average", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten())]
        super().__init__(plan, layers, head, in_channels, input_size=32)
        kaiming_fan_in(self, outputs=[output[1]])


def _register(plan: str) -> None:
    @register(plan.lower().replace(" ", "-"))
    def factory(
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        dropout: float = 0.5,
        input_dropout: float = 0.2,
        batch_norm: bool = False,
        width: float = 1.0,
        last_relu: bool = False,
    ) -> AllCNN:
        return AllCNN(
            plan,
            num_classes,
            in_channels,
            dropout=dropout,
            input_dropout=input_dropout,
            batch_norm=batch_norm,
            width=width,
            last_relu=last_relu,
        )


for _plan in PLANS:
    _register(_plan)
