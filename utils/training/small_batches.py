"""Whether the smallest batch of an epoch is too small for the model, asked before the epoch begins."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from utils.data.batches import Batches
from utils.data.dataset import Split
from utils.training.checks import evaluating
from utils.training.precision import quiet_generators

# what torch says of a batch normalization that sees one value in each channel
ONE_VALUE = "Expected more than 1 value per channel when training"


def require_batches(
    model: nn.Module,
    train: Split,
    batch_size: int,
    drop_last: bool,
    augment: Callable | None,
    device: torch.device,
) -> None:
    """Raise ``ValueError`` for a batch of an epoch that the model cannot be trained on.

    It is one example for batch normalization where that sees one value in each channel, and what a model
    itself refuses in its method ``require_batch(size)``.
    """
    smallest = batch_size if drop_last else len(train) % batch_size or batch_size
    own: Callable[[int], None] | None = getattr(model, "require_batch", None)
    if own is not None:
        own(smallest)
    if smallest > 1:
        return
    with quiet_generators(device):
        x, _ = next(iter(Batches(train.subset(1), 1, augment, shuffle=False, device=device)))
    found = normalizes_one_value(model, x)
    if found is not None:
        name, shape = found
        raise ValueError(
            f"{_told(len(train), batch_size)}, which the batch normalization {name!r} of "
            f"{type(model).__name__} cannot normalize, for it sees a single value in each channel, {shape}; "
            f"{_way_out(len(train), batch_size)}"
        )


def normalizes_one_value(model: nn.Module, x: Tensor) -> tuple[str, list[int]] | None:
    """A batch normalization that would see one value in each channel of ``x``, and the shape of its input.

    The model runs in evaluation mode, which changes nothing in it. ``x`` is one example as the augmentation
    returns it: of several views there are several values. Scripted modules cannot be looked into.
    """
    plain = getattr(model, "_orig_mod", model)  # of a compiled module
    seen: list[tuple[str, list[int]]] = []
    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(evaluating(plain))
        stack.enter_context(quiet_generators(x.device))
        plain.train()  # says which of its layers normalize in training
        layers = {name: layer for name, layer in plain.named_modules() if isinstance(layer, _BatchNorm)}
        layers = {name: layer for name, layer in layers.items() if layer.training}
        plain.eval()
        for name, layer in layers.items():
            stack.callback(layer.register_forward_pre_hook(_noting(name, seen)).remove)
        if layers:
            plain(x)
    return next((found for found in seen if found[1][0] * prod(found[1][2:]) == 1), None)


def _noting(name: str, seen: list[tuple[str, list[int]]]) -> Callable[..., None]:
    return lambda layer, inputs: seen.append((name, list(inputs[0].shape)))


def _told(n: int, batch_size: int) -> str:
    if n == 1:
        return "there is one example to train on"
    if batch_size == 1:
        return f"{n} examples in batches of 1 are batches of one example"
    return f"{n} examples in batches of {batch_size} leave a last batch of one example"


def _way_out(n: int, batch_size: int) -> str:
    if n == 1:
        return "give more examples"
    size = next(size for size in count(batch_size + 1) if n % size != 1)
    other = f"give another batch_size, such as {size}"
    return other if batch_size == 1 else f"set drop_last=True, or {other}"
