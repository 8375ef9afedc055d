"""Checks of the exercises of lab 08, loss landscapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isfinite, nan

import numpy as np
import torch
from torch import Tensor

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    expect_close,
    expect_number,
    fail,
    hint_for,
    number_of,
    numbers_of,
    parts_of,
    passed,
)


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same numbers if it is not written yet."""
    return core.use(
        function,
        {
            "mean_width": (mean_width, _mean_width),
            "useless_rates": (useless_rates, _jumping_rates),
            "filter_normalize": (filter_normalize, _filter_normalized),
            "effective_beta": (effective_beta, lambda *given: float(_betas(*given).max())),
            "same_function": (same_function, _same_function),
        },
    )


def _jumping_rates(h: float, steps: int) -> list[float]:
    """Rates just below 2/h: every step leads to the other side of the valley, as high as before."""
    return [(2 - share * 1e-3 / steps) / h for share in (1, 2, 3, 4)]


def _same_function(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, factors: Tensor) -> tuple[Tensor, ...]:
    grow = torch.diag(factors)
    return grow @ w1, grow @ b1, w2 @ torch.diag(1 / factors), b2


def mean_width(function: Callable) -> None:
    """``function(losses)`` is the mean width of the band of runs, up to the first loss that is not finite."""
    random = np.random.default_rng(8)
    even = random.uniform(0.5, 2.5, (4, 7)).tolist()
    cases = {
        "two runs of three steps": [[3.0, 2.0, 1.0], [3.0, 1.0, 0.0]],
        "four runs of equal length": even,
        "a run that is never on an edge": [[1.0, 1.0], [4.0, 3.0], [2.0, 2.0]],
        "one run that stopped early": [even[0], even[1][:4], even[2]],
        "one run that ends in nan": [even[0], [*even[1][:3], nan, nan, nan, nan], even[2]],
        "one run that ends in inf": [even[0], even[1], [*even[2][:5], inf, inf]],
        "a run that came back after nan": [even[0], [even[1][0], nan, *even[1][2:]]],
    }
    for text, losses in cases.items():
        want = _mean_width(losses)
        what = f"mean_width of {text}"
        got = number_of(call(function, losses), what)
        hint = "at each step the largest minus the smallest loss, then the mean over the steps."
        hint = hint_for(got, _width_slips(losses), hint, atol=1e-9)
        expect_number(got, want, what=what, look_at=hint, atol=1e-7)
    passed("mean_width", f"{len(cases)} bands agree, runs that stopped or diverged among them")


def _mean_width(losses: Sequence[Sequence[float]]) -> float:
    values = _cut(losses)
    return float((values.max(axis=0) - values.min(axis=0)).mean())


def _cut(losses: Sequence[Sequence[float]]) -> np.ndarray:
    """[runs, steps] up to the first step at which a run has no finite loss."""
    ends = [next((i for i, loss in enumerate(run) if not isfinite(loss)), len(run)) for run in losses]
    return np.array([run[: min(ends)] for run in losses])


def _width_slips(losses: Sequence[Sequence[float]]) -> Slips:
    values = _cut(losses)
    width = values.max(axis=0) - values.min(axis=0)
    yield (
        "the edges: not the first and the last run, but the highest and the lowest at each step.",
        np.abs(values[-1] - values[0]).mean(),
    )
    yield "the edges: this is first run minus last run.", (values[0] - values[-1]).mean()
    yield "the order: this is the largest loss of all minus the smallest of all.", values.max() - values.min()
    yield "the mean: this is the sum of the widths.", width.sum()
    yield "the mean: this is the largest width.", width.max()
    yield "the edges: this is the standard deviation over the runs.", values.std(axis=0).mean()
    yield "the edges: this is the standard deviation over the runs.", values.std(axis=0, ddof=1).mean()
    shortest = min(map(len, losses))
    same_length = np.array([run[:shortest] for run in losses])
    finite = np.isfinite(same_length)
    yield "nan: the result is nan where a run has diverged; cut before you compute.", nan
    yield "inf: cut the band before the first loss that is not finite.", inf
    columns = same_length[:, finite.all(axis=0)]
    yield (
        "a run that came back: the band ends at the first loss that is not finite.",
        (columns.max(axis=0) - columns.min(axis=0)).mean(),
    )
    if not finite.all():
        masked = np.where(finite, same_length, nan)
        kept = np.nanmax(masked, axis=0) - np.nanmin(masked, axis=0)
        yield "the diverged run: its nan is skipped and the band goes on without it.", kept.mean()


