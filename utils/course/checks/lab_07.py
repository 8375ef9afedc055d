"""Checks of the exercises of lab 07, BatchNorm on VGG-A."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    expect_close,
    hint_for,
    numbers_of,
    parts_of,
    passed,
)

CLOSE = {"atol": 1e-6, "rtol": 1e-5}  # of a slip; all numbers here have 64 bits
EPS = 1e-5  # as in the lab, and in torch
OVER = (0, 2, 3)  # all but the channels


def _drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same numbers if it is not written yet."""
    return core.use(
        function,
        {
            "batch_norm": (batch_norm, _torch_batch_norm),
            "batch_norm_backward": (batch_norm_backward, _torch_backward),
            "running_statistics": (running_statistics, _torch_running),
            "group_norm": (group_norm, lambda x, groups, eps: F.group_norm(x, groups, eps=eps)),
            "fold": (fold, _torch_fold),
            "rms_norm_backward": (rms_norm_backward, _torch_rms_backward),
            "signal_sizes": (signal_sizes, _sizes),
        },
    )


def _torch_batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float = EPS) -> Tensor:
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


def _torch_backward(g: Tensor, x: Tensor, gamma: Tensor, eps: float = EPS) -> tuple[Tensor, ...]:
    leaves = [t.detach().clone().requires_grad_() for t in (x, gamma, torch.zeros_like(gamma))]
    return torch.autograd.grad(_torch_batch_norm(*leaves, eps), leaves, g)


def _torch_running(batches: list[Tensor], momentum: float) -> tuple[Tensor, Tensor]:
    layer = nn.BatchNorm1d(batches[0].shape[1], momentum=momentum, dtype=batches[0].dtype)
    for batch in batches:
        layer(batch)
    return layer.running_mean, layer.running_var


def _torch_fold(weight: Tensor, bias: Tensor, *norm: Any) -> tuple[Tensor, Tensor]:
    gamma, beta, mean, variance, eps = norm
    folded = fuse_conv_bn_weights(weight, bias, mean, variance, eps, gamma, beta)
    return folded[0].detach(), folded[1].detach()


def _torch_rms_backward(g: Tensor, x: Tensor, eps: float) -> Tensor:
    leaf = x.detach().clone().requires_grad_()
    return torch.autograd.grad(F.rms_norm(leaf, leaf.shape, eps=eps), leaf, g)[0]


def batch_norm(function: Callable) -> None:
    """``function(x, gamma, beta, eps)`` normalizes each channel over the batch and all positions."""
    cases = [(4, 3, 5, 2, EPS), (2, 1, 1, 3, 0.1), (6, 4, 3, 3, 1e-3)]
    for seed, (b, c, h, w, eps) in enumerate(cases):
        x = 3 * _drawn(seed, b, c, h, w) + torch.arange(c, dtype=torch.float64)[:, None, None]
        gamma, beta = _drawn(seed + 10, 2, c) + 2
        want = _torch_batch_norm(x, gamma, beta, eps)
        got = call(function, x, gamma, beta, eps)
        otherwise = "which values share a mean: those of one channel, of all images and all positions."
        hint = hint_for(got, _batch_norm_slips(x, gamma, beta, eps), otherwise, **CLOSE)
        expect_close(got, want, what=f"batch_norm for x [{b}, {c}, {h}, {w}]", look_at=hint, atol=1e-7)
    passed("batch_norm", f"{len(cases)} shapes agree with torch")


