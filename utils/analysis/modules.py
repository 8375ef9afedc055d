"""Finding a module of a network by its path, and holding a network still while it is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from torch import nn

SHOWN = 12  # module paths in a message
PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def followable(model: nn.Module) -> nn.Module:
    """The network itself, in which hooks can follow a run: unwrapped where ``torch.compile`` has wrapped it.

    Raises ``ValueError`` for what is no module of torch, for parallel wrappers and for scripted parts.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch.nn.Module, got {type(model).__name__}: {str(model)[:60]}")
    model = getattr(model, "_orig_mod", model)
    for name, module in model.named_modules():
        what = f"{name} of the model" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"{what} is scripted and cannot be looked into: give the model as it was before torch.jit"
            )
        # one without devices of its own (on a machine without a GPU) only passes on to its module
        if isinstance(module, PARALLEL) and (not name or getattr(module, "device_ids", None)):
            raise ValueError(
                f"{what} is wrapped in {type(module).__name__}: give the network in it, "
                f"model.{name + '.' if name else ''}module"
            )
    return model


def module_paths(model: nn.Module) -> dict[nn.Module, str]:
    """The path of every module, without the steps that ``torch.compile`` puts in around its parts."""
    return {
        module: ".".join(part for part in name.split(".") if part != "_orig_mod")
        for name, module in model.named_modules()
    }


def find_layer(model: nn.Module, layer: str) -> nn.Module:
    """The module at a path such as ``"stage1.0.conv1"``.

    Raises ``ValueError`` with the nearest paths if there is none.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    if layer in modules:
        return modules[layer]
    raise ValueError(f"{type(model).__name__} has no layer {layer!r}; {suggestion(layer, list(modules))}")


def suggestion(name: object, names: Sequence[str]) -> str:
    """The end of a message about an unknown name: those that look like it, or the first that there are."""
    close = get_close_matches(str(name), names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"it has {', '.join(names[:SHOWN]) or 'no parts with a name'}"


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; put back at the end, whatever happens.

    Training flags are set one by one, as a network may have parts in different modes.
    """
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = False
        yield
    finally:
        for module, training in flags:
            module.training = training


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients of the parameters; put back at the end, whatever happens."""
    needs = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in needs:
            parameter.requires_grad_(False)
        # in inference mode, where a caller may be, enable_grad would do nothing
        with evaluation_mode(model), torch.inference_mode(False):
            yield
    finally:
        for parameter, required in needs:
            parameter.requires_grad_(required)


def plain_numbers(value: Any) -> Any:
    """Whole numbers of NumPy as Python's, arrays and lists of them as tuples; anything else as it is."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(plain_numbers(part) for part in value)
    return int(value) if isinstance(value, np.integer) else value
