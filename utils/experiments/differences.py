"""Whether two groups of runs differ by more than their spread over seeds: one ``Difference`` for every page.

By Welch's t test, or by Student's on the pairs where two groups share their seeds; intervals are of 95 %.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t

LEVEL = 0.05
ENOUGH_SEEDS = 3  # two runs of each leave one or two degrees of freedom, where t is 12.7 or 4.3

HIGHER, LOWER, UNDECIDED = "higher", "lower", "undecided"
TOO_FEW, TOO_EARLY = "too few runs", "too early to compare"

# one value for each run: in any order, or by seed
Values = Sequence[float] | Mapping[int, float]


@dataclass(frozen=True)
class Difference:
    """How far the mean of one group of runs lies above that of another, and what may be said of it.

    ``interval`` is the 95 % interval of ``mean``, None where one group is a single run. ``n`` counts the
    pairs, or the runs of the smaller group. ``early`` says that the runs of one side have not been trained to
    their end: then there is nothing to compare, however many they are.
    """

    mean: float
    interval: tuple[float, float] | None
    n: int
    paired: bool = False
    early: bool = False

    @property
    def verdict(self) -> str:
        """What may be said of the first group: "higher", "lower", "undecided", or why nothing may be said."""
        if self.early:
            return TOO_EARLY
        if self.n < ENOUGH_SEEDS or self.interval is None:
            return TOO_FEW
        low, high = self.interval
        return HIGHER if low > 0 else LOWER if high < 0 else UNDECIDED

    def text(self, unit: str = "points", digits: int = 1, scale: float = 100) -> str:
        """In words: ``+23.6 points (95 % interval +16.5 to +30.7, n = 3): higher``.

        The numbers are multiplied by ``scale``. They are left out where there is no verdict on them. An end
        of the interval that would be rounded to 0 gets a digit more, so that it shows on which side it lies.
        """
        count = f"n = {self.n}{' pairs' if self.paired else ''}"
        if self.interval is None or self.verdict in (TOO_FEW, TOO_EARLY):
            return f"{self.verdict} ({unbroken(count)})"
        if self.interval == (0, 0):  # a spread of 0 has no interval to speak of
            return f"no difference in any {'pair' if self.paired else 'run'} ({unbroken(count)})"
        digits += any(end != 0 and round(scale * end, digits) == 0 for end in self.interval)
        mean, low, high = (signed(scale * value, digits) for value in (self.mean, *self.interval))
        figure, span = unbroken(f"{mean} {unit}".strip()), unbroken(f"{low} to {high}")
        return f"{figure} ({unbroken('95 % interval')} {span}, {unbroken(count)}): {self.verdict}"


def difference(a: Values, b: Values, paired: bool = False, early: bool = False) -> Difference:
    """The mean of ``a`` minus that of ``b`` with its 95 % interval, from one value for each run.

    ``paired``: the runs share their seeds, and the differences within the pairs are judged. Sequences are
    paired by position, mappings by their keys. ``early``: the caller knows that it is too early to compare.
    ``ValueError`` where there is no run, a run has no partner, or a value is not finite.
    """
    if paired:
        return _paired(a, b, early)
    a, b = _numbers(a), _numbers(b)
    mean = statistics.mean(a) - statistics.mean(b)
    n = min(len(a), len(b))
    return Difference(mean, _welch(a, b, mean) if n > 1 else None, n, paired=False, early=early)


def _paired(a: Values, b: Values, early: bool) -> Difference:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        alone = sorted(set(a) ^ set(b))
        if alone:
            raise ValueError(
                f"paired runs share their seeds; without a partner: {', '.join(map(str, alone))}"
            )
        seeds: list[int] = [*a]
        a, b = [a[seed] for seed in seeds], [b[seed] for seed in seeds]
    elif isinstance(a, Mapping) or isinstance(b, Mapping):
        raise ValueError("values by seed cannot be paired with values by position")
    if len(a) != len(b):
        raise ValueError(f"every run needs a partner to be paired, got {len(a)} and {len(b)} values")
    each = [one - other for one, other in zip(_numbers(a), _numbers(b), strict=True)]
    mean, n = statistics.mean(each), len(each)
    reach = _reach(statistics.variance(each) / n, n - 1) if n > 1 else 0.0
    return Difference(mean, (mean - reach, mean + reach) if n > 1 else None, n, paired=True, early=early)


def _numbers(values: Values) -> list[float]:
    numbers = [float(value) for value in (values.values() if isinstance(values, Mapping) else values)]
    if not numbers:
        raise ValueError("a difference needs at least one value on each side")
    for value in numbers:
        if not math.isfinite(value):
            raise ValueError(f"a difference needs finite values, got {value}")
    return numbers


def _welch(a: list[float], b: list[float], mean: float) -> tuple[float, float]:
    """The interval with the degrees of freedom of Welch and Satterthwaite."""
    va, vb = (statistics.variance(values) / len(values) for values in (a, b))
    together = va + vb
    # by shares, for a square of a small variance may be too small for a float
    shares = (va / together, vb / together) if together else (1.0, 0.0)
    freedom = 1 / (shares[0] ** 2 / (len(a) - 1) + shares[1] ** 2 / (len(b) - 1))
    reach = _reach(together, freedom)
    return mean - reach, mean + reach


def _reach(variance: float, freedom: float) -> float:
    """Half the length of the interval around a mean of this variance."""
    return float(student_t.ppf(1 - LEVEL / 2, freedom)) * math.sqrt(variance)


def unbroken(text: str) -> str:
    """The text with no-break spaces, so that no line ends within it in a narrow column."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def signed(value: float, digits: int) -> str:
    """The number with so many decimals and its sign; zero is +0."""
    return f"{value:+z.{digits}f}".replace("-", "−")
