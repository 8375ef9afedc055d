"""Options that several families share: what they mean, and what is said of impossible values."""

from __future__ import annotations

import math


def scaled(channels: int, width: float) -> int:
    """``channels`` times ``width``, to the nearest whole number and at least 1.

    Raises ``ValueError`` unless ``width`` is a positive finite number.
    """
    if not 0 < width < math.inf:
        raise ValueError(f"width multiplies the numbers of channels and must be positive, got {width!r}")
    return max(1, round(channels * width))


def checked_probability(name: str, value: float) -> float:
    """``value``, the probability of dropping a unit; raises ``ValueError`` outside [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} is the probability of dropping a unit, in [0, 1), got {value!r}")
    return value