def _batch_norm_slips(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Slips:
    over = {"dim": OVER, "keepdim": True}
    mean, variance = x.mean(**over), x.var(**over, correction=0)
    scale, shift = gamma[:, None, None], beta[:, None, None]

    def normalized(deviation: Tensor, mean: Tensor = mean) -> Tensor:
        return scale * (x - mean) / deviation + shift

    hat = (x - mean) / torch.sqrt(variance + eps)
    yield (
        "the variance: divide by the number of values N, not by N − 1.",
        normalized(torch.sqrt(x.var(**over) + eps)),
    )
    yield "eps: it is added to the variance, under the root.", normalized(variance.sqrt() + eps)
    yield "the root: divide by the standard deviation, not by the variance.", normalized(variance + eps)
    yield "eps: it is missing under the root.", normalized(variance.sqrt())
    yield "the mean: it has to be subtracted.", normalized(torch.sqrt(variance + eps), torch.zeros_like(mean))
    yield "gamma and beta: the normalized values are scaled and shifted at the end.", hat
    yield "beta: it is added at the end.", scale * hat
    yield "gamma: it multiplies the normalized values.", hat + shift
    yield "the order: scale first, then shift.", scale * (hat + shift)
    for dims, text in (
        ((2, 3), "the batch: mean and variance are taken over all images, not for each image."),
        ((0,), "the positions: mean and variance are taken over all positions, not for each one."),
        ((0, 1, 2, 3), "the channels: each channel has a mean and a variance of its own."),
        ((1,), "the dimensions: the channels are dimension 1, and over them nothing is averaged."),
    ):
        m, v = x.mean(dim=dims, keepdim=True), x.var(dim=dims, keepdim=True, correction=0)
        yield text, scale * (x - m) / torch.sqrt(v + eps) + shift
    yield "eps: under the root stands the argument eps, not EPS.", normalized(torch.sqrt(variance + EPS))


def batch_norm_backward(function: Callable) -> None:
    """``function(g, x, gamma, eps)`` returns the gradients of x, gamma and beta."""
    cases = [(4, 3, 5, 2, EPS), (4, 1, 1, 1, 0.1), (6, 4, 3, 3, 1e-3)]
    names = ("to_x", "to_gamma", "to_beta")
    for seed, (b, c, h, w, eps) in enumerate(cases):
        x, g = 2 * _drawn(seed, b, c, h, w) + 1, _drawn(seed + 10, b, c, h, w)
        gamma = _drawn(seed + 20, c) + 2
        what = f"batch_norm_backward for x [{b}, {c}, {h}, {w}]"
        got = parts_of(call(function, g, x, gamma, eps), names, what, of="gradients")
        want = _torch_backward(g, x, gamma, eps)
        slips = dict(zip(names, _backward_slips(g, x, gamma, eps), strict=True))
        for name, one, right in zip(names, got, want, strict=True):
            hint = hint_for(one, slips[name], f"the formula of {name} in the text.", **CLOSE)
            expect_close(one, right, what=f"{what}, {name}", look_at=hint, atol=1e-8)
    passed("batch_norm_backward", f"{len(cases)} shapes agree with autograd")


def _backward_slips(g: Tensor, x: Tensor, gamma: Tensor, eps: float) -> tuple[Slips, Slips, Slips]:
    over = {"dim": OVER, "keepdim": True}
    deviation = torch.sqrt(x.var(**over, correction=0) + eps)
    hat, n = (x - x.mean(**over)) / deviation, x.numel() / x.shape[1]
    front = gamma[:, None, None] / deviation
    mean, along = g.mean(**over), (g * hat).mean(**over)
    to_gamma, to_beta = (g * hat).sum(dim=OVER), g.sum(dim=OVER)

    def with_deviation(correction: int, eps: float) -> Tensor:
        s = torch.sqrt(x.var(**over, correction=correction) + eps)
        hat = (x - x.mean(**over)) / s
        return gamma[:, None, None] / s * (g - mean - hat * (g * hat).mean(**over))

    to_x = (
        ("the variance in s: divide by N, not by N − 1 (correction=0).", with_deviation(1, eps)),
        ("eps: in s stands the argument eps, not EPS.", with_deviation(0, EPS)),
        ("eps: it is missing in s.", with_deviation(0, 0.0)),
        ("the two subtracted terms: the mean and the variance depend on each x_i as well.", front * g),
        ("the term through the variance: it is missing.", front * (g - mean)),
        ("the term through the mean: it is missing.", front * (g - hat * along)),
        (
            "the term through the variance: it is multiplied by the normalized value.",
            front * (g - mean - along),
        ),
        (
            "the subtracted terms: they are means over N values, not sums.",
            front * (g - n * mean - n * hat * along),
        ),
        ("the factor in front: it is γ / s; γ is missing.", (g - mean - hat * along) / deviation),
        ("the factor in front: it is γ / s; s is missing.", gamma[:, None, None] * (g - mean - hat * along)),
        ("the factor in front: s is the root of v + ε.", front / deviation * (g - mean - hat * along)),
        ("the sign: both terms are subtracted.", front * (g + mean + hat * along)),
        (
            "the term through the variance: it has the normalized value, not x.",
            front * (g - mean - x * (g * x).mean(**over)),
        ),
    )
    of_gamma = (
        ("the sum: over all images and positions, not their mean.", to_gamma / n),
        ("the factor: γ multiplies the normalized value, not x.", (g * x).sum(dim=OVER)),
        ("the order of the return values: to_x, to_gamma, to_beta.", to_beta),
    )
    of_beta = (
        ("the sum: over all images and positions, not their mean.", to_beta / n),
        ("the order of the return values: to_x, to_gamma, to_beta.", to_gamma),
    )
    return to_x, of_gamma, of_beta


def group_norm(function: Callable) -> None:
    """``function(x, groups, eps)`` normalizes each picture's groups of channels."""
    cases = [(3, 6, 2, 4, 5, 1e-5), (2, 4, 4, 3, 3, 1e-5), (4, 8, 1, 2, 2, 0.1), (1, 6, 3, 1, 5, 1e-3)]
    for seed, (b, c, groups, h, w, eps) in enumerate(cases):
        x = 2 * _drawn(seed, b, c, h, w) + torch.arange(c, dtype=torch.float64)[:, None, None]
        want = F.group_norm(x, groups, eps=eps)
        got = call(function, x, groups, eps)
        otherwise = "which values share a mean: one image, C / groups neighboring channels, all places."
        hint = hint_for(got, _group_slips(x, groups, eps), otherwise, **CLOSE)
        expect_close(
            got, want, what=f"group_norm for x [{b}, {c}, {h}, {w}], {groups} groups", look_at=hint, atol=1e-7
        )
    passed(
        "group_norm", f"{len(cases)} shapes agree with torch, one group and as many as channels among them"
    )


def _group_slips(x: Tensor, groups: int, eps: float) -> Slips:
    b, c, h, w = x.shape
    rows = x.reshape(b, groups, -1)
    mean, variance = rows.mean(dim=2, keepdim=True), rows.var(dim=2, keepdim=True, correction=0)

    def scaled(deviation: Tensor) -> Tensor:
        return ((rows - mean) / deviation).reshape(x.shape)

    yield (
        "the variance: divide by the number of values, not by one less.",
        scaled(torch.sqrt(rows.var(dim=2, keepdim=True) + eps)),
    )
    yield "eps: it is added to the variance, under the root.", scaled(variance.sqrt() + eps)
    yield "the root: divide by the standard deviation, not by the variance.", scaled(variance + eps)
    yield "the mean: it has to be subtracted.", (rows / torch.sqrt(variance + eps)).reshape(x.shape)
    yield "eps: it is missing under the root.", scaled(torch.sqrt(variance))
    batch = x.var(dim=(0, 2, 3), keepdim=True, correction=0)
    batch_normed = (x - x.mean(dim=(0, 2, 3), keepdim=True)) / torch.sqrt(batch + eps)
    yield "the batch: this is batch normalization. Each picture has its own statistics here.", batch_normed
    yield "the batch: a group's statistics are of one image, not of all.", _over_the_batch(x, groups, eps)
    for other, text in (
        (1, "the groups: this normalizes over all channels of a picture."),
        (c, "the groups: this normalizes each channel by itself."),
    ):
        if other != groups:
            yield text, F.group_norm(x, other, eps=eps)
    # channels 0, groups, 2 groups, … together
    every = x.reshape(b, c // groups, groups, h, w).transpose(1, 2)
    mixed = (
        F.group_norm(every.reshape(x.shape), groups, eps=eps)
        .reshape(b, groups, c // groups, h, w)
        .transpose(1, 2)
        .reshape(x.shape)
    )
    yield "the groups: neighboring channels belong together, 0 to C / groups − 1 first.", mixed


def _over_the_batch(x: Tensor, groups: int, eps: float) -> Tensor:
    rows = x.reshape(len(x), groups, -1)
    mean, variance = rows.mean(dim=(0, 2), keepdim=True), rows.var(dim=(0, 2), keepdim=True, correction=0)
    return ((rows - mean) / torch.sqrt(variance + eps)).reshape(x.shape)


def fold(function: Callable) -> None:
    """``function(weight, bias, gamma, beta, mean, variance, eps)`` is convolution and batch norm in one."""
    cases = [(4, 3, 3, 0.1), (3, 3, 1, 0.01), (1, 2, 1, 0.05), (6, 1, 5, 1e-5)]
    for seed, (out, into, k, eps) in enumerate(cases):
        weight = _drawn(seed, out, into, k, k)
        bias, gamma, beta, mean = _drawn(seed + 20, 4, out)
        variance = _drawn(seed + 30, out).abs() + 0.2
        what = f"fold for a weight [{out}, {into}, {k}, {k}]"
        got = call(function, weight, bias, gamma, beta, mean, variance, eps)
        new_weight, new_bias = parts_of(got, ("weight", "bias"), what)
        scale = gamma / torch.sqrt(variance + eps)
        slips = _fold_weight_slips(weight, gamma, variance, eps)
        hint = "the factor of each output channel: gamma divided by the standard deviation."
        hint = hint_for(new_weight, slips, hint, **CLOSE)
        want = weight * scale[:, None, None, None]
        expect_close(new_weight, want, what=f"{what}, its weight", look_at=hint, atol=1e-8)
        slips = _fold_bias_slips(bias, beta, mean, scale)
        hint = "what does not multiply x: the convolution's bias and the mean, both scaled, and beta."
        hint = hint_for(new_bias, slips, hint, **CLOSE)
        want = beta + scale * (bias - mean)
        expect_close(new_bias, want, what=f"{what}, its bias", look_at=hint, atol=1e-8)
    passed("fold", f"{len(cases)} convolutions have taken their batch norm in")


def _fold_weight_slips(weight: Tensor, gamma: Tensor, variance: Tensor, eps: float) -> Slips:
    def times(factor: Tensor) -> Tensor:
        return weight * factor[:, None, None, None]

    yield "gamma: it multiplies the weights as well.", times(1 / torch.sqrt(variance + eps))
    yield "the deviation: divide by it.", times(gamma)
    yield "the root: divide by the standard deviation, not by the variance.", times(gamma / (variance + eps))
    yield "eps: it is missing under the root.", times(gamma / torch.sqrt(variance))
    yield "eps: it is added to the variance, under the root.", times(gamma / (torch.sqrt(variance) + eps))
    yield "the weights: they have to be scaled, channel by channel.", weight
    if weight.shape[0] == weight.shape[1]:
        yield (
            "the dimension: BN scales output channels, the first of the weight's.",
            weight * (gamma / torch.sqrt(variance + eps))[:, None, None],
        )


def _fold_bias_slips(bias: Tensor, beta: Tensor, mean: Tensor, scale: Tensor) -> Slips:
    yield (
        "the convolution's bias: it is normalized like all that comes out of the convolution.",
        beta - scale * mean,
    )
    yield "the convolution's bias: it is scaled too.", beta + bias - scale * mean
    yield "the mean: subtract it.", beta + scale * bias
    yield "the mean: subtract it, before the scaling.", beta + scale * (bias + mean)
    yield "the mean: it is scaled too.", beta + scale * bias - mean
    yield "beta: it is missing.", scale * (bias - mean)
    yield "beta: it comes after the scaling.", scale * (bias - mean + beta)


def running_statistics(function: Callable) -> None:
    """``function(batches, momentum)`` follows torch's running mean and variance."""
    cases = [(1, 4, 3, 0.1), (5, 6, 2, 0.1), (12, 3, 1, 0.3), (3, 8, 4, 1.0)]
    for seed, (count, b, c, momentum) in enumerate(cases):
        batches = list(_drawn(seed, count, b, c) * 2 + 3)
        layer = nn.BatchNorm1d(c, momentum=momentum, dtype=torch.float64)
        for batch in batches:
            layer(batch)
        what = f"running_statistics of {count} batches [{b}, {c}], momentum {momentum}"
        got = call(function, [batch.clone() for batch in batches], momentum)
        got = parts_of(got, ("mean", "variance"), what)
        for number, (name, want) in enumerate(
            (("mean", layer.running_mean), ("variance", layer.running_var))
        ):
            slips = ((text, slip[number]) for text, slip in _running_slips(batches, momentum))
            hint = "the update after each batch, from 0 and 1 on."
            hint = hint_for(got[number], slips, hint, **CLOSE)
            expect_close(got[number], want, what=f"{what}, the {name}", look_at=hint, atol=1e-8)
    passed("running_statistics", f"{len(cases)} courses agree with torch")


def _running_slips(batches: list[Tensor], momentum: float) -> Slips:
    def follow(
        m: float = momentum,
        correction: int = 1,
        mean: float = 0.0,
        variance: float = 1.0,
        spread: bool = False,
        factor: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        c = batches[0].shape[1]
        one, two = (
            torch.full((c,), mean, dtype=torch.float64),
            torch.full((c,), variance, dtype=torch.float64),
        )
        for batch in batches:
            one = (1 - m) * one + m * batch.mean(dim=0)
            new = factor * batch.var(dim=0, correction=correction)
            two = (1 - m) * two + m * (new.sqrt() if spread else new)
        return one, two

    yield "momentum: it is the share of the new batch, not of the old value.", follow(m=1 - momentum)
    yield "the variance: divide by B − 1 for the running variance.", follow(correction=0)
    size = len(batches[0])
    yield (
        "the variance: torch's var divides by B − 1 already; the factor B / (B − 1) is in it.",
        follow(factor=size / (size - 1)),
    )
    yield "the start: the running mean is 0 and the running variance 1.", follow(variance=0.0)
    yield "the start: the running mean is 0.", follow(mean=1.0)
    yield "the variance: the running one is a variance, not a standard deviation.", follow(spread=True)
    first, rest = batches[0], batches[1:]
    one, two = first.mean(dim=0), first.var(dim=0)
    for batch in rest:
        one, two = (
            (1 - momentum) * one + momentum * batch.mean(dim=0),
            (1 - momentum) * two + momentum * batch.var(dim=0),
        )
    yield "the start: 0 and 1, not the first batch.", (one, two)
    together = torch.cat(batches)
    yield (
        "the running average: old batches fade, this gives all the same share.",
        (together.mean(dim=0), together.var(dim=0)),
    )


def rms_norm_backward(function: Callable) -> None:
    """``function(g, x, eps)`` is the backward pass of x / √(mean x² + eps)."""
    cases = [(4, 1e-5), (1, 0.5), (9, 0.1), (32, 1e-3)]
    for seed, (n, eps) in enumerate(cases):
        x, g = _drawn(seed, n) + 0.5, _drawn(seed + 10, n)
        leaf = x.clone().requires_grad_()
        (want,) = torch.autograd.grad(leaf / torch.sqrt((leaf**2).mean() + eps), leaf, g)
        got = call(function, g, x, eps)
        otherwise = (
            "the sum over j of g_j times the derivative of y_j by x_i: a direct term and one through r."
        )
        hint = hint_for(got, _rms_slips(g, x, eps), otherwise, **CLOSE)
        expect_close(got, want, what=f"rms_norm_backward for {n} numbers", look_at=hint, atol=1e-8)
    passed("rms_norm_backward", f"{len(cases)} vectors agree with autograd")


def _rms_slips(g: Tensor, x: Tensor, eps: float) -> Slips:
    r = torch.sqrt((x**2).mean() + eps)
    y = x / r
    yield "the way through r: each x_i is in r, and so in every y_j.", g / r
    yield (
        "the mean: the mean is not subtracted here, so there is no term through it.",
        (g - g.mean() - y * (g * y).mean()) / r,
    )
    yield "the factor in front: everything is divided by r.", g - y * (g * y).mean()
    yield "the term through r: it is the mean of g·y, not the sum.", (g - y * (g * y).sum()) / r
    yield "the term through r: it has y, not x.", (g - x * (g * x).mean()) / r
    yield "the sign: the term through r is subtracted.", (g + y * (g * y).mean()) / r
    yield "the term through r: it is multiplied by y_i.", (g - (g * y).mean()) / r
    mean, deviation = x.mean(), torch.sqrt(x.var(correction=0) + eps)
    hat = (x - mean) / deviation
    yield (
        "the mean: this is the backward pass of batch normalization.",
        (g - g.mean() - hat * (g * hat).mean()) / deviation,
    )


def signal_sizes(function: Callable) -> None:
    """``function(fan_ins, deviation)`` predicts the size of the signal in a stack with ReLUs."""
    cases = [
        ([12, 64, 64], 0.1),
        ([27, 576, 576, 1152, 1152, 2304], 0.01),
        ([100], 0.2),
        ([9, 18, 36, 72], math.sqrt(2 / 18)),
    ]
    for fan_ins, deviation in cases:
        what = f"signal_sizes({fan_ins}, {deviation:.3g})"
        got = call(function, list(fan_ins), deviation)
        got = numbers_of(got, len(fan_ins), what, "the return value, one number for each layer.")
        hint = (
            "the variance of a sum of n independent products: n times the variance of a weight "
            "times the mean square of an input."
        )
        hint = hint_for(got, _size_slips(fan_ins, deviation), hint, atol=0.0)
        want = torch.tensor(_sizes(fan_ins, deviation))
        expect_close(torch.tensor(got), want, what=what, look_at=hint, atol=0.0)
    passed("signal_sizes", f"{len(cases)} stacks agree, one of them with AlexNet's small start")


def _sizes(fan_ins: list[int], deviation: float, first: float = 1.0, other: float = 0.5) -> list[float]:
    """Root of the product of n σ² · share, with the share of the first layer and of the others."""
    shares = itertools.chain([first], itertools.repeat(other))
    factors = [deviation * math.sqrt(n * share) for n, share in zip(fan_ins, shares, strict=False)]
    return list(itertools.accumulate(factors, lambda a, b: a * b))


def _size_slips(fan_ins: list[int], deviation: float) -> Slips:
    yield (
        "the ReLU: it leaves half of the mean square to the next layer.",
        _sizes(fan_ins, deviation, other=1.0),
    )
    yield "the first layer: no ReLU comes before it.", _sizes(fan_ins, deviation, first=0.5)
    yield (
        "the return value: standard deviations, not variances.",
        [size**2 for size in _sizes(fan_ins, deviation)],
    )
    factors = [deviation * math.sqrt(n * (1.0 if place == 0 else 0.5)) for place, n in enumerate(fan_ins)]
    yield "the stack: each layer gets what the one before it puts out, so the factors multiply.", factors
    yield (
        "the size wanted: before the ReLU, not after it.",
        [size * math.sqrt(0.5) for size in _sizes(fan_ins, deviation)],
    )
    yield (
        "the fan-in: its square root goes into the standard deviation.",
        list(
            itertools.accumulate(
                (deviation * n * (1.0 if place == 0 else 0.5) for place, n in enumerate(fan_ins)),
                lambda a, b: a * b,
            )
        ),
    )
