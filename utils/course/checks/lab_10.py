"""Checks of the exercises of lab 10, regularization and augmentation."""

from __future__ import annotations

from collections.abc import Callable
from math import log, nan, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.course.checks import core
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


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "effective_parameters": (effective_parameters, _effective),
            "dropout": (dropout, _dropout),
            "smoothed_floor": (smoothed_floor, _floor),
            "reflect_index": (reflect_index, _reflected),
            "cutmix": (cutmix, _cutmix),
        },
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
        hint = "the mean over right and wrong images, each at its best."
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


def _floor(classes: int, epsilon: float, accuracy: float) -> float:
    """By torch's own loss, at the best probabilities of a right and of a wrong image."""
    right = torch.full((classes,), epsilon / classes, dtype=torch.float64)
    right[0] += 1 - epsilon
    wrong = torch.cat([right[:2].mean().expand(2), right[2:]])
    logits, label = torch.stack([right, wrong]).log(), torch.zeros(2, dtype=torch.int64)
    losses = F.cross_entropy(logits, label, label_smoothing=epsilon, reduction="none")
    return float(accuracy * losses[0] + (1 - accuracy) * losses[1])


def _floor_slips(classes: int, epsilon: float, accuracy: float) -> Slips:
    best, wrong = _best(classes, epsilon), _best_wrong(classes, epsilon)
    yield (
        "the wrong images: their floor is higher, "
        "because another class is at least as probable as the right one.",
        best,
    )
    yield (
        "the two shares: the accuracy is the share of the right images.",
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
        "a wrong image at its best: the right class and one other with the same probability; "
        "they are not exchanged.",
        accuracy * best + (1 - accuracy) * swapped,
    )
    yield (
        "a wrong image: its floor is that of the smoothed target as well, only with two classes that share.",
        accuracy * best,
    )


def dropout(function: Callable) -> None:
    """``function(x, p, training)`` drops single entries, and keeps the expectation."""
    generator = torch.Generator().manual_seed(10)
    x = torch.rand(40, 30, 4, 5, generator=generator) + 0.5
    for p in (0.3, 0.0):
        look_at = "training: without it nothing happens, no scaling either."
        expect_close(call(function, x, p, False), x, what="dropout in evaluation", look_at=look_at)
    given = x.clone()
    call_with_originals(function, given, 0.5, True)
    hint = "an operation in place, such as x *= …: the activations of whoever calls are overwritten."
    expect_equal(torch.equal(given, x), True, what="dropout leaves x alone", look_at=hint)
    for p in (0.2, 0.5):
        what = f"dropout with p = {p:g} in training"
        got = call(function, x, p, True)
        expect_shape(got, x.shape, what=what, look_at="the return value.")
        zero = got == 0
        share, tolerance = zero.float().mean().item(), 5 * sqrt(p * (1 - p) / zero.numel())
        together = next((said for said, dims in _TOGETHER if _alike(zero, dims)), None)
        if zero.any() and together:
            look_at = "the mask, one draw for each entry: it has the shape of x."
            fail(what, "entries that are zero independently of each other", together, look_at)
        if abs(share - p) > tolerance:
            swapped = abs(share - (1 - p)) <= tolerance
            hint = (
                "the comparison: p is the probability of being dropped, not of being kept."
                if swapped
                else "the probability."
            )
            fail(f"{what}, the share of entries that are zero", f"about {p:.0%}", f"{share:.1%}", hint)
        factor = (got / x)[~zero]
        if not torch.allclose(factor, torch.full_like(factor, 1 / (1 - p)), atol=1e-4):
            look_at = "the factor 1 / (1 − p), which keeps the expectation."
            what = f"{what}, the factor of the entries that are kept"
            fail(what, f"{1 / (1 - p):.4g}", f"{factor.mean():.4g}", look_at)
        if call(function, x, p, True).equal(got):
            look_at = "the random numbers, drawn anew in each call."
            fail(what, "other entries in a second call", "the same", look_at)
    passed("dropout", "the share, the factor and the independence are right, and evaluation changes nothing")


