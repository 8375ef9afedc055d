"""Checks of the exercises of lab 02, LeNet."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    expect_close,
    expect_equal,
    expect_number,
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


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "unscramble": (unscramble, _unscramble),
            "conv_parameters": (conv_parameters, _conv_parameters),
            "gradient_step": (gradient_step, _gradient_step),
            "subsampling_weight": (subsampling_weight, _subsampling_weight),
            "rbf_as_linear": (rbf_as_linear, _rbf_as_linear),
            "receptive_fields": (receptive_fields, _fields),
        },
    )


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
        want = _conv_parameters(table, size)
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


def _conv_parameters(connections: Sequence[Sequence[int]], kernel_size: int) -> int:
    """Each output map in turn: a kernel for each map that feeds it, and a bias."""
    return sum(len(inputs) * kernel_size**2 + 1 for inputs in connections)


def gradient_step(function: Callable) -> None:
    """``function(model, x, y, rate)`` makes a step of gradient descent and returns the loss before it."""
    generator = torch.Generator().manual_seed(2)
    cases = [(1, 0.5), (7, 0.1), (32, 1.0)]
    for images, rate in cases:
        model = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
                parameter.grad = torch.randn(parameter.shape, generator=generator)  # of an earlier step
        x = torch.randn(images, 1, 2, 3, generator=generator)
        y = torch.randint(3, (images,), generator=generator)
        before, old = _flat(model.parameters()), _flat(p.grad for p in model.parameters())
        loss = F.cross_entropy(model(x), y)
        gradient = _flat(torch.autograd.grad(loss, list(model.parameters())))
        twice = F.cross_entropy(model(x).softmax(dim=1), y)
        of_twice = _flat(torch.autograd.grad(twice, list(model.parameters())))

        student = deepcopy(model)
        for parameter, source in zip(student.parameters(), model.parameters(), strict=True):
            parameter.grad = source.grad.clone()  # which a deep copy leaves behind
        got = number_of(call(function, student, x, y, rate), "gradient_step(...)")
        what = f"gradient_step with {images} images and rate {rate}"
        with torch.no_grad():
            after = F.cross_entropy(student(x), y).item()
        slips = [
            ("the loss: the one before the step, of the batch that was used.", after),
            ("the loss: the mean over the batch, not the sum.", images * loss.item()),
            ("the softmax: F.cross_entropy takes the logits and does it itself.", twice.item()),
        ]
        hint = hint_for(got, slips, "the loss: F.cross_entropy(model(x), y).")
        expect_number(got, loss.item(), what=f"The loss that {what} returns", look_at=hint)
        changes: Slips = [
            ("the update: the parameters are as they were.", before),
            ("the sign: the gradient points uphill.", before + rate * gradient),
            (
                "the gradients: those of the step before were not set to zero, and backward adds to them.",
                before - rate * (gradient + old),
            ),
            ("the rate: the gradient is multiplied by it.", before - gradient),
            ("the loss: the gradient of the mean over the batch.", before - rate * images * gradient),
            ("the softmax: F.cross_entropy takes the logits.", before - rate * of_twice),
        ]
        new = _flat(student.parameters())
        hint = hint_for(new, changes, "every parameter minus rate times its gradient, under torch.no_grad().")
        expect_close(new, before - rate * gradient, what=f"The parameters after {what}", look_at=hint)
    passed("gradient_step", f"loss and parameters agree for batches of {', '.join(str(n) for n, _ in cases)}")


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def _gradient_step(model: nn.Module, x: Tensor, y: Tensor, rate: float) -> float:
    """By the optimizer of torch."""
    descent = torch.optim.SGD(model.parameters(), lr=rate)
    descent.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    descent.step()
    return loss.item()


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


def _subsampling_weight(coefficient: Tensor) -> Tensor:
    """The kernel of every map with itself, and none between different maps."""
    weight = coefficient.new_zeros(len(coefficient), len(coefficient), 2, 2)
    for number, value in enumerate(coefficient):
        weight[number, number] = value
    return weight


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


def _rbf_as_linear(prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes and intercept of minus the squared distance, less that of the first code, read off at points."""
    origin, steps = prototypes.new_zeros(prototypes.shape[1]), torch.eye(prototypes.shape[1])

    def scores(x: Tensor) -> Tensor:
        distances = -((x - prototypes) ** 2).sum(dim=1)
        return distances - distances[0]

    bias = scores(origin)
    return torch.stack([scores(step) - bias for step in steps.to(prototypes)], dim=1), bias


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
        want = _unscramble(weight, order)
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


def _unscramble(weight: Tensor, order: Tensor) -> Tensor:
    """For each pixel the column of the input that it was."""
    columns = [weight[:, int((order == pixel).nonzero())] for pixel in range(len(order))]
    return torch.stack(columns, dim=1)


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
