"""What ``fit`` asks of its arguments before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

import torch
from torch import Tensor, nn

from utils.data.batches import Batches
from utils.data.dataset import Dataset, Split
from utils.training.precision import quiet_generators


def chosen_device(name: str | torch.device | None, default: torch.device) -> torch.device:
    """The device of that name; ``ValueError`` for one that torch does not know or this machine lacks."""
    if name is None:
        return default
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # the latter where torch was built without CUDA
        raise ValueError(
            f"{str(name)!r} is no device of this machine, such as cpu or, with a GPU, cuda"
        ) from None
    return device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; afterwards each of its modules is in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def require_seed(seed: int) -> None:
    """Raise ``ValueError`` for what is no whole number of at least 0."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0, got {seed!r}")


def require_module(model: nn.Module, compile: bool) -> None:
    """Raise ``ValueError`` for a module that was traced, or that cannot be compiled once more."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch module, got {_named(model)}")
    if isinstance(model, torch.jit.TracedModule):
        raise ValueError(
            "the model was traced, and a traced module does not change between training and evaluation; "
            "give the module that it was traced from"
        )
    scripted = isinstance(model, torch.jit.ScriptModule)
    if compile and (scripted or hasattr(model, "_orig_mod")):
        raise ValueError(
            f"compile=True needs a plain module, and the model is {'scripted' if scripted else 'compiled'} "
            "already; leave compile out, or give the module that it was made from"
        )


def require_counts(**values: int | None) -> None:
    """Raise ``ValueError`` for what is neither None nor a whole number of at least 1."""
    for name, value in values.items():
        if value is not None and (not isinstance(value, Integral) or value < 1):
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


def require_splits(train: Split, valid: Split | None) -> None:
    """Raise ``ValueError`` for what is no split, is empty, or whose images differ in size."""
    for part, split in (("train", train), ("valid", valid)):
        if not isinstance(split, Split) and (split is not None or part == "train"):
            hint = f"; give one of its splits, dataset.{part}" if isinstance(split, Dataset) else ""
            raise ValueError(f"{part} must be a Split, got {_named(split)}{hint}")
        if split is not None and len(split) == 0:
            raise ValueError(f"the {part} split is empty")
    if valid is not None and valid.images.shape[1:] != train.images.shape[1:]:
        raise ValueError(
            f"images of train and valid differ: {tuple(train.images.shape[1:])} "
            f"and {tuple(valid.images.shape[1:])}"
        )


def count_outputs(model: nn.Module, train: Split, device: torch.device) -> int:
    """The number of outputs K of the model, which is moved to ``device``, from a pass over one image."""
    name = type(model).__name__
    x, _ = next(iter(Batches(train.subset(1), 1, shuffle=False, device=device)))
    try:
        with quiet_generators(device), torch.no_grad(), evaluating(model.to(device)):
            logits = model(x)
    except RuntimeError as error:
        raise ValueError(
            f"{name} does not take images of {tuple(x.shape[1:])} (channels, height, width): {error}"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(
            f"{name} must return one row of outputs per image, [B, K]; for B = 1 it gave {shape}"
        )
    return logits.shape[1]


def require_labels(model: nn.Module, outputs: int, train: Split, valid: Split | None) -> None:
    """Raise ``ValueError`` for labels that are not numbers of the model's outputs."""
    for part, split in (("train", train), ("valid", valid)):
        if split is not None:
            require_labels_below(outputs, split.labels, f"labels of {part}", model)


def require_labels_below(outputs: int, labels: Tensor, what: str, model: nn.Module) -> None:
    """Raise ``ValueError`` for ``labels``, told as ``what``, that are not numbers of the model's outputs."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= outputs:
        raise ValueError(
            f"{what} go from {low} to {high}, "
            f"but {type(model).__name__} has {outputs} outputs (0 to {outputs - 1})"
        )


def _named(value: object) -> str:
    """The class of a value with its article; None is None."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
