"""Checks of the exercises of lab 09, training choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, isfinite, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils.course.checks import core
from utils.course.checks.core import (
    CheckFailed,
    Slips,
    call,
    call_with_originals,
    expect_close,
    expect_equal,
    expect_number,
    fail,
    hint_for,
    kind_of,
    number_of,
    numbers_of,
    parts_of,
    passed,
)
from utils.training import schedules

# what adam_step is given and gives back between steps: how many there were, mean of g, mean of its square
State = tuple[int, Any, Any]


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "adam_step": (adam_step, _adam),
            "step_factors": (step_factors, _factors),
            "seeds_needed": (seeds_needed, _needed),
            "honest_report": (honest_report, _reported),
            "clip_by_norm": (clip_by_norm, _clipped),
            "nesterov": (nesterov, _looking_ahead),
        },
    )


def _adam(
    w: Any, g: Any, state: State, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> tuple[Any, State]:
    """With both corrections drawn into the rate and into eps, as the paper's section 2 has it."""
    t, m, v = state
    t, m, v = t + 1, m + (1 - beta1) * (g - m), v + (1 - beta2) * (g * g - v)
    root = sqrt(1 - beta2**t)
    return w - lr * root / (1 - beta1**t) * m / (v**0.5 + eps * root), (t, m, v)


def _factors(every: int, gamma: float, epochs: int, batches: int, after: str) -> list[float]:
    schedule = schedules.step(every, gamma, unit=after)
    return [
        schedule(e * batches + b if after == "batch" else e) for e in range(epochs) for b in range(batches)
    ]


def _needed(sd: float, difference: float, power: float) -> int:
    errors = (_z(0.975) + _z(power)) / difference  # 1 over the largest standard error that will do
    return ceil(sd * sd * errors * errors * 2)


def _reported(valid: Sequence[float], test: Sequence[float], patience: int) -> tuple[int, float]:
    best, waited, epochs = -1, 0, 0
    while epochs < len(valid) and waited < patience:
        better = best < 0 or valid[epochs] > valid[best]
        best, waited = (epochs, 0) if better else (best, waited + 1)
        epochs += 1
    return epochs, test[best]


def _clipped(gradients: Sequence[Tensor | None], bound: float) -> list[Tensor | None]:
    norm = sqrt(sum(float(g.square().sum()) for g in gradients if g is not None))
    return [g if g is None or norm <= bound else g / norm * bound for g in gradients]


def _looking_ahead(w: Tensor, gradient: Callable, lr: float, momentum: float, steps: int) -> Tensor:
    parameter = torch.nn.Parameter(w.clone())
    optimizer = torch.optim.SGD([parameter], lr=lr, momentum=momentum, nesterov=momentum > 0)
    for _ in range(steps):
        parameter.grad = gradient(parameter.detach())
        optimizer.step()
    return parameter.detach()


def adam_step(function: Callable) -> None:
    """``function(w, g, state, lr, beta1, beta2, eps)`` is (the new w, the new state), a step of Adam."""
    random = np.random.default_rng(9)
    settings = ((0.1, 0.9, 0.999, 1e-8), (0.01, 0.5, 0.9, 1e-8), (1.0, 0.8, 0.95, 0.1))
    for lr, beta1, beta2, eps in settings:
        start, gradients = random.standard_normal(3), random.standard_normal((4, 3)) * [3.0, 1.0, 0.2]
        options = (lr, beta1, beta2, eps)
        want = _walk(start, gradients, options, "")
        w, state = start, (0, 0.0, 0.0)
        for k, g in enumerate(gradients):
            what = f"adam_step, step {k + 1} with lr {lr:g}, β₁ {beta1:g}, β₂ {beta2:g}, ε {eps:g}"
            given = w.copy(), g.copy()
            got = call_with_originals(function, w, g, state, *options)
            for name, before, now in zip("wg", given, (w, g), strict=True):
                if not np.array_equal(before, now):
                    look_at = (
                        f"{name} = {name} … in place of {name} -= … or {name} *= …, which write into it."
                    )
                    fail(what, f"the {name} that was given as it was", "one that has been changed", look_at)
            moved, state = parts_of(got, ("w", "state"), what)
            look_at = "the first of the two results, the weights after the step."
            numbers = numbers_of(moved, 3, f"{what}, the new w", look_at)
            if not all(map(isfinite, numbers)):
                look_at = "t: it is 1 in the first step, so that 1 − β^t is not 0."
                fail(f"{what}, the new w", "three finite numbers", str(numbers), look_at)
            hint = "the order: t, m and v first, then the corrected ones, then the step."
            hint = hint_for(numbers, _adam_slips(start, gradients, options, k), hint, atol=1e-9)
            for ours, theirs in zip(want[k], numbers, strict=True):
                expect_number(theirs, float(ours), what=f"{what}, the new w", look_at=hint, rtol=1e-6)
            w = np.array(numbers)
    passed(
        "adam_step",
        f"{len(settings)} walks of four steps agree, and leave weights and gradients as they were",
    )


