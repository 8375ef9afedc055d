"""The factor explorer: what a trained network answers with the channel factors of another image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

MOST_IMAGES, MOST_LAYERS, MOST_CHANNELS = 10, 3, 32  # more cannot be told apart on a phone


def factor_explorer(
    names: Sequence[str],
    pixels: Any,
    labels: Sequence[int],
    factors: Any,
    means: Any,
    answers: Any,
    title: str = "Whose factors?",
    *,
    first: int = 0,
) -> Explorer:
    """Images, the factors of their squeeze-and-excitation layers, and the answers when factors are exchanged.

    names: one short text for each of N images. pixels: ``[N, H, W]`` from -1 (black) over 0 (gray) to 1
    (white). labels: the right classes. factors: ``[N, layers, channels]`` in [0, 1]; means: ``[layers,
    channels]``, over many images. answers: probabilities ``[N, N + 1, 1 + layers, classes]``: of image i with
    the factors of image j (its own where i = j, the means where j = N), put into all layers (0) or into layer
    k alone. first: the image that is shown first.
    """
    names = [str(name) for name in names]
    count = len(names)
    if not 2 <= count <= MOST_IMAGES:
        raise ValueError(f"there must be 2 to {MOST_IMAGES} images, got {count}")
    arrays = {
        name: as_array(values).astype(np.float64)
        for name, values in (
            ("pixels", pixels),
            ("factors", factors),
            ("means", means),
            ("answers", answers),
        )
    }
    layers, channels = arrays["means"].shape if arrays["means"].ndim == 2 else (0, 0)
    classes = arrays["answers"].shape[-1]
    if not 1 <= layers <= MOST_LAYERS or not 1 <= channels <= MOST_CHANNELS:
        raise ValueError(
            f"means must be [1 to {MOST_LAYERS} layers, 1 to {MOST_CHANNELS} channels], "
            f"got {arrays['means'].shape}"
        )
    shapes = {
        "pixels": (count, *arrays["pixels"].shape[1:3]),
        "factors": (count, layers, channels),
        "answers": (count, count + 1, 1 + layers, classes),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape or len(shape) < 3:
            raise ValueError(f"{name} of {count} images must be {list(shape)}, got {arrays[name].shape}")
    for name, low in (("pixels", -1), ("factors", 0), ("means", 0), ("answers", 0)):
        if not np.all((arrays[name] >= low) & (arrays[name] <= 1)):
            raise ValueError(f"{name} must lie between {low} and 1")
    if not np.allclose(arrays["answers"].sum(axis=-1), 1, atol=0.01):
        raise ValueError("answers must be probabilities with the sum 1")
    right = [int(label) for label in labels]
    if len(right) != count or not all(0 <= label < classes for label in right):
        raise ValueError(f"labels must be {count} classes below {classes}, got {right}")
    if not 0 <= first < count:
        raise ValueError(f"first must be an image from 0 to {count - 1}, got {first}")
    data = {"names": names, "labels": right, "first": first}
    data |= {name: np.round(values, 3).tolist() for name, values in arrays.items()}
    summary = (
        f"{count} images ({'; '.join(names)}), the factors of {layers} squeeze-and-excitation layers, and "
        "what the network answers with its own factors, the means, or those of another image."
    )
    return Explorer("factors", title, data, summary)
