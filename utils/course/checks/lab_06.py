"""Checks of the exercises of lab 06, receptive fields."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    expect_close,
    expect_equal,
    fail,
    hint_for,
    listed,
    number_of,
    parts_of,
    passed,
)

RANDOM_CASES = 30
Layer = tuple[int, int, int, int]  # kernel, stride, padding, dilation

LENET: tuple[Layer, ...] = ((5, 1, 0, 1), (2, 2, 0, 1), (5, 1, 0, 1), (2, 2, 0, 1), (5, 1, 0, 1))


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "fields_of": (fields_of, _fields),
            "field_interval": (field_interval, _interval),
            "influence": (influence, _influence),
            "layers_needed": (layers_needed, _layers_needed),
            "has_holes": (has_holes, _has_holes),
            "best_dilations": (best_dilations, lambda n: [3 ** (n - 1 - i) for i in range(n)]),
        },
    )


def fields_of(function: Callable) -> None:
    """``function(layers)`` gives size, jump and start after each layer, in pixels."""
    draw = random.Random(7)
    cases: list[Sequence[Layer]] = [
        (),
        ((3, 1, 0, 1),),
        ((2, 2, 0, 1), (3, 1, 0, 1)),
        ((3, 1, 1, 1),),
        ((3, 1, 2, 2),),
        LENET,
    ]
    cases += [
        tuple(
            (draw.randint(1, 7), draw.randint(1, 3), draw.randint(0, 3), draw.randint(1, 3))
            for _ in range(draw.randint(1, 6))
        )
        for _ in range(RANDOM_CASES)
    ]
    for layers in cases:
        want = _fields(layers)
        what = f"fields_of({list(layers)})"
        got = listed(call(function, list(layers)))
        if not isinstance(got, list) or len(got) != len(want):
            fail(what, f"a list of {len(want)} rows, one for each layer", repr(got), "the return value.")
        got = [tuple(parts_of(listed(row), ("size", "jump", "start"), what)) for row in got]
        hint = "size + (k − 1)·d·jump, start + ((k − 1)·d/2 − p)·jump, then jump·s, from layer to layer."
        expect_equal(got, want, what=what, look_at=hint_for(got, _field_slips(layers), hint))
    passed("fields_of", f"LeNet-5's, and {RANDOM_CASES} random stacks agree, with padding and dilation")


def _fields(layers: Sequence[Layer]) -> list[tuple[int, int, float]]:
    """From the first and the last pixel of the first two units of each layer."""
    rows = []
    for end in range(1, len(layers) + 1):
        (first, last), (next_first, _) = (_interval(layers[:end], unit) for unit in (0, 1))
        rows.append((last - first + 1, next_first - first, (first + last) / 2))
    return rows


def _field_slips(layers: Sequence[Layer]) -> Slips:
    want = _fields(layers)
    slips = {
        "the order: a layer's own stride counts from the next layer on; update the jump last.": {
            "early": True
        },
        "the dilation: from the first tap to the last it is (k − 1)·d units.": {"dilation": False},
        "the padding: it moves the start by p jumps to the left.": {"padding": 0},
        "the sign of the padding: zeros on the left move the start to the left.": {"padding": 1},
        "the jump: taps of this layer are that many pixels apart, it multiplies what is added.": {
            "jump": False
        },
        "the size: from the first tap to the last there are k − 1 steps, not k.": {"steps": 0},
    }
    for text, changed in slips.items():
        yield text, _wrong_fields(layers, **changed)
    yield (
        "the start: for a kernel of k it moves by half of (k − 1)·d.",
        [(size, jump, 2.0 * start) for size, jump, start in want],
    )
    yield "the return value: the three numbers after each layer, the first layer's first.", want[::-1]


def _wrong_fields(
    layers: Sequence[Layer],
    early: bool = False,
    dilation: bool = True,
    padding: int = -1,
    jump: bool = True,
    steps: int = 1,
) -> list[tuple[int, int, float]]:
    """The recursion with one thing changed."""
    size, apart, start, rows = 1, 1, 0.0, []
    for k, s, p, d in layers:
        apart *= s if early else 1
        reach, step = (k - steps) * (d if dilation else 1), apart if jump else 1
        size, start = size + reach * step, start + (reach / 2 + padding * p) * step
        apart *= 1 if early else s
        rows.append((size, apart, start))
    return rows


def field_interval(function: Callable) -> None:
    """``function(layers, unit)`` gives the first and the last pixel of a unit's unclipped field."""
    draw = random.Random(6)
    cases: list[tuple[Sequence[Layer], int]] = [
        ((), 4),
        (((3, 1, 0, 1),), 0),
        (((3, 1, 1, 1),), 0),
        (((3, 2, 0, 1), (3, 1, 0, 1)), 2),
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
        what = f"field_interval({list(layers)}, {unit})"
        got = listed(call(function, list(layers), unit))
        got = tuple(parts_of(got, ("first pixel", "last pixel"), what))
        hint = (
            "go from the last layer to the first: of the layer below, unit a reads a·s − p, "
            "the last tap d·(k − 1) further."
        )
        expect_equal(got, want, what=what, look_at=hint_for(got, _interval_slips(layers, unit), hint))
    passed("field_interval", f"LeNet-5's, and {RANDOM_CASES} random stacks agree, with padding and dilation")


def _interval_slips(layers: Sequence[Layer], unit: int) -> Slips:
    first, last = _interval(layers, unit)
    yield "the order: the last layer comes first when one goes down.", _interval(layers[::-1], unit)
    yield "the padding: it moves the window by p to the left.", _interval(layers, unit, padding=False)
    yield "the dilation: neighboring taps lie d units apart.", _interval(layers, unit, dilation=False)
    yield (
        "the stride: it spreads only the layers after its own, whose taps lie d apart, not d·s.",
        _interval(layers, unit, too_early=True),
    )
    yield "padding: a field may begin before pixel 0. Do not cut it off.", (max(0, first), max(0, last))
    yield "the end: the last pixel itself, not the one after it.", (first, last + 1)
    yield "the second number: the last pixel, not the size.", (first, last - first + 1)


def layers_needed(function: Callable) -> None:
    """``function(size, kernel, stride)`` is the smallest number of equal layers with a field of ``size``."""
    cases = [(1, 3, 1), (2, 3, 1), (3, 3, 1), (4, 3, 1), (224, 3, 1), (224, 3, 2), (224, 2, 2), (32, 5, 1)]
    draw = random.Random(6)
    cases += [(draw.randint(1, 400), draw.randint(2, 7), draw.randint(1, 3)) for _ in range(RANDOM_CASES)]
    for size, kernel, stride in cases:
        want = _layers_needed(size, kernel, stride)
        what = f"layers_needed({size}, {kernel}, {stride})"
        got = number_of(call(function, size, kernel, stride), what)
        slips = [
            (
                "when to stop: a field of exactly `size` is enough, and no layer at all sees one pixel.",
                want + 1,
            ),
            (
                "the stride of a layer: it spreads only the layers after it. With logarithms, the rounding.",
                _layers_needed(size, kernel, stride, too_early=True),
            ),
            ("rounding: the field must be at least `size`.", want - 1),
            (
                "the stride: after each layer one step covers `stride` times as many pixels.",
                _layers_needed(size, kernel, 1),
            ),
        ]
        hint = "add layers one by one, as in the recursion, until the field is at least `size`."
        expect_equal(got, want, what=what, look_at=hint_for(got, slips, hint))
    one, two = (_layers_needed(224, 3, stride) for stride in (1, 2))
    passed("layers_needed", f"224 pixels take {one} layers with stride 1 and {two} with stride 2")


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
        want = _has_holes(layers)
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
        got = listed(call(function, n))
        what = f"best_dilations({n})"
        whole = isinstance(got, list) and all(
            isinstance(d, Integral) and not isinstance(d, bool) and d >= 1 for d in got
        )
        if not whole or len(got) != n:
            want = f"a list of {n} whole numbers of at least 1"
            fail(what, want, repr(got), "the return value, one dilation for each layer.")
        got = [int(d) for d in got]
        seen = _seen([(3, 1, 0, d) for d in got])
        size = max(seen) - min(seen) + 1
        what = f"{what}: the field of {got}"
        look_at = "how far apart the next taps may lie when what is below them has no hole and a known size."
        if len(seen) < size:
            want = f"a unit that sees all of the {size} pixels it spans"
            fail(what, want, f"one that sees only {len(seen)} of them", look_at)
        look_at = "how many paths lead from the last layer down to pixels. Can each reach another pixel?"
        expect_equal(size, 3**n, what=what, look_at=look_at)
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
        hint = (
            "the first kernel's weights, once for each tap of the next, moved by the tap's place, added up."
        )
        if isinstance(got, Tensor) and got.ndim != 1:
            hint = "the shape: one dimension. F.conv1d adds two; take [0, 0] of its result."
        elif isinstance(got, Tensor) and len(got) < len(want):
            hint = "the padding: the result has 1 + Σ(k − 1) places; pad so that the kernels overlap at all."
        backwards = "the direction: this runs from right to left. F.conv1d does not reverse its kernel."
        hint = hint_for(got, [(backwards, want.flip(0))], hint)
        what = f"influence of kernels of size {', '.join(str(len(kernel)) for kernel in kernels)}"
        expect_close(got, want, what=what, look_at=hint)
    passed("influence", f"{len(chains)} chains agree with autograd")


def _interval(
    layers: Sequence[Layer],
    unit: int,
    padding: bool = True,
    dilation: bool = True,
    too_early: bool = False,
) -> tuple[int, int]:
    first = last = unit
    for k, s, p, d in reversed(layers):
        first, last = (place * s - (p if padding else 0) for place in (first, last))
        last += (k - 1) * (d if dilation else 1) * (s if too_early else 1)
    return first, last


def _layers_needed(size: int, kernel: int, stride: int, *, too_early: bool = False) -> int:
    field, jump = 1, stride if too_early else 1
    for count in itertools.count():
        if field >= size:
            return count
        field += (kernel - 1) * jump
        jump *= stride
    raise AssertionError("count() does not end")


def _seen(layers: Sequence[Layer]) -> set[int]:
    """From the first layer on, with the distance of the pixels that two neighboring units begin at."""
    places, jump = {0}, 1
    for k, s, p, d in layers:
        places = {place + (tap * d - p) * jump for place in places for tap in range(k)}
        jump *= s
    return places


def _has_holes(layers: Sequence[Layer]) -> bool:
    seen = _seen(layers)
    return len(seen) < max(seen) - min(seen) + 1


def _influence(kernels: Sequence[Tensor]) -> Tensor:
    """By autograd, on the shortest line that has one output."""
    line: Any = torch.zeros(1 + sum(len(kernel) - 1 for kernel in kernels), requires_grad=True)
    y = line[None, None]
    for kernel in kernels:
        y = F.conv1d(y, kernel[None, None])
    (gradient,) = torch.autograd.grad(y.sum(), line)
    return gradient
