"""The Toeplitz builder: the matrix of a convolution, colored by the coefficients of the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

MIN_LENGTH, MAX_LENGTH = 4, 10
MAX_KERNEL = 5
SIDES = (3, 4, 5, 6)

# small whole numbers without a pattern, so that a shifted or reversed result cannot pass for the right one
SIGNAL = (2.0, 5.0, 1.0, 4.0, 3.0, 0.0, 6.0, 2.0, 1.0, 5.0)
PICTURE = (
    (1.0, 4.0, 2.0, 0.0, 3.0, 5.0),
    (3.0, 0.0, 5.0, 2.0, 1.0, 4.0),
    (2.0, 6.0, 1.0, 3.0, 4.0, 0.0),
    (5.0, 1.0, 0.0, 4.0, 2.0, 3.0),
    (0.0, 3.0, 4.0, 1.0, 6.0, 2.0),
    (4.0, 2.0, 3.0, 5.0, 0.0, 1.0),
)
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def toeplitz_builder(
    signal: Any = None,
    kernel: Sequence[float] = (1.0, -2.0, 1.0),
    *,
    padding: int = 1,
    stride: int = 1,
    dilation: int = 1,
    mode: str = "1d",
    kernel_2d: Any = LAPLACIAN,
    image_size: tuple[int, int] = (4, 4),
    title: str = "A convolution is a matrix",
) -> Explorer:
    """The matrix W with W x = the convolution of x: a signal (``mode="1d"``) or a small picture (``"2d"``).

    signal: 4 to 10 values (default: eight). kernel: 1 to 5 coefficients, named a, b, c … on the page; the
    reader changes all of it. padding 0–2, stride 1–3, dilation 1–3 hold for the mode that is shown first; the
    other starts with padding 1.
    kernel_2d: [3, 3]. image_size: (H, W), each 3 to 6. Matrices follow ``F.conv1d`` and ``F.conv2d``
    (cross-correlation).
    """
    values = as_array(SIGNAL[:8] if signal is None else signal).astype(np.float64)
    if values.ndim != 1 or not MIN_LENGTH <= len(values) <= MAX_LENGTH:
        raise ValueError(
            f"signal must hold {MIN_LENGTH} to {MAX_LENGTH} values, got shape {tuple(values.shape)}"
        )
    weights = as_array(kernel).astype(np.float64)
    if weights.ndim != 1 or not 1 <= len(weights) <= MAX_KERNEL:
        raise ValueError(f"kernel must hold 1 to {MAX_KERNEL} coefficients, got shape {tuple(weights.shape)}")
    weights_2d = as_array(kernel_2d).astype(np.float64)
    if weights_2d.shape != (3, 3):
        raise ValueError(f"kernel_2d must be 3×3, got shape {tuple(weights_2d.shape)}")
    if tuple(side for side in image_size if side in SIDES) != tuple(image_size) or len(image_size) != 2:
        raise ValueError(
            f"image_size must be (H, W) with sides from {SIDES[0]} to {SIDES[-1]}, got {image_size!r}"
        )
    if mode not in ("1d", "2d"):
        raise ValueError(f"mode must be '1d' or '2d', got {mode!r}")
    for name, value, choices in (
        ("padding", padding, (0, 1, 2)),
        ("stride", stride, (1, 2, 3)),
        ("dilation", dilation, (1, 2, 3)),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {choices}, got {value!r}")
    settings = {"padding": padding, "stride": stride, "dilation": dilation}
    other = {"padding": 1, "stride": 1, "dilation": 1}
    data = {
        "mode": mode,
        "signal": [*values.tolist(), *SIGNAL[len(values) :]],
        "n": len(values),
        "kernel": weights.tolist(),
        "picture": [list(row) for row in PICTURE],
        "size": list(image_size),
        "kernel2d": weights_2d.tolist(),
        "settings": {"1d": settings if mode == "1d" else other, "2d": settings if mode == "2d" else other},
    }
    summary = (
        "The matrix whose product with the input is the convolution; "
        "each coefficient of the kernel has its own color."
    )
    return Explorer("toeplitz_builder", title, data, summary)
