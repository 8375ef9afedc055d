"""Embeddings on a circle while they form: a slider over the snapshots of one training or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

MOST_CLASSES = 4  # colors and marks that can be told apart
LENGTH_TOLERANCE = 1e-3  # rounding of float32


def embedding_scrubber(
    trainings: Mapping[str, Any],
    labels: Any,
    classes: Sequence[str],
    epochs: Sequence[int] | None = None,
    title: str = "Embeddings while they form",
) -> Explorer:
    """One circle for each training, with the same examples on it, epoch by epoch.

    trainings: name → unit vectors ``[S, N, 2]``, S snapshots of N examples. labels: int ``[N]``; classes:
    at most four names. epochs: the number that stands on each snapshot, default 0 to S − 1. Each class has
    a ring of its own, so that points of different classes do not hide each other: only the angle counts.
    Beside each circle stands the share of examples whose nearest other example has the same label.
    """
    owner = as_array(labels).astype(np.int64)
    names = [str(name) for name in classes]
    if not 1 <= len(names) <= MOST_CLASSES:
        raise ValueError(f"classes must be 1 to {MOST_CLASSES} names, got {len(names)}")
    if owner.ndim != 1 or len(owner) < 2 or owner.min() < 0 or owner.max() >= len(names):
        raise ValueError(
            f"labels must be two or more numbers from 0 to {len(names) - 1}, got {owner.tolist()}"
        )
    if not trainings:
        raise ValueError("no trainings to show")
    arrays = {str(name): as_array(values).astype(np.float64) for name, values in trainings.items()}
    shapes = {name: values.shape for name, values in arrays.items()}
    first = next(iter(arrays.values()))
    if first.ndim != 3 or any(shape != (first.shape[0], len(owner), 2) for shape in shapes.values()):
        raise ValueError(
            f"each training must be [snapshots, {len(owner)}, 2], the same for all, got {shapes}"
        )
    for name, values in arrays.items():
        if not np.allclose(np.linalg.norm(values, axis=2), 1.0, atol=LENGTH_TOLERANCE):
            raise ValueError(f"the vectors of {name!r} do not all have length 1")
    numbers = list(range(len(first))) if epochs is None else [int(epoch) for epoch in epochs]
    if len(numbers) != len(first):
        raise ValueError(f"{len(numbers)} epochs for {len(first)} snapshots")
    data = {
        "classes": names,
        "labels": owner.tolist(),
        "epochs": numbers,
        "trainings": [
            {
                "name": name,
                "angles": np.round(np.degrees(np.arctan2(values[..., 1], values[..., 0])), 1).tolist(),
                "agreement": [round(_agreement(snapshot, owner), 4) for snapshot in values],
            }
            for name, values in arrays.items()
        ],
    }
    summary = (
        f"{len(owner)} examples on the unit circle, from epoch {numbers[0]} to epoch {numbers[-1]} "
        f"of {', '.join(arrays)}."
    )
    return Explorer("embedding_scrubber", title, data, summary)


def _agreement(z: np.ndarray, labels: np.ndarray) -> float:
    """Share of the N examples whose nearest other example, by cosine similarity, has the same label."""
    similarity = z @ z.T
    np.fill_diagonal(similarity, -np.inf)
    return float(np.mean(labels[similarity.argmax(axis=1)] == labels))
