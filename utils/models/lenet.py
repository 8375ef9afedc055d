"""LeNet-5 as it was in 1998, and the form in which it is usually taught today.

LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 86(11),
1998 (no arXiv id).

``lenet-5`` keeps the paper's architecture, layer by layer (32×32×1 input, trainable parameters, connections
counted as the paper does, bias included):

===== ================================================ ========= ========= ===========
layer what                                             output    trainable connections
===== ================================================ ========= ========= ===========
C1    5×5 convolution                                  6×28×28         156     122,304
S2    2×2 sums, a coefficient and a bias per map       6×14×14          12       5,880
C3    5×5 convolution through the connection table     16×10×10      1,516     151,600
S4    as S2                                            16×5×5           32       2,000
C5    5×5 convolution, all maps                        120×1×1      48,120      48,120
F6    fully connected                                  84           10,164      10,164
RBF   squared distance to 10 fixed codes of ±1         10                0         840
total                                                                60,000     340,908
===== ================================================ ========= ========= ===========

Deviations of ``lenet-5`` from the paper:

- The codes are 7×12 pictures of the digits drawn for this course; the paper's come from its own stylised
  ASCII set. Only the first ``num_classes`` codes are used. For other classes than digits they are arbitrary.
- The output is minus the RBF distance divided by ``temperature``, so that the largest wins, as everywhere
  else in this package. With ``temperature=1`` cross entropy on it is the paper's MAP criterion (its equation
  9) without the constant exp(−j) in the logarithm. The default of 8 brings the loss of an untrained net down
  from several times ln 10, the loss of a guess, to about that.
- Weights start uniform with variance 1 / fan-in; the paper takes the narrower ±2.4 / fan-in and a
  second-order method (stochastic diagonal Levenberg-Marquardt), with which that works. With Adam the wider
  start did better on validation images in each of three seeds (12,000 Fashion-MNIST images, 4 epochs: 85.5 ±
  0.6 against 84.0 ± 0.7 %). Coefficients start at 0.5, biases at 0.
- ``input_size=28`` repeats the border of the image by two pixels, as if it lay on a larger sheet; the paper's
  images are 32×32.

Deviations of ``lenet``, all customary: ReLU for the scaled tanh, max pooling without parameters for trainable
subsampling, C3 fully connected, a linear output for the RBF units; ``input_size=28`` pads the first
convolution with two pixels of zeros.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.models.input_check import check_input
from utils.models.registry import register

# Table I of the paper: which maps of S2 feed each map of C3
C3_CONNECTIONS: tuple[tuple[int, ...], ...] = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)

# The digits 0 to 9 side by side, 12 rows of 7 pixels each; any two differ in at least 21 of the 84 pixels
DIGIT_BITMAPS = """
..###.. ...#... .#####. ####### ....##. ####### ...###. ####### .#####. .#####.
.##.##. ..##... ##...## .....## ....##. ##..... ..##... ####### ##...## ##...##
##...## .###... .....## ....##. ...###. ##..... .##.... .....## ##...## ##...##
##...## #.##... .....## ...##.. ..#.##. ##..... ##..... .....## ##...## ##...##
##...## ..##... ....##. ..####. .##.##. ##..... ##..... ....##. .##.##. ##...##
##...## ..##... ...##.. .....## ##..##. ######. ##.###. ....##. ..###.. ##..###
##...## ..##... ..##... .....## ##..##. .....## ###..## ...##.. .##.##. .###.##
##...## ..##... .##.... .....## ####### .....## ##...## ...##.. ##...## .....##
##...## ..##... ##..... .....## ####### .....## ##...## ..##... ##...## .....##
##...## ..##... ##..... .....## ....##. .....## ##...## ..##... ##...## ....##.
.##.##. ..##... ##..... ##...## ....##. #....## ##...## .##.... ##...## ...##..
..###.. ######. ####### .#####. ....##. .#####. .#####. .##.... .#####. .###...
"""


def digit_codes() -> Tensor:
    """The codes ``[10, 84]`` of the RBF units: +1 where a digit has ink, −1 elsewhere (12 rows of 7)."""
    rows = [line.split() for line in DIGIT_BITMAPS.split("\n") if line]  # 12 rows of 10 strings
    digits = ["".join(row[digit] for row in rows) for digit in range(10)]
    return torch.tensor([[1.0 if pixel == "#" else -1.0 for pixel in digit] for digit in digits])


def scaled_tanh(x: Tensor) -> Tensor:
    """The paper's squashing function 1.7159·tanh(2x/3): f(±1) = ±1, and it bends most near there."""
    return 1.7159 * torch.tanh(x * (2 / 3))