def useless_rates(function: Callable) -> None:
    """``function(h, steps)`` gives four rates whose descents of ½hw² all stay near their start."""
    for h, steps in ((1.0, 50), (0.01, 10), (250.0, 400), (3.7, 2), (1e4, 1000)):
        what = f"useless_rates({h:g}, {steps})"
        rates = numbers_of(call(function, h, steps), 4, what)
        if len(set(rates)) != 4 or not all(0 < rate < inf for rate in rates):
            fail(what, "four different positive rates", f"{rates}", "the rates themselves.")
        losses = np.array([_descent(h, rate, steps) for rate in rates])
        start = h / 2
        shares = losses[:, -1] / start
        worst = int(shares.argmin())
        if not np.isfinite(losses).all() or shares.max() > 1.02:
            largest = max(rates)
            look_at = f"|1 − ηh|, which must not be above 1; here ηh = {largest * h:g}."
            fail(f"{what}, the run at {largest:g}", "a loss that stays", "one that diverges", look_at)
        if shares[worst] < 0.98:
            what = f"{what}, the final loss at the rate {rates[worst]:g}, as a share of that at the start"
            look_at = (
                f"(1 − ηh)^(2t) at the last step, t = {steps - 1}; "
                "it depends on h and on the number of steps."
            )
            fail(what, "at least 98 %", f"{shares[worst]:.1%}", look_at)
        width = float((losses.max(axis=0) - losses.min(axis=0)).mean()) / start
        if width >= 0.01:
            what = f"{what}, the mean width, of the loss at the start"
            fail(what, "less than 1 %", f"{width:.1%}", "rates that are closer to what keeps the loss.")
    passed("useless_rates", "five bowls: each band is narrow, and no run has learned anything")


def _descent(h: float, rate: float, steps: int) -> list[float]:
    """The loss ½hw² before each of ``steps`` steps, from w = 1."""
    w, losses = 1.0, []
    for _ in range(steps):
        losses.append(h / 2 * w * w)
        w = w - rate * h * w
        if not abs(w) < 1e100:
            return [*losses, *[inf] * (steps - len(losses))]
    return losses


def filter_normalize(function: Callable) -> None:
    """``function(direction, weight)`` gives each filter the norm of the weight's, and zeros for biases."""
    generator = torch.Generator().manual_seed(8)
    shapes = [(3, 4), (5, 5), (4, 3, 3, 3), (6, 1, 5), (7,), (1, 2), ()]
    for shape in shapes:
        direction, weight = (torch.randn(shape, generator=generator) for _ in range(2))
        if shape == (5, 5):
            # of different size, one of zeros
            weight = weight * torch.tensor([0.1, 1.0, 0.0, 10.0, 3.0])[:, None]
        want = _filter_normalized(direction, weight)
        got = call(function, direction, weight)
        hint = "norm of each filter: over everything but the first dimension."
        hint = hint_for(got, _filter_slips(direction, weight), hint)
        expect_close(got, want, what=f"filter_normalize for shape {list(shape)}", look_at=hint)
    passed("filter_normalize", f"{len(shapes)} shapes, with a filter of zeros and with biases")


def _filter_normalized(direction: Tensor, weight: Tensor) -> Tensor:
    if weight.ndim < 2:
        return torch.zeros_like(weight)
    return direction * _row_norms(weight) / _row_norms(direction)


def _row_norms(tensor: Tensor) -> Tensor:
    """[F, 1, …]: the norm of each filter."""
    return tensor.square().sum(dim=tuple(range(1, tensor.ndim)), keepdim=True).sqrt()


