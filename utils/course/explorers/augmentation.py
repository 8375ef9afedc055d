"""The augmentation explorer: pictures to turn, shift, recolor, cover and blend, by hand or at random."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

PICTURES = (2, 8)  # how many: mixup needs two, and a long list is hard to choose from
SIDES = (8, 64)  # pixels
SHIFT = 8  # pixels, the furthest that a picture can be moved
GRAY_LEVELS = 255

# name -> what is drawn at random: probability of a flip; largest shift in pixels and what comes in at the
# border; largest angle in degrees; strengths of brightness, contrast, saturation and hue, as in ColorJitter;
# side of the Cutout square and its color; whether a second picture is mixed in, with a share from Beta(1,
# 1), which is uniform
_NOTHING = {
    "flip": 0.0, "shift": 0, "border": "reflect", "degrees": 0,
    "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0,
    "size": 0, "fill": "black", "mixup": False,
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "flip and crop": {**_NOTHING, "flip": 0.5, "shift": 4},
    "flip, crop and colors": {
        **_NOTHING, "flip": 0.5, "shift": 4,
        "brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1,
    },
    "flip, translation and Cutout": {**_NOTHING, "flip": 0.5, "shift": 4, "border": "black", "size": 8},
    "any rotation": {**_NOTHING, "degrees": 180},
    "mixup": {**_NOTHING, "mixup": True},
    "everything at once": {
        "flip": 0.5, "shift": 8, "border": "reflect", "degrees": 30,
        "brightness": 0.8, "contrast": 0.8, "saturation": 1.0, "hue": 0.5,
        "size": 12, "fill": "mean color", "mixup": True,
    },
}  # fmt: skip
EXAMPLES = ("plus", "tee", "ell", "crescent", "ring")  # shapes that say something about flips and rotations
EXAMPLE_SEED = 3


def augmentation_explorer(
    images: Any = None,
    names: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    title: str = "Is it still the same thing?",
) -> Explorer:
    """Pictures that the reader augments by sliders or at random, with their label, soft under mixup.

    images: 2 to 8 pictures uint8 ``[N, 1 or 3, S, S]``, S from 8 to 64; default: five of the embedded shapes.
    names: the class of each. mean: per channel on [0, 1], what Cutout may fill with; default: the mean of
    these pictures.

    The operations are those of ``utils.data.augment``, in the order flip, shift, rotation (nearest pixel),
    brightness, contrast, saturation, hue, Cutout, mixup. The second picture of a mixup is taken as it is, and
    blended before normalization, which gives the same as after it but for rounding to gray levels.
    """
    if images is None:
        images, names = _examples()
    pictures = as_array(images)
    low, high = PICTURES
    if (
        pictures.dtype != np.uint8
        or pictures.ndim != 4
        or pictures.shape[1] not in (1, 3)
        or not low <= len(pictures) <= high
    ):
        raise ValueError(
            f"images must be uint8 [{low} to {high}, 1 or 3, S, S], got {pictures.dtype} {pictures.shape}"
        )
    side = pictures.shape[2]
    if pictures.shape[3] != side or not SIDES[0] <= side <= SIDES[1]:
        raise ValueError(
            f"pictures must be square with {SIDES[0]} to {SIDES[1]} pixels a side, got {pictures.shape[2:]}"
        )
    if names is None or len(names) != len(pictures):
        raise ValueError(f"names must be one for each of {len(pictures)} pictures, got {names!r}")
    color = np.repeat(pictures, 3, axis=1) if pictures.shape[1] == 1 else pictures
    levels = (
        color.mean(axis=(0, 2, 3))
        if mean is None
        else np.resize(np.asarray(mean, dtype=float), 3) * GRAY_LEVELS
    )
    if not ((levels >= 0) & (levels <= GRAY_LEVELS)).all():
        raise ValueError(f"mean is in [0, 1] per channel, got {mean}")
    data = {
        "side": side,
        "shift": min(SHIFT, side - 1),
        "mean": [round(float(level)) for level in levels],
        "pictures": [
            {
                "name": str(name),
                "pixels": base64.b64encode(np.ascontiguousarray(picture.transpose(1, 2, 0)).tobytes()).decode(
                    "ascii"
                ),
            }
            for name, picture in zip(names, color, strict=True)
        ],
        "recipes": [{"name": name, **recipe} for name, recipe in RECIPES.items()],
    }
    summary = (
        "Pictures to flip, shift, turn, recolor, cover and blend, "
        "with the label that each result would be given."
    )
    return Explorer("augmentation", title, data, summary)


def _examples() -> tuple[np.ndarray, list[str]]:
    """The first picture of each of ``EXAMPLES``."""
    from utils.data.shapes import make_shapes
    from utils.data.sources import SHAPE_CLASSES

    images, labels = make_shapes(10 * len(SHAPE_CLASSES), EXAMPLE_SEED)
    first = [int(np.flatnonzero(labels == SHAPE_CLASSES.index(name))[0]) for name in EXAMPLES]
    return images[first], list(EXAMPLES)