_TOGETHER = (("the same entries in every image", (0,)), ("the same entries in every channel", (1,)),
             ("whole channels", (2, 3)))  # fmt: skip


def _alike(zero: Tensor, dims: tuple[int, ...]) -> bool:
    """Whether the mask is constant along these dimensions."""
    return bool((zero.float().mean(dim=dims) % 1 == 0).all())


def _dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """By coins of torch instead of a comparison."""
    return x * torch.bernoulli(torch.full_like(x, 1 - p)) / (1 - p) if training else x


def reflect_index(function: Callable) -> None:
    """``function(place, size)`` is the row at any position of an image that goes on as its mirror image."""
    for size in (7, 4, 3, 2, 32):
        pattern = [*range(size), *range(size - 2, 0, -1)]
        # right beside the border some slips look alike, so those places come last
        for place in sorted(range(-5 * size, 6 * size), key=lambda place: (abs(place) < 3, abs(place))):
            want = pattern[place % len(pattern)]
            what = f"reflect_index({place}, {size})"
            got = number_of(call(function, place, size), what)
            hint = hint_for(got, _reflect_slips(place, size), "the period, 2·(size − 1) places.")
            expect_equal(got, want, what=what, look_at=hint)
    passed("reflect_index", "five sizes agree, up to five images away")


def _reflected(place: int, size: int) -> int:
    """By looking up the whole pattern."""
    pattern = [*range(size), *range(size - 2, 0, -1)]
    return pattern[place % len(pattern)]


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
        what = f"cutmix of 8 × 10 images, size {size}, center ({row}, {column})"
        before = [tensor.clone() for tensor in (a, b, label_a, label_b)]
        got = call_with_originals(function, a, b, label_a, label_b, size, row, column)
        if not all(old.equal(new) for old, new in zip(before, (a, b, label_a, label_b), strict=True)):
            look_at = "clone the first image before you write into it."
            fail(what, "the arguments as they were", "one that has been changed", look_at)
        image, label = parts_of(got, ("image", "label"), what)
        covered = _square(size, row, column)
        hint = "the edges of the square, clipped at 0 and at H and W."
        hint = hint_for(image, _cutmix_slips(a, b, size, row, column), hint)
        expect_close(image, torch.where(covered, b, a), what=f"{what}: the image", look_at=hint)
        share = covered.float().mean()
        mixed = (1 - share) * label_a + share * label_b
        hint = "the covered area divided by H·W."
        hint = hint_for(label, _label_slips(label_a, label_b, share, size), hint)
        expect_close(label, mixed, what=f"{what}: the label", look_at=hint)
    passed("cutmix", f"{len(cases)} squares, four of them clipped at the border")


def _cutmix(
    image_a: Tensor, image_b: Tensor, label_a: Tensor, label_b: Tensor, size: int, row: int, column: int
) -> tuple[Tensor, Tensor]:
    """By asking of each pixel whether the square covers it."""
    H, W = image_a.shape[-2:]
    covered = _square(size, row, column, H, W)
    share = covered.float().mean()
    return torch.where(covered, image_b, image_a), torch.lerp(label_a, label_b, share)


def _square(size: int, row: int, column: int, height: int = 8, width: int = 10) -> Tensor:
    """bool [height, width]: what the square covers."""
    rows = torch.arange(height)[:, None] - (row - size // 2)
    columns = torch.arange(width) - (column - size // 2)
    return (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)


def _cutmix_slips(a: Tensor, b: Tensor, size: int, row: int, column: int) -> Slips:
    square, corner = _square(size, row, column), _square(size, row + size // 2, column + size // 2)
    yield "the two images: the square comes from the second one.", torch.where(square, a, b)
    yield "the place: (row, column) is the center of the square, not its corner.", torch.where(corner, b, a)
    black = torch.where(square, 0.0, a)
    yield "the square: it is filled with the second image, not with black.", black
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


def _effective(X: Tensor, penalty: float) -> float:
    return float(_shares(X, penalty).sum())


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