def _filter_slips(direction: Tensor, weight: Tensor) -> Slips:
    if weight.ndim < 2:
        look = "parameters with fewer than two dimensions: they do not move, the result is zeros."
        yield look, direction
        yield look, direction * weight.norm() / direction.norm()
        yield look, direction * weight.abs() / direction.abs()
        return
    rows = _row_norms(direction)
    yield (
        "the norm: one for each filter, this is one for the whole parameter.",
        direction * weight.norm() / direction.norm(),
    )
    yield (
        "the norm of the weight: the filters have length 1 now, they should be as long as the network's.",
        direction / rows,
    )
    yield (
        "the norm of the direction: divide by it, so that its own length drops out.",
        direction * _row_norms(weight),
    )
    yield "the square root: these are squared norms.", direction * _row_norms(weight) ** 2 / rows**2
    yield (
        "the two tensors: the direction is to be scaled, this is the weight.",
        weight * rows / _row_norms(weight),
    )
    yield (
        "the fraction: norm of the weight over norm of the direction.",
        direction * rows / _row_norms(weight),
    )
    columns = [i for i in range(weight.ndim) if i != 1]
    by_column = [tensor.square().sum(dim=columns, keepdim=True).sqrt() for tensor in (weight, direction)]
    yield (
        "the axis: a filter is direction[i], this is column by column.",
        direction * by_column[0] / by_column[1],
    )
    if weight.ndim > 2:
        kernels = [
            tensor.square().sum(dim=tuple(range(2, tensor.ndim)), keepdim=True).sqrt()
            for tensor in (weight, direction)
        ]
        yield (
            "the filter: all input channels together, this is channel by channel.",
            direction * kernels[0] / kernels[1],
        )
    yield "the direction: it is returned as it was.", direction


def effective_beta(function: Callable) -> None:
    """``function(gradient, w, lengths)`` is the largest change of the gradient per distance, downhill."""
    generator = torch.Generator().manual_seed(8)
    cases = []
    for size in (1, 2, 5):
        root = torch.randn(size, size, generator=generator, dtype=torch.float64)
        hessian = root @ root.T + 0.1 * torch.eye(size, dtype=torch.float64)
        cases.append(
            (
                f"a bowl of {size} dimension{'s' * (size > 1)}",
                lambda w, hessian=hessian: hessian @ w,
                size,
                (0.01, 0.1),
            )
        )
    cases.append(("a sum of fourth powers", lambda w: 4 * w**3, 3, (0.001, 0.01, 0.02)))
    cases.append(("a sum of sines", torch.cos, 4, (0.1, 1.0, 3.0)))
    # the largest change per distance is at the second length, which is the longest
    cases.append(("a slope that becomes steeper downhill", torch.sin, 1, (0.1, 0.5, 0.3)))
    for text, gradient, size, lengths in cases:
        w = torch.randn(size, generator=generator, dtype=torch.float64) + 1
        if gradient is torch.sin:
            w = torch.full_like(w, 1.4)
        want = float(_betas(gradient, w, lengths).max())
        what = f"effective_beta for {text}"
        got = number_of(call(function, gradient, w, lengths), what)
        hint = "the largest of ‖g(w − ηg) − g(w)‖ / ‖ηg‖, with g = g(w)."
        hint = hint_for(got, _beta_slips(gradient, w, lengths), hint, atol=1e-9)
        expect_number(got, want, what=what, look_at=hint)
    passed("effective_beta", f"{len(cases)} landscapes agree, three of them bowls")


def _betas(gradient: Callable, w: Tensor, lengths: Sequence[float], sign: float = -1.0) -> Tensor:
    g = gradient(w)
    return torch.stack(
        [(gradient(w + sign * length * g) - g).norm() / (length * g.norm()) for length in lengths]
    )


