"""What the networks say when they are given images that they do not take."""

from __future__ import annotations

from torch import Tensor, fx


def check_input(model: str, x: Tensor, channels: int, size: tuple[int, int]) -> None:
    """Raise ``ValueError`` unless ``x`` is a batch ``[B, channels, *size]``.

    Only the shape is read, so it costs nothing. While ``torch.fx`` traces a network its input is a
    placeholder without a shape; then there is nothing to check.
    """
    if isinstance(x, fx.Proxy):
        return
    if x.ndim != 4 or tuple(x.shape[1:]) != (channels, *size):
        raise ValueError(
            f"{model} expects images [B, {channels}, {size[0]}, {size[1]}], got {list(x.shape)}; "
            "change the images, or set in_channels (and input_size, where the network has it) "
            "when you build it"
        )


def check_channels(model: str, x: Tensor, channels: int, at_least: int = 1) -> None:
    """Raise ``ValueError`` unless ``x`` is a batch ``[B, channels, H, W]``, H and W at least ``at_least``.

    For networks that take images of any size.
    """
    if isinstance(x, fx.Proxy):
        return
    if x.ndim != 4 or x.shape[1] != channels or min(x.shape[2:]) < at_least:
        raise ValueError(
            f"{model} expects images [B, {channels}, height, width] of at least {at_least}×{at_least} "
            f"pixels, got {list(x.shape)}; set in_channels when you build it, or change the images"
        )
