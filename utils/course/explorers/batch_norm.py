"""The batch-norm explorer: one channel's values, what normalization makes of them, in both modes."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from utils.course.explorers.base import Explorer

MOST_VALUES = 8
# name of the number -> smallest and largest value, the same in Python and in the browser
LIMITS = {"value": (-10.0, 10.0), "gamma": (-5.0, 5.0), "beta": (-5.0, 5.0), "momentum": (0.0, 1.0)}
EPS = 1e-5  # torch's default
EXAMPLE = (1.0, 2.0, 4.0, 5.0)


def batch_norm_explorer(
    values: Sequence[float] = EXAMPLE,
    gamma: float = 1.0,
    beta: float = 0.0,
    momentum: float = 0.1,
    title: str = "What does batch normalization make of a batch?",
) -> Explorer:
    """A batch of one channel that the reader drags or types, normalized as in training or as in evaluation.

    values: 1 to 8 numbers from -10 to 10, one for each example (a channel without height and width). gamma,
    beta: scale and shift, from -5 to 5. momentum: the share of a batch in the running statistics, 0 to 1, as
    torch counts it. The running mean starts at 0 and the running variance at 1, as in a new layer.
    """
    numbers = [float(value) for value in values]
    if not 1 <= len(numbers) <= MOST_VALUES:
        raise ValueError(f"values must be 1 to {MOST_VALUES} numbers, got {len(numbers)}")
    for number in numbers:
        _check("value", number)
    for name, number in (("gamma", gamma), ("beta", beta), ("momentum", momentum)):
        _check(name, number)
    data = {
        "values": numbers,
        "gamma": float(gamma),
        "beta": float(beta),
        "momentum": float(momentum),
        "eps": EPS,
        "limits": {name: list(limits) for name, limits in LIMITS.items()},
        "most": MOST_VALUES,
    }
    summary = (
        "Move the values of one channel; mean, variance, normalized values and output follow, "
        "in training and in evaluation mode."
    )
    return Explorer("batch_norm", title, data, summary)


def _check(name: str, number: float) -> None:
    low, high = LIMITS[name]
    if not (isfinite(number) and low <= number <= high):
        raise ValueError(f"{name} must be from {low:g} to {high:g}, got {number}")
