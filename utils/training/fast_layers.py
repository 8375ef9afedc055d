"""Layers in another way than torch's for the time of a training, without a change to the model."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from utils.training.fast_convolutions import Pair, Rule, Shapes, convolve, output_size


class FastLayers(TorchFunctionMode):
    """While it is active in a thread, layers on the CPU are computed in faster ways.

    That is under bfloat16 autocast in bfloat16, without autocast in float32; other types torch computes.
    Convolutions follow a rule; the mean over a map gets a gradient that lies as the map does. Models and
    their hooks, checkpoints and traces see nothing of it: the same modules are called, and outside of the
    ``with`` block everything is as it was. What is left alone, torch does.
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        replacements: dict[Callable, Callable[..., Tensor | None]] = {
            torch.conv2d: self._convolve,
            F.adaptive_avg_pool2d: _pool,
        }
        ours = replacements.get(function)
        y = ours(*args, **kwargs) if ours and _dtype(args, kwargs) else None
        return function(*args, **kwargs) if y is None else y

    def _convolve(self, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor | None:
        """The output, or None where torch is to compute it."""
        if isinstance(padding, str):
            return None
        stride, padding, dilation = _pair(stride), _pair(padding), _pair(dilation)
        O, C, kh, kw = weight.shape
        size = output_size(input.shape[2:], (kh, kw), stride, padding, dilation)
        passes = self.rule(Shapes(C * groups, O, (kh, kw), stride, groups, size))
        if not passes:
            return None
        dtype = _dtype((input,), {})
        if dtype != weight.dtype and not torch.is_autocast_enabled("cpu"):
            return None  # torch says what is wrong
        bias = None if bias is None else bias.to(dtype)
        return convolve(input.to(dtype), weight.to(dtype), bias, stride, padding, dilation, groups, passes)


def _dtype(args: tuple, kwargs: dict) -> torch.dtype | None:
    """The type in which a layer is computed; None unless it is bfloat16 or float32 on the CPU."""
    x = args[0] if args else kwargs.get("input")
    if not isinstance(x, Tensor) or x.ndim != 4 or x.device.type != "cpu":
        return None
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return dtype if dtype in (torch.bfloat16, torch.float32) else None


def _pool(input: Tensor, output_size: int | tuple[int | None, ...]) -> Tensor | None:
    """The mean over the whole map, or None for another size or a map that does not lie channels last."""
    if output_size not in (1, (1, 1)) or not input.is_contiguous(memory_format=torch.channels_last):
        return None
    return _Mean.apply(input)


class _Mean(torch.autograd.Function):
    """The mean over height and width, with a gradient that lies as the map does.

    Torch's lies channels first, and slows down all that it meets.
    """

    @staticmethod
    def forward(ctx, x):
        ctx.size = x.shape[2:]
        return F.adaptive_avg_pool2d(x, 1)

    @staticmethod
    def backward(ctx, gradient):
        H, W = ctx.size
        B, C, _, _ = gradient.shape
        share = (gradient / (H * W)).view(B, 1, 1, C)
        return share.expand(B, H, W, C).contiguous().permute(0, 3, 1, 2)


def _pair(value: int | tuple[int, ...]) -> Pair:
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])
