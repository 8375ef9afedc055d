"""Running a network so that nothing of it changes, reading its layers, and choosing the value to explain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from utils.analysis.modules import find_layer

# a class or channel for all images; one for each; or a unit (channel, row, column) for all
Target = int | Sequence[int] | Tensor


def plain(model: nn.Module) -> nn.Module:
    """The network itself, where ``torch.compile`` has wrapped it: compiled code runs no hooks.

    Raises ``ValueError`` for TorchScript, which has nothing to go back to.
    """
    model = getattr(model, "_orig_mod", model)
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"TorchScript ({name or 'the network'}) runs no hooks: take the network that it was made from"
            )
    return model


def checked_images(x: Any) -> Tensor:
    """``x`` if it is float ``[B, C, H, W]`` with B ≥ 1, otherwise ``ValueError``."""
    if not isinstance(x, Tensor):
        raise ValueError(f"x must be a tensor [B, C, H, W], got {type(x).__name__}")
    if x.ndim != 4 or len(x) == 0:
        raise ValueError(f"x must be images [B, C, H, W] with B at least 1, got shape {list(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"x must be normalized images as floats, got {x.dtype}")
    return x


def run_model(model: nn.Module, x: Tensor, layers: Sequence[str] = ()) -> tuple[Any, dict[str, Tensor]]:
    """The network's output for ``x`` and those of some layers, all in one graph.

    The network goes on with a copy of a layer's output: what it does to that in place (a ReLU, say) does not
    show in what is returned. It also gets a copy of ``x``. Hooks are gone afterwards.

    Raises ``ValueError`` for a layer that does not exist, does not run, runs more than once or does not
    return a tensor.
    """
    modules = {layer: find_layer(model, layer) for layer in layers}
    found: dict[str, list[Any]] = {layer: [] for layer in modules}
    handles = []

    def hook(layer: str) -> Any:
        def keep(module: nn.Module, args: Any, output: Any) -> Any:
            found[layer].append(output)
            return output.clone() if isinstance(output, Tensor) else None

        return keep

    try:
        for layer, module in modules.items():
            handles.append(module.register_forward_hook(hook(layer)))
        output = model(x.clone())
    finally:
        for handle in handles:
            handle.remove()
    for layer, values in found.items():
        kind = type(modules[layer]).__name__
        if len(values) != 1:
            times = "does not run" if not values else f"runs {len(values)} times"
            raise ValueError(f"{layer} ({kind}) {times} in a forward pass; choose a layer that runs once")
        if not isinstance(values[0], Tensor):
            raise ValueError(f"{layer} ({kind}) returns a {type(values[0]).__name__}, not a tensor")
    return output, {layer: values[0] for layer, values in found.items()}


def run_to(model: nn.Module, x: Tensor, layer: str | None) -> tuple[Tensor, Any]:
    """The output of ``layer`` (of the network, if that is None), and the network's."""
    output, values = run_model(model, x, () if layer is None else (layer,))
    value = output if layer is None else values[layer]
    if not isinstance(value, Tensor):
        raise ValueError(f"{type(model).__name__} returns a {type(value).__name__}, not a tensor")
    return value, output


def score(value: Tensor, target: Target, layer: str | None = None, *, over_map: str = "max") -> Tensor:
    """``[B]``: the value that ``target`` chooses from an output ``[B, K]`` or ``[B, K, h, w]``.

    - A whole number k: for ``[B, K]`` entry k; for maps channel k: its strongest unit (``over_map="max"``, as
      Zeiler and Fergus, and Springenberg et al. show them), or the mean of its map (``over_map="mean"``).
    - A list or tensor of B whole numbers: the same, one for each image.
    - A tuple ``(k, row, column)``: this unit of the maps, for all images.

    Raises ``ValueError`` for other outputs and targets, and for numbers out of range.
    """
    where = "the network" if layer is None else layer
    if value.ndim not in (2, 4):
        raise ValueError(f"{where} has an output of shape {list(value.shape)}, not [B, K] or [B, K, h, w]")
    if isinstance(target, tuple):
        return _unit(value, target, where)
    index = chosen(target, len(value)).to(value.device)
    wrong = [k for k in index.tolist() if not 0 <= k < value.shape[1]]
    if wrong:
        kind = "classes" if layer is None else "channels" if value.ndim == 4 else "units"
        raise ValueError(f"target {wrong[0]} is out of range: {where} has {value.shape[1]} {kind}, from 0")
    picked = value[torch.arange(len(value), device=value.device), index]
    if value.ndim == 2:
        return picked
    flat = picked.flatten(1)
    # not amax, which would share the gradient among equal units
    return flat.mean(dim=1) if over_map == "mean" else flat.max(dim=1).values


def chosen(target: Target, images: int) -> Tensor:
    """``[images]`` int64: one class or channel for each image."""
    try:
        index = torch.as_tensor(target)
    except (RuntimeError, TypeError, ValueError):  # None, a word, lists of unequal length
        index = torch.tensor(math.nan)
    if index.dtype == torch.bool or index.is_floating_point() or index.is_complex() or index.ndim > 1:
        raise ValueError(
            "target must be a whole number, one for each image, or a tuple (channel, row, column), "
            f"got {target!r}"
        )
    if index.ndim == 1 and len(index) != images:
        raise ValueError(f"target has {len(index)} values for {images} images")
    return index.long().expand(images)


def _unit(value: Tensor, unit: tuple[Any, ...], where: str) -> Tensor:
    sizes = value.shape[1:]
    whole = all(isinstance(i, int) and not isinstance(i, bool) for i in unit)
    if not whole or len(unit) != 3 or len(sizes) != 3:
        raise ValueError(
            f"a tuple as target is a unit (channel, row, column) of a map; got {unit} for {where} with the "
            f"output {list(value.shape)}. One target for each image is a list"
        )
    if any(not 0 <= i < n for i, n in zip(unit, sizes, strict=True)):
        raise ValueError(f"unit {unit} is out of range: {where} has {list(sizes)} channels, rows, columns")
    channel, row, column = unit
    return value[:, channel, row, column]
