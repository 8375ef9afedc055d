"""The transfer explorer: accuracy over labeled images for each way to use a network, and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

MOST_MODES = 4  # colors and marks that can be told apart
FROZEN, WHOLE = 3, 2  # dimensions of a table: [layers, sizes, seeds] and [sizes, seeds]


def transfer_explorer(
    tasks: Mapping[str, Mapping[str, Any]],
    sizes: Sequence[int],
    layers: Sequence[tuple[str, int, int, int]],
    classes: int,
    title: str = "What to keep frozen",
    *,
    whole: int | None = None,
) -> Explorer:
    """Accuracies of up to four ways to use a network, by task, labeled images and place of the cut.

    tasks: name of the task → way → accuracies, fractions in [0, 1]: ``[layers, sizes, seeds]`` for a way
    that freezes the layers up to the cut and trains a linear layer on the features there, ``[sizes, seeds]``
    for a way that trains the whole network. All tasks have the same ways. sizes: numbers of labeled
    images, ascending. layers: (name, features behind it that a linear layer sees, parameters,
    multiply-adds for one image) from the input to the last layer before the head. classes: outputs of the
    new linear layer. whole: how many of the layers a way that trains the whole network has below its head,
    default all.

    Multiply-adds of a training step are for one image: the forward pass through the layers that are used,
    and twice as many for the way back through those that are trained, once where nothing below needs a
    gradient.
    """
    sizes = [int(size) for size in sizes]
    if not sizes or sizes[0] < 1 or sizes != sorted(set(sizes)):
        raise ValueError(f"sizes must be positive and ascending, got {sizes}")
    if not layers or any(len(layer) != 4 or min(layer[1:]) < 0 for layer in layers):
        raise ValueError(
            f"layers must be (name, features, parameters, multiply-adds), none negative, got {layers}"
        )
    kept = len(layers) if whole is None else int(whole)
    if not 1 <= kept <= len(layers):
        raise ValueError(f"whole must be from 1 to {len(layers)} layers, got {whole}")
    if not tasks:
        raise ValueError("no tasks to show")
    ways = list(next(iter(tasks.values())))
    if not 1 <= len(ways) <= MOST_MODES:
        raise ValueError(f"there must be 1 to {MOST_MODES} ways, got {ways}")
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for task, tables in tasks.items():
        if list(tables) != ways:
            raise ValueError(f"task {task!r} has the ways {list(tables)}, not {ways}")
        arrays[task] = {
            way: _checked(task, way, table, len(layers), len(sizes)) for way, table in tables.items()
        }
    first = next(iter(arrays.values()))
    frozen = [first[way].ndim == FROZEN for way in ways]
    for task, tables in arrays.items():
        if [table.ndim == FROZEN for table in tables.values()] != frozen:
            raise ValueError(f"task {task!r} freezes other ways than the first task does")
    data = {
        "sizes": sizes,
        "layers": [str(name) for name, *_ in layers],
        "whole": kept,
        "ways": [
            {
                "label": way,
                "frozen": freezes,
                "costs": _costs(layers if freezes else layers[:kept], classes, freezes),
            }
            for way, freezes in zip(ways, frozen, strict=True)
        ],
        "tasks": [
            {"label": task, "values": [np.round(table, 4).tolist() for table in tables.values()]}
            for task, tables in arrays.items()
        ],
    }
    summary = (
        f"Accuracy over {', '.join(map(str, sizes))} labeled images of {', '.join(tasks)}, for "
        f"{'; '.join(ways)}; the network of {len(layers)} layers is cut at each of them."
    )
    return Explorer("transfer", title, data, summary)


def _checked(task: str, way: str, table: Any, layers: int, sizes: int) -> np.ndarray:
    values = as_array(table).astype(np.float64)
    shape = values.shape
    fits = shape[:-1] in ((layers, sizes), (sizes,)) and values.ndim in (FROZEN, WHOLE) and shape[-1] > 0
    if not fits:
        wanted = f"[{layers}, {sizes}, seeds] or [{sizes}, seeds]"
        raise ValueError(f"{way!r} on {task!r} must be {wanted}, got {shape}")
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"accuracies of {way!r} on {task!r} must be fractions from 0 to 1")
    return values


def _costs(layers: Sequence[tuple[str, int, int, int]], classes: int, frozen: bool) -> list[dict[str, int]]:
    """Trained parameters and multiply-adds of a step, one entry for each cut of a frozen way."""
    if not frozen:
        _, features, _, _ = layers[-1]
        parameters = sum(layer[2] for layer in layers) + (features + 1) * classes
        macs = sum(layer[3] for layer in layers)
        # the first layer's input needs no gradient
        return [{"trained": parameters, "macs": 3 * macs - layers[0][3] + 3 * features * classes}]
    costs, below = [], 0
    for _, features, _, macs in layers:
        below += macs
        costs.append({"trained": (features + 1) * classes, "macs": below + 2 * features * classes})
    return costs
