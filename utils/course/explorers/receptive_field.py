"""The receptive-field builder: stack layers and watch what one unit sees of a picture."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

# sides of the picture: smaller ones show nothing, larger ones only make the page heavy
PICTURE_SIDES = (8, 128)
KINDS = ("conv", "pool")
# name of the number -> smallest and largest value, the same in Python and in the browser
LIMITS = {"n": (8, 512), "k": (1, 31), "s": (1, 8), "p": (0, 15), "d": (1, 16)}
MOST_LAYERS = 40

Layer = tuple[str, int, int, int, int]  # kind, kernel, stride, padding, dilation

CONV3: Layer = ("conv", 3, 1, 1, 1)
POOL2: Layer = ("pool", 2, 2, 0, 1)
SUB3: Layer = ("conv", 3, 2, 1, 1)  # the lecture's "Sub"
RESNET_STEM: tuple[Layer, ...] = (("conv", 7, 2, 3, 1), ("pool", 3, 2, 1, 1))


def dilated(*rates: int) -> tuple[Layer, ...]:
    """One 3×3 convolution for each dilation, padded so that the map keeps its size."""
    return tuple(("conv", 3, 1, rate, rate) for rate in rates)


# name -> side of the input, layers. A pair 1×3, 3×1 reaches as far as one 3×3 and stands here as one.
BUILDER_PRESETS: dict[str, tuple[int, tuple[Layer, ...]]] = {
    "LeNet-5": (32, (("conv", 5, 1, 0, 1), POOL2, ("conv", 5, 1, 0, 1), POOL2, ("conv", 5, 1, 0, 1))),
    "VGG-A": (224, (CONV3, POOL2, CONV3, POOL2, *(CONV3, CONV3, POOL2) * 3)),
    "Lecture's CIFAR-100 net": (32, (*(CONV3,) * 4, SUB3, *(CONV3,) * 4, SUB3)),
    "ResNet-18": (224, (*RESNET_STEM, *(CONV3,) * 4, *(SUB3, CONV3, CONV3, CONV3) * 3)),
    "Plain 3×3, four times": (32, dilated(1, 1, 1, 1)),
    "Dilation 1, 2, 4, 8": (32, dilated(1, 2, 4, 8)),
    "Dilation 2, 2, 2 (gridding)": (32, dilated(2, 2, 2)),
}


def receptive_field_builder(
    picture: Any, preset: str = "LeNet-5", title: str = "What does one unit see?"
) -> Explorer:
    """A stack of convolutions and poolings that the reader changes, and the field of one unit over a picture.

    picture: [S, S] gray or [S, S, 3] color, S from 8 to 128; uint8, or floats from 0 to 1. It is stretched
    to the side of the input. preset: the stack shown first, a key of ``BUILDER_PRESETS``.
    The browser computes the recursion of Araujo, Norris and Sim (Distill 2019) and, for the pixels that a
    dilated or strided stack leaves out, the set of pixels on which the unit depends along each axis.
    """
    if preset not in BUILDER_PRESETS:
        raise ValueError(f"unknown preset {preset!r}; choose one of {', '.join(BUILDER_PRESETS)}")
    pixels = _colors(picture)
    data = {
        "picture": {"side": len(pixels), "rgb": base64.b64encode(pixels.tobytes()).decode("ascii")},
        "preset": preset,
        "presets": [
            {"name": name, "n": side, "layers": [list(layer) for layer in layers]}
            for name, (side, layers) in BUILDER_PRESETS.items()
        ],
        "limits": {name: list(limits) for name, limits in LIMITS.items()},
        "most": MOST_LAYERS,
    }
    summary = (
        "Stack convolutions and poolings; the part of the picture that one unit sees is drawn, "
        "with a table of size, jump and start."
    )
    return Explorer("receptive_field_builder", title, data, summary)


def _colors(picture: Any) -> np.ndarray:
    """uint8 [S, S, 3]."""
    pixels = as_array(picture)
    low, high = PICTURE_SIDES
    square = pixels.ndim in (2, 3) and pixels.shape[0] == pixels.shape[1] and low <= len(pixels) <= high
    if not square or pixels.shape[2:] not in ((), (3,)):
        raise ValueError(
            f"picture must be [S, S] or [S, S, 3] with S from {low} to {high}, got shape {pixels.shape}"
        )
    if pixels.dtype != np.uint8:
        pixels = pixels.astype(np.float64)
        if not ((pixels >= 0) & (pixels <= 1)).all():
            raise ValueError(
                f"a picture of floats must lie within 0 and 1, got {pixels.min():.3g} to {pixels.max():.3g}"
            )
        pixels = (255 * pixels).round().astype(np.uint8)
    return np.ascontiguousarray(
        np.broadcast_to(pixels[..., None], (*pixels.shape, 3)) if pixels.ndim == 2 else pixels
    )
