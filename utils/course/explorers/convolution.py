"""The convolution stepper: a kernel that moves over a small picture, with every product written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

# largest picture and kernel (per side) whose values can still be told apart on a page
MAX_IMAGE = 32
MAX_KERNEL = 7

KERNELS: dict[str, list[list[float]]] = {
    "Laplacian (edges)": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "Sobel, left to right": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "Sobel, top to bottom": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "Gaussian blur": [[0.0625, 0.125, 0.0625], [0.125, 0.25, 0.125], [0.0625, 0.125, 0.0625]],
    "Sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "Shift by one pixel": [[0, 0, 0], [0, 0, 1], [0, 0, 0]],
}


def convolution_stepper(
    image: Any,
    kernels: Mapping[str, Any] | None = None,
    *,
    padding: int = 0,
    stride: int = 1,
    dilation: int = 1,
    flip: bool = False,
    decimals: int = 2,
    title: str = "A kernel moves over a picture",
) -> Explorer:
    """A picture, a choice of kernels, and controls: padding 0–2, stride 1–3, dilation 1–2, flipping.

    image: [H, W], gray, H and W from 2 to 32; uint8 is scaled to [0, 1]. Values are rounded to ``decimals``,
    so that the sums on the page are exactly the sums of the numbers one can read there.
    kernels: name -> [kh, kw], up to 7×7 (default ``KERNELS``); the first is shown. ``flip`` starts with true
    convolution instead of the cross-correlation that ``F.conv2d`` computes.
    """
    pixels = as_array(image)
    if pixels.ndim != 2 or not all(2 <= side <= MAX_IMAGE for side in pixels.shape):
        raise ValueError(
            f"image must be [H, W] with sides from 2 to {MAX_IMAGE}, got shape {tuple(pixels.shape)}"
        )
    if pixels.dtype == np.uint8:
        pixels = pixels / 255
    pixels = pixels.astype(np.float64)
    if not np.isfinite(pixels).all():
        raise ValueError("image holds NaN or infinite values")
    for name, value, choices in (
        ("padding", padding, (0, 1, 2)),
        ("stride", stride, (1, 2, 3)),
        ("dilation", dilation, (1, 2)),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {choices}, got {value!r}")
    chosen = [
        {"name": name, "weights": _kernel(name, weights)} for name, weights in (kernels or KERNELS).items()
    ]
    height, width = pixels.shape
    data = {
        "image": pixels.round(decimals).tolist(),
        "kernels": chosen,
        "padding": padding,
        "stride": stride,
        "dilation": dilation,
        "flip": flip,
    }
    summary = (
        f"A kernel is moved over a {height} × {width} picture; "
        "each output value is the sum of the products under it."
    )
    return Explorer("convolution_stepper", title, data, summary)


def _kernel(name: str, weights: Any) -> list[list[float]]:
    kernel = as_array(weights).astype(np.float64)
    if kernel.ndim != 2 or not all(1 <= side <= MAX_KERNEL for side in kernel.shape):
        raise ValueError(
            f"kernel {name!r} must be [kh, kw] with sides from 1 to {MAX_KERNEL}, got shape {kernel.shape}"
        )
    if not np.isfinite(kernel).all():
        raise ValueError(f"kernel {name!r} holds NaN or infinite values")
    return kernel.tolist()
