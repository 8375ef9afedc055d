"""Convolutions of small maps as one matrix product: the columns of lab 1, put to use.

Each position of the kernel becomes a row of a matrix, as long as the kernel is large ("columns", im2col), and the
convolution is the product with the kernels. Processors have fast matrix products for every size, while their
convolutions are slow on maps of a few pixels. Which of the three passes of a training step is done so (the output,
the gradient of the input, the gradient of the weights) is said by a rule, a function of the layer's shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]


@dataclass(frozen=True)
class Passes:
    """Which passes of one convolution are done as matrix products; true if any is."""

    output: bool = False
    input: bool = False
    weight: bool = False

    def __bool__(self) -> bool:
        return self.output or self.input or self.weight


ALL_PASSES = Passes(True, True, True)


@dataclass(frozen=True)
class Shapes:
    """What a rule may look at: channels, kernel size, and the size of the output map."""

    in_channels: int
    out_channels: int
    kernel: Pair
    stride: Pair
    output: Pair


Rule = Callable[[Shapes], Passes]


def columns(x: Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """The matrix [B · H' · W', kh · kw · C] whose rows are what the kernel sees at each of its H' · W' positions.

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
    passes: Passes = ALL_PASSES,
) -> Tensor:
    """As ``torch.nn.functional.conv2d`` with one group, with the named passes as matrix products.

    ``x`` [B, C, H, W] and ``weight`` [O, C, kh, kw] are of one dtype. The output [B, O, H', W'] lies channels last.
    The gradient of the input is a matrix product for a stride of 1 only. Gradients of gradients are torch's.
    """
    y = _Convolution.apply(x, weight, stride, padding, dilation, passes)
    return y if bias is None else y + bias.view(1, -1, 1, 1)


class _Convolution(torch.autograd.Function):
    """The convolution without its bias, and its two gradients."""

    @staticmethod
    def forward(ctx, x, weight, stride, padding, dilation, passes):
        ctx.arguments = (stride, padding, dilation)
        ctx.passes = passes
        O, C, kh, kw = weight.shape
        ctx.columns = None
        if not passes.output:
            ctx.save_for_backward(x, weight)
            return torch.conv2d(x, weight, None, stride, padding, dilation)
        seen = columns(x, (kh, kw), stride, padding, dilation)
        ctx.save_for_backward(x, weight, *((seen,) if passes.weight and ctx.needs_input_grad[1] else ()))
        height, width = output_size(x.shape[2:], (kh, kw), stride, padding, dilation)
        return _map(seen @ _matrix(weight).t(), len(x), height, width)

    @staticmethod
    def backward(ctx, gradient):
        x, weight, *kept = ctx.saved_tensors
        stride, padding, dilation = ctx.arguments
        for_input, for_weight = ctx.needs_input_grad[:2]
        passes = ctx.passes
        if torch.is_grad_enabled():  # somebody will differentiate the gradient: torch knows how
            passes = Passes()
        O, C, kh, kw = weight.shape
        of_input = of_weight = None
        if for_weight and passes.weight:
            seen = kept[0] if kept else columns(x, (kh, kw), stride, padding, dilation)
            rows = gradient.permute(0, 2, 3, 1).reshape(-1, O)
            of_weight = (rows.t() @ seen).view(O, kh, kw, C).permute(0, 3, 1, 2)
            for_weight = False
        if for_input and passes.input and stride == (1, 1):
            # where an input pixel counted for an output, that output's gradient counts for it: the kernel turned round
            turned = weight.flip(2, 3).transpose(0, 1)
            borders = tuple(d * (k - 1) - p for d, k, p in zip(dilation, (kh, kw), padding, strict=True))
            seen = columns(gradient, (kh, kw), (1, 1), borders, dilation)
            of_input = _map(seen @ _matrix(turned).t(), len(x), *x.shape[2:])
            for_input = False
        if for_input or for_weight:
            by_torch = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, stride, padding, dilation, False, (0, 0), 1,
                (for_input, for_weight, False),
            )  # fmt: skip
            of_input = by_torch[0] if for_input else of_input
            of_weight = by_torch[1] if for_weight else of_weight
        return of_input, of_weight, None, None, None, None


def _matrix(weight: Tensor) -> Tensor:
    """The kernels [O, C, kh, kw] as a matrix [O, kh · kw · C], in the order of the columns."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def _map(rows: Tensor, B: int, height: int, width: int) -> Tensor:
    """Rows [B · H · W, O] as a map [B, O, H, W] that lies channels last."""
    return rows.view(B, height, width, -1).permute(0, 3, 1, 2)


def output_size(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Height and width of the output map, as in lab 1."""
    height, width = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return height, width


class MatrixConvolutions(TorchFunctionMode):
    """While it is active in a thread, convolutions under bfloat16 autocast on the CPU follow a rule.

    Models and their hooks, checkpoints and traces see nothing of it: the same modules are called, and outside of the
    ``with`` block everything is as it was. What the rule leaves alone, torch does.
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.conv2d:
            y = self._convolve(*args, **kwargs)
            if y is not None:
                return y
        return function(*args, **kwargs)

    def _convolve(
        self, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
    ) -> Tensor | None:
        """The output, or None where torch is to compute it."""
        if groups != 1 or isinstance(padding, str) or input.ndim != 4 or input.device.type != "cpu":
            return None
        if not torch.is_autocast_enabled("cpu") or torch.get_autocast_dtype("cpu") != torch.bfloat16:
            return None
        stride, padding, dilation = _pair(stride), _pair(padding), _pair(dilation)
        O, C, kh, kw = weight.shape
        size = output_size(input.shape[2:], (kh, kw), stride, padding, dilation)
        passes = self.rule(Shapes(C, O, (kh, kw), stride, size))
        if not passes:
            return None
        low = [None if t is None else t.to(torch.bfloat16) for t in (input, weight, bias)]
        return convolve(*low, stride, padding, dilation, passes)


def _pair(value: int | tuple[int, ...]) -> Pair:
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])