class Subsampling(nn.Module):
    """Sums over 2×2 pixels, times a trainable coefficient, plus a trainable bias, one of each per map.

    ``[B, C, H, W]`` -> ``[B, C, H/2, W/2]``.
    """

    kernel_size = stride = 2

    def __init__(self, channels: int):
        super().__init__()
        self.coefficient = nn.Parameter(torch.full((channels,), 0.5))  # keeps the variance as it is
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        sums = F.avg_pool2d(x, self.kernel_size, divisor_override=1)  # [B, C, H/2, W/2]
        return sums * self.coefficient[:, None, None] + self.bias[:, None, None]

    def count_macs(self, x: Tensor, output: Tensor) -> int:
        """One multiplication by the coefficient for each output; sums are not counted in pooling either."""
        return output.numel()


class TableConv2d(nn.Module):
    """A convolution in which each output map sees only the input maps that a table names.

    ``connections[o]`` are the input maps of output map ``o``. ``weight`` holds one k×k kernel for each
    connection, in the order of the table: ``[connections, k, k]``; ``dense_weight()`` is the weight of the
    ordinary convolution that is computed. Stride 1, no padding.

    ``[B, in, H, W]`` -> ``[B, out, H − k + 1, W − k + 1]``.
    """

    stride = dilation = groups = 1
    padding = 0

    def __init__(self, in_channels: int, connections: tuple[tuple[int, ...], ...], kernel_size: int):
        super().__init__()
        sources = [source for row in connections for source in row]
        if any(not 0 <= source < in_channels for source in sources):
            raise ValueError(f"the table names input maps outside 0 to {in_channels - 1}: {connections}")
        self.in_channels, self.out_channels, self.kernel_size = in_channels, len(connections), kernel_size
        targets = [target for target, row in enumerate(connections) for _ in row]
        # both follow from the table, so they are not saved with the weights
        self.register_buffer("sources", torch.tensor(sources), persistent=False)
        self.register_buffer("targets", torch.tensor(targets), persistent=False)
        self.weight = nn.Parameter(torch.empty(len(sources), kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(len(connections)))
        bounds = torch.tensor([uniform_bound(len(row) * kernel_size**2) for row in connections for _ in row])
        with torch.no_grad():
            self.weight.uniform_(-1, 1).mul_(bounds[:, None, None])

    def dense_weight(self) -> Tensor:
        """The weight ``[out, in, k, k]`` with a zero kernel wherever the table has no connection."""
        dense = self.weight.new_zeros(self.out_channels, self.in_channels, self.kernel_size, self.kernel_size)
        return dense.index_put((self.targets, self.sources), self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.dense_weight(), self.bias)

    def count_macs(self, x: Tensor, output: Tensor) -> int:
        """The connections that exist, not those of the dense weight."""
        return self.weight.numel() * output.shape[-2] * output.shape[-1] * output.shape[0]


class RBFOutput(nn.Module):
    """Distances y_i = Σ_j (x_j − w_ij)² to fixed codes w of ±1, the smallest wins; nothing here is trained.

    ``[B, 84]`` -> ``[B, classes]``.
    """

    def __init__(self, codes: Tensor):
        super().__init__()
        self.register_buffer("codes", codes)

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, None, :] - self.codes).square().sum(dim=-1)  # [B, classes, 84] -> [B, classes]

    def count_macs(self, x: Tensor, output: Tensor) -> int:
        """One square, added up, for each pixel of each code."""
        return self.codes.numel() * output.shape[0]


