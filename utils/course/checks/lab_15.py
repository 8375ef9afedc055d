"""Checks of the exercises of lab 15, squeeze and excitation, and ConvNeXt."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    expect_close,
    expect_number,
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
            "excite": (excite, _excitation),
            "channel_norm": (channel_norm, _channel_norm),
            "in_standard_errors": (in_standard_errors, _in_standard_errors),
            "images_needed": (images_needed, _images_needed),
            "convnext_cost": (convnext_cost, _convnext_cost),
        },
    )


def _excitation(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    squeezed = F.adaptive_avg_pool2d(x, 1).flatten(1)
    last = F.linear(F.linear(squeezed, w1, b1).clamp_min(0), w2, b2)
    return (1 + torch.tanh(last / 2)) / 2


def excite(function: Callable) -> None:
    """``function(x, w1, b1, w2, b2)`` gives the factor of each channel, computed from the means of all."""
    generator = torch.Generator().manual_seed(15)
    for B, C, R, H, W in ((2, 8, 2, 4, 4), (3, 4, 1, 5, 3), (1, 6, 6, 2, 7), (4, 4, 4, 4, 4)):
        x = torch.randn(B, C, H, W, generator=generator) + 0.5
        weights = [torch.randn(*shape, generator=generator) for shape in ((R, C), (R,), (C, R), (C,))]
        want = _factors(x.mean(dim=(2, 3)), *weights)
        got = call(function, x, *weights)
        hint = "the mean over rows and columns, then w1, b1 and ReLU, then w2, b2 and sigmoid."
        hint = hint_for(got, _excite_slips(x, *weights), hint)
        expect_close(got, want, what=f"excite for maps {[B, C, H, W]}", look_at=hint)
    passed("excite", "four sizes of maps, in one of which no two dimensions can be told apart by their size")


def _factors(z: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    return torch.sigmoid(torch.relu(z @ w1.T + b1) @ w2.T + b2)


def _excite_slips(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Slips:
    z = x.mean(dim=(2, 3))
    s = _factors(z, w1, b1, w2, b2)
    yield (
        "the return value: the factors alone, these are the maps times the factors.",
        x * s[:, :, None, None],
    )
    yield "the shape: [B, C], these have two dimensions more.", s[:, :, None, None]
    yield (
        "the squeeze: the mean of a map, this is its largest value.",
        _factors(x.amax((2, 3)), w1, b1, w2, b2),
    )
    yield "the squeeze: the mean of a map, this is its sum.", _factors(x.sum((2, 3)), w1, b1, w2, b2)
    last = torch.relu(z @ w1.T + b1) @ w2.T + b2
    yield "the middle: a ReLU follows the first linear layer.", torch.sigmoid((z @ w1.T + b1) @ w2.T + b2)
    yield "the end: a sigmoid puts the factors between 0 and 1.", last
    yield "the end: each factor by itself, a sigmoid; softmax lets them compete.", torch.softmax(last, dim=1)
    yield "the middle: b1 is added before the ReLU.", torch.sigmoid((torch.relu(z @ w1.T) + b1) @ w2.T + b2)
    together = z.mean(dim=0, keepdim=True)
    yield (
        "the squeeze: each image has means of its own, here all share them.",
        _factors(together, w1, b1, w2, b2).expand_as(s),
    )


def channel_norm(function: Callable) -> None:
    """``function(x, weight, bias, epsilon)`` normalizes over the channels of each position of maps."""
    generator = torch.Generator().manual_seed(15)
    for B, C, H, W in ((2, 8, 5, 3), (3, 4, 4, 4), (1, 6, 1, 2), (4, 4, 4, 4)):
        x = 2 * torch.randn(B, C, H, W, generator=generator) + torch.randn(C, 1, 1, generator=generator)
        weight, bias = torch.randn(2, C, generator=generator)
        for epsilon in (1e-6, 0.1):
            what = f"channel_norm for maps {[B, C, H, W]} and ε = {epsilon:g}"
            got = call(function, x, weight, bias, epsilon)
            hint = "mean and variance over dimension 1 alone, then a weight and a bias for each channel."
            hint = hint_for(got, _channel_norm_slips(x, weight, bias, epsilon), hint)
            expect_close(got, _channel_norm(x, weight, bias, epsilon), what=what, look_at=hint)
    passed("channel_norm", "four sizes of maps, each with a small and a large ε")


def _channel_norm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float = 1e-6) -> Tensor:
    return F.layer_norm(x.movedim(1, -1), weight.shape, weight, bias, epsilon).movedim(-1, 1)


def _channel_norm_slips(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Slips:
    by_channel = weight[:, None, None], bias[:, None, None]

    def over(*dims: int, unbiased: bool = False) -> Tensor:
        centered = x - x.mean(dims, keepdim=True)
        return centered / torch.sqrt(x.var(dims, keepdim=True, unbiased=unbiased) + epsilon)

    def scaled(normal: Tensor) -> Tensor:
        return normal * by_channel[0] + by_channel[1]

    normal = over(1)
    yield "the dimensions: this is batch normalization, over batch and positions.", scaled(over(0, 2, 3))
    yield (
        "the dimensions: over the channels of one position, not over the positions as well.",
        scaled(over(1, 2, 3)),
    )
    yield "the dimensions: over the channels, these are the positions of each map.", scaled(over(2, 3))
    yield "the return value: weight and bias are missing.", normal
    yield "the variance: divide by C, not by C − 1 (unbiased=False).", scaled(over(1, unbiased=True))
    centered = x - x.mean(1, keepdim=True)
    variance = centered.square().mean(1, keepdim=True)
    yield (
        "the denominator: the root of the variance, this is the variance.",
        scaled(centered / (variance + epsilon)),
    )
    yield "ε: it is added to the variance, under the root.", scaled(centered / (variance.sqrt() + epsilon))
    yield "ε: it is not used.", scaled(centered / variance.sqrt())
    yield "the numerator: subtract the mean.", scaled(x / (variance + epsilon).sqrt())
    if x.shape[-1] == len(weight):
        yield (
            "weight and bias: one for each channel, dimension 1; here they meet the columns.",
            normal * weight + bias,
        )


def convnext_cost(function: Callable) -> None:
    """``function(channels, kernel, expansion, side)`` gives parameters and multiply-adds of the block."""
    cases = ((96, 7, 4, 16), (8, 3, 4, 5), (24, 5, 2, 8), (1, 1, 1, 1))
    for case in cases:
        what, names = f"convnext_cost{case}", ("parameters", "multiply-adds")
        got = parts_of(call(function, *case), names, what, of="numbers")
        for name, ours, theirs in zip(names, _convnext_cost(*case), got, strict=True):
            value = number_of(theirs, f"{what}, {name}")
            slips = _parameter_slips(*case) if name == "parameters" else _mac_slips(*case)
            hint = hint_for(value, slips, "the formula, one layer at a time.")
            if value != ours:
                fail(f"{what}, {name}", f"{ours:,}", f"{value:,}", hint)
    passed("convnext_cost", f"{len(cases)} blocks, the first of them of ConvNeXt-T")


def _convnext_cost(channels: int, kernel: int, expansion: int, side: int) -> tuple[int, int]:
    weights = kernel**2 * channels + 2 * expansion * channels**2
    return weights + (5 + expansion) * channels, weights * side**2


def _parameter_slips(channels: int, kernel: int, expansion: int, side: int) -> Slips:
    right, macs = _convnext_cost(channels, kernel, expansion, side)
    yield "the biases: every convolution has one for each output channel.", right - (2 + expansion) * channels
    yield "layer norm: a factor and a shift for each channel.", right - 2 * channels
    yield "layer norm: two numbers for each channel, not one.", right - channels
    yield "layer scale: one number for each channel.", right - channels
    yield "what is left out: layer norm and layer scale have parameters too.", right - 3 * channels
    yield (
        "what is left out: biases, layer norm and layer scale are parameters too.",
        right - (5 + expansion) * channels,
    )
    yield (
        "the depthwise convolution: each channel is filtered alone.",
        right + kernel**2 * channels * (channels - 1),
    )
    yield "the two 1×1 convolutions: there and back.", right - expansion * channels**2
    yield "the places: parameters do not depend on them.", macs


def _mac_slips(channels: int, kernel: int, expansion: int, side: int) -> Slips:
    params, right = _convnext_cost(channels, kernel, expansion, side)
    yield "the places: every weight of a convolution is used once at each of side · side.", right // side**2
    yield "the places: side · side of them, this is side.", right // side
    yield "what counts: convolutions only, without biases, norm and scale.", params * side**2
    yield "the unit: a multiply-add is one, not two operations.", 2 * right
    yield (
        "the depthwise convolution: each channel is filtered alone.",
        right + kernel**2 * channels * (channels - 1) * side**2,
    )


def in_standard_errors(function: Callable) -> None:
    """``function(a, b, n)`` is the difference of two accuracies over its standard error."""
    cases = (
        (0.9203, 0.9192, 10_000),
        (0.7012, 0.6889, 10_000),
        (0.5, 0.6, 100),
        (0.8, 0.8, 500),
        (0.95, 0.4, 50),
    )
    for a, b, n in cases:
        want = (a - b) / math.sqrt(a * (1 - a) / n + b * (1 - b) / n)
        what = f"in_standard_errors({a}, {b}, {n})"
        got = number_of(call(function, a, b, n), what)
        hint = "(a − b) over the root of the sum of the two variances."
        hint = hint_for(got, _error_slips(a, b, n), hint, rtol=1e-6, atol=0.0)
        expect_number(got, want, what=what, look_at=hint, rtol=1e-6)
    ahead = (0.9203 - 0.9192) / 0.00384
    told = f"{len(cases)} pairs of accuracies; SE-ResNet-18 on CIFAR-10 is {ahead:.1f} of them ahead"
    passed("in_standard_errors", told)


def _in_standard_errors(a: float, b: float, n: int) -> float:
    return math.sqrt(n) * (a - b) / math.hypot(math.sqrt(a * (1 - a)), math.sqrt(b * (1 - b)))


def _error_slips(a: float, b: float, n: int) -> Slips:
    first, second = math.sqrt(a * (1 - a) / n), math.sqrt(b * (1 - b) / n)
    together = math.hypot(first, second)
    yield (
        "the denominator: the standard error of a difference, these are added; variances add.",
        (a - b) / (first + second),
    )
    yield "the denominator: both accuracies have an error, this is the first alone.", (a - b) / first
    yield "the denominator: both accuracies have an error, this is the second alone.", (a - b) / second
    yield "the denominator: the root is missing.", (a - b) / together**2
    yield (
        "the denominator: the number of images belongs under the root.",
        (a - b) / (together * math.sqrt(n)),
    )
    yield "the result: the difference is to be divided by its standard error.", a - b
    yield "the result: this is the standard error, the difference is to be divided by it.", together
    yield "the sign: a − b, negative where b is larger.", abs(a - b) / together
    yield "the sign: a − b, not b − a.", (b - a) / together


def images_needed(function: Callable) -> None:
    """``function(a, b, errors)`` is the smallest test set on which the two accuracies are so far apart."""
    cases = (
        (0.9203, 0.9192, 2),
        (0.6889, 0.7012, 2),
        (0.9479, 0.9363, 1.96),
        (0.7, 0.62, 3),
        (0.5, 0.9, 1),
    )
    for a, b, errors in cases:
        want = _images_needed(a, b, errors)
        what = f"images_needed({a}, {b}, {errors})"
        got = number_of(call(function, a, b, errors), what)
        hint = "|a − b| = errors · √(variances / n), solved for n and rounded up."
        hint = hint_for(got, _images_slips(a, b, errors), hint, rtol=1e-6, atol=0.0)
        if got != want:
            fail(what, f"{want:,}", f"{got:,}", hint)
    passed(
        "images_needed", f"{len(cases)} pairs of accuracies, the first of them needs half a million images"
    )


def _images_needed(a: float, b: float, errors: float = 2) -> int:
    low, high = 0, 1
    while abs(_in_standard_errors(a, b, high)) < errors:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if abs(_in_standard_errors(a, b, middle)) >= errors else (middle, high)
    return high


def _images_slips(a: float, b: float, errors: float) -> Slips:
    variances, gap = a * (1 - a) + b * (1 - b), abs(a - b)
    exact = (errors / gap) ** 2 * variances
    for value in (math.floor(exact), exact):
        yield "the rounding: up to a whole number, with fewer images the difference is too small.", value
    roots = math.sqrt(a * (1 - a)) + math.sqrt(b * (1 - b))
    yield "the variances: they are added, not the standard errors.", math.ceil((errors * roots / gap) ** 2)
    yield "the variances: both accuracies have one.", math.ceil((errors / gap) ** 2 * a * (1 - a))
    yield "the variances: both accuracies have one.", math.ceil((errors / gap) ** 2 * b * (1 - b))
    yield "the square: n stands under a root, so the result is a square.", math.ceil(math.sqrt(exact))
    yield "the number of standard errors: it is squared.", math.ceil(errors / gap**2 * variances)
    yield "the number of standard errors: it is not used.", math.ceil(variances / gap**2)
