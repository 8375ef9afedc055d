"""Convolutions in another way than torch's: those of small maps as one matrix product, as in lab 1.

Each position of the kernel becomes a row of a matrix, as long as the kernel is large ("columns", im2col), and
the convolution is the product with the kernels. Processors have fast matrix products for every size, while
their convolutions are slow on maps of a few pixels. Which of the three passes of a training step is done so
(the output, the gradient of the input, the gradient of the weights) is said by a rule, a function of the
layer's shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]


@dataclass(frozen=True)
class Passes:
    """Which passes of one convolution are not done as torch does them; true if any is.

    ``output``, ``input`` (its gradient) and ``weight`` (its gradient) as matrix products, of convolutions
    with one group; ``spread``: the gradient of the input as a convolution of the output's gradient, with
    zeros between.
    """

    output: bool = False
    input: bool = False
    weight: bool = False
    spread: bool = False

    def __bool__(self) -> bool:
        return self.output or self.input or self.weight or self.spread


# all three as matrix products
ALL_PASSES = Passes(output=True, input=True, weight=True)


@dataclass(frozen=True)
class Shapes:
    """What a rule may look at: channels, kernel size, stride, groups, and the size of the output map."""

    in_channels: int
    out_channels: int
    kernel: Pair
    stride: Pair
    groups: int
    output: Pair


Rule = Callable[[Shapes], Passes]


def columns(x: Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """The matrix [B · H' · W', kh · kw · C] whose rows are what the kernel sees, position by position.

    A view into the padded map (which lies channels last), copied once.
    """
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    map_ = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0])).contiguous()
    B, H, W, C = map_.shape
    height, width = (H - dh * (kh - 1) - 1) // sh + 1, (W - dw * (kw - 1) - 1) // sw + 1
    row, pixel = W * C, C
    windows = map_.as_strided(
        (B, height, width, kh, kw, C),
        (H * row, sh * row, sw * pixel, dh * row, dw * pixel, 1),
    )
    return windows.reshape(B * height * width, kh * kw * C)


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
    passes: Passes = ALL_PASSES,
) -> Tensor:
    """As ``torch.nn.functional.conv2d``, with the named passes done in another way.

    ``x`` [B, C, H, W] and ``weight`` [O, C / groups, kh, kw] are of one dtype. Gradients of gradients are
    torch's. Raises ``ValueError`` for a matrix product with several groups.
    """
    if groups != 1 and (passes.output or passes.input or passes.weight):
        raise ValueError(
            f"a convolution with groups={groups} is not one matrix product; ask for spread alone"
        )
    y = _Convolution.apply(x, weight, stride, padding, dilation, groups, passes)
    return y if bias is None else y + bias.view(1, -1, 1, 1)


class _Convolution(torch.autograd.Function):
    """The convolution without its bias, and its two gradients."""

    @staticmethod
    def forward(ctx, x, weight, stride, padding, dilation, groups, passes):
        ctx.arguments, ctx.passes = (stride, padding, dilation, groups), passes
        kernel = weight.shape[2:]
        if not passes.output:
            ctx.save_for_backward(x, weight)
            return torch.conv2d(x, weight, None, *ctx.arguments)
        seen = columns(x, kernel, stride, padding, dilation)
        ctx.save_for_backward(x, weight, *((seen,) if passes.weight and ctx.needs_input_grad[1] else ()))
        size = output_size(x.shape[2:], kernel, stride, padding, dilation)
        return _map(seen @ _matrix(weight).t(), len(x), size)

    @staticmethod
    def backward(ctx, gradient):
        x, weight, *kept = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.arguments
        for_input, for_weight = ctx.needs_input_grad[:2]
        # somebody will differentiate the gradient: torch knows how
        passes = Passes() if torch.is_grad_enabled() else ctx.passes
        of_input = of_weight = None
        if for_weight and passes.weight:
            seen = kept[0] if kept else columns(x, weight.shape[2:], stride, padding, dilation)
            of_weight = _kernels(
                gradient.permute(0, 2, 3, 1).reshape(-1, len(weight)).t() @ seen, weight.shape
            )
        if for_input and (passes.input or passes.spread):
            of_input = _gradient_of_input(gradient, weight, x.shape[2:], ctx.arguments, passes.input)
        by_torch = for_input and of_input is None, for_weight and of_weight is None, False
        if any(by_torch):
            theirs = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, stride, padding, dilation, False, (0, 0), groups, by_torch
            )
            of_input = theirs[0] if of_input is None else of_input
            of_weight = theirs[1] if of_weight is None else of_weight
        return of_input, of_weight, None, None, None, None, None


def _gradient_of_input(
    gradient: Tensor, weight: Tensor, size: Pair, arguments: tuple[Pair, Pair, Pair, int], as_product: bool
) -> Tensor | None:
    """The gradient of an input map of this size, or None where torch is to compute it.

    Where an input pixel counted for an output, that output's gradient counts for it: a convolution of the
    gradient with the kernel turned round. With a stride, zeros stand where the kernel did not stop.
    """
    stride, padding, dilation, groups = arguments
    vertical, horizontal = (
        d * (k - 1) - p for d, k, p in zip(dilation, weight.shape[2:], padding, strict=True)
    )
    borders = (vertical, horizontal)
    if min(borders) < 0 and not as_product:
        return None
    if stride != (1, 1):
        B, O, _, _ = gradient.shape
        # so large that the convolution comes out at the input's size, with the last pixels that were missed
        height, width = (
            n + d * (k - 1) - 2 * b
            for n, d, k, b in zip(size, dilation, weight.shape[2:], borders, strict=True)
        )
        spread = gradient.new_zeros(B, height, width, O).permute(0, 3, 1, 2)
        h, w = gradient.shape[2:]
        spread[:, :, : h * stride[0] : stride[0], : w * stride[1] : stride[1]] = gradient
        gradient = spread
    O, C, kh, kw = weight.shape
    turned = (
        weight.view(groups, O // groups, C, kh, kw).transpose(1, 2).reshape(groups * C, O // groups, kh, kw)
    )
    turned = turned.flip(2, 3)
    if as_product:
        seen = columns(gradient, (kh, kw), (1, 1), borders, dilation)
        return _map(seen @ _matrix(turned).t(), len(gradient), size)
    return torch.conv2d(gradient, turned, None, (1, 1), borders, dilation, groups)


def _matrix(weight: Tensor) -> Tensor:
    """The kernels [O, C, kh, kw] as a matrix [O, kh · kw · C], in the order of the columns."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def _kernels(matrix: Tensor, shape: torch.Size) -> Tensor:
    """The way back from :func:`_matrix`."""
    O, C, kh, kw = shape
    return matrix.view(O, kh, kw, C).permute(0, 3, 1, 2)


def _map(rows: Tensor, B: int, size: Pair) -> Tensor:
    """Rows [B · H · W, O] as a map [B, O, H, W] that lies channels last."""
    return rows.view(B, *size, -1).permute(0, 3, 1, 2)


def output_size(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Height and width of the output map, as in lab 1."""
    height, width = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return height, width
