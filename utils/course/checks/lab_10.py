"""Checks of the exercises of lab 10, regularization and augmentation."""

from __future__ import annotations

from collections.abc import Callable
from math import log, nan, sqrt

import torch
from torch import Tensor

from utils.course.checks.core import (
    Slips,
    call,
    call_with_originals,
    expect_close,
    expect_equal,
    expect_number,
    expect_shape,
    fail,
    hint_for,
    number_of,
    parts_of,
    passed,
)


def smoothed_floor(function: Callable) -> None:
    """``function(classes, epsilon, accuracy)`` is the lowest mean loss with smoothed labels."""
    cases = [
        (100, 0.1, 1.0),
        (100, 0.1, 0.0),
        (100, 0.1, 0.689),
        (10, 0.1, 0.5),
        (2, 0.3, 0.25),
        (1000, 0.05, 0.9),
        (10, 1.0, 0.4),
    ]
    for classes, epsilon, accuracy in cases:
        want = accuracy * _best(classes, epsilon) + (1 - accuracy) * _best_wrong(classes, epsilon)
        what = f"smoothed_floor({classes}, {epsilon:g}, {accuracy:g})"
        got = number_of(call(function, classes, epsilon, accuracy), what)
        hint = "the mean over right and wrong pictures, each at its best."
        hint = hint_for(got, _floor_slips(classes, epsilon, accuracy), hint, atol=1e-9)
        expect_number(got, want, what=what, look_at=hint)
    passed("smoothed_floor", f"{len(cases)} settings agree, from two classes to a thousand")


def _target(classes: int, epsilon: float) -> tuple[float, float]:
    return 1 - epsilon + epsilon / classes, epsilon / classes


def _best(classes: int, epsilon: float) -> float:
    right, other = _target(classes, epsilon)
    return -right * log(right) - (classes - 1) * other * log(other)


def _best_wrong(classes: int, epsilon: float) -> float:
    right, other = _target(classes, epsilon)
    return -(right + other) * log((right + other) / 2) - (classes - 2) * other * log(other)


def _floor_slips(classes: int, epsilon: float, accuracy: float) -> Slips:
    best, wrong = _best(classes, epsilon), _best_wrong(classes, epsilon)
    yield (
        "the wrong pictures: their floor is higher, "
        "because another class is at least as probable as the right one.",
        best,
    )
    yield (
        "the two shares: the accuracy is the share of the right pictures.",
        (1 - accuracy) * best + accuracy * wrong,
    )
    yield "the logarithm: the natural one, as in torch.", (accuracy * best + (1 - accuracy) * wrong) / log(2)
    yield "the sign: the loss is minus the sum of q ln p.", -accuracy * best - (1 - accuracy) * wrong
    if epsilon < 1:
        right, other = 1 - epsilon, epsilon / (classes - 1)
        entropy = -right * log(right) - (classes - 1) * other * log(other)
        halves = -(right + other) * log((right + other) / 2) - (classes - 2) * other * log(other)
        yield (
            "the target: ε is spread over all K classes, the right one included.",
            accuracy * entropy + (1 - accuracy) * halves,
        )
    right, other = _target(classes, epsilon)
    swapped = -right * log(other) - other * log(right) - (classes - 2) * other * log(other)
    yield (
        "a wrong picture at its best: the right class and one other with the same probability; "
        "they are not exchanged.",
        accuracy * best + (1 - accuracy) * swapped,
    )
    yield (
        "a wrong picture: its floor is that of the smoothed target as well, "
        "only with two classes that share.",
        accuracy * best,
    )