def _beta_slips(gradient: Callable, w: Tensor, lengths: Sequence[float]) -> Slips:
    betas, g, etas = _betas(gradient, w, lengths), gradient(w), torch.tensor(lengths, dtype=w.dtype)
    yield "which one: the largest over the lengths, this is the smallest.", betas.min()
    yield "which one: the largest over the lengths, this is the mean.", betas.mean()
    yield "which one: the largest over the lengths, this is the first.", betas[0]
    yield "which one: the largest over the lengths, this is the last.", betas[-1]
    yield "the distance: it is η‖g‖, this divides by η alone.", (betas * g.norm()).max()
    yield "the distance: it is η‖g‖, this divides by ‖g‖ alone.", (betas * etas).max()
    yield "the distance: the change has to be divided by it.", (betas * etas * g.norm()).max()
    yield "the direction: against the gradient, so w − ηg.", _betas(gradient, w, lengths, sign=1.0).max()
    moved = w.clone()
    walked = []
    for length in lengths:
        before = gradient(moved)
        moved = moved - length * before
        walked.append((gradient(moved) - before).norm() / (length * before.norm()))
    yield "the start: each length begins at w, they do not follow each other.", torch.stack(walked).max()


def same_function(function: Callable) -> None:
    """``function(w1, b1, w2, b2, factors)`` gives other weights of the same function: unit i grows."""
    generator = torch.Generator().manual_seed(8)
    for inputs, hidden, outputs in ((3, 5, 2), (1, 1, 1), (4, 4, 4), (6, 2, 3)):
        w1, b1 = torch.randn(hidden, inputs, generator=generator), torch.randn(hidden, generator=generator)
        w2, b2 = torch.randn(outputs, hidden, generator=generator), torch.randn(outputs, generator=generator)
        factors = torch.exp(torch.randn(hidden, generator=generator))
        what = f"same_function for {inputs} inputs, {hidden} hidden units, {outputs} outputs"
        got = parts_of(call(function, w1, b1, w2, b2, factors), tuple(HINTS), what, of="tensors")
        want = (w1 * factors[:, None], b1 * factors, w2 / factors, b2)
        for name, ours, theirs in zip(HINTS, want, got, strict=True):
            slips = _scale_slips(name, (w1, b1, w2, b2), factors)
            hint = hint_for(theirs, slips, HINTS[name], atol=1e-6)
            expect_close(theirs, ours, what=f"{what}: new {name}", look_at=hint)
        x = torch.randn(8, inputs, generator=generator)
        expect_close(
            _network(x, *got),
            _network(x, w1, b1, w2, b2),
            what=f"{what}: its outputs",
            look_at="the four parts together.",
            atol=1e-4,
        )
    passed("same_function", "four networks: other weights, the same outputs")


HINTS = {
    "w1": "unit i is row i of w1: each row times its factor.",
    "b1": "the bias of unit i grows as its weights do, or the ReLU opens elsewhere.",
    "w2": "column i of w2 reads unit i: it is divided by the factor.",
    "b2": "b2 is added after the hidden units, and stays.",
}


def _scale_slips(name: str, own: tuple[Tensor, ...], factors: Tensor) -> Slips:
    w1, b1, w2, b2 = own
    if name == "w1":
        yield "w1: it is returned as it was.", w1
        yield "w1: times the factors, not divided by them.", w1 / factors[:, None]
        if w1.shape[0] == w1.shape[1]:
            yield "w1: a unit is a row, these are the columns.", w1 * factors
    if name == "b1":
        yield "b1: a unit's bias is multiplied too, or the ReLU opens elsewhere.", b1
    if name == "w2":
        yield "w2: it is returned as it was; what the first layer gains the last must take away.", w2
        yield "w2: divided by the factors, not times.", w2 * factors
        if w2.shape[0] == w2.shape[1]:
            yield "w2: unit i is read by column i, these are the rows.", w2 / factors[:, None]
    if name == "b2" and len(b2) == len(factors):
        yield "b2: it does not pass the hidden units, and stays.", b2 / factors


def _network(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    return torch.relu(x @ w1.T + b1) @ w2.T + b2
