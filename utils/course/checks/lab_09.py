"""Checks of the exercises of lab 09, training choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from math import ceil, isclose
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils.course.checks.core import CheckFailed, call, expect_close, expect_equal, passed

Slips = Iterator[tuple[str, Any]]  # where to look, and what somebody gets who should look there


def step_factors(function: Callable) -> None:
    """``function(every, gamma, epochs, batches, after)`` is the factor of every batch, where ``step()`` stands after "epoch" or "batch"."""
    cases = [(2, 0.1, 6, 5), (10, 0.1, 4, 8), (1, 0.5, 3, 4), (3, 0.2, 7, 1), (5, 0.1, 5, 5)]
    for case in cases:
        for after in ("epoch", "batch"):
            what = f"step_factors({', '.join(map(str, case))}, {after!r})"
            got = _numbers(call(function, *case, after), what)
            want = _step_factors(*case, after)
            if len(got) != len(want):
                raise CheckFailed(
                    f"{what}: expected {len(want)} factors, one for each batch, got {len(got)}.\nLook at: epochs times batches."
                )
            if not _all_close(got, want):
                hint = next(
                    (look for look, slip in _step_slips(*case, after) if _all_close(got, slip)),
                    "gamma ** (calls so far // every).",
                )
                place = next(
                    i
                    for i, (g, w) in enumerate(zip(got, want, strict=True))
                    if not isclose(g, w, rel_tol=1e-6)
                )
                raise CheckFailed(
                    f"{what}, batch {place}: expected {want[place]:.4g}, got {got[place]:.4g}.\nLook at: {hint}"
                )
    passed(
        "step_factors",
        f"{len(cases)} trainings agree batch by batch, stepped after each epoch and after each batch",
    )


def _step_factors(every: int, gamma: float, epochs: int, batches: int, after: str) -> list[float]:
    return [gamma ** ((t if after == "batch" else t // batches) // every) for t in range(epochs * batches)]


def _step_slips(every: int, gamma: float, epochs: int, batches: int, after: str) -> Slips:
    steps = range(epochs * batches)
    other = "epoch" if after == "batch" else "batch"
    yield (
        f"after: this is the schedule that is stepped after each {other}.",
        _step_factors(every, gamma, epochs, batches, other),
    )
    calls = [t if after == "batch" else t // batches for t in steps]
    yield (
        "the order: step() stands after the batch or epoch, so the first one has the factor 1.",
        [gamma ** ((c + 1) // every) for c in calls],
    )
    yield "every: the rate falls once after `every` calls, not at each call.", [gamma**c for c in calls]
    yield "the stairs: whole periods, rounded down.", [gamma ** (c / every) for c in calls]
    yield "gamma: it multiplies, once more at each stair.", [1 - gamma * (c // every) for c in calls]


def nesterov(function: Callable) -> None:
    """``function(w, gradient, lr, momentum, steps)`` is where Nesterov's momentum ends, as in torch's SGD."""
    generator = torch.Generator().manual_seed(9)
    root = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    hessian = root @ root.T / 3 + 0.1 * torch.eye(3, dtype=torch.float64)
    landscapes: dict[str, Callable[[Tensor], Tensor]] = {
        "a bowl": lambda w: hessian @ w,
        "a sum of cosines": lambda w: -torch.sin(w),
    }
    count = 0
    for text, gradient in landscapes.items():
        for lr, momentum, steps in ((0.05, 0.9, 7), (0.1, 0.9, 1), (0.2, 0.5, 4), (0.1, 0.0, 3)):
            w = torch.randn(3, generator=generator, dtype=torch.float64)
            what = f"nesterov on {text}, lr {lr:g}, momentum {momentum:g}, {steps} step{'s' * (steps > 1)}"
            given = w.clone()
            got = _call_in_place(function, given, gradient, lr, momentum, steps)
            if not given.equal(w):
                raise CheckFailed(
                    f"{what}: the w that was given has been changed.\nLook at: w = w - … in place of w -= …, which writes into it."
                )
            want = _descend(w, gradient, lr, momentum, steps, _nesterov_step)
            hint = "b = momentum · b + g, then w − lr · (g + momentum · b)."
            if isinstance(got, Tensor) and got.shape == want.shape:
                slips = _nesterov_slips(w, gradient, lr, momentum, steps)
                hint = next(
                    (look for look, slip in slips if torch.allclose(got.detach().double(), slip, atol=1e-9)),
                    hint,
                )
            expect_close(got, want, what=what, look_at=hint, atol=1e-7)
            count += 1
    passed("nesterov", f"{count} walks end where torch's do, and leave their start as it was")


def _call_in_place(function: Callable, *arguments: Any) -> Any:
    """``call`` hands over copies; here the arguments themselves are handed over, to see whether they are changed."""
    return call(wraps(function)(lambda: function(*arguments)))


Step = Callable[
    [Tensor, Tensor, float], tuple[Tensor, Tensor]
]  # gradient, buffer, momentum -> buffer, direction


def _descend(w: Tensor, gradient: Callable, lr: float, momentum: float, steps: int, step: Step) -> Tensor:
    buffer = torch.zeros_like(w)
    for _ in range(steps):
        buffer, direction = step(gradient(w), buffer, momentum)
        w = w - lr * direction
    return w


def _nesterov_step(g: Tensor, buffer: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    buffer = momentum * buffer + g
    return buffer, g + momentum * buffer


def _nesterov_slips(w: Tensor, gradient: Callable, lr: float, momentum: float, steps: int) -> Slips:
    def walk(step: Step) -> Tensor:
        return _descend(w, gradient, lr, momentum, steps, step)

    def plain(g: Tensor, buffer: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
        buffer = momentum * buffer + g
        return buffer, buffer

    def old_buffer(g: Tensor, buffer: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
        return momentum * buffer + g, g + buffer

    def damped(g: Tensor, buffer: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
        buffer = momentum * buffer + (1 - momentum) * g
        return buffer, g + momentum * buffer

    def twice(g: Tensor, buffer: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
        buffer = momentum * buffer + g
        return buffer, g + buffer

    yield (
        "the walk: this is one step; take `steps` of them.",
        _descend(w, gradient, lr, momentum, 1, _nesterov_step),
    )
    yield "the direction: this is ordinary momentum, w − lr · b.", walk(plain)
    yield "the direction: g + momentum · b, this leaves the momentum out.", walk(twice)
    yield "the order: b is renewed before it is used.", walk(old_buffer)
    yield "the buffer: torch adds the whole gradient, not (1 − momentum) of it.", walk(damped)
    yield "the momentum: this is plain gradient descent.", walk(lambda g, buffer, _: (buffer, g))
    yield "the sign: against the gradient.", _descend(w, gradient, -lr, momentum, steps, _nesterov_step)


def clip_by_norm(function: Callable) -> None:
    """``function(gradients, bound)`` is a list of gradients whose common norm is at most ``bound``; None stays None."""
    generator = torch.Generator().manual_seed(9)
    shapes = [((3, 4), (4,)), ((2, 3, 3, 3), (2,), (5, 2)), ((6,),), ((1,), (), (2, 2))]
    cases = [[torch.randn(shape, generator=generator) for shape in each] for each in shapes]
    cases.append([cases[0][0], None, cases[0][1]])
    for number, gradients in enumerate(cases):
        norm = float(torch.stack([g.norm() for g in gradients if g is not None]).norm())
        for bound in (0.3 * norm, 3 * norm):
            what = f"clip_by_norm, case {number + 1}, norm {norm:.3g}, bound {bound:.3g}"
            kept = [None if g is None else g.clone() for g in gradients]
            got = call(function, kept, bound)
            if not isinstance(got, Sequence) or len(got) != len(gradients):
                raise CheckFailed(
                    f"{what}: expected a list of {len(gradients)} gradients, got {_kind(got)}.\nLook at: the return value."
                )
            factor = min(1.0, bound / norm)
            for place, g in enumerate(gradients):
                if g is None:
                    expect_equal(
                        got[place],
                        None,
                        what=f"{what}, entry {place}",
                        look_at="a parameter without a gradient has None; it stays None.",
                    )
                    continue
                hint = "all gradients times the same number, min(1, bound / norm)."
                if isinstance(got[place], Tensor) and got[place].shape == g.shape:
                    slips = _clip_slips(gradients, place, norm, bound)
                    hint = next(
                        (
                            look
                            for look, slip in slips
                            if torch.allclose(got[place].detach(), slip, atol=1e-6)
                        ),
                        hint,
                    )
                expect_close(got[place], factor * g, what=f"{what}, entry {place}", look_at=hint)
    edges = (
        (
            [torch.zeros(3)],
            "a gradient of zeros",
            "a norm of 0, which is below every bound: nothing is divided by it.",
        ),
        ([None], "no gradient at all", "the norm of no gradients: the root of an empty sum, 0."),
    )
    for gradients, text, look_at in edges:
        what = f"clip_by_norm for {text}"
        try:
            got = call(function, list(gradients), 1.0)
        except CheckFailed as failure:
            raise CheckFailed(f"{failure}\nLook at: {look_at}") from failure
        if not isinstance(got, Sequence) or len(got) != 1:
            raise CheckFailed(
                f"{what}: expected a list of 1 gradient, got {_kind(got)}.\nLook at: the return value."
            )
        if gradients[0] is None:
            expect_equal(
                got[0], None, what=what, look_at="a parameter without a gradient has None; it stays None."
            )
        else:
            expect_close(got[0], torch.zeros(3), what=what, look_at=look_at)
    passed(
        "clip_by_norm",
        f"{len(cases)} lists of gradients, each with a bound below and above its norm, and two whose norm is 0",
    )


def _clip_slips(gradients: Sequence[Tensor | None], place: int, norm: float, bound: float) -> Slips:
    g = gradients[place]
    yield "a small gradient: below the bound it stays as it is, this one was made longer.", g * bound / norm
    if norm > bound:
        yield "the factor: nothing was changed, and the norm is above the bound.", g
    yield (
        "the norm: one for all gradients together, this is one for each.",
        g * torch.clamp(bound / g.norm(), max=1),
    )
    yield "the norm: each single entry was cut off, which turns the gradient.", g.clamp(-bound, bound)
    total = sum(float(other.norm()) for other in gradients if other is not None)
    yield (
        "the norm: the root of the sum of all squares, not the sum of the norms.",
        g * min(1.0, bound / total),
    )
    squares = norm**2
    yield "the norm: the square root is missing.", g * min(1.0, bound / squares)
    yield "the length: the norm becomes `bound`, not 1.", g / norm


def honest_report(function: Callable) -> None:
    """``function(valid, test, patience)`` is (epochs that were run, test accuracy at the best validation accuracy among them)."""
    random = np.random.default_rng(9)
    cases: dict[str, tuple[list[float], list[float], int]] = {
        "a training that is stopped": (
            [0.5, 0.7, 0.8, 0.79, 0.78, 0.77, 0.95, 0.96],
            [0.5, 0.68, 0.74, 0.76, 0.73, 0.72, 0.71, 0.9],
            3,
        ),
        "a training that runs to its end": ([0.5, 0.6, 0.7, 0.65], [0.4, 0.62, 0.66, 0.68], 3),
        "two equal best epochs": ([0.5, 0.8, 0.7, 0.8, 0.75], [0.5, 0.7, 0.71, 0.74, 0.6], 9),
        "an equal epoch while patience runs": (
            [0.5, 0.8, 0.8, 0.7, 0.7, 0.9],
            [0.5, 0.7, 0.72, 0.6, 0.61, 0.8],
            2,
        ),
        "patience 1": ([0.4, 0.5, 0.45, 0.9], [0.41, 0.48, 0.5, 0.88], 1),
        "one epoch": ([0.3], [0.25], 2),
    }
    for number in range(3):
        rise = 1 - 0.6 * np.exp(-np.arange(25) / 4)
        valid, test = (np.round(rise - 0.1 + 0.03 * random.standard_normal(25), 3).tolist() for _ in range(2))
        cases[f"a noisy training, number {number + 1}"] = (valid, test, 4)
    for text, (valid, test, patience) in cases.items():
        got = call(function, list(valid), list(test), patience)
        what = f"honest_report for {text}"
        if not isinstance(got, Sequence) or len(got) != 2:
            raise CheckFailed(
                f"{what}: expected a pair (epochs, accuracy), got {got!r}.\nLook at: the return value."
            )
        epochs, best = _stopped(valid, patience)
        slips = dict(_epoch_slips(valid, test, patience))
        hint = "stop when the best is `patience` epochs old, and count the epochs that were run."
        hint = next((look for look, slip in slips.items() if got[0] == slip), hint)
        expect_equal(got[0], epochs, what=f"{what}, epochs that were run", look_at=hint)
        if not isclose(got[1], test[best], abs_tol=1e-9):
            hint = "the test accuracy at the best validation epoch."
            hint = next(
                (
                    look
                    for look, slip in _report_slips(valid, test, epochs, best)
                    if isclose(got[1], slip, abs_tol=1e-9)
                ),
                hint,
            )
            raise CheckFailed(
                f"{what}, the accuracy: expected {test[best]:g}, got {got[1]:g}.\nLook at: {hint}"
            )
    passed(
        "honest_report",
        f"{len(cases)} trainings: stopped and chosen by validation, the test split is only reported",
    )


def _stopped(figures: Sequence[float], patience: int, strict: bool = True) -> tuple[int, int]:
    """Epochs that were run, and the best of them, from 0."""
    best = 0
    for epoch, figure in enumerate(figures):
        if figure > figures[best] or (not strict and figure == figures[best]):
            best = epoch
        if epoch - best >= patience:
            return epoch + 1, best
    return len(figures), best


def _epoch_slips(valid: Sequence[float], test: Sequence[float], patience: int) -> Slips:
    epochs, best = _stopped(valid, patience)
    yield (
        "equal epochs: an equal one is no improvement, so it does not renew the patience.",
        _stopped(valid, patience, strict=False)[0],
    )
    yield "who decides: this training was stopped by the test accuracy.", _stopped(test, patience)[0]
    yield "the count: epochs are counted from 1 here; this is the index of the last one.", epochs - 1
    yield "the count: the training goes on for `patience` epochs after the best one.", best + 1
    yield "patience: one epoch too many.", min(len(valid), epochs + 1)
    yield "stopping: this training was not stopped.", len(valid)


def _report_slips(valid: Sequence[float], test: Sequence[float], epochs: int, best: int) -> Slips:
    yield "who chooses: this is the best test accuracy, chosen on the test split.", max(test[:epochs])
    yield (
        "which epoch: this is the last one that was run; the best one by validation is to be kept.",
        test[epochs - 1],
    )
    yield "which split: this is the validation accuracy.", valid[best]
    yield "the epochs: only those that were run may be chosen from.", test[int(np.argmax(valid))]
    yield "the epochs: only those that were run, and by validation.", max(test)
    yield (
        "equal epochs: an equal one is no improvement, so the first stays the best.",
        test[_stopped(valid, len(valid) + 1, strict=False)[1]],
    )


def seeds_needed(function: Callable) -> None:
    """``function(sd, difference, power)`` is the number of seeds of each configuration, by the normal approximation at 5 %."""
    cases = [
        (2.0, 1.0, 0.9),
        (1.78, 1.0, 0.8),
        (0.3, 1.0, 0.9),
        (2.5, 0.5, 0.5),
        (0.27, 0.11, 0.8),
        (1.0, 6.0, 0.8),
    ]
    for case in cases:
        what = f"seeds_needed({', '.join(f'{value:g}' for value in case)})"
        got = call(function, *case)
        if isinstance(got, bool) or not isinstance(got, (int, np.integer)):
            raise CheckFailed(
                f"{what}: expected a whole number, got {got!r}.\nLook at: rounding up, with math.ceil."
            )
        want = ceil(_seeds(*case))
        if got != want:
            slips = ((look, ceil(slip)) for look, slip in _seed_slips(*case))
            hint = next(
                (look for look, slip in slips if slip == got),
                "n = 2 · ((z + z_power) · sd / difference)², rounded up.",
            )
            if got == int(_seeds(*case)):
                hint = "rounding: up, or the power is not reached."
            raise CheckFailed(f"{what}: expected {want}, got {got}.\nLook at: {hint}")
    passed("seeds_needed", f"{len(cases)} comparisons agree")


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)


def _seeds(sd: float, difference: float, power: float) -> float:
    return 2 * ((_z(0.975) + _z(power)) * sd / difference) ** 2


def _seed_slips(sd: float, difference: float, power: float) -> Slips:
    right = _seeds(sd, difference, power)
    yield "the factor 2: both means have an error, so the variances add up.", right / 2
    yield "the square: sd / difference comes in squared.", 2 * (_z(0.975) + _z(power)) * sd / difference
    yield (
        "the test: both signs count, so 5 % leaves 2.5 % at each side.",
        2 * ((_z(0.95) + _z(power)) * sd / difference) ** 2,
    )
    yield (
        "the power: without its own z the difference is found only half of the time.",
        2 * (_z(0.975) * sd / difference) ** 2,
    )
    yield "the count: seeds of each configuration, not of both together.", 2 * ceil(right)
    yield (
        "the sum: z values add up before they are squared.",
        2 * (_z(0.975) ** 2 + _z(power) ** 2) * (sd / difference) ** 2,
    )


def _numbers(value: Any, what: str) -> list[float]:
    """``value`` as a list of floats; ``CheckFailed`` for what is not a row of numbers."""
    if isinstance(value, (Tensor, np.ndarray)):
        value = value.tolist()
    if (
        not isinstance(value, Sequence)
        or isinstance(value, str)
        or not all(isinstance(entry, (int, float)) for entry in value)
    ):
        raise CheckFailed(
            f"{what}: expected a list of numbers, got {_kind(value)}.\nLook at: the return value."
        )
    return [float(entry) for entry in value]


def _kind(value: Any) -> str:
    return (
        f"{type(value).__name__} of length {len(value)}"
        if isinstance(value, Sequence)
        else type(value).__name__
    )


def _all_close(got: Sequence[float], want: Sequence[float]) -> bool:
    return all(isclose(g, w, rel_tol=1e-6, abs_tol=1e-300) for g, w in zip(got, want, strict=True))