def dropout_2d(function: Callable) -> None:
    """``function(x, p, training)`` drops whole channels of single pictures, and keeps the expectation."""
    generator = torch.Generator().manual_seed(10)
    x = torch.rand(40, 30, 4, 5, generator=generator) + 0.5
    for p in (0.3, 0.0):
        kept = call(function, x, p, False)
        expect_close(
            kept,
            x,
            what="dropout_2d in evaluation",
            look_at="training: without it nothing happens, no scaling either.",
        )
    for p in (0.2, 0.5):
        what = f"dropout_2d with p = {p:g} in training"
        got = call(function, x, p, True)
        expect_shape(got, x.shape, what=what, look_at="the return value.")
        zero = got == 0
        whole = zero.flatten(2).all(dim=2)
        if not zero.flatten(2).any(dim=2).equal(whole):
            look_at = "the mask, one draw for each channel: [B, C, 1, 1]."
            fail(what, "channels that are zero as a whole", "some that are zero in part only", look_at)
        if whole.any() and ((whole == whole[:1]).all() or (whole == whole[:, :1]).all()):
            got = "the same channels in every picture, or whole pictures"
            fail(what, "zeros in channels of their own", got, "the shape of the mask, [B, C, 1, 1].")
        share, tolerance = whole.float().mean().item(), 5 * sqrt(p * (1 - p) / whole.numel())
        if abs(share - p) > tolerance:
            swapped = abs(share - (1 - p)) <= tolerance
            hint = (
                "the comparison: p is the probability of being dropped, not of being kept."
                if swapped
                else "the probability."
            )
            fail(f"{what}, the share of channels that are zero", f"about {p:.0%}", f"{share:.1%}", hint)
        factor = (got / x)[~zero]
        if not torch.allclose(factor, torch.full_like(factor, 1 / (1 - p)), atol=1e-4):
            look_at = "the factor 1 / (1 − p), which keeps the expectation."
            what = f"{what}, the factor of the survivors"
            fail(what, f"{1 / (1 - p):.4g}", f"{factor.mean():.4g}", look_at)
        if call(function, x, p, True).equal(got):
            look_at = "the random numbers, drawn anew in each call."
            fail(what, "other channels in a second call", "the same", look_at)
    passed(
        "dropout_2d", "whole channels are dropped, the expectation is kept, and evaluation changes nothing"
    )


def reflect_index(function: Callable) -> None:
    """``function(place, size)`` is the row at any place of a picture that goes on as its mirror image."""
    for size in (7, 4, 3, 2, 32):
        pattern = [*range(size), *range(size - 2, 0, -1)]
        # right beside the border some slips look alike, so those places come last
        for place in sorted(range(-5 * size, 6 * size), key=lambda place: (abs(place) < 3, abs(place))):
            want = pattern[place % len(pattern)]
            what = f"reflect_index({place}, {size})"
            got = number_of(call(function, place, size), what)
            hint = hint_for(got, _reflect_slips(place, size), "the period, 2·(size − 1) places.")
            expect_equal(got, want, what=what, look_at=hint)
    passed("reflect_index", "five sizes agree, up to five pictures away")


def _reflect_slips(place: int, size: int) -> Slips:
    repeated = [*range(size), *range(size - 1, -1, -1)]
    at_place = repeated[place % len(repeated)]
    yield "the edge: the edge pixel is not repeated, beyond row 0 comes row 1.", at_place
    yield "the other side: this goes on periodically, not mirrored.", place % size
    yield "the border: this repeats the edge pixel.", min(max(place, 0), size - 1)
    once = (size - 1) - abs((size - 1) - abs(place))
    yield "places far outside: the mirror image is mirrored again.", once


def cutmix(function: Callable) -> None:
    """``function(image_a, image_b, label_a, label_b, size, row, column)`` pastes a square, mixes labels."""
    generator = torch.Generator().manual_seed(10)
    cases = [(4, 4, 4), (5, 3, 6), (4, 0, 0), (6, 7, 9), (3, 7, 0), (40, 4, 5), (1, 2, 8)]
    for size, row, column in cases:
        a, b = torch.rand(2, 3, 8, 10, generator=generator)
        label_a, label_b = torch.softmax(torch.randn(2, 5, generator=generator), dim=1)
        what = f"cutmix of 8 × 10 pictures, size {size}, center ({row}, {column})"
        before = [tensor.clone() for tensor in (a, b, label_a, label_b)]
        got = call_with_originals(function, a, b, label_a, label_b, size, row, column)
        if not all(old.equal(new) for old, new in zip(before, (a, b, label_a, label_b), strict=True)):
            look_at = "clone the first picture before you write into it."
            fail(what, "the arguments as they were", "one that has been changed", look_at)
        picture, label = parts_of(got, ("picture", "label"), what)
        covered = _square(size, row, column)
        hint = "the edges of the square, clipped at 0 and at H and W."
        hint = hint_for(picture, _cutmix_slips(a, b, size, row, column), hint)
        expect_close(picture, torch.where(covered, b, a), what=f"{what}: the picture", look_at=hint)
        share = covered.float().mean()
        mixed = (1 - share) * label_a + share * label_b
        hint = "the covered area divided by H·W."
        hint = hint_for(label, _label_slips(label_a, label_b, share, size), hint)
        expect_close(label, mixed, what=f"{what}: the label", look_at=hint)
    passed("cutmix", f"{len(cases)} squares, four of them clipped at the border")


