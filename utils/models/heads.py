"""A network without its last layer: what it has learned to see, for another task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def cut_head(model: nn.Module) -> int:
    """Replace the last linear layer of ``model`` by the identity, and return how many features it took.

    The network, changed in place, is now an encoder ``[B, C, H, W]`` → ``[B, features]``. The last layer is
    the last ``nn.Linear`` in the order of the modules. Raises ``ValueError`` for a network without one.
    """
    last = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)][-1:]
    if not last:
        raise ValueError(f"{type(model).__name__} has no linear layer that could be cut off")
    ((name, head),) = last
    parent, _, own = name.rpartition(".")
    if not own:
        raise ValueError("the network is one linear layer: nothing would be left of it")
    setattr(model.get_submodule(parent), own, nn.Identity())
    return head.in_features


class FrozenEncoder(nn.Module):
    """A trained encoder whose weights and statistics stay as they are, whatever is trained behind it.

    It stays in evaluation mode, also when the network around it is trained, for batch norm would otherwise
    go on collecting statistics.
    """

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> FrozenEncoder:
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)


@torch.no_grad()
def encode(encoder: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Features ``[N, …]`` and labels ``[N]`` of all batches of (x, y), in their order.

    The encoder runs once over each picture, in evaluation mode; its modes are put back afterwards. Raises
    ``ValueError`` where there is no batch.
    """
    modes = {module: module.training for module in encoder.modules()}
    encoder.eval()
    try:
        pairs = [(encoder(x), y) for x, y in batches]
    finally:
        for module, mode in modes.items():
            module.training = mode
    if not pairs:
        raise ValueError("there is no batch to encode")
    features, labels = zip(*pairs, strict=True)
    return torch.cat(features), torch.cat(labels)


def parameter_groups(
    body: nn.Module, head: nn.Module, lr: float, body_factor: float = 0.1
) -> list[dict[str, Any]]:
    """Two groups for a torch optimizer: the head at ``lr``, the body at ``body_factor * lr``.

    Frozen parameters are left out, and so is a group that has no others. ``head`` may be a part of ``body``:
    its parameters are then in the first group alone. Raises ``ValueError`` for a rate or a factor that is not
    positive, and where everything is frozen.
    """
    for name, value in (("lr", lr), ("body_factor", body_factor)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    of_head = {id(parameter) for parameter in head.parameters()}
    above = [p for p in head.parameters() if p.requires_grad]
    below = [p for p in body.parameters() if p.requires_grad and id(p) not in of_head]
    groups = [{"params": above, "lr": lr}, {"params": below, "lr": body_factor * lr}]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError("every parameter is frozen: there is nothing to train")
    return groups
