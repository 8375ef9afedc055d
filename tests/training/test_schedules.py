"""Schedules against torch.optim.lr_scheduler and against values worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from utils.training import schedules
from utils.training.schedules import Schedule, curve


def torch_curve(make, steps, lr=1.0):
    """The learning rates that a torch scheduler sets at steps 0 … steps - 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    "ours, make, steps",
    [
        (schedules.constant(), lambda o: lr_scheduler.ConstantLR(o, factor=1.0), 20),
        (schedules.step(7, 0.3), lambda o: lr_scheduler.StepLR(o, 7, 0.3), 40),
        (schedules.halving(5), lambda o: lr_scheduler.StepLR(o, 5, 0.5), 40),
        (schedules.exponential(0.93), lambda o: lr_scheduler.ExponentialLR(o, 0.93), 60),
        (schedules.cosine(50), lambda o: lr_scheduler.CosineAnnealingLR(o, 50), 51),
        (schedules.cosine(30, floor=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, 30, eta_min=0.1), 31),
        (schedules.cosine_restarts(10), lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 10), 45),
        (
            schedules.cosine_restarts(6, growth=2, floor=0.05),
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 6, T_mult=2, eta_min=0.05),
            100,
        ),
        (
            schedules.triangular2(8, low=0.2),
            lambda o: lr_scheduler.CyclicLR(
                o, 0.2, 1.0, step_size_up=8, mode="triangular2", cycle_momentum=False
            ),
            70,
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, Schedule) else None,
)
def test_equals_torchs_scheduler(ours, make, steps):
    assert curve(ours, steps) == pytest.approx(torch_curve(make, steps), abs=1e-9)


@pytest.mark.parametrize(
    "schedule, expected",
    [
        (schedules.constant(), [1, 1, 1]),
        (schedules.step(2, 0.1), [1, 1, 0.1, 0.1, 0.01]),
        (schedules.halving(1), [1, 0.5, 0.25, 0.125]),
        (schedules.exponential(0.5), [1, 0.5, 0.25]),
        (schedules.cosine(2), [1, 0.5, 0, 0, 0]),
        (schedules.cosine(3, floor=0.2), [1, 0.8, 0.4, 0.2, 0.2]),
        (schedules.cosine_restarts(2), [1, 0.5, 1, 0.5, 1]),
        (schedules.cosine_restarts(1, growth=2), [1, 1, 0.5, 1, (1 + math.sqrt(0.5)) / 2, 0.5]),
        (schedules.warmup_cosine(3, 5), [0.25, 0.5, 0.75, 1, 0.5, 0, 0]),
        (schedules.warmup_cosine(0, 2), [1, 0.5, 0]),
        (schedules.warmup_hold_cosine(1, 3, 6, floor=0.1), [0.5, 1, 1, 1, 1, 0.55, 0.1, 0.1]),
        (schedules.triangular2(2, low=0.0), [0, 0.5, 1, 0.5, 0, 0.25, 0.5, 0.25, 0, 0.125, 0.25]),
    ],
    ids=str,
)
def test_values_by_hand(schedule, expected):
    assert curve(schedule, len(expected)) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 50), st.floats(0, 1))
def test_warmup_hold_cosine_rises_holds_and_falls(warmup, hold, fall, floor):
    factors = curve(
        schedules.warmup_hold_cosine(warmup, hold, warmup + hold + fall, floor), warmup + hold + fall + 5
    )
    rise, flat, rest = factors[:warmup], factors[warmup : warmup + hold + 1], factors[warmup + hold :]
    assert all(0 < a < b for a, b in zip(rise, factors[1 : warmup + 1], strict=True)) and all(
        a < 1 for a in rise
    )
    assert flat == [1.0] * (hold + 1)
    assert all(a >= b for a, b in zip(rest, rest[1:], strict=False))
    assert factors[-1] == pytest.approx(floor) and min(rest) == pytest.approx(floor)


def test_customary_units_and_the_choice_of_another():
    per_epoch = [
        schedules.constant(), schedules.step(3), schedules.halving(2), schedules.exponential(0.9),
    ]  # fmt: skip
    per_batch = [
        schedules.cosine(9), schedules.cosine_restarts(9), schedules.warmup_cosine(1, 9),
        schedules.warmup_hold_cosine(1, 1, 9), schedules.triangular2(4),
    ]  # fmt: skip
    assert {s.unit for s in per_epoch} == {"epoch"} and {s.unit for s in per_batch} == {"batch"}
    other = schedules.cosine(9, unit="epoch")
    assert other.unit == "epoch" and str(other) == "cosine(total=9, floor=0.0) per epoch"
    assert curve(other, 12) == curve(schedules.cosine(9), 12)


@pytest.mark.parametrize(
    "make, value",
    [
        (lambda: schedules.step(0), "0"),
        (lambda: schedules.step(3, gamma=-1.0), "-1.0"),
        (lambda: schedules.halving(-2), "-2"),
        (lambda: schedules.exponential(0.0), "0.0"),
        (lambda: schedules.cosine(0), "0"),
        (lambda: schedules.cosine(10, floor=1.5), "1.5"),
        (lambda: schedules.cosine_restarts(10, growth=0), "0"),
        (lambda: schedules.warmup_cosine(10, 10), "total=10"),
        (lambda: schedules.warmup_hold_cosine(3, -1, 10), "hold=-1"),
        (lambda: schedules.triangular2(4, low=-0.1), "-0.1"),
        (lambda: schedules.cosine(10, unit="week"), "week"),
        (lambda: schedules.constant()(-1), "-1"),
    ],
)
def test_bad_arguments_are_named(make, value):
    with pytest.raises(ValueError, match=value):
        make()


def test_a_triangle_goes_on_after_a_thousand_cycles():
    schedule = schedules.triangular2(2, low=0.25)
    assert schedule(10_002) == schedule(10_000) == schedule(0) == 0.25
