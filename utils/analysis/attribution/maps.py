"""What a network has inside, to look at: the maps of its layers, and the filters of the first."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from utils.analysis.attribution.running import checked_images, plain, run_model
from utils.analysis.modules import find_layer, frozen

ORDERS = ("index", "norm")


def feature_maps(model: nn.Module, x: Tensor, layers: str | Sequence[str]) -> dict[str, Tensor]:
    """The outputs of some layers for ``x``: module path -> a copy, ``[B, c, h, w]`` for layers with maps.

    The copies show what the layer returns, also where the next one works in place. Raises ``ValueError`` for
    an unknown layer (with the nearest paths), and for one that does not run exactly once.
    """
    model, x = plain(model), checked_images(x)
    names = [layers] if isinstance(layers, str) else list(layers)
    with frozen(model), torch.no_grad():
        _, values = run_model(model, x, names)
    # a layer such as the identity returns a tensor of the network's, which may still be written into
    return {name: value.clone() for name, value in values.items()}


def filter_grid(
    model: nn.Module,
    layer: str | None = None,
    n: int = 16,
    *,
    gray: bool = False,
    channel: int | None = None,
    order: str = "index",
    shared_scale: bool = False,
) -> Tensor:
    """Filters of a convolution as pictures ``[n, 3 or 1, kh, kw]`` with values from 0 to 1.

    Weight w becomes ½ + w / (2 max|w|), so that mid-gray is 0, with the maximum over the filter, or over all
    pictures with ``shared_scale``. ``layer`` is the path of an ``nn.Conv2d``, default the first of the
    network. Filters over three channels are pictures in color; with ``gray`` the mean over the channels,
    which is the filter's answer to gray pictures. ``channel``: only the slice over this input channel, which
    layers with neither 1 nor 3 input channels need. ``order="norm"``: the filters with the largest weights
    (Euclidean norm) first. ``n``: all, where there are fewer.

    Raises ``ValueError`` for a layer that is unknown or no convolution, and for options that do not fit.
    """
    model = plain(model)
    name, weight = _convolution(model, layer)
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, got {n!r}")
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {order!r}")
    if order == "norm":
        weight = weight[weight.flatten(1).norm(dim=1).argsort(descending=True, stable=True)]
    sources = weight.shape[1]
    if channel is not None:
        if not 0 <= channel < sources:
            raise ValueError(f"channel {channel} is out of range: {name} has {sources} input channels")
        weight = weight[:, channel : channel + 1]
    elif gray:
        weight = weight.mean(dim=1, keepdim=True)
    elif sources not in (1, 3):
        raise ValueError(
            f"the filters of {name} are over {sources} channels, not 3 colors: choose one with channel=0, "
            "or the mean with gray=True"
        )
    weight = weight[:n]
    reach = weight.abs().amax(dim=None if shared_scale else (1, 2, 3), keepdim=True)
    return 0.5 + weight / (2 * reach.clamp(min=torch.finfo(weight.dtype).tiny))


def _convolution(model: nn.Module, layer: str | None) -> tuple[str, Tensor]:
    if layer is None:
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d):
                return name, module.weight.detach()
        raise ValueError(f"{type(model).__name__} has no convolution")
    module = find_layer(model, layer)
    if not isinstance(module, nn.Conv2d):
        raise ValueError(f"{layer} is a {type(module).__name__}, not a Conv2d")
    return layer, module.weight.detach()
