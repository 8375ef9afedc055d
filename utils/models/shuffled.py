"""A network behind a fixed shuffle of the pixels: what is a neighbor of what, it can no longer know.

To train it on images is to train the network inside on images whose pixels have all been put into the same
new order. Zhang, Bengio, Hardt, Recht, Vinyals, "Understanding deep learning requires rethinking
generalization", ICLR 2017, arXiv 1611.03530, section 2, trains on such images. Deviations: the networks of
lab 2 in the place of theirs; one order for all images and channels, drawn from ``seed``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from utils.models.baselines import linear, mlp
from utils.models.input_check import check_input
from utils.models.lenet import lenet
from utils.models.registry import register


class Shuffled(nn.Module):
    """``[B, in_channels, side, side]``, in another order of pixels -> the output of the network inside."""

    def __init__(self, network: nn.Module, in_channels: int, side: int, seed: int):
        super().__init__()
        self.network, self.in_channels, self.side = network, in_channels, side
        order = random.Random(seed).sample(range(side * side), side * side)
        self.register_buffer("order", torch.tensor(order), persistent=False)  # follows from the seed

    def forward(self, x: Tensor) -> Tensor:
        check_input("a network behind a shuffle", x, self.in_channels, (self.side, self.side))
        return self.network(x.flatten(2)[:, :, self.order].reshape(x.shape))


@register("shuffled")
def shuffled(
    num_classes: int = 10,
    in_channels: int = 1,
    *,
    network: str = "lenet",
    input_size: int = 32,
    hidden: int | Sequence[int] = (300, 100),
    seed: int = 2,
) -> Shuffled:
    """``network``: "linear", "mlp" (of ``hidden`` units) or "lenet", all of one ``input_size``."""
    if network not in ("linear", "mlp", "lenet"):
        raise ValueError(f"network must be 'linear', 'mlp' or 'lenet', got {network!r}")
    inside: nn.Module
    if network == "mlp":
        inside = mlp(num_classes, in_channels, hidden=hidden, input_size=input_size)
    elif network == "linear":
        inside = linear(num_classes, in_channels, input_size=input_size)
    else:
        inside = lenet(num_classes, in_channels, input_size=input_size)
    return Shuffled(inside, in_channels, input_size, seed)