def _walk(start: Any, gradients: Any, options: tuple[float, ...], slip: str) -> list[Any]:
    """The weights after each step, with a slip or, for "", without."""
    lr, beta1, beta2, eps = options
    if slip == "betas":
        beta1, beta2 = beta2, beta1
    w, m, v, places = start, np.zeros(3), np.zeros(3), []
    for t, g in enumerate(gradients, 1):
        if slip == "forgets":
            t, m, v = 1, np.zeros(3), np.zeros(3)
        old_m, old_v = m, v
        m = beta1 * m + (1.0 if slip == "sums" else 1 - beta1) * g
        v = beta2 * v + (1.0 if slip == "sums" else 1 - beta2) * (np.abs(g) if slip == "size" else g * g)
        t = 1 if slip == "stuck" else t
        used_m, used_v = (old_m, old_v) if slip == "old" else (m, v)
        mean = used_m if slip in ("uncorrected", "square only") else used_m / (1 - beta1**t)
        square = used_v if slip in ("uncorrected", "mean only") else used_v / (1 - beta2**t)
        m = mean if slip in ("keeps", "keeps m") else m
        v = square if slip in ("keeps", "keeps v") else v
        root = {"no root": square, "eps inside": np.sqrt(square + eps)}.get(slip, np.sqrt(square))
        step = lr * mean / (root + (0 if slip == "eps inside" else eps))
        w = w + step if slip == "sign" else w - step
        places.append(w)
    return places


ADAM_SLIPS = {
    "uncorrected": "the bias correction: it is missing.",
    "mean only": "the bias correction: v needs it as well, with β₂.",
    "square only": "the bias correction: m needs it as well, with β₁.",
    "sign": "the sign: against the gradient.",
    "no root": "the divisor: the root of the mean square.",
    "eps inside": "ε: it is added to the root, not under it.",
    "size": "v: the mean of the *squared* gradients.",
    "betas": "the betas: β₁ belongs to the mean, β₂ to the mean square.",
    "sums": "the means: the new gradient has the share 1 − β.",
    "old": "the order: m and v are renewed before they are used.",
    **dict.fromkeys(
        ("keeps", "keeps m", "keeps v"),
        "the state: keep m and v as they are; the corrected ones are for this step only.",
    ),
    "stuck": "t: return t + 1 in the state, or every step is corrected as if it were the first.",
    "forgets": "the state: go on from the m and v that you are given, and return the new ones.",
}


def _adam_slips(start: Any, gradients: Any, options: tuple[float, ...], k: int) -> Slips:
    for slip, look_at in ADAM_SLIPS.items():
        with np.errstate(all="ignore"):
            yield look_at, _walk(start, gradients, options, slip)[k].tolist()


def step_factors(function: Callable) -> None:
    """``function(every, gamma, epochs, batches, after)`` is the factor of each batch.

    ``after`` says after what ``step()`` stands, "epoch" or "batch".
    """
    cases = [(2, 0.1, 6, 5), (10, 0.1, 4, 8), (1, 0.5, 3, 4), (3, 0.2, 7, 1), (5, 0.1, 5, 5)]
    for case in cases:
        for after in ("epoch", "batch"):
            what = f"step_factors({', '.join(map(str, case))}, {after!r})"
            want = _step_factors(*case, after)
            look_at = "the return value, one factor for each batch: epochs times batches."
            got = numbers_of(call(function, *case, after), len(want), what, look_at)
            hint = "gamma ** (calls so far // every)."
            hint = hint_for(got, _step_slips(*case, after), hint, rtol=1e-6, atol=0.0)
            for place, (ours, theirs) in enumerate(zip(want, got, strict=True)):
                where = f"{what}, batch {place}"
                expect_number(theirs, ours, what=where, look_at=hint, rtol=1e-6, atol=0.0)
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
    """``function(w, gradient, lr, momentum, steps)`` is where Nesterov's momentum ends, as torch's does."""
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
            got = call_with_originals(function, given, gradient, lr, momentum, steps)
            if not given.equal(w):
                look_at = "w = w - … in place of w -= …, which writes into it."
                fail(what, "the w that was given as it was", "one that has been changed", look_at)
            want = _descend(w, gradient, lr, momentum, steps, _nesterov_step)
            hint = "b = momentum · b + g, then w − lr · (g + momentum · b)."
            hint = hint_for(
                got, _nesterov_slips(w, gradient, lr, momentum, steps), hint, atol=1e-9, rtol=1e-5
            )
            expect_close(got, want, what=what, look_at=hint, atol=1e-7)
            count += 1
    passed("nesterov", f"{count} walks end where torch's do, and leave their start as it was")


