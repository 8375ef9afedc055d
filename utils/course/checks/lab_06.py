"""Checks of the exercises of lab 06, receptive fields."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.course.checks.core import CheckFailed, call, expect_close, expect_equal, passed

RANDOM_CASES = 30
Layer = tuple[int, int, int, int]  # kernel, stride, padding, dilation

LENET: tuple[Layer, ...] = ((5, 1, 0, 1), (2, 2, 0, 1), (5, 1, 0, 1), (2, 2, 0, 1), (5, 1, 0, 1))


def field_interval(function: Callable) -> None:
    """``function(layers, unit)`` gives the first and the last pixel of a unit's unclipped field."""
    draw = random.Random(6)
    cases: list[tuple[Sequence[Layer], int]] = [
        ((), 4),
        (((3, 1, 0, 1),), 0),
        (((3, 1, 1, 1),), 0),
        (((2, 2, 0, 1), (3, 1, 0, 1)), 2),
        (((3, 1, 2, 2),), 5),
        (LENET, 0),
        (LENET[:4], 3),
    ]
    for _ in range(RANDOM_CASES):
        layers = tuple(
            (draw.randint(1, 7), draw.randint(1, 3), draw.randint(0, 3), draw.randint(1, 3))
            for _ in range(draw.randint(1, 6))
        )
        cases.append((layers, draw.randint(0, 9)))
    for layers, unit in cases:
        want = _interval(layers, unit)
        got = call(function, list(layers), unit)
        got = got.tolist() if isinstance(got, Tensor) else got
        hint = "go from the last layer to the first: of the layer below, unit a reads a·s − p, the last tap d·(k − 1) further."
        if isinstance(got, (list, tuple)) and len(got) == 2:
            got = tuple(got)
            slips = [
                (_interval(layers[::-1], unit), "the order: the last layer comes first when one goes down."),
                (
                    _interval(layers, unit, padding=False),
                    "the padding: it moves the window by p to the left.",
                ),
                (
                    _interval(layers, unit, dilation=False),
                    "the dilation: neighbouring taps lie d units apart.",
                ),
                (
                    tuple(max(0, place) for place in want),
                    "padding: a field may begin before pixel 0. Do not cut it off.",
                ),
                ((want[0], want[1] + 1), "the end: the last pixel itself, not the one after it."),
                ((want[0], want[1] - want[0] + 1), "the second number: the last pixel, not the size."),
            ]
            hint = next((text for slip, text in slips if got == slip != want), hint)
        else:
            hint = "the return value: a pair (first pixel, last pixel)."
        expect_equal(got, want, what=f"field_interval({list(layers)}, {unit})", look_at=hint)
    passed("field_interval", f"LeNet-5's, and {RANDOM_CASES} random stacks agree, with padding and dilation")


def layers_needed(function: Callable) -> None:
    """``function(size, kernel, stride)`` is the smallest number of equal layers with a field of ``size``."""
    cases = [(1, 3, 1), (2, 3, 1), (3, 3, 1), (4, 3, 1), (224, 3, 1), (224, 3, 2), (224, 2, 2), (32, 5, 1)]
    draw = random.Random(6)
    cases += [(draw.randint(1, 400), draw.randint(2, 7), draw.randint(1, 3)) for _ in range(RANDOM_CASES)]
    for size, kernel, stride in cases:
        want = _layers_needed(size, kernel, stride)
        got = call(function, size, kernel, stride)
        hint = "add layers one by one, as in the recursion, until the field is at least `size`."
        if isinstance(got, (int, float)) and got == want + 1:
            hint = "when to stop: a field of exactly `size` is enough, and no layer at all sees one pixel."
        elif isinstance(got, (int, float)) and got == want - 1:
            hint = "rounding: the field must be at least `size`."
        elif got == _layers_needed(size, kernel, 1):
            hint = "the stride: after each layer one step covers `stride` times as many pixels."
        expect_equal(got, want, what=f"layers_needed({size}, {kernel}, {stride})", look_at=hint)
    passed(
        "layers_needed",
        f"224 pixels take {_layers_needed(224, 3, 1)} layers with stride 1 and {_layers_needed(224, 3, 2)} with stride 2",
    )


