"""Pictures made by code: ten shapes that differ in spatial structure and in nothing else.

Every class has the same distribution of area, position, color, background and clutter, figures are as often
lighter as darker than the ground, and the area does not tell the class: a classifier that weighs pixels one
by one has little to go by, one that sees edges, corners and holes has everything.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from utils.data.sources import SHAPE_CLASSES

SIDE = 32  # pixels
AREA = (0.06, 0.20)  # share of the picture that a figure covers
TURN = np.deg2rad(15)  # figures are turned by up to this much either way
MARGIN = 1.0  # pixels between a figure's circumscribed circle and the border, as far as there is room
CONTRAST = 0.22  # smallest distance of the mean of figure and ground color, on [0, 1]
SHADE = 0.15  # how far the ground drifts from one side of the picture to the other
STROKES = 3  # of clutter in each picture, drawn across ground and figure
STROKE_LENGTH = (4.0, 12.0)  # pixels
STROKE_WIDTH = (0.5, 1.0)  # pixels, half
NOISE = 0.06  # standard deviation of the pixel noise, on [0, 1]
BLOCK = 200  # pictures drawn at a time, few enough to stay in the processor's cache

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]


def make_shapes(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """``n`` pictures uint8 ``[n, 3, 32, 32]`` and labels int64 ``[n]``, in random order.

    The classes come equally often (± 1).

    The same ``n`` and ``seed`` give the same pictures. ``ValueError`` unless n ≥ 1.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"the number of shapes must be a positive whole number, got {n!r}")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % len(SHAPE_CLASSES))
    images = np.empty((n, 3, SIDE, SIDE), np.uint8)
    for start in range(0, n, BLOCK):
        images[start : start + BLOCK] = _draw(labels[start : start + BLOCK], rng)
    return images, labels.astype(np.int64)


def _draw(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One picture for each label."""
    n = len(labels)
    unit_area, reach = np.array([_measure(name) for name in SHAPE_CLASSES], np.float32)[labels].T
    scale = SIDE * np.sqrt(rng.uniform(*AREA, n).astype(np.float32) / unit_area)
    room = np.maximum(SIDE / 2 - MARGIN - scale * reach, 0)
    center = (SIDE - 1) / 2 + rng.uniform(-1, 1, (2, n)).astype(np.float32) * room
    turn = rng.uniform(-TURN, TURN, n).astype(np.float32)

    # coordinates of every pixel in the figure's own frame, where its size is 1 and y points up
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    right = (columns - center[0][:, None, None]) / scale[:, None, None]
    up = (center[1][:, None, None] - rows) / scale[:, None, None]
    cosine, sine = np.cos(turn)[:, None, None], np.sin(turn)[:, None, None]
    x, y = cosine * right + sine * up, cosine * up - sine * right

    distance = np.empty((n, SIDE, SIDE), np.float32)
    for label, name in enumerate(SHAPE_CLASSES):
        chosen = labels == label
        distance[chosen] = FIELDS[name](x[chosen], y[chosen])
    cover = np.clip(0.5 - distance * scale[:, None, None], 0, 1)  # an edge one pixel wide

    ground, figure, clutter = _colors(n, rng)
    picture = ground[:, :, None, None] + _shading(n, rng)[:, None]
    picture += cover[:, None] * (figure[:, :, None, None] - picture)
    for stroke in range(STROKES):
        cover = _stroke(n, rng, rows, columns)[:, None]
        picture += cover * (clutter[stroke][:, :, None, None] - picture)
    picture += NOISE * rng.standard_normal(picture.shape, np.float32)
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)


def _colors(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ground, figure and clutter colors on [0, 1], with at least ``CONTRAST`` between ground and figure."""
    low = rng.uniform(0, 1 - CONTRAST, n)
    high = low + CONTRAST + rng.uniform(0, 1, n) * (1 - CONTRAST - low)
    lighter = rng.random(n) < 0.5
    brightness = np.stack([np.where(lighter, low, high), np.where(lighter, high, low)])
    tint = rng.uniform(-0.2, 0.2, (2, n, 3))
    tint -= tint.mean(axis=2, keepdims=True)  # leaves the brightness as it is
    ground, figure = np.clip(brightness[:, :, None] + tint, 0, 1).astype(np.float32)
    return ground, figure, rng.random((STROKES, n, 3), np.float32)


def _shading(n: int, rng: np.random.Generator) -> np.ndarray:
    """A linear drift of brightness over each picture, ``[n, H, W]``, in a random direction."""
    towards = rng.uniform(0, 2 * np.pi, n).astype(np.float32)
    strength = rng.uniform(0, SHADE, n).astype(np.float32)
    line = np.linspace(-0.5, 0.5, SIDE, dtype=np.float32)
    slope_x, slope_y = strength * np.cos(towards), strength * np.sin(towards)
    return slope_x[:, None, None] * line[None, None, :] + slope_y[:, None, None] * line[None, :, None]


def _stroke(n: int, rng: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Cover ``[n, H, W]`` of one short straight stroke in each picture."""
    middle = rng.uniform(0, SIDE, (2, n, 1, 1)).astype(np.float32)
    angle = rng.uniform(0, np.pi, (n, 1, 1)).astype(np.float32)
    length = rng.uniform(*STROKE_LENGTH, (n, 1, 1)).astype(np.float32)
    width = rng.uniform(*STROKE_WIDTH, (n, 1, 1)).astype(np.float32)
    along = (columns - middle[0]) * np.cos(angle) + (rows - middle[1]) * np.sin(angle)
    across = (rows - middle[1]) * np.cos(angle) - (columns - middle[0]) * np.sin(angle)
    outside = np.sqrt(np.maximum(np.abs(along) - length / 2, 0) ** 2 + across**2)
    return np.clip(width + 0.5 - outside, 0, 1)


# Figures of size 1 as fields over the plane: negative inside, positive outside, near the edge the distance
# from it.


def _box(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - 1


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(np.hypot(x, y) - 0.75) - 0.25


def _crescent(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.hypot(x, y) - 1, 0.8 - np.hypot(x - 0.5, y))


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _box(x, y, 0.8, 0.8)


def _frame(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(_box(x, y, 0.8, 0.8), -_box(x, y, 0.4, 0.4))


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    slope = np.sqrt(3) / 2
    return np.maximum(slope * np.abs(x) + y / 2, -y) - 0.5


def _plus(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.minimum(_box(x, y, 1.0, 0.3), _box(x, y, 0.3, 1.0))


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _plus((x + y) * np.sqrt(0.5), (y - x) * np.sqrt(0.5))


def _tee(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.minimum(_box(x, y - 0.6, 0.9, 0.3), _box(x, y + 0.2, 0.3, 0.7))


def _ell(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.minimum(_box(x, y + 0.6, 0.75, 0.3), _box(x + 0.45, y, 0.3, 0.9))


FIELDS: dict[str, Field] = {
    "disc": _disc,
    "ring": _ring,
    "crescent": _crescent,
    "square": _square,
    "frame": _frame,
    "triangle": _triangle,
    "plus": _plus,
    "cross": _cross,
    "tee": _tee,
    "ell": _ell,
}


@cache
def _measure(name: str) -> tuple[float, float]:
    """Area and radius of the circumscribed circle of a figure, on a fine grid."""
    y, x = np.mgrid[-1.5:1.5:301j, -1.5:1.5:301j]
    inside = FIELDS[name](x, y) < 0
    return float(inside.mean() * 9), float(np.hypot(x, y)[inside].max())
