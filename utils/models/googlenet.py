"""GoogLeNet: modules of parallel 1×1, 3×3 and 5×5 convolutions, with auxiliary classifiers while it trains.

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, arXiv 1409.4842, table 1 and section 5. 224×224
RGB, biases, no batch norm. 6,998,552 parameters without the auxiliary heads, 13,378,280 with them,
1.583·10⁹ multiply-adds for one image. (Parameters of its table that do not agree with its own layers are
not copied: 7×7 convolution 9,472, not 2.7K.) torchvision's ``googlenet`` is another network: batch norm, no
biases, 3×3 in the branch that is 5×5 here.

In training mode with ``auxiliary=True`` the network returns three logits, ``(logits, auxiliary1,
auxiliary2)``, from after 5b, 4a and 4d; in evaluation mode, and without the heads, the logits alone.
The training loop adds the losses of the heads to that of the logits, three tenths of each.

Deviations of ``googlenet``:

- The paper does not give the constants of the local response normalization; they are AlexNet's. With
  ``batch_norm=True`` (arXiv 1502.03167) it is left out, and batch norm precedes every ReLU of a convolution.
- Weights start with variance 2 / fan-in, those that give logits from N(0, 0.01²), biases at 0; the paper does
  not say how.

Deviations of ``googlenet-cifar`` (32×32 images): the first convolution is 3×3 with stride 1 and no pooling
follows it, so that the modules 3, 4 and 5 see 16², 8² and 4² pixels; no local response normalization; the
auxiliary heads, on 2×2 averages here, are off unless ``auxiliary=True``. 5,976,122 parameters without them.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from utils.models.initialization import kaiming_fan_in
from utils.models.input_check import check_input
from utils.models.options import checked_probability, scaled
from utils.models.registry import register
from utils.models.stacks import NamedLayer, conv_relu, local_response_norm

# table 1 of the paper: #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5, pool proj
MODULES: dict[str, tuple[int, int, int, int, int, int]] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
SIDE_OF_MODULES_4 = {224: 14, 32: 8}  # pixels, by the side of the image
AUXILIARY_WEIGHT = 0.3  # of each auxiliary loss, section 5


class Inception(nn.Module):
    """Four branches side by side, their outputs one after another as channels.

    ``[B, in_channels, H, W]`` -> ``[B, out_channels, H, W]``; ``row`` is a row of ``MODULES``.
    """

    def __init__(self, in_channels: int, row: tuple[int, ...], batch_norm: bool):
        super().__init__()
        one, reduce3, three, reduce5, five, projection = row
        self.out_channels = one + three + five + projection

        def branch(*layers: NamedLayer) -> nn.Sequential:
            return nn.Sequential(OrderedDict(layers))

        def conv(name: str, source: int, wide: int, kernel: int) -> list[NamedLayer]:
            return conv_relu(name, source, wide, kernel, padding=kernel // 2, batch_norm=batch_norm)

        self.branch1 = branch(*conv("", in_channels, one, 1))
        self.branch3 = branch(*conv("_reduce", in_channels, reduce3, 1), *conv("", reduce3, three, 3))
        self.branch5 = branch(*conv("_reduce", in_channels, reduce5, 1), *conv("", reduce5, five, 5))
        pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.branch_pool = branch(("pool", pool), *conv("", in_channels, projection, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch3(x), self.branch5(x), self.branch_pool(x)], dim=1)


class GoogLeNet(nn.Module):
    """``[B, in_channels, S, S]``, S = 224 or 32 -> logits ``[B, num_classes]``.

    With auxiliary heads it gives three of them in training mode, as a tuple.
    """

    auxiliary_weight = AUXILIARY_WEIGHT

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        input_size: int = 224,
        auxiliary: bool = True,
        batch_norm: bool = False,
        dropout: float = 0.4,
        auxiliary_dropout: float = 0.7,
        width: float = 1.0,
    ):
        super().__init__()
        self.in_channels, self.input_size = in_channels, (input_size, input_size)
        stem, channels = _stem(in_channels, input_size, batch_norm, width)
        self.stem = nn.Sequential(OrderedDict(stem))
        outputs = {}
        for name, row in MODULES.items():
            module = Inception(channels, tuple(scaled(wide, width) for wide in row), batch_norm)
            self.add_module(f"inception{name}", module)
            channels = outputs[name] = module.out_channels
        self.pool3, self.pool4 = _pool(), _pool()
        self.classifier = nn.Sequential(
            OrderedDict(
                average=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                dropout=nn.Dropout(checked_probability("dropout", dropout)),
                linear=nn.Linear(channels, num_classes),
            )
        )
        self.auxiliary = auxiliary
        if auxiliary:
            side = (SIDE_OF_MODULES_4[input_size] - 5) // 3 + 1  # averages of 5×5 with stride 3
            checked_probability("auxiliary_dropout", auxiliary_dropout)
            options = (side, num_classes, batch_norm, auxiliary_dropout, width)
            self.auxiliary1 = _auxiliary_head(outputs["4a"], *options)
            self.auxiliary2 = _auxiliary_head(outputs["4d"], *options)
        heads = (self.classifier, self.auxiliary1, self.auxiliary2) if auxiliary else (self.classifier,)
        kaiming_fan_in(self, outputs=[head.linear for head in heads])

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        check_input("GoogLeNet", x, self.in_channels, self.input_size)
        x = self.stem(x)  # pixels a side: 28, or 16 of 32
        x = self.pool3(self.inception3b(self.inception3a(x)))  # 14 or 8
        after_4a = self.inception4a(x)
        after_4d = self.inception4d(self.inception4c(self.inception4b(after_4a)))
        x = self.pool4(self.inception4e(after_4d))  # 7 or 4
        logits = self.classifier(self.inception5b(self.inception5a(x)))
        if self.training and self.auxiliary:
            return logits, self.auxiliary1(after_4a), self.auxiliary2(after_4d)
        return logits


def _stem(in_channels: int, input_size: int, batch_norm: bool, width: float) -> tuple[list[NamedLayer], int]:
    """What comes before the modules, and the number of channels it gives."""
    wide, wider = scaled(64, width), scaled(192, width)
    original = input_size == 224
    normalize = original and not batch_norm
    if original:
        first = conv_relu(1, in_channels, wide, 7, stride=2, padding=3, batch_norm=batch_norm)
        first.append(("pool1", _pool()))
    else:
        first = conv_relu(1, in_channels, wide, 3, padding=1, batch_norm=batch_norm)
    layers = [
        *first,
        *([("lrn1", local_response_norm())] if normalize else []),
        *conv_relu("2_reduce", wide, wide, 1, batch_norm=batch_norm),
        *conv_relu(2, wide, wider, 3, padding=1, batch_norm=batch_norm),
        *([("lrn2", local_response_norm())] if normalize else []),
        ("pool2", _pool()),
    ]
    return layers, wider


def _auxiliary_head(
    in_channels: int, side: int, num_classes: int, batch_norm: bool, dropout: float, width: float
) -> nn.Sequential:
    """A classifier on 5×5 averages with stride 3, of which there are ``side`` × ``side``."""
    maps, hidden = scaled(128, width), scaled(1024, width)
    return nn.Sequential(
        OrderedDict(
            [
                ("average", nn.AvgPool2d(5, stride=3)),
                *conv_relu("", in_channels, maps, 1, batch_norm=batch_norm),
                ("flatten", nn.Flatten()),
                ("fc", nn.Linear(maps * side**2, hidden)),
                ("relu_fc", nn.ReLU()),
                ("dropout", nn.Dropout(dropout)),
                ("linear", nn.Linear(hidden, num_classes)),
            ]
        )
    )


def _pool() -> nn.MaxPool2d:
    """Halves an even number of pixels: the last window may reach over the edge."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


@register("googlenet")
def googlenet(
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    auxiliary: bool = True,
    batch_norm: bool = False,
    dropout: float = 0.4,
    auxiliary_dropout: float = 0.7,
) -> GoogLeNet:
    """GoogLeNet for 224×224 images; in training mode it returns three logits unless ``auxiliary=False``."""
    return GoogLeNet(
        num_classes,
        in_channels,
        auxiliary=auxiliary,
        batch_norm=batch_norm,
        dropout=dropout,
        auxiliary_dropout=auxiliary_dropout,
    )


@register("googlenet-cifar")
def googlenet_cifar(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    auxiliary: bool = False,
    batch_norm: bool = False,
    dropout: float = 0.4,
    auxiliary_dropout: float = 0.7,
    width: float = 1.0,
) -> GoogLeNet:
    """GoogLeNet for 32×32 images. ``width`` multiplies all numbers of channels and hidden units."""
    return GoogLeNet(
        num_classes,
        in_channels,
        input_size=32,
        auxiliary=auxiliary,
        batch_norm=batch_norm,
        dropout=dropout,
        auxiliary_dropout=auxiliary_dropout,
        width=width,
    )
