"""Whether two configurations differ by more than their spread over seeds: Welch's t test, for the claims page and the labs alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student_t

LEVEL = 0.05


def interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of mean(a) − mean(b) by Welch's t.

    Raises ``ValueError`` for fewer than two values, which have no spread.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"an interval needs at least two values of each, got {len(a)} and {len(b)}")
    va, vb = (float(np.var(values, ddof=1)) / len(values) for values in (a, b))
    difference = float(np.mean(a) - np.mean(b))
    if va + vb == 0:
        return difference, difference
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    reach = float(student_t.ppf(1 - LEVEL / 2, freedom)) * math.sqrt(va + vb)
    return difference - reach, difference + reach


def is_clear(a: Sequence[float], b: Sequence[float]) -> bool | None:
    """Whether that interval leaves out 0. None if one of them has a single value: then there is nothing to judge by."""
    if min(len(a), len(b)) < 2:
        return None
    low, high = interval(a, b)
    return low > 0 or high < 0
