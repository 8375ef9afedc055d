"""Directions in the space of the weights, along which a loss is drawn.

Li et al., "Visualizing the loss landscape of neural nets" (2018, arXiv 1712.09913). A network with ReLU or
with batch normalization computes the same function when a layer's weights grow and the next layer makes up
for it, so the same step in the weights means little to large weights and much to small ones. Their remedy:
each filter of a random direction gets the norm of the model's own filter.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from utils.data.batches import derive_seed

NORMALIZATIONS = ("filter", "layer", "model", None)
IGNORE = ("bias_bn", None)
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
TRANSPOSED = nn.modules.conv._ConvTransposeNd

Direction = dict[str, Tensor]


def filter_normalized_directions(
    model: nn.Module,
    n: int = 2,
    seed: int = 0,
    *,
    normalize: str | None = "filter",
    ignore: str | None = "bias_bn",
) -> list[Direction]:
    """``n`` random directions, each a tensor like the parameter for every parameter's name.

    Entries are drawn from a standard normal distribution; direction i depends on ``(seed, i)`` and on the
    shapes alone, not on n or the device. Two of them are nearly orthogonal, as random directions of many
    dimensions are.

    normalize: "filter" (the paper's) gives each filter, that is the weights into one output channel or unit,
    the norm of the model's filter (a filter of zeros stays where it is); "layer" each parameter the norm of
    the model's; "model" the whole direction the norm of all the weights that it moves; None leaves the
    numbers as they were drawn.
    ignore: "bias_bn", as in the paper, sets biases and the parameters of normalization layers to 0, so that
    they do not move; None moves them too, each as one filter (the paper's code then moves them along
    themselves).

    Raises ``ValueError`` for other choices, n below 1, a model without parameters to move, and a transposed
    convolution in groups, whose filters are not along one axis.
    """
    if normalize not in NORMALIZATIONS:
        raise ValueError(f"normalize is one of {NORMALIZATIONS}, got {normalize!r}")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, got {n!r}")
    still = ignored_parameters(model, ignore)
    moving = {name: p.detach() for name, p in model.named_parameters() if name not in still}
    if not moving:
        raise ValueError(f"{type(model).__name__} has no parameters that a direction could move")
    axes = _filter_axes(model)
    directions = []
    for number in range(n):
        generator = torch.Generator().manual_seed(derive_seed(seed, number))
        drawn = {name: torch.randn(p.shape, generator=generator).to(p) for name, p in moving.items()}
        if normalize == "model":
            scale = _total_norm(moving) / _total_norm(drawn)
            drawn = {name: tensor * scale for name, tensor in drawn.items()}
        elif normalize is not None:
            drawn = {
                name: _scaled(tensor, moving[name], axes[name] if normalize == "filter" else None)
                for name, tensor in drawn.items()
            }
        zeros = {name: torch.zeros_like(p) for name, p in model.named_parameters() if name in still}
        directions.append({name: (drawn | zeros)[name] for name, _ in model.named_parameters()})
    return directions


def interpolation_direction(
    start: nn.Module | Mapping[str, Tensor], end: nn.Module | Mapping[str, Tensor]
) -> Direction:
    """The direction from one solution to another.

    Start is at 0 and end at 1 (Goodfellow et al. 2015, arXiv 1412.6544).

    ``start``, ``end``: models of the same build, or their ``state_dict``. All floating-point entries move,
    running statistics of batch normalization with them, so that both ends are what they are; in between these
    are averages that belong to neither, see ``batch_statistics`` of
    :func:`~utils.analysis.landscape.loss_surface`.
    """
    first, second = (side.state_dict() if isinstance(side, nn.Module) else side for side in (start, end))
    for name in [*first, *second]:
        if name not in first or name not in second:
            raise ValueError(f"{name!r} is in one of the two solutions only: are they of the same build?")
        if first[name].shape != second[name].shape:
            raise ValueError(
                f"{name!r} has shape {tuple(first[name].shape)} in one solution "
                f"and {tuple(second[name].shape)} in the other"
            )
    return {
        name: (second[name].to(tensor) - tensor).detach()
        for name, tensor in first.items()
        if tensor.is_floating_point()
    }


def ignored_parameters(model: nn.Module, ignore: str | None) -> set[str]:
    """Names of the biases and of the parameters of normalization layers; none for ``ignore=None``."""
    if ignore not in IGNORE:
        raise ValueError(f"ignore is one of {IGNORE}, got {ignore!r}")
    if ignore is None:
        return set()
    names = {name for name, p in model.named_parameters() if p.ndim <= 1}
    for path, module in model.named_modules():
        if isinstance(module, NORMS):
            names |= {f"{path}.{name}".lstrip(".") for name, _ in module.named_parameters()}
    return names


def _filter_axes(model: nn.Module) -> dict[str, int | None]:
    """The axis along which the filters of each parameter lie; None where the parameter is one filter."""
    axes: dict[str, int | None] = {name: 0 if p.ndim >= 2 else None for name, p in model.named_parameters()}
    for path, module in model.named_modules():
        if isinstance(module, TRANSPOSED):
            if module.groups != 1:
                raise ValueError(
                    f"{path or 'the model'}: a transposed convolution with groups={module.groups} is not "
                    "supported"
                )
            axes[f"{path}.weight".lstrip(".")] = 1  # [in, out, …]
    return axes


def _scaled(drawn: Tensor, weight: Tensor, axis: int | None) -> Tensor:
    """``drawn`` with the norms of ``weight``: along ``axis`` each, or as a whole."""
    others = [i for i in range(weight.ndim) if i != axis]
    wanted, given = (torch.linalg.vector_norm(t.double(), dim=others, keepdim=True) for t in (weight, drawn))
    # a filter of zeros stays; one that was drawn as zeros does not happen
    return (drawn.double() * (wanted / given.clamp_min(torch.finfo(torch.float64).tiny))).to(weight.dtype)


def _total_norm(tensors: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([torch.linalg.vector_norm(t.double()) for t in tensors.values()]).norm().float()
