"""What the networks with a fixed input size say when they are given another one."""

from __future__ import annotations

from torch import Tensor, fx


def check_input(model: str, x: Tensor, channels: int, size: tuple[int, int]) -> None:
    """Raise ``ValueError`` unless ``x`` is a batch ``[B, channels, *size]``. Only the shape is read, so it
    costs nothing.

    While ``torch.fx`` traces a network its input is a placeholder without a shape; then there is nothing to
    check.
    """
    if isinstance(x, fx.Proxy):
        return
    if x.ndim != 4 or tuple(x.shape[1:]) != (channels, *size):
        raise ValueError(
            f"{model} expects images [B, {channels}, {size[0]}, {size[1]}], got {list(x.shape)}; "
            "set in_channels and input_size when you build it, or change the images"
        )