# gradient, buffer, momentum -> buffer, direction
Step = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]


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
    """``function(gradients, bound)`` gives gradients with a common norm of at most ``bound``."""
    generator = torch.Generator().manual_seed(9)
    shapes = [((3, 4), (4,)), ((2, 3, 3, 3), (2,), (5, 2)), ((6,),), ((1,), (), (2, 2))]
    cases: list[list[Tensor | None]] = [
        [torch.randn(shape, generator=generator) for shape in each] for each in shapes
    ]
    cases.append([cases[0][0], None, cases[0][1]])
    for number, gradients in enumerate(cases):
        norm = float(torch.stack([g.norm() for g in gradients if g is not None]).norm())
        for bound in (0.3 * norm, 3 * norm):
            what = f"clip_by_norm, case {number + 1}, norm {norm:.3g}, bound {bound:.3g}"
            kept = [None if g is None else g.clone() for g in gradients]
            got = _gradients_of(call(function, kept, bound), len(gradients), what)
            factor = min(1.0, bound / norm)
            for place, g in enumerate(gradients):
                entry = f"{what}, entry {place}"
                if g is None:
                    expect_equal(got[place], None, what=entry, look_at=STAYS_NONE)
                    continue
                hint = "all gradients times the same number, min(1, bound / norm)."
                slips = _clip_slips(g, gradients, norm, bound)
                hint = hint_for(got[place], slips, hint, atol=1e-6, rtol=1e-5)
                expect_close(got[place], factor * g, what=entry, look_at=hint)
    edges: tuple[tuple[list[Tensor | None], str, str], ...] = (
        (
            [torch.zeros(3)],
            "a gradient of zeros",
            "a norm of 0, which is below every bound: nothing is divided by it.",
        ),
        ([None], "no gradient at all", "the norm of no gradients: the root of an empty sum, 0."),
    )
    for alone, text, look_at in edges:
        what = f"clip_by_norm for {text}"
        try:
            got = call(function, list(alone), 1.0)
        except CheckFailed as failure:
            fail(what, "a list of 1 gradient", repr(failure.__cause__ or failure), look_at)
        got = _gradients_of(got, 1, what)
        if alone[0] is None:
            expect_equal(got[0], None, what=what, look_at=STAYS_NONE)
        else:
            expect_close(got[0], torch.zeros(3), what=what, look_at=look_at)
    told = f"{len(cases)} lists of gradients, each with a bound below and above its norm"
    passed("clip_by_norm", f"{told}, and two whose norm is 0")


STAYS_NONE = "a parameter without a gradient has None; it stays None."


def _gradients_of(value: object, count: int, what: str) -> Sequence:
    if not isinstance(value, (list, tuple)) or len(value) != count:
        fail(what, f"a list of {count} gradient{'s' * (count > 1)}", kind_of(value), "the return value.")
    return value


def _clip_slips(g: Tensor, gradients: Sequence[Tensor | None], norm: float, bound: float) -> Slips:
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
    """``function(valid, test, patience)`` is (epochs run, test accuracy at the best validation of them)."""
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
        what = f"honest_report for {text}"
        got = parts_of(call(function, list(valid), list(test), patience), ("epochs", "accuracy"), what)
        epochs, best = _stopped(valid, patience)
        hint = "stop when the best is `patience` epochs old, and count the epochs that were run."
        hint = hint_for(got[0], _epoch_slips(valid, test, patience), hint)
        expect_equal(got[0], epochs, what=f"{what}, epochs that were run", look_at=hint)
        what = f"{what}, the accuracy"
        accuracy = number_of(got[1], what)
        hint = "the test accuracy at the best validation epoch."
        hint = hint_for(accuracy, _report_slips(valid, test, epochs, best), hint, atol=1e-9, rtol=0.0)
        expect_number(accuracy, test[best], what=what, look_at=hint, rtol=0.0)
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
    """``function(sd, difference, power)`` is the number of seeds of each configuration, at 5 %."""
    cases = [
        (2.0, 1.0, 0.9),
        (1.78, 1.0, 0.8),
        (0.3, 1.0, 0.9),
        (2.5, 0.5, 0.5),
        (0.27, 0.11, 0.8),
        (1.0, 1.7, 0.8),
    ]
    for case in cases:
        what = f"seeds_needed({', '.join(f'{value:g}' for value in case)})"
        got = call(function, *case)
        if isinstance(got, bool) or not isinstance(got, (int, np.integer)):
            fail(what, "a whole number", repr(got), "rounding up, with math.ceil.")
        slips = [("rounding: up, or the power is not reached.", int(_seeds(*case)))]
        slips += [(look, ceil(slip)) for look, slip in _seed_slips(*case)]
        hint = hint_for(got, slips, "n = 2 · ((z + z_power) · sd / difference)², rounded up.")
        expect_equal(got, ceil(_seeds(*case)), what=what, look_at=hint)
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
