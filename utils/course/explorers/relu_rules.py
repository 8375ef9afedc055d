"""Three rules for the way back through a ReLU, side by side, on a network to follow with a pencil."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

MOST_UNITS = 4  # in a layer; more do not fit on a phone

# whole numbers for which no unit of the examples stands at 0 and the three rules send back different things
WEIGHTS = (
    ((1.0, -1.0, 0.0), (1.0, 1.0, 1.0), (-1.0, 1.0, 1.0), (1.0, 0.0, -1.0)),
    ((1.0, -1.0, 2.0, 1.0), (1.0, 2.0, -1.0, -1.0)),
)
# name -> inputs, signal that arrives at the outputs
EXAMPLES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "three different answers": ((2.0, 1.0, -1.0), (1.0, -1.0)),
    "the first class": ((2.0, 1.0, -1.0), (1.0, 0.0)),
    "the second class": ((2.0, 1.0, -1.0), (0.0, 1.0)),
    "a closed output": ((1.0, 0.0, -3.0), (1.0, 1.0)),
    "evidence against, which only the gradient sends": ((2.0, 1.0, -1.0), (-1.0, -1.0)),
}


def relu_rules(
    weights: Sequence[Any] = WEIGHTS,
    x: Sequence[float] | None = None,
    signal: Sequence[float] | None = None,
    title: str = "What does a ReLU send back?",
) -> Explorer:
    """y = relu(W₂ relu(W₁ x)), and what gradient, deconvnet and guided backpropagation send back to x.

    weights: W₁ [H, D] and W₂ [K, H], each of D, H, K from 1 to 4. x: the D inputs, signal: the K numbers that
    arrive at y on the way back; with other weights than the default both must be given. The reader changes x
    and the signal. Units are open where what comes in is above 0, as in ``utils.analysis.attribution``.
    """
    matrices = [as_array(weight).astype(np.float64) for weight in weights]
    shapes = [tuple(matrix.shape) for matrix in matrices]
    fitting = len(shapes) == 2 and all(len(shape) == 2 for shape in shapes) and shapes[1][1] == shapes[0][0]
    if not fitting or not all(1 <= side <= MOST_UNITS for shape in shapes for side in shape):
        raise ValueError(
            f"weights must be W1 [H, D] and W2 [K, H] with D, H, K from 1 to {MOST_UNITS}, "
            f"got shapes {shapes}"
        )
    examples = []
    if weights is WEIGHTS:
        examples = [{"name": name, "x": list(a), "g": list(g)} for name, (a, g) in EXAMPLES.items()]
    if x is not None or signal is not None or not examples:
        examples.insert(0, {"name": "as given", "x": x, "g": signal})
    inputs, outputs = shapes[0][1], shapes[1][0]
    for name, key, count in (("x", "x", inputs), ("signal", "g", outputs)):
        values = [] if examples[0][key] is None else [float(value) for value in examples[0][key]]
        if len(values) != count or not np.isfinite(values).all():
            raise ValueError(f"{name} must be {count} finite numbers, got {examples[0][key]!r}")
        examples[0][key] = values
    data = {"weights": [matrix.tolist() for matrix in matrices], "examples": examples}
    summary = (
        "A network of two layers with numbers to change; tables show what each of the three rules lets back "
        "through every ReLU."
    )
    return Explorer("relu_rules", title, data, summary)
