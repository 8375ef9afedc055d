"""Checks of the exercises of lab 05, efficient convolutions."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.analysis.accounting import account
from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    call_without_convolutions,
    expect_close,
    expect_equal,
    expect_number,
    expect_shape,
    hint_for,
    number_of,
    parts_of,
    passed,
)
from utils.models.mobilenet_v2 import InvertedResidual

RANDOM_CASES = 20


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "nearest_separable": (nearest_separable, _nearest),
            "depthwise_separable": (depthwise_separable, _depthwise_separable),
            "arithmetic_intensity": (arithmetic_intensity, _intensity),
            "widest_middle": (widest_middle, _widest),
            "inverted_residual_parameters": (inverted_residual_parameters, _block_parameters),
        },
    )


def widest_middle(function: Callable) -> None:
    """``function(c_in, c_out, k)`` is the widest middle at which 1×k and k×1 have fewer weights than k×k."""
    draw = random.Random(5)
    # equal widths, where the bound is a whole number; a widening layer; one map; a 1×1 layer
    cases = [(64, 64, 3), (64, 128, 3), (32, 32, 5), (1, 1, 3), (1, 1, 2), (16, 48, 1), (3, 96, 7)]
    cases += [(draw.randint(1, 300), draw.randint(1, 300), draw.randint(1, 9)) for _ in range(RANDOM_CASES)]
    for c_in, c_out, k in cases:
        want = _widest(c_in, c_out, k)
        what = f"widest_middle({c_in}, {c_out}, {k})"
        got = number_of(call(function, c_in, c_out, k), what)
        bound = k * c_in * c_out / (c_in + c_out)
        slips = [
            ("where the pair has exactly as many weights: it must have fewer.", math.floor(bound)),
            ("the bound: m must stay below it.", math.ceil(bound)),
            ("the k: the square kernel has k² weights, a row has k.", (c_in * c_out - 1) // (c_in + c_out)),
            ("the k of the pair: its kernels have k weights.", (k * k * c_in * c_out - 1) // (c_in + c_out)),
            ("the two widths: the first layer reads c_in, the second makes c_out.", (k * c_out - 1) // 2),
            ("the two widths: the first layer reads c_in, the second makes c_out.", (k * c_in - 1) // 2),
        ]
        hint = "k·m·(c_in + c_out) < k²·c_in·c_out, solved for m."
        if isinstance(got, float) and not got.is_integer():
            hint = "the return value: a whole number of channels."
        expect_equal(got, want, what=what, look_at=hint_for(got, slips, hint))
    passed("widest_middle", f"{len(cases)} layers agree with a search over all m")


def _widest(c_in: int, c_out: int, k: int) -> int:
    return max(m for m in range(k * (c_in + c_out)) if m * (c_in + c_out) < k * c_in * c_out)


def nearest_separable(function: Callable) -> None:
    """``function(kernel)`` gives column and row whose outer product is nearest to ``kernel``."""
    generator = torch.Generator().manual_seed(5)
    cases = [
        ("Sobel", torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])),
        ("Laplace", torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])),
        ("1×1", torch.tensor([[-2.0]])),
        ("random 5×5", torch.randn(5, 5, generator=generator)),
        ("random 3×5", torch.randn(3, 5, generator=generator)),
        ("random 7×2", torch.randn(7, 2, generator=generator)),
        ("one column", torch.randn(4, 1, generator=generator)),
    ]
    for name, kernel in cases:
        height, width = kernel.shape
        answer = parts_of(call(function, kernel), ("column", "row"), "nearest_separable", of="tensors")
        for part, length, title in zip(answer, (height, width), ("column", "row"), strict=True):
            look_at = "the shapes: two vectors, one as long as the kernel is high, one as it is wide."
            if {getattr(each, "shape", None) for each in answer} == {(height,), (width,)}:
                look_at = "the order: first the column, then the row."
            what = f"The {title} for a kernel of {height}×{width}"
            expect_shape(part, (length,), what=what, look_at=look_at)
        column, row = (part.detach() for part in answer)
        u, s, vt = torch.linalg.svd(kernel)
        want, got = s[0] * torch.outer(u[:, 0], vt[0]), torch.outer(column, row)
        hint = "the first singular value times the outer product of first column of u and first row of vᵀ."
        hint = hint_for(got, _rank_one_slips(u, s, vt), hint, atol=1e-4)
        expect_close(got, want, what=f"torch.outer(column, row) for {name}", look_at=hint, atol=1e-4)
    passed("nearest_separable", f"{len(cases)} kernels, square or not: the nearest of rank 1")


def _nearest(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """By the eigenvector of kernelᵀ kernel with the largest eigenvalue, without an SVD."""
    row = torch.linalg.eigh(kernel.double().T @ kernel.double()).eigenvectors[:, -1]
    return (kernel.double() @ row).to(kernel.dtype), row.to(kernel.dtype)


def _rank_one_slips(u: Tensor, s: Tensor, vt: Tensor) -> Slips:
    if len(s) > 1:
        last = len(s) - 1
        yield "the largest singular value comes first.", s[last] * torch.outer(u[:, last], vt[last])
    if len(u) == len(vt):
        outer = s[0] * torch.outer(u[:, 0], vt[0])
        yield "the order: first the column, then the row.", outer.T
        columns = s[0] * torch.outer(u[:, 0], vt[:, 0])
        yield "the second factor: svd returns vᵀ, its rows are needed.", columns
        rows = s[0] * torch.outer(u[0], vt[0])
        yield "u: its columns belong to the singular values, u[:, 0].", rows
    squared = s[0] ** 2 * torch.outer(u[:, 0], vt[0])
    yield "the size: the first singular value counts once, not twice.", squared
    yield "the size: the first singular value is missing.", torch.outer(u[:, 0], vt[0])


def depthwise_separable(function: Callable) -> None:
    """``function(x, depthwise, pointwise, stride)`` is a depthwise k×k convolution and a 1×1 after it."""
    generator = torch.Generator().manual_seed(5)
    # batch, maps in, maps out, kernel, height, width, stride
    cases = [
        (2, 3, 5, 3, 8, 8, 1),
        (1, 4, 2, 3, 7, 9, 1),
        (2, 2, 3, 3, 8, 6, 2),
        (1, 3, 3, 5, 9, 7, 2),
        (1, 1, 1, 1, 4, 4, 1),
        (2, 6, 4, 5, 11, 10, 3),
    ]
    for batch, maps, outputs, k, height, width, stride in cases:
        x = torch.randn(batch, maps, height, width, generator=generator)
        depthwise = torch.randn(maps, k, k, generator=generator)
        pointwise = torch.randn(outputs, maps, generator=generator)
        got = call_without_convolutions(function, x, depthwise, pointwise, stride=stride)
        want = _separable(x, depthwise, pointwise, stride, k // 2)
        hint = "first each channel with its own kernel, then at every position pointwise times the channels."
        hint = hint_for(got, _separable_slips(x, depthwise, pointwise, stride), hint, atol=1e-4)
        given = f"x [{batch}, {maps}, {height}, {width}], {k}×{k}, {outputs} outputs, stride={stride}"
        expect_close(got, want, what=f"depthwise_separable({given})", look_at=hint, atol=1e-4)
    passed("depthwise_separable", f"{len(cases)} layers agree with F.conv2d(groups=C) and a 1×1 after it")


def _depthwise_separable(x: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int = 1) -> Tensor:
    """From all windows at once, without a convolution."""
    k = depthwise.shape[-1]
    windows = F.pad(x, (k // 2,) * 4).unfold(2, k, stride).unfold(3, k, stride)
    return torch.einsum("oc,cij,bchwij->bohw", pointwise, depthwise, windows)


def _separable(x: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv2d(_filtered(x, depthwise, stride, padding), pointwise[:, :, None, None])


def _filtered(x: Tensor, depthwise: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv2d(x, depthwise[:, None], padding=padding, stride=stride, groups=len(depthwise))


def _separable_slips(x: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int) -> Slips:
    padding = depthwise.shape[-1] // 2
    mixed_first = F.conv2d(x, depthwise[None], padding=padding, stride=stride)
    mixed_first = pointwise.sum(1)[:, None, None] * mixed_first
    yield (
        "the depthwise part: each channel is filtered alone, nothing is added up over channels.",
        mixed_first,
    )
    filtered = _filtered(x, depthwise, stride, padding)
    yield "the 1×1 convolution: the channels are not mixed yet.", filtered
    unpadded = _separable(x, depthwise, pointwise, stride, 0)
    yield "the padding: (k − 1) / 2 zeros on each side.", unpadded
    dense = _separable(x, depthwise, pointwise, 1, padding)
    yield "the stride: the windows are that many pixels apart, both ways.", dense
    transposed = _separable(x, depthwise.transpose(1, 2), pointwise, stride, padding)
    yield "the two axes of the kernel: height first.", transposed
    reversed_ = _separable(x, depthwise.flip(1, 2), pointwise, stride, padding)
    yield "the direction: F.conv2d does not reverse the kernel.", reversed_


def inverted_residual_parameters(function: Callable) -> None:
    """``function(c_in, c_out, t)`` counts the parameters of MobileNetV2's block, as the library builds it."""
    draw = random.Random(5)
    cases = [(16, 24, 6), (24, 24, 6), (32, 16, 1), (160, 320, 6), (3, 5, 2)]
    cases += [(draw.randint(1, 64), draw.randint(1, 64), draw.randint(1, 8)) for _ in range(RANDOM_CASES)]
    for c_in, c_out, t in cases:
        want = _block_parameters(c_in, c_out, t)
        what = f"inverted_residual_parameters({c_in}, {c_out}, {t})"
        got = number_of(call(function, c_in, c_out, t), what)
        wide = t * c_in
        norms = (2 * wide if t > 1 else 0) + 2 * wide + 2 * c_out
        slips = [
            ("batch normalization: two parameters for each channel that it gets.", want - norms),
            (
                "batch normalization: each channel has two parameters, a factor and a shift.",
                want - norms // 2,
            ),
            ("biases: these convolutions have none.", want + norms // 2),
            (
                "the depthwise part: one 3×3 kernel per channel, not per pair of channels.",
                want - 9 * wide + 9 * wide * wide,
            ),
            ("the depthwise part: a 3×3 kernel has nine weights.", want - 9 * wide + wide),
            ("batch normalization after the projection: there is one, only no activation.", want - 2 * c_out),
            ("the width: the depthwise part has t·c_in channels.", want - 9 * wide + 9 * c_in),
            ("the shortcut: the paper's has no parameters.", want + c_in * c_out + 2 * c_out),
        ]
        if t == 1:
            expanded = want + c_in * wide + 2 * wide
            slips.append(("t = 1: there is no expanding 1×1, and no batch normalization after it.", expanded))
        hint = "expand c_in·t·c_in, depthwise 9·t·c_in, project t·c_in·c_out, and 2 per channel after each."
        expect_equal(got, want, what=what, look_at=hint_for(got, slips, hint))
    passed(
        "inverted_residual_parameters", f"{len(cases)} blocks of the library agree, with t = 1 and without"
    )


def _block_parameters(c_in: int, c_out: int, t: int) -> int:
    options: dict = {"expand": t > 1, "project_shortcut": False, "activation": torch.nn.ReLU6}
    with torch.device("meta"):
        block = InvertedResidual(c_in, c_out, 1, t, **options)
    return sum(parameter.numel() for parameter in block.parameters())


def arithmetic_intensity(function: Callable) -> None:
    """``function(batch, c_in, c_out, k, side, stride, groups, bytes_per_value)``: multiply-adds per byte."""
    draw = random.Random(5)
    cases = [(1, 64, 64, 3, 28, 1, 1, 4), (8, 64, 64, 3, 28, 1, 1, 4), (1, 64, 64, 3, 28, 1, 64, 4)]
    cases += [(2, 16, 32, 3, 15, 2, 1, 4), (2, 16, 32, 1, 14, 2, 4, 2), (1, 3, 96, 11, 55, 4, 1, 4)]
    for _ in range(RANDOM_CASES):
        groups = draw.choice([1, 2, 4])
        c_in, c_out = groups * draw.randint(1, 16), groups * draw.randint(1, 16)
        cases.append(
            (
                draw.randint(1, 16),
                c_in,
                c_out,
                draw.choice([1, 3, 5, 7]),
                draw.randint(1, 40),
                draw.randint(1, 3),
                groups,
                draw.choice([2, 4]),
            )
        )
    for batch, c_in, c_out, k, side, stride, groups, size in cases:
        number = k * k * c_in * c_out // groups
        layer = torch.nn.Conv2d(c_in, c_out, k, stride, k // 2, groups=groups, bias=False, device="meta")
        out = layer(torch.empty(1, c_in, side, side, device="meta")).shape[-1]
        macs, read, written = batch * number * out**2, batch * c_in * side**2, batch * c_out * out**2
        want = macs / (size * (read + layer.weight.numel() + written))
        what = (
            f"arithmetic_intensity({batch}, {c_in}, {c_out}, {k}, {side}, stride={stride}, "
            f"groups={groups}, bytes_per_value={size})"
        )
        options = {"stride": stride, "groups": groups, "bytes_per_value": size}
        got = number_of(call(function, batch, c_in, c_out, k, side, **options), what)
        everywhere = macs / out**2 * side**2
        slips = [  # the likelier first: two may give the same number
            (
                "the stride: the output has ⌊(side − 1) / stride⌋ + 1 pixels a side.",
                everywhere / (size * (read + number + batch * c_out * side**2)),
            ),
            (
                "the positions: one for each value of an output map.",
                everywhere / (size * (read + number + written)),
            ),
            (
                "groups: an output channel sees c_in / groups channels, and has as few weights.",
                macs * groups / (size * (read + number * groups + written)),
            ),
            (
                "groups in the multiply-adds: an output channel sees c_in / groups channels.",
                macs * groups / (size * (read + number + written)),
            ),
            ("the output: it has to be written too.", macs / (size * (read + number))),
            ("the input: it has to be read too.", macs / (size * (number + written))),
            ("the weights: they have to be read too.", macs / (size * (read + written))),
            (
                "the weights: they are moved once for the whole batch.",
                macs / (size * (read + batch * number + written)),
            ),
            (
                "the batch: it multiplies the multiply-adds too.",
                macs / (size * (read + number + written)) / batch,
            ),
            ("which way round: multiply-adds divided by bytes.", 1 / want),
            ("bytes: each value has bytes_per_value of them.", want * size),
            ("the factor 2: a multiply-add counts once here.", 2 * want),
        ]
        hint = (
            "multiply-adds: k²·c_in/groups for each output value; bytes: input, weights, output, once each."
        )
        hint = hint_for(got, slips, hint, rtol=1e-6, atol=0.0)
        expect_number(got, want, what=what, look_at=hint, rtol=1e-6)
    passed("arithmetic_intensity", f"{len(cases)} layers, with stride, groups and two sizes of numbers")


def _intensity(
    batch: int,
    c_in: int,
    c_out: int,
    k: int,
    side: int,
    stride: int = 1,
    groups: int = 1,
    bytes_per_value: int = 4,
) -> float:
    """From the accounting of the layer itself."""
    with torch.device("meta"):
        layer = torch.nn.Conv2d(c_in, c_out, k, stride, k // 2, groups=groups, bias=False)
    bill = account(layer, (c_in, side, side))
    values = batch * (c_in * side**2 + math.prod(next(iter(bill)).output_shape)) + bill.total_params
    return batch * bill.total_macs / (bytes_per_value * values)