def has_holes(function: Callable) -> None:
    """``function(layers)`` says whether units skip pixels between the first and the last they see."""
    cases: list[Sequence[Layer]] = [
        (),
        LENET,
        ((3, 1, 2, 2),),
        ((3, 1, 1, 1), (3, 1, 2, 2)),
        ((3, 1, 2, 2), (3, 1, 2, 2)),
        ((3, 1, 2, 2), (3, 1, 1, 1)),
        ((3, 1, 1, 1), (3, 1, 3, 3), (3, 1, 9, 9)),
        ((3, 1, 1, 1), (3, 1, 4, 4)),
        ((1, 2, 0, 1), (3, 1, 0, 1)),  # a stride larger than the kernel
        ((2, 2, 0, 1), (3, 1, 0, 2)),
    ]
    draw = random.Random(6)
    for _ in range(RANDOM_CASES):
        cases.append(
            tuple(
                (draw.randint(1, 4), draw.choice([1, 1, 2]), 0, draw.randint(1, 4))
                for _ in range(draw.randint(1, 4))
            )
        )
    for layers in cases:
        seen = _seen(layers)
        want = len(seen) < max(seen) - min(seen) + 1
        got = call(function, list(layers))
        hint = "the set of pixels below one unit: is it as large as the distance from its first to its last?"
        if isinstance(got, bool) and not want and any(d > 1 for *_, d in layers):
            hint = "dilation alone makes no hole: other layers can fill it. Follow the set of pixels."
        elif isinstance(got, bool) and want and all(d == 1 for *_, d in layers):
            hint = "strides: with a stride larger than the kernel, pixels are skipped too."
        if not isinstance(got, bool):
            hint = "the return value: True or False."
        expect_equal(got, want, what=f"has_holes({list(layers)})", look_at=hint)
    passed("has_holes", f"ten chosen and {RANDOM_CASES} random stacks agree")


def best_dilations(function: Callable) -> None:
    """``function(n)`` gives dilations of n layers of 3×3: the largest field without holes."""
    for n in range(7):
        got = call(function, n)
        got = got.tolist() if isinstance(got, Tensor) else got
        what = f"best_dilations({n})"
        whole = isinstance(got, (list, tuple)) and all(type(d) is int and d >= 1 for d in got)
        if not whole or len(got) != n:
            raise CheckFailed(
                f"{what}: expected a list of {n} whole numbers of at least 1, got {got!r}.\n"
                "Look at: the return value, one dilation for each layer."
            )
        seen = _seen([(3, 1, 0, d) for d in got])
        size = max(seen) - min(seen) + 1
        if len(seen) < size:
            raise CheckFailed(
                f"{what}: the field of {list(got)} spans {size} pixels, of which a unit sees only {len(seen)}.\n"
                "Look at: how far apart the next taps may lie when what is below them has no hole and a known size."
            )
        expect_equal(
            size,
            3**n,
            what=f"{what}: the field of {list(got)}",
            look_at="how many paths lead from a unit of the last layer down to pixels. Can each reach another pixel?",
        )
    passed("best_dilations", "fields without holes of 1, 3, 9, … 729 pixels: none can be larger")


def influence(function: Callable) -> None:
    """``function(kernels)`` is the weight of each pixel in one output of a chain of 1-D convolutions."""
    generator = torch.Generator().manual_seed(6)
    chains = [
        [torch.tensor([1.0, 2.0, 4.0])],
        [torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0, -1.0])],
        [torch.full((3,), 1 / 3)] * 6,
    ]
    sizes = [(1,), (3, 5), (2, 2, 4), (5, 3, 3, 1)]
    chains += [[torch.randn(k, generator=generator) for k in chain] for chain in sizes]
    for kernels in chains:
        want = _influence(kernels)
        got = call(function, [kernel.clone() for kernel in kernels])
        hint = "the first kernel's weights, once for each tap of the next, moved by the tap's place. Add them up."
        if isinstance(got, Tensor):
            if got.shape == want.shape and torch.allclose(got.flip(0), want, atol=1e-5):
                hint = "the direction: this is the answer from right to left. F.conv1d does not reverse its kernel."
            elif len(got) < len(want):
                hint = (
                    "the padding: the result has 1 + Σ(k − 1) places; pad so that the kernels overlap at all."
                )
        what = f"influence of kernels of size {', '.join(str(len(kernel)) for kernel in kernels)}"
        expect_close(got, want, what=what, look_at=hint)
    passed("influence", f"{len(chains)} chains agree with autograd")


def _interval(
    layers: Sequence[Layer], unit: int, padding: bool = True, dilation: bool = True
) -> tuple[int, int]:
    first = last = unit
    for k, s, p, d in reversed(layers):
        first, last = (place * s - (p if padding else 0) for place in (first, last))
        last += (k - 1) * (d if dilation else 1)
    return first, last


def _layers_needed(size: int, kernel: int, stride: int) -> int:
    field, jump = 1, 1
    for count in itertools.count():
        if field >= size:
            return count
        field += (kernel - 1) * jump
        jump *= stride
    raise AssertionError("count() does not end")


def _seen(layers: Sequence[Layer]) -> set[int]:
    places = {0}
    for k, s, p, d in reversed(layers):
        places = {place * s - p + tap * d for place in places for tap in range(k)}
    return places


def _influence(kernels: Sequence[Tensor]) -> Tensor:
    """By autograd, on the shortest line that has one output."""
    line: Any = torch.zeros(1 + sum(len(kernel) - 1 for kernel in kernels), requires_grad=True)
    y = line[None, None]
    for kernel in kernels:
        y = F.conv1d(y, kernel[None, None])
    (gradient,) = torch.autograd.grad(y.sum(), line)
    return gradient
