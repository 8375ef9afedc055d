"""Checks of the exercises of lab 02, LeNet."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.course.checks.core import (
    Slips,
    call,
    expect_close,
    expect_equal,
    expect_shape,
    hint_for,
    listed,
    number_of,
    parts_of,
    passed,
)
from utils.models.lenet import C3_CONNECTIONS

LENET_LAYERS = ((5, 1), (2, 2), (5, 1), (2, 2), (5, 1))  # kernel and stride of C1, S2, C3, S4, C5
RANDOM_CASES = 20


def conv_parameters(function: Callable) -> None:
    """``function(connections, kernel_size)`` counts the parameters of a convolution with that table."""
    generator = random.Random(2)
    cases: list[tuple[Sequence[Sequence[int]], int]] = [
        ([(0,)] * 6, 5),
        ([tuple(range(6))] * 16, 5),
        (C3_CONNECTIONS, 5),
        ([(0, 1, 2)], 1),
        ([(), (1, 3)], 3),  # a map that sees no input keeps its bias
    ]
    for _ in range(RANDOM_CASES):
        inputs = generator.randint(2, 8)
        outputs = generator.randint(1, 9)
        table = [tuple(generator.sample(range(inputs), generator.randint(0, inputs))) for _ in range(outputs)]
        cases.append((table, generator.choice([1, 2, 3, 5, 7])))
    for table, size in cases:
        links, outputs = sum(len(inputs) for inputs in table), len(table)
        full = len({i for inputs in table for i in inputs}) * outputs
        want = links * size**2 + outputs
        slips = [  # the likelier first: two may give the same number
            ("the biases: one for every output map.", links * size**2),
            ("the biases: an output map has one bias, however many maps feed it.", links * (size**2 + 1)),
            ("the table: only the maps listed for an output map have a kernel.", full * size**2 + outputs),
            ("the kernel: it has kernel_size × kernel_size weights.", links * (size + 1) + outputs),
        ]
        what = f"conv_parameters({_shown(table)}, {size})"
        got = number_of(call(function, table, size), what)
        hint = "one kernel for each connected pair of maps, one bias for each output map."
        expect_equal(got, want, what=what, look_at=hint_for(got, slips, hint))
    passed("conv_parameters", f"C1 has 156, C3 has 1,516 parameters, and {RANDOM_CASES} random tables agree")


def subsampling_weight(function: Callable) -> None:
    """``function(coefficient)`` is the weight ``[C, C, 2, 2]`` of a trainable subsampling layer."""
    generator = torch.Generator().manual_seed(2)
    for channels in (6, 1, 3, 16):
        coefficient = torch.randn(channels, generator=generator)
        weight = call(function, coefficient)
        shape = (channels, channels, 2, 2)
        look_at = (
            "the weight of a convolution is [output maps, input maps, height, width]: here [C, C, 2, 2]."
        )
        if isinstance(weight, Tensor) and weight.shape == (channels, 1, 2, 2) and channels > 1:
            look_at = "this is the weight for groups=C. Write it in full, with zero kernels between maps."
        expect_shape(weight, shape, what=f"The weight for {channels} maps", look_at=look_at)
        x, bias = (
            torch.randn(2, channels, 8, 6, generator=generator),
            torch.randn(channels, generator=generator),
        )
        sums = x.unfold(2, 2, 2).unfold(3, 2, 2).sum((-1, -2))
        want = coefficient[:, None, None] * sums + bias[:, None, None]
        got = F.conv2d(x, weight.detach().to(x.dtype), bias, stride=2)
        look_at = "map c reads map c only, and each of its four weights is coefficient[c]."
        off_diagonal = weight.detach()[~torch.eye(channels, dtype=torch.bool)]
        if off_diagonal.abs().sum() > 0:
            look_at = "the kernels between different maps: subsampling does not mix maps, so they are zero."
        elif torch.allclose(got, (want + 3 * bias[:, None, None]) / 4, atol=1e-5):
            look_at = "the scale: LeNet-5 adds the four pixels, it does not average them."
        expect_close(got, want, what=f"F.conv2d with your weight, {channels} maps, stride 2", look_at=look_at)
    passed(
        "subsampling_weight", "the convolution equals coefficient × sum of 2×2 + bias for 1, 3, 6 and 16 maps"
    )


def rbf_as_linear(function: Callable) -> None:
    """``function(prototypes)`` gives weight and bias of the linear layer with the RBF layer's softmax."""
    generator = torch.Generator().manual_seed(2)
    signs = torch.randint(0, 2, (10, 84), generator=generator) * 2.0 - 1
    cases = [
        ("±1 prototypes", signs),
        ("prototypes of different length", torch.randn(5, 7, generator=generator)),
        ("one feature", torch.randn(3, 1, generator=generator)),
        ("two classes", torch.randn(2, 4, generator=generator)),
    ]
    for label, prototypes in cases:
        classes, features = prototypes.shape
        answer = parts_of(call(function, prototypes), ("weight", "bias"), "rbf_as_linear", of="tensors")
        shapes = ((classes, features), (classes,))
        for part, shape, name in zip(answer, shapes, ("weight", "bias"), strict=True):
            what = f"{name} for {classes} classes and {features} features"
            look_at = "F.linear(x, weight, bias) computes x @ weight.T + bias."
            expect_shape(part, shape, what=what, look_at=look_at)
        weight, bias = (part.detach().to(torch.float32) for part in answer)
        # short features keep the softmax away from 0 and 1, where every answer would look right
        x = torch.randn(6, features, generator=generator) / features**0.5

        def log_softmax(w: Tensor, b: Tensor, x: Tensor = x) -> Tensor:
            return F.log_softmax(F.linear(x, w, b), dim=1)

        want = F.log_softmax(-((x[:, None] - prototypes) ** 2).sum(-1), dim=1)
        got, squares = log_softmax(weight, bias), (prototypes**2).sum(1)
        hint = "expand −‖x − w‖² = −‖x‖² + 2·x·w − ‖w‖²; the first term is the same for every class."
        slips: Slips = [
            (
                "the bias −‖w‖²: it drops out only where all prototypes have the same length.",
                log_softmax(2 * prototypes, torch.zeros(classes)),
            ),
            (
                "the sign of the bias: a long prototype is further away.",
                log_softmax(2 * prototypes, squares),
            ),
            (
                "the sign: the smallest distance must get the largest score.",
                log_softmax(-2 * prototypes, squares),
            ),
            ("the factor 2 of the middle term 2·x·w.", log_softmax(prototypes, -squares)),
        ]
        hint = hint_for(got, slips, hint, atol=1e-4)
        expect_close(got, want, what=f"log-softmax of your layer ({label})", look_at=hint, atol=1e-4)
    passed(
        "rbf_as_linear", "same class probabilities as the RBF layer, also where prototypes differ in length"
    )