class LeNet5(nn.Module):
    """The network of 1998: ``[B, in_channels, 32, 32]`` (or 28×28) -> −y / temperature ``[B, num_classes]``.

    y are the distances to the codes, ``model.output(model.features(x))``.
    """

    def __init__(self, num_classes: int, in_channels: int, input_size: int, temperature: float):
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature!r}")
        self.temperature = temperature
        codes = digit_codes()
        if num_classes > len(codes):
            raise ValueError(
                f"lenet-5 has one code for each of {len(codes)} digits, too few for num_classes={num_classes}"
            )
        self.in_channels, self.input_size = in_channels, _checked_size("lenet-5", input_size)
        self.c1 = nn.Conv2d(
            in_channels, 6, kernel_size=5, padding=(32 - input_size) // 2, padding_mode="replicate"
        )
        self.s2 = Subsampling(6)
        self.c3 = TableConv2d(6, C3_CONNECTIONS, kernel_size=5)
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, kernel_size=5)
        self.f6 = nn.Linear(120, 84)
        self.output = RBFOutput(codes[:num_classes])
        for layer in (self.c1, self.c5, self.f6):
            bound = uniform_bound(layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)

    def features(self, x: Tensor) -> Tensor:
        """The states of F6, ``[B, 84]``, within ±1.7159: the picture that is compared with the codes."""
        check_input("lenet-5", x, self.in_channels, self.input_size)
        x = scaled_tanh(self.s2(scaled_tanh(self.c1(x))))  # [B, 6, 14, 14]
        x = scaled_tanh(self.s4(scaled_tanh(self.c3(x))))  # [B, 16, 5, 5]
        x = scaled_tanh(self.c5(x)).flatten(1)  # [B, 120]
        return scaled_tanh(self.f6(x))

    def forward(self, x: Tensor) -> Tensor:
        return -self.output(self.features(x)) / self.temperature


class LeNet(nn.Module):
    """LeNet with ReLU, max pooling and full connection.

    ``[B, in_channels, input_size, input_size]`` -> logits ``[B, num_classes]``.
    """

    def __init__(self, num_classes: int, in_channels: int, input_size: int):
        super().__init__()
        self.in_channels, self.input_size = in_channels, _checked_size("lenet", input_size)
        self.layers = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(in_channels, 6, kernel_size=5, padding=(32 - input_size) // 2),  # 6×28×28
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),  # 6×14×14
                conv2=nn.Conv2d(6, 16, kernel_size=5),  # 16×10×10
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),  # 16×5×5
                flatten=nn.Flatten(),
                fc1=nn.Linear(400, 120),
                relu3=nn.ReLU(),
                fc2=nn.Linear(120, 84),
                relu4=nn.ReLU(),
                output=nn.Linear(84, num_classes),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        check_input("lenet", x, self.in_channels, self.input_size)
        return self.layers(x)


def uniform_bound(fan_in: int) -> float:
    """Bound of the uniform distribution with mean 0 and variance 1 / ``fan_in``."""
    return math.sqrt(3 / fan_in)


@register("lenet-5")
def lenet5(
    num_classes: int = 10, in_channels: int = 1, *, input_size: int = 32, temperature: float = 8.0
) -> LeNet5:
    """LeNet-5 of 1998, for at most 10 classes (one code for each digit) and images of 32×32 or 28×28."""
    return LeNet5(num_classes, in_channels, input_size, temperature)


@register("lenet")
def lenet(num_classes: int = 10, in_channels: int = 1, *, input_size: int = 28) -> LeNet:
    """LeNet of today: 61,706 parameters for one channel, 62,006 for three; ``input_size`` 28 or 32."""
    return LeNet(num_classes, in_channels, input_size)


def _checked_size(model: str, input_size: int) -> tuple[int, int]:
    if input_size not in (28, 32):
        raise ValueError(f"{model} takes images of 28 or 32 pixels a side, got input_size={input_size!r}")
    return (input_size, input_size)
