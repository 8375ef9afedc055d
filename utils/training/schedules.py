"""Learning-rate schedules: plain functions of the step that give a factor on the base learning rate.

A schedule counts steps from 0, either in batches or in epochs (``unit``). Each function below has the
customary unit as its default; lengths such as ``total`` or ``warmup`` are given in that unit.
``curve(schedule, steps)`` lists the factors for a plot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

UNITS = ("batch", "epoch")


@dataclass(frozen=True)
class Schedule:
    """A named function from the step (0, 1, 2, …, counted in ``unit``) to a factor on the base learning rate.

    ``parameters`` are the arguments it was made with; name, unit and parameters identify it in a record or a
    checkpoint.
    """

    name: str
    unit: str
    function: Callable[[int], float] = field(repr=False, compare=False)
    parameters: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit is 'batch' or 'epoch', got {self.unit!r}")

    def __call__(self, step: int) -> float:
        if step < 0:
            raise ValueError(f"steps are counted from 0, got {step}")
        return float(self.function(step))

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.name}({arguments}) per {self.unit}"


def curve(schedule: Schedule, steps: int) -> list[float]:
    """The factors at steps 0 … ``steps`` - 1, in the schedule's own unit."""
    return [schedule(step) for step in range(steps)]


def constant(*, unit: str = "epoch") -> Schedule:
    """Factor 1 throughout."""
    return Schedule("constant", unit, lambda step: 1.0)


def step(every: int, gamma: float = 0.1, *, unit: str = "epoch") -> Schedule:
    """Multiply by ``gamma`` after every ``every`` steps; steps per epoch by custom. As torch's StepLR."""
    _positive(every=every, gamma=gamma)
    return Schedule("step", unit, lambda t: gamma ** (t // every), {"every": every, "gamma": gamma})


def halving(every: int, *, unit: str = "epoch") -> Schedule:
    """Halve after every ``every`` steps; steps per epoch by custom."""
    _positive(every=every)
    return Schedule("halving", unit, lambda t: 0.5 ** (t // every), {"every": every})


def exponential(gamma: float, *, unit: str = "epoch") -> Schedule:
    """``gamma`` to the power of the step; steps per epoch by custom. As torch's ExponentialLR."""
    _positive(gamma=gamma)
    return Schedule("exponential", unit, lambda t: gamma**t, {"gamma": gamma})


def cosine(total: int, floor: float = 0.0, *, unit: str = "batch") -> Schedule:
    """Half a cosine from 1 at step 0 to ``floor`` at step ``total``; steps per batch by custom.

    From then on it keeps ``floor``. Loshchilov and Hutter 2017 (arXiv:1608.03983) without restarts; torch's
    CosineAnnealingLR up to ``total``.
    """
    _positive(total=total)
    _fraction(floor=floor)
    return Schedule("cosine", unit, lambda t: _cosine(t / total, floor), {"total": total, "floor": floor})


def cosine_restarts(period: int, growth: int = 1, floor: float = 0.0, *, unit: str = "batch") -> Schedule:
    """Cosines from 1 down towards ``floor`` over ``period`` steps, then again from 1.

    Each period is ``growth`` times the last one. SGDR, Loshchilov and Hutter 2017 (arXiv:1608.03983); steps
    per batch by custom. As torch's CosineAnnealingWarmRestarts.
    """
    _positive(period=period, growth=growth)
    _fraction(floor=floor)

    def factor(t: int) -> float:
        length = period
        if growth == 1:
            t %= period
        while t >= length:
            t, length = t - length, length * growth
        return _cosine(t / length, floor)

    return Schedule("cosine_restarts", unit, factor, {"period": period, "growth": growth, "floor": floor})


def warmup_cosine(warmup: int, total: int, floor: float = 0.0, *, unit: str = "batch") -> Schedule:
    """Linear rise over ``warmup`` steps, then half a cosine to ``floor`` at step ``total``.

    Steps per batch by custom. The rise is (t + 1) / (warmup + 1), so that the first step already learns and
    step ``warmup`` is the first at the full rate.
    """
    return _warmup_hold_cosine("warmup_cosine", warmup, 0, total, floor, unit)


def warmup_hold_cosine(
    warmup: int, hold: int, total: int, floor: float = 0.0, *, unit: str = "batch"
) -> Schedule:
    """Linear rise, ``hold`` steps at the full rate, then half a cosine to ``floor`` at step ``total``.

    Steps per batch by custom. The rise, over ``warmup`` steps, is that of :func:`warmup_cosine`.
    """
    return _warmup_hold_cosine("warmup_hold_cosine", warmup, hold, total, floor, unit)


def triangular2(half_cycle: int, low: float = 0.1, *, unit: str = "batch") -> Schedule:
    """Linear from ``low`` up to 1 in ``half_cycle`` steps and back, half as high after every full cycle.

    Halved is the height above ``low``. Smith 2017 (arXiv:1506.01186); torch's CyclicLR in mode "triangular2",
    with ``low`` = base_lr / max_lr and the base learning rate in the role of max_lr. Steps per batch by
    custom.
    """
    _positive(half_cycle=half_cycle)
    _fraction(low=low)

    def factor(t: int) -> float:
        cycle, position = divmod(t, 2 * half_cycle)
        height = 1 - abs(position / half_cycle - 1)
        return low + math.ldexp((1 - low) * height, -cycle)

    return Schedule("triangular2", unit, factor, {"half_cycle": half_cycle, "low": low})


def _warmup_hold_cosine(name: str, warmup: int, hold: int, total: int, floor: float, unit: str) -> Schedule:
    if warmup < 0 or hold < 0 or total <= warmup + hold:
        raise ValueError(
            f"need 0 <= warmup, 0 <= hold and warmup + hold < total, got {warmup=}, {hold=}, {total=}"
        )
    _fraction(floor=floor)

    def factor(t: int) -> float:
        if t < warmup:
            return (t + 1) / (warmup + 1)
        return _cosine((t - warmup - hold) / (total - warmup - hold), floor)

    parameters = {"warmup": warmup, "hold": hold, "total": total, "floor": floor}
    if name == "warmup_cosine":
        del parameters["hold"]
    return Schedule(name, unit, factor, parameters)


def _cosine(progress: float, floor: float) -> float:
    """1 at progress ≤ 0, ``floor`` at progress ≥ 1, half a cosine between."""
    progress = min(max(progress, 0.0), 1.0)
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")


def _fraction(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} is a fraction of the base learning rate in [0, 1], got {value}")