def receptive_fields(function: Callable) -> None:
    """``function(layers)`` gives the receptive field size after each (kernel, stride) layer."""
    generator = random.Random(2)
    cases = [
        LENET_LAYERS,
        ((3, 1), (3, 1)),
        ((2, 2), (2, 2), (2, 2)),
        ((1, 1),),
        ((11, 4), (3, 2), (5, 1)),
        (),
    ]
    cases += [
        tuple((generator.randint(1, 7), generator.randint(1, 3)) for _ in range(generator.randint(1, 6)))
        for _ in range(RANDOM_CASES)
    ]
    for layers in cases:
        want = _fields(layers)
        got = listed(call(function, list(layers)))
        hint = "a kernel of k reaches k − 1 steps further; a step is all strides before it multiplied."
        if isinstance(got, (int, float)):
            hint = "the return value: a list with one size for each layer."
        hint = hint_for(got, _field_slips(layers), hint)
        expect_equal(got, want, what=f"receptive_fields({list(layers)})", look_at=hint)
    passed(
        "receptive_fields",
        f"LeNet's {', '.join(map(str, _fields(LENET_LAYERS)))}, and {RANDOM_CASES} random stacks agree",
    )


def unscramble(function: Callable) -> None:
    """``function(weight, order)`` makes the weight of a layer trained on ``x[:, order]`` fit ``x``."""
    generator = torch.Generator().manual_seed(2)
    orders = [torch.tensor([1, 2, 0]), torch.arange(4), torch.tensor([0])]
    orders += [torch.randperm(n, generator=generator) for n in (5, 16, 784)]
    for order in orders:
        n = len(order)
        weight = torch.randn(4, n, generator=generator)
        x = torch.rand(3, n, generator=generator)
        got = call(function, weight, order)
        want = torch.stack([weight[:, int((order == pixel).nonzero())] for pixel in range(n)], dim=1)
        hint = "input i of the trained layer was pixel order[i]: its weights belong in column order[i]."
        slips = [
            (
                "the direction: weight[:, order] scrambles once more. You need the inverse permutation.",
                weight[:, order],
            ),
            ("the columns: these are still in the scrambled order.", weight),
        ]
        hint = hint_for(got, slips, hint)
        if isinstance(got, Tensor) and got.shape == weight.T.shape != weight.shape:
            hint = "the shape: rows are hidden units, columns are pixels, as in the weight you were given."
        expect_close(
            got, want, what=f"The weight for {n} pixels in the order {_shown(order.tolist())}", look_at=hint
        )
        expect_close(x @ got.T, x[:, order] @ weight.T, what="The layer's output", look_at=hint)
    passed("unscramble", "the layer gives on plain pictures what it gave on scrambled ones, up to 784 pixels")


def _field_slips(layers: Sequence[tuple[int, int]]) -> Slips:
    want = _fields(layers)
    own_stride, grown = 1, [1]
    for kernel, stride in layers:
        own_stride *= stride
        grown.append(grown[-1] + (kernel - 1) * own_stride)
    last_only, previous = [1], 1
    for kernel, stride in layers:
        last_only.append(last_only[-1] + (kernel - 1) * previous)
        previous = stride
    without = _fields([(kernel, 1) for kernel, _ in layers])
    yield "the strides: after a stride of 2 a step covers two input pixels.", without
    yield "the order: a layer's own stride spreads the layers after it, not itself.", grown[1:]
    yield "the steps: all strides so far are multiplied, not only the last one counted.", last_only[1:]
    yield "the start: before any layer a unit sees one pixel, not none.", [size - 1 for size in want]
    yield "the return value: one size for each layer, without the pixel you start from.", [1, *want]


def _fields(layers: Sequence[tuple[int, int]]) -> list[int]:
    """Each layer adds (kernel − 1) times the product of all strides before it."""
    steps = [math.prod(stride for _, stride in layers[:place]) for place in range(len(layers))]
    added = [(kernel - 1) * step for (kernel, _), step in zip(layers, steps, strict=True)]
    return [1 + total for total in itertools.accumulate(added)]


def _shown(values: Sequence) -> str:
    text = ", ".join(str(v) for v in values[:6])
    return f"[{text}{', …' if len(values) > 6 else ''}]"
