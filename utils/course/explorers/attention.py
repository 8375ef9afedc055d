"""The attention explorer: the map of one patch, from queries and keys, beside a convolution's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

BLUR = ((1 / 16, 2 / 16, 1 / 16), (2 / 16, 4 / 16, 2 / 16), (1 / 16, 2 / 16, 1 / 16))
DECIMALS = 3  # of queries and keys on the page
MOST_PATCHES = 16  # on a side; smaller patches cannot be hit with a finger
MOST_PIXELS = 64  # on a side of an image: each is drawn
MOST_NUMBERS = 150_000  # queries and keys together, about a megabyte of page


def attention_explorer(
    examples: Mapping[str, tuple[Any, Mapping[str, tuple[Any, Any]]]],
    kernel: Sequence[Sequence[float]] = BLUR,
    title: str = "Attention between patches",
    query: int | None = None,
) -> Explorer:
    """softmax(q · Kᵀ / √d) over the patches of an image, for a query that the reader chooses.

    As in Vaswani et al., arXiv 1706.03762. examples: name of an image -> (image, layers). The image is
    uint8 [C, H, W] with C = 1 or 3, or floats from 0 to 1. layers: name -> (queries, keys), each [heads, N,
    d]. N is S · S, the patches in reading order, or S · S + 1 with a class token before them; S, the
    patches on a side, is the same in all layers and divides H and W. kernel: 3×3 weights of the convolution
    over patches that the reader may look at for comparison. query: the patch that is chosen at first, in
    reading order; by default the middle one. The attention map is computed on the page from the numbers
    given, rounded to three decimals.
    """
    weights = as_array(kernel).astype(np.float64)
    if weights.shape != (3, 3) or not np.isfinite(weights).all():
        raise ValueError(f"kernel must be 3×3 finite numbers, got {kernel!r}")
    if not examples:
        raise ValueError("examples is empty: at least one image is needed")
    sides: set[int] = set()
    shown, numbers = [], 0
    for name, (image, layers) in examples.items():
        if not layers:
            raise ValueError(f"{name!r} has no layers")
        listed = [_layer(layer, *map(as_array, pair)) for layer, pair in layers.items()]
        sides |= {layer.pop("side") for layer in listed}
        numbers += sum(layer.pop("numbers") for layer in listed)
        shown.append({"name": name, "pixels": _pixels(name, image), "layers": listed})
    if len(sides) > 1:
        found = ", ".join(f"{side}×{side}" for side in sorted(sides))
        raise ValueError(f"all layers must have the same number of patches, got {found}")
    side = sides.pop()
    for example in shown:
        height, width = len(example["pixels"]), len(example["pixels"][0])
        if height % side or width % side:
            raise ValueError(
                f"{example['name']!r} has {height}×{width} pixels, which {side}×{side} patches do not divide"
            )
    if numbers > MOST_NUMBERS:
        raise ValueError(
            f"queries and keys have {numbers:,} numbers; a page holds {MOST_NUMBERS:,}: "
            "give fewer images or layers"
        )
    first = side // 2 * side + side // 2 if query is None else query
    if first not in range(side**2):
        raise ValueError(f"query must be a patch, 0 to {side**2 - 1}, got {query}")
    data = {"side": side, "examples": shown, "kernel": weights.round(6).tolist(), "query": first}
    summary = (
        f"An image of {side} by {side} patches. Choose a patch, a layer and a head: the map shows the weight "
        "with which it attends to each patch, and for comparison the weights of a convolution."
    )
    return Explorer("attention_explorer", title, data, summary)


def _layer(name: str, queries: np.ndarray, keys: np.ndarray) -> dict[str, Any]:
    """One layer for the page, with the number of patches on a side and of numbers in it."""
    if queries.ndim != 3 or queries.shape != keys.shape:
        raise ValueError(
            f"layer {name!r}: queries and keys must be [heads, N, d] alike, "
            f"got {queries.shape} and {keys.shape}"
        )
    if not (np.isfinite(queries).all() and np.isfinite(keys).all()):
        raise ValueError(f"layer {name!r}: queries and keys must be finite")
    tokens = queries.shape[1]
    side = isqrt(tokens)
    if tokens - side * side not in (0, 1) or not 2 <= side <= MOST_PATCHES:
        raise ValueError(
            f"layer {name!r}: N must be S·S, or S·S + 1 with a class token, "
            f"for S from 2 to {MOST_PATCHES}, got {tokens}"
        )
    rounded = {"q": queries, "k": keys}
    return {
        "name": name,
        "classToken": tokens > side * side,
        "side": side,
        "numbers": queries.size + keys.size,
        **{key: value.astype(np.float64).round(DECIMALS).tolist() for key, value in rounded.items()},
    }


def _pixels(name: str, image: Any) -> list[list[str]]:
    """[H][W] colors as "rrggbb"."""
    values = as_array(image)
    if values.ndim != 3 or values.shape[0] not in (1, 3) or max(values.shape[1:]) > MOST_PIXELS:
        raise ValueError(
            f"{name!r} must be [1 or 3, H, W] with at most {MOST_PIXELS} pixels a side, "
            f"got shape {values.shape}"
        )
    if values.dtype != np.uint8:
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise ValueError(
                f"{name!r} must be uint8, or floats from 0 to 1, got {values.min():.3g} to {values.max():.3g}"
            )
        values = (255 * values).round().astype(np.uint8)
    values = np.broadcast_to(values, (3, *values.shape[1:])).transpose(1, 2, 0)
    return [[bytes(pixel.tolist()).hex() for pixel in row] for row in values]
