"""Checks of the exercises of lab 15, modern architectures."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

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


def excite(function: Callable) -> None:
    """``function(x, w1, b1, w2, b2)`` multiplies each map of x by a factor computed from the means of all."""
    generator = torch.Generator().manual_seed(15)
    for B, C, R, H, W in ((2, 8, 2, 4, 4), (3, 4, 1, 5, 3), (1, 6, 6, 2, 7), (4, 4, 4, 4, 4)):
        x = torch.randn(B, C, H, W, generator=generator) + 0.5
        weights = [torch.randn(*shape, generator=generator) for shape in ((R, C), (R,), (C, R), (C,))]
        want = x * _factors(x.mean(dim=(2, 3)), *weights)[:, :, None, None]
        got = call(function, x, *weights)
        hint = "the mean over rows and columns, w1 and ReLU, w2 and sigmoid, times the maps."
        hint = hint_for(got, _excite_slips(x, *weights), hint)
        expect_close(got, want, what=f"excite for maps {[B, C, H, W]}", look_at=hint)
    passed("excite", "four sizes of maps, in one of which no two dimensions can be told apart by their size")


def _factors(z: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    return torch.sigmoid(torch.relu(z @ w1.T + b1) @ w2.T + b2)


def _excite_slips(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Slips:
    z = x.mean(dim=(2, 3))
    s = _factors(z, w1, b1, w2, b2)
    yield "the return value: the maps times the factors, these are the factors.", s
    yield "the return value: the maps times the factors, these are the factors.", s[:, :, None, None]
    yield "the sum of all: SE multiplies, it adds no shortcut.", x + x * s[:, :, None, None]
    yield (
        "the squeeze: the mean of a map, this is its largest value.",
        x * _factors(x.amax(dim=(2, 3)), w1, b1, w2, b2)[:, :, None, None],
    )
    yield (
        "the squeeze: the mean of a map, this is its sum.",
        x * _factors(x.sum(dim=(2, 3)), w1, b1, w2, b2)[:, :, None, None],
    )
    last = torch.relu(z @ w1.T + b1) @ w2.T + b2
    yield (
        "the middle: a ReLU follows the first dense layer.",
        x * torch.sigmoid((z @ w1.T + b1) @ w2.T + b2)[:, :, None, None],
    )
    yield "the end: a sigmoid puts the factors between 0 and 1.", x * last[:, :, None, None]
    yield (
        "the end: each factor by itself, a sigmoid; softmax lets them compete.",
        x * torch.softmax(last, dim=1)[:, :, None, None],
    )
    together = z.mean(dim=0, keepdim=True)
    yield (
        "the squeeze: each picture has means of its own, here all share them.",
        x * _factors(together, w1, b1, w2, b2)[:, :, None, None],
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


def attend(function: Callable) -> None:
    """``function(q, k, v, heads)`` is multi-head attention, steady for large scores."""
    generator = torch.Generator().manual_seed(15)
    for B, N, D, heads in ((2, 5, 8, 2), (1, 3, 6, 1), (3, 4, 4, 4), (2, 6, 6, 3), (2, 4, 4, 2)):
        q, k, v = (torch.randn(B, N, D, generator=generator) for _ in range(3))
        got = call(function, q, k, v, heads)
        look_at = "softmax(q kᵀ / √d) v for each head, then the heads side by side again."
        look_at = hint_for(got, _attend_slips(q, k, v, heads), look_at)
        what = f"attend for {B} pictures, {N} tokens, {D} features, {heads} heads"
        expect_close(got, _attend(q, k, v, heads), what=what, look_at=look_at)
    q, k, v = (scale * torch.randn(1, 6, 8, generator=generator) for scale in (40, 40, 1))
    look_at = "the exponential: take the largest score out of each row first; torch.softmax does."
    got = call(function, q, k, v, 2)
    expect_close(
        got, _attend(q, k, v, 2), what="attend for scores in the thousands", look_at=look_at, atol=1e-4
    )
    passed("attend", "five sizes with 1 to 4 heads, and scores in the thousands")


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    return F.scaled_dot_product_attention(*(_split(x, heads) for x in (q, k, v))).transpose(1, 2).flatten(2)


def _attend_slips(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Slips:
    D, (a, b, c) = q.shape[-1], (_split(x, heads) for x in (q, k, v))
    scores, d = a @ b.transpose(-2, -1), D // heads

    def merge(weights: Tensor) -> Tensor:
        return (weights @ c).transpose(1, 2).flatten(2)

    weights = torch.softmax(scores / d**0.5, dim=-1)
    if heads > 1:
        yield (
            "the root: of the features of one head, d, not of all, D.",
            merge(torch.softmax(scores / D**0.5, dim=-1)),
        )
        yield "the heads: they have to be split, this is one head.", _attend(q, k, v, 1)
        yield (
            "the end: bring the heads back with transpose(1, 2) before they are flattened.",
            (weights @ c).reshape(q.shape),
        )
        wrong = (x.reshape(x.shape[0], heads, x.shape[1], -1) for x in (q, k, v))
        yield (
            "the split: unflatten the features first, then transpose; "
            "a reshape to [B, heads, N, d] mixes tokens.",
            (F.scaled_dot_product_attention(*wrong).transpose(1, 2).flatten(2)),
        )
        wrong = (x.unflatten(-1, (-1, heads)).permute(0, 3, 1, 2) for x in (q, k, v))
        yield (
            "the split: the features of a head stand side by side, (heads, d) and not (d, heads).",
            (F.scaled_dot_product_attention(*wrong).transpose(1, 2).flatten(2)),
        )
    if d > 1:
        yield "the root: the scores have to be divided by √d.", merge(torch.softmax(scores, dim=-1))
        yield "the root: the scores are divided by √d, not by d.", merge(torch.softmax(scores / d, dim=-1))
    yield (
        "the softmax: over the keys, the last dimension; here it runs over the queries.",
        merge(torch.softmax(scores / d**0.5, dim=-2)),
    )
    yield "the weights: softmax is missing.", merge(scores / d**0.5)
    yield (
        "queries and keys: they have changed places.",
        merge(torch.softmax(scores.transpose(-2, -1) / d**0.5, dim=-1)),
    )


def patchify(function: Callable) -> None:
    """``function(images, p)`` cuts pictures into patches, a row each, as a convolution of stride p does."""
    generator = torch.Generator().manual_seed(15)
    sizes = ((2, 3, 8, 8, 4), (1, 1, 4, 6, 2), (3, 2, 6, 3, 3), (2, 3, 4, 4, 1), (2, 4, 16, 16, 4))
    for B, C, H, W, p in sizes:
        images = torch.randn(B, C, H, W, generator=generator)
        got = call(function, images, p)
        look_at = "split H and W by reshape, then the order B, row, column, C, p, p by permute."
        look_at = hint_for(got, _patch_slips(images, p), look_at)
        expect_close(
            got,
            F.unfold(images, p, stride=p).transpose(1, 2),
            what=f"patchify for pictures {[B, C, H, W]}, p = {p}",
            look_at=look_at,
        )
    passed("patchify", f"{len(sizes)} sizes: a convolution of stride p reads the same rows")


def _patch_slips(images: Tensor, p: int) -> Slips:
    B, C, H, W = images.shape
    blocks = images.reshape(B, C, H // p, p, W // p, p)
    yield "the order: a reshape alone never moves a number.", images.reshape(B, -1, C * p * p)
    yield (
        "the order inside a patch: channel, row, column; here the channel comes last.",
        blocks.permute(0, 2, 4, 3, 5, 1).reshape(B, -1, C * p * p),
    )
    yield (
        "the order of the patches: reading order, row by row; here column by column.",
        blocks.permute(0, 4, 2, 1, 3, 5).reshape(B, -1, C * p * p),
    )
    yield (
        "the order inside a patch: rows before columns.",
        blocks.permute(0, 2, 4, 1, 5, 3).reshape(B, -1, C * p * p),
    )
    yield (
        "the shape: [B, N, C·p·p], the two last dimensions have changed places.",
        F.unfold(images, p, stride=p),
    )
    if H % (H // p) == 0 and W % (W // p) == 0:
        spread = images.reshape(B, C, p, H // p, p, W // p)
        yield (
            "the split: H is (H/p, p), the patches before the rows inside them.",
            spread.permute(0, 3, 5, 1, 2, 4).reshape(B, -1, C * p * p),
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
        "the denominator: the number of pictures belongs under the root.",
        (a - b) / (together * math.sqrt(n)),
    )
    yield "the result: the difference is to be divided by its standard error.", a - b
    yield "the result: this is the standard error, the difference is to be divided by it.", together
    yield "the sign: a − b, negative where b is larger.", abs(a - b) / together
    yield "the sign: a − b, not b − a.", (b - a) / together
