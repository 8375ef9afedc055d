"""A network without its last layer: what it has learned to see, for another task."""

from __future__ import annotations

from torch import Tensor, nn


def cut_head(model: nn.Module) -> int:
    """Replace the last linear layer of ``model`` by the identity (in place) and return how many features it
    took: the network is now an encoder ``[B, C, H, W]`` → ``[B, features]``.

    The last layer is the last ``nn.Linear`` in the order of the modules. Raises ``ValueError`` for a network
    without one.
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
