"""Contrast on a circle: points to drag, what pulls and pushes them, and gradient descent step by step."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from utils.course.explorers.base import Explorer

MOST_POINTS = 16  # more lie on top of each other
MOST_CLASSES = 4  # colors and marks that can be told apart
TEMPERATURES = (0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0)
RATES = (0.001, 20.0)  # smallest and largest learning rate

# name -> degrees of the views of each image [N][V], class of each image [N]
EXAMPLES: dict[str, tuple[tuple[tuple[float, ...], ...], tuple[int, ...]]] = {
    "three classes, mixed": (
        ((10.0, 75.0), (200.0, 250.0), (110.0, 40.0), (300.0, 335.0), (150.0, 220.0), (275.0, 355.0)),
        (0, 0, 1, 1, 2, 2),
    ),
    "two images": (((0.0, 90.0), (45.0, 180.0)), (0, 1)),
    "nearly all in one place": (
        ((90.0, 91.0), (92.0, 93.0), (89.0, 94.0), (88.0, 95.0)),
        (0, 0, 1, 1),
    ),
    "views together, classes apart": (
        ((0.0, 6.0), (120.0, 126.0), (60.0, 66.0), (180.0, 186.0), (240.0, 246.0), (300.0, 306.0)),
        (0, 0, 1, 1, 2, 2),
    ),
}


def contrastive_circle(
    angles: Sequence[Sequence[float]] | None = None,
    labels: Sequence[int] | None = None,
    temperature: float = 0.5,
    title: str = "Contrast on a circle",
) -> Explorer:
    """Embeddings of length 1 in the plane, which the reader moves, under the contrastive loss.

    The loss is that of Khosla et al. 2020 (arXiv:2004.11362), with labels or without, in the form L_out or
    L_in: the mean over all N·V anchors, as ``utils.training.losses.supervised_contrastive_loss``. angles:
    degrees ``[N][V]``, V ≥ 2 views of each of N images, the same V for all, at most 16 points. labels: the
    class of each image, from 0 to 3. Without these, only the examples. temperature: one of ``TEMPERATURES``.
    """
    if (angles is None) != (labels is None):
        raise ValueError("give both angles and labels, or neither")
    if temperature not in TEMPERATURES:
        raise ValueError(f"temperature is one of {', '.join(map(str, TEMPERATURES))}, got {temperature}")
    examples = [_example(name, *given) for name, given in EXAMPLES.items()]
    if angles is not None and labels is not None:
        examples.insert(0, _example("as given", angles, labels))
    data = {
        "examples": examples,
        "temperatures": list(TEMPERATURES),
        "temperature": TEMPERATURES.index(temperature),
        "rates": list(RATES),
    }
    summary = (
        "Embeddings of a few images on a circle; arrows show where the contrastive loss "
        "moves each of them, with labels and without, at temperatures from 0.05 to 2."
    )
    return Explorer("contrastive_circle", title, data, summary)


def _example(name: str, angles: Sequence[Sequence[float]], labels: Sequence[int]) -> dict:
    """One example as plain values; ``ValueError`` where it cannot be shown."""
    rows = [[float(angle) for angle in views] for views in angles]
    classes = [int(label) for label in labels]
    views = {len(row) for row in rows}
    if len(rows) < 2 or len(views) != 1 or min(views) < 2 or len(rows) * min(views) > MOST_POINTS:
        raise ValueError(
            f"angles must be at least 2 images of 2 or more views each, at most {MOST_POINTS} points, "
            f"got images of {[len(row) for row in rows]} views"
        )
    if not all(isfinite(angle) for row in rows for angle in row):
        raise ValueError(f"angles must be finite degrees, got {rows}")
    if len(classes) != len(rows) or not all(0 <= label < MOST_CLASSES for label in classes):
        raise ValueError(
            f"labels must be {len(rows)} classes from 0 to {MOST_CLASSES - 1}, got {list(labels)}"
        )
    return {"name": name, "angles": rows, "labels": classes}
