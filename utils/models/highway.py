"""Highway networks of convolutions for 32×32 images: each layer computes for itself how much it changes.

Srivastava, Greff, Schmidhuber, "Training Very Deep Networks", NeurIPS 2015, arXiv 1507.06228: a layer gives
y = H(x)·T(x) + x·(1 − T(x)), where the transform gate T(x) = σ(W_T x + b_T) has a value between 0 and 1 for
each value of x. The bias b_T starts negative, so that a new network passes its input on nearly unchanged.
As in the paper, H and T have kernels of the same size, plain layers change the number of channels, and
there is no batch norm.

Deviations: the paper's networks for CIFAR-10 follow Fitnets (maxout, dropout, other widths). Here three
stages of 16, 32 and 64 channels on 32², 16² and 8² pixels with ReLU, global average pooling and a linear
layer make the network comparable with ``resnet_cifar``. The plain layers are 3×3 convolutions with ReLU,
with stride 2 at the start of the second and third stage. ``width`` is not in the paper.

With the default 19 layers: 509,194 parameters; without gates 266,714.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from utils.models.initialization import kaiming_fan_out
from utils.models.input_check import check_channels
from utils.models.options import scaled
from utils.models.registry import register

CHANNELS = (16, 32, 64)


class HighwayLayer(nn.Module):
    """y = H(x)·T(x) + x·(1 − T(x)), ``[B, C, H, W]`` -> the same shape, both by 3×3 convolutions.

    The output of ``gate`` is T(x), of the shape of x, between 0 and 1: a forward hook there can read it, and
    ``mean_gates`` does. ``gated=False``: y = H(x).
    """

    def __init__(self, channels: int, gated: bool):
        super().__init__()
        self.transform = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(channels, channels, 3, padding=1), relu=nn.ReLU())
        )
        self.gate: nn.Sequential | None = None
        if gated:
            self.gate = nn.Sequential(
                OrderedDict(conv=nn.Conv2d(channels, channels, 3, padding=1), sigmoid=nn.Sigmoid())
            )

    def forward(self, x: Tensor) -> Tensor:
        if self.gate is None:
            return self.transform(x)
        gate = self.gate(x)
        return self.transform(x) * gate + x * (1 - gate)


class HighwayNet(nn.Module):
    """``[B, in_channels, H, W]`` -> logits ``[B, num_classes]``; any size of image, 32×32 for comparisons."""

    def __init__(
        self, num_classes: int, in_channels: int, depth: int, gate_bias: float, gated: bool, width: float
    ):
        super().__init__()
        if not isinstance(depth, int) or depth < 7 or (depth - 4) % 3:
            raise ValueError(
                f"depth must be 4 plus a multiple of 3, from 7 (three plain layers, as many highway "
                f"layers in each of three stages, one linear layer), got {depth!r}"
            )
        self.in_channels = in_channels
        source = in_channels
        for stage, channels in enumerate(CHANNELS, start=1):
            wide = scaled(channels, width)
            plain = nn.Conv2d(source, wide, 3, stride=1 if stage == 1 else 2, padding=1)
            self.add_module(f"plain{stage}", nn.Sequential(OrderedDict(conv=plain, relu=nn.ReLU())))
            layers = [HighwayLayer(wide, gated) for _ in range((depth - 4) // 3)]
            self.add_module(f"stage{stage}", nn.Sequential(*layers))
            source = wide
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(source, num_classes)
        kaiming_fan_out(self)
        for module in self.modules():
            if isinstance(module, HighwayLayer) and module.gate is not None:
                nn.init.constant_(module.gate.conv.bias, gate_bias)

    def forward(self, x: Tensor) -> Tensor:
        check_channels("highway", x, self.in_channels)
        x = self.stage1(self.plain1(x))
        x = self.stage2(self.plain2(x))
        x = self.stage3(self.plain3(x))
        return self.fc(self.pool(x).flatten(1))


def mean_gates(model: nn.Module, x: Tensor) -> dict[str, float]:
    """The mean of T(x) in each highway layer of ``model`` for the images ``x``, by the layer's module path.

    Near 0 the layer passes its input on, near 1 it replaces it. The model runs as it is, without gradients,
    and has the hooks it had before. Raises ``ValueError`` if it has no gates.
    """
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, HighwayLayer) and module.gate is not None
    }
    if not layers:
        raise ValueError(f"{type(model).__name__} has no highway layers with a gate")
    means: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(module: nn.Module, args: tuple[Tensor, ...], gate: Tensor) -> None:
            means[name] = gate.mean()

        return hook

    handles = [layer.gate.register_forward_hook(keep(name)) for name, layer in layers.items()]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return {name: value.item() for name, value in means.items()}


@register("highway")
def highway(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    depth: int = 19,
    gate_bias: float = -2.0,
    gated: bool = True,
    width: float = 1.0,
) -> HighwayNet:
    """A highway network of Srivastava et al., arXiv 1507.06228, for 32×32 images.

    ``depth``: layers on the way from image to logits, 4 plus a multiple of 3. ``gate_bias``: where the
    biases of the gates start; −2 opens them to about σ(−2) = 0.12. ``gated=False``: the plain network of
    equal depth.
    """
    return HighwayNet(num_classes, in_channels, depth, gate_bias, gated, width)
