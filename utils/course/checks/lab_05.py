"""Checks of the exercises of lab 05, efficient convolutions."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from utils.course.checks.core import CheckFailed, call, expect_close, expect_equal, passed
from utils.models.mobilenet_v2 import InvertedResidual

RANDOM_CASES = 20
# what exercise 5.3 asks to be written by hand
FORBIDDEN = {torch.conv1d, torch.conv2d, torch.conv3d, torch.convolution, F.unfold}
FORBIDDEN |= {torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d}


def widest_middle(function: Callable) -> None:
    """``function(c_in, c_out, k)`` is the widest middle at which 1×k and k×1 have fewer weights than k×k."""
    draw = random.Random(5)
    # equal widths, where the bound is a whole number; a widening layer; one map; a 1×1 layer
    cases = [(64, 64, 3), (64, 128, 3), (32, 32, 5), (1, 1, 3), (1, 1, 2), (16, 48, 1), (3, 96, 7)]
    cases += [(draw.randint(1, 300), draw.randint(1, 300), draw.randint(1, 9)) for _ in range(RANDOM_CASES)]
    for c_in, c_out, k in cases:
        want = max(m for m in range(k * (c_in + c_out)) if m * (c_in + c_out) < k * c_in * c_out)
        got = _number(call(function, c_in, c_out, k))
        bound = k * c_in * c_out / (c_in + c_out)
        slips = [
            (math.floor(bound), "where the pair has exactly as many weights: it must have fewer."),
            (math.ceil(bound), "the bound: m must stay below it."),
            ((c_in * c_out - 1) // (c_in + c_out), "the k: the square kernel has k² weights, a row has k."),
            ((k * k * c_in * c_out - 1) // (c_in + c_out), "the k of the pair: its kernels have k weights."),
            ((k * c_out - 1) // 2, "the two widths: the first layer reads c_in, the second makes c_out."),
            ((k * c_in - 1) // 2, "the two widths: the first layer reads c_in, the second makes c_out."),
        ]
        hint = "k·m·(c_in + c_out) < k²·c_in·c_out, solved for m."
        if isinstance(got, float) and not got.is_integer():
            hint = "the return value: a whole number of maps."
        expect_equal(got, want, what=f"widest_middle({c_in}, {c_out}, {k})", look_at=_slip(got, slips, hint))
    passed("widest_middle", f"{len(cases)} layers agree with a search over all m")


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
        answer = call(function, kernel)
        if not (
            isinstance(answer, (tuple, list))
            and len(answer) == 2
            and all(isinstance(a, Tensor) for a in answer)
        ):
            raise CheckFailed(
                f"Expected a pair of tensors (column, row), got {type(answer).__name__}.\n"
                "Look at: the return line."
            )
        column, row = (part.detach() for part in answer)
        for part, length, title in ((column, height, "column"), (row, width, "row")):
            if part.shape != (length,):
                look_at = "the shapes: two vectors, one as long as the kernel is high, one as it is wide."
                if {tuple(column.shape), tuple(row.shape)} == {(height,), (width,)}:
                    look_at = "the order: first the column, then the row."
                raise CheckFailed(
                    f"The {title} for a kernel of {height}×{width}: expected shape ({length},), "
                    f"got {tuple(part.shape)}.\nLook at: {look_at}"
                )
        u, s, vt = torch.linalg.svd(kernel)
        want, got = s[0] * torch.outer(u[:, 0], vt[0]), torch.outer(column, row)
        slips = [
            (torch.outer(u[:, 0], vt[0]), "the size: the first singular value is missing."),
            (
                s[0] ** 2 * torch.outer(u[:, 0], vt[0]),
                "the size: the first singular value counts once, not twice.",
            ),
        ]
        if height == width:
            slips += [
                (s[0] * torch.outer(u[0], vt[0]), "u: its columns belong to the singular values, u[:, 0]."),
                (
                    s[0] * torch.outer(u[:, 0], vt[:, 0]),
                    "the second factor: svd returns vᵀ, its rows are needed.",
                ),
                (want.T, "the order: first the column, then the row."),
            ]
        if len(s) > 1:
            slips.append(
                (
                    s[-1] * torch.outer(u[:, len(s) - 1], vt[len(s) - 1]),
                    "the largest singular value comes first.",
                )
            )
        hint = "the first singular value times the outer product of first column of u and first row of vᵀ."
        for slip, text in slips:
            if torch.allclose(got, slip, atol=1e-4):
                hint = text
        expect_close(got, want, what=f"torch.outer(column, row) for {name}", look_at=hint, atol=1e-4)
    passed("nearest_separable", f"{len(cases)} kernels, square or not: the nearest of rank 1")


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
        with _Watch() as watch:
            got = call(function, x, depthwise, pointwise, stride=stride)
        if watch.used:
            raise CheckFailed(
                f"depthwise_separable calls {watch.used[0]}: here you write by hand what it does.\n"
                "Look at: the text of the exercise, which says what is not allowed."
            )

        def reference(
            x: Tensor = x,
            depthwise: Tensor = depthwise,
            pointwise: Tensor = pointwise,
            stride: int = stride,
            padding: int = k // 2,
        ) -> Tensor:
            filtered = F.conv2d(x, depthwise[:, None], padding=padding, stride=stride, groups=len(depthwise))
            return F.conv2d(filtered, pointwise[:, :, None, None])

        want = reference()
        mixed_first = pointwise.sum(1)[:, None, None] * F.conv2d(
            x, depthwise[None], padding=k // 2, stride=stride
        )
        slips = [
            (
                reference(depthwise=depthwise.flip(1, 2)),
                "the direction: F.conv2d does not reverse the kernel.",
            ),
            (reference(depthwise=depthwise.transpose(1, 2)), "the two axes of the kernel: height first."),
            (reference(stride=1), "the stride: the windows are that many pixels apart, both ways."),
            (reference(padding=0), "the padding: (k − 1) / 2 zeros on each side."),
            (
                F.conv2d(x, depthwise[:, None], padding=k // 2, stride=stride, groups=maps),
                "the 1×1 convolution: the maps are not mixed yet.",
            ),
            (mixed_first, "the depthwise part: each map is filtered alone, nothing is added up over maps."),
        ]
        hint = "first each map with its own kernel, then for every pixel the matrix pointwise times its maps."
        if isinstance(got, Tensor):
            for slip, text in slips:
                if got.shape == slip.shape and torch.allclose(got.detach().float(), slip, atol=1e-4):
                    hint = text
        given = f"x [{batch}, {maps}, {height}, {width}], {k}×{k}, {outputs} outputs, stride={stride}"
        expect_close(got, want, what=f"depthwise_separable({given})", look_at=hint, atol=1e-4)
    passed("depthwise_separable", f"{len(cases)} layers agree with F.conv2d(groups=C) and a 1×1 after it")


def inverted_residual_parameters(function: Callable) -> None:
    """``function(c_in, c_out, t)`` counts the parameters of MobileNetV2's block, as the library builds it."""
    draw = random.Random(5)
    cases = [(16, 24, 6), (24, 24, 6), (32, 16, 1), (160, 320, 6), (3, 5, 2)]
    cases += [(draw.randint(1, 64), draw.randint(1, 64), draw.randint(1, 8)) for _ in range(RANDOM_CASES)]
    for c_in, c_out, t in cases:
        with torch.device("meta"):
            block = InvertedResidual(
                c_in, c_out, 1, t, expand=t > 1, project_shortcut=False, activation=torch.nn.ReLU6
            )
        want = sum(parameter.numel() for parameter in block.parameters())
        got = _number(call(function, c_in, c_out, t))
        wide = t * c_in
        norms = (2 * wide if t > 1 else 0) + 2 * wide + 2 * c_out
        slips = [
            (want - norms, "batch norm: two parameters for each map that it gets."),
            (want - norms // 2, "batch norm: each map has two parameters, a factor and a shift."),
            (want + norms // 2, "biases: these convolutions have none."),
            (
                want - 9 * wide + 9 * wide * wide,
                "the depthwise part: one 3×3 kernel per map, not per pair of maps.",
            ),
            (want - 9 * wide + wide, "the depthwise part: a 3×3 kernel has nine weights."),
            (want - 2 * c_out, "batch norm after the projection: there is one, only no activation."),
            (want - 9 * wide + 9 * c_in, "the width: the depthwise part has t·c_in maps."),
            (want + c_in * c_out + 2 * c_out, "the shortcut: the paper's has no parameters."),
        ]
        if t == 1:
            slips.append(
                (
                    want + c_in * wide + 2 * wide,
                    "t = 1: there is no expanding 1×1, and no batch norm after it.",
                )
            )
        hint = "expand c_in·t·c_in, depthwise 9·t·c_in, project t·c_in·c_out, and 2 per map after each."
        what = f"inverted_residual_parameters({c_in}, {c_out}, {t})"
        expect_equal(got, want, what=what, look_at=_slip(got, slips, hint))
    passed(
        "inverted_residual_parameters", f"{len(cases)} blocks of the library agree, with t = 1 and without"
    )


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
        got = call(function, batch, c_in, c_out, k, side, stride=stride, groups=groups, bytes_per_value=size)
        got = got.item() if isinstance(got, Tensor) and got.numel() == 1 else got
        slips = [
            (2 * want, "the factor 2: a multiply-add counts once here."),
            (want * size, "bytes: each value has bytes_per_value of them."),
            (1 / want, "which way round: multiply-adds divided by bytes."),
            (
                macs / (size * (read + number + written)) / batch,
                "the batch: it multiplies the multiply-adds too.",
            ),
            (
                macs / (size * (read + batch * number + written)),
                "the weights: they are moved once for the whole batch.",
            ),
            (macs / (size * (read + written)), "the weights: they have to be fetched too."),
            (macs / (size * (number + written)), "the input: it has to be fetched too."),
            (macs / (size * (read + number)), "the output: it has to be written too."),
            (
                macs * groups / (size * (read + number + written)),
                "groups in the multiply-adds: a map reads c_in / groups maps.",
            ),
            (
                macs * groups / (size * (read + number * groups + written)),
                "groups: a map reads c_in / groups maps, and has as few weights.",
            ),
            (
                macs / out**2 * side**2 / (size * (read + number + written)),
                "the places: one for each pixel of the output.",
            ),
            (
                macs / out**2 * side**2 / (size * (read + number + batch * c_out * side**2)),
                "the stride: the output has ⌊(side − 1) / stride⌋ + 1 pixels a side.",
            ),
        ]
        hint = (
            "multiply-adds: k²·c_in/groups for each output value; bytes: input, weights, output, once each."
        )
        if not isinstance(got, (int, float)) or not math.isclose(got, want, rel_tol=1e-6):
            for slip, text in slips:
                if isinstance(got, (int, float)) and math.isclose(got, slip, rel_tol=1e-6):
                    hint = text
            shown = f"{got:.6g}" if isinstance(got, (int, float)) else repr(got)
            raise CheckFailed(
                f"arithmetic_intensity({batch}, {c_in}, {c_out}, {k}, {side}, stride={stride}, "
                f"groups={groups}, bytes_per_value={size}): expected {want:.6g}, got {shown}.\n"
                f"Look at: {hint}"
            )
    passed("arithmetic_intensity", f"{len(cases)} layers, with stride, groups and two sizes of numbers")


class _Watch(TorchFunctionMode):
    """Notes the names of the functions in ``FORBIDDEN`` that are called while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.used: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in FORBIDDEN:
            self.used.append(func.__name__)
        return func(*args, **(kwargs or {}))


def _number(value: object) -> object:
    """A number where ``value`` is a tensor of one element, else ``value`` as it is."""
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


def _slip(got: object, slips: Iterable[tuple[float, str]], hint: str) -> str:
    """The text of the first slip that gives ``got``; ``hint`` where none does."""
    return next((text for slip, text in slips if isinstance(got, (int, float)) and got == slip), hint)