def _square(size: int, row: int, column: int) -> Tensor:
    """bool [8, 10]: what the square covers."""
    rows, columns = torch.arange(8)[:, None] - (row - size // 2), torch.arange(10) - (column - size // 2)
    return (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)


def _cutmix_slips(a: Tensor, b: Tensor, size: int, row: int, column: int) -> Slips:
    square, corner = _square(size, row, column), _square(size, row + size // 2, column + size // 2)
    yield "the two pictures: the square comes from the second one.", torch.where(square, a, b)
    yield "the place: (row, column) is the center of the square, not its corner.", torch.where(corner, b, a)
    black = torch.where(square, 0.0, a)
    yield "the square: it is filled with the second picture, not with black.", black
    yield "negative indices: Python counts them from the end; clip them to 0.", a


def _label_slips(label_a: Tensor, label_b: Tensor, share: Tensor, size: int) -> Slips:
    exchanged = share * label_a + (1 - share) * label_b
    yield "the two shares: the covered area belongs to the second label.", exchanged
    area = size * size / 80
    for whole in (min(1.0, area), area):
        unclipped = (1 - whole) * label_a + whole * label_b
        yield "the area: only what is really covered counts, after clipping.", unclipped
    yield "the label: it must be mixed too.", label_a
    yield "the label: by area, not half and half.", (label_a + label_b) / 2


def effective_parameters(function: Callable) -> None:
    """``function(X, penalty)`` is the trace of X (XᵀX + penalty)⁻¹ Xᵀ, without a matrix of n × n."""
    generator = torch.Generator().manual_seed(10)
    for rows, columns, penalty in (
        (20, 5, 0.5),
        (6, 6, 0.01),
        (3, 8, 2.0),
        (50, 1, 100.0),
        (100_000, 4, 10.0),
    ):
        X = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
        want = float(_shares(X, penalty).sum())
        what = f"effective_parameters for X of {rows} × {columns}, penalty {penalty:g}"
        got = number_of(call(function, X, penalty), what)
        hint = "the trace of (XᵀX + λI)⁻¹ XᵀX, a p × p matrix."
        hint = hint_for(got, _trace_slips(X, penalty), hint, atol=1e-9)
        expect_number(got, want, what=what, look_at=hint)
    passed("effective_parameters", "five matrices agree, one of them with 100,000 rows")


def _shares(X: Tensor, penalty: float) -> Tensor:
    values = torch.linalg.eigvalsh(X.T @ X).clamp(min=0)
    return values / (values + penalty)


def _trace_slips(X: Tensor, penalty: float) -> Slips:
    values = torch.linalg.eigvalsh(X.T @ X).clamp(min=0)
    yield "the penalty: this is the number of weights, as without one.", float(X.shape[1])
    yield (
        "the squares: s² / (s² + λ), not s / (s + λ).",
        float((values.sqrt() / (values.sqrt() + penalty)).sum()),
    )
    yield (
        "the penalty: it is added to XᵀX as it is, not squared.",
        float((values / (values + penalty**2)).sum()),
    )
    yield "the penalty: λI, λ on the diagonal only.", _trace_of_all_ones(X, penalty)
    yield "the trace: the sum of the diagonal, not its mean.", float((values / (values + penalty)).mean())
    yield (
        "the factors: the trace of the inverse alone is something else.",
        float((1 / (values + penalty)).sum()),
    )
    yield (
        "what is asked: this is what the penalty has taken away.",
        float((penalty / (values + penalty)).sum()),
    )


def _trace_of_all_ones(X: Tensor, penalty: float) -> float:
    try:
        return float(torch.trace(torch.linalg.solve(X.T @ X + penalty, X.T @ X)))
    except RuntimeError:  # singular: then nobody has got an answer this way
        return nan
