"""Checks of the exercises of lab 04, ResNet."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from math import comb

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    expect_close,
    expect_equal,
    fail,
    hint_for,
    listed,
    number_of,
    passed,
)

DEPTHS = (20, 8, 14, 32, 44, 56, 110)  # 6n + 2 for n = 3, 1, 2, 5, 7, 9, 18
CHANNELS = (16, 32, 64)
CLASSES, COLORS, KERNEL = 10, 3, 9


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "shortcut_a": (shortcut_a, _zero_padded),
            "residual_gradient": (residual_gradient, _by_autograd),
            "path_lengths": (path_lengths, _path_lengths),
            "count_resnet_parameters": (count_resnet_parameters, lambda depth: sum(_parts(depth).values())),
            "full_preactivation": (full_preactivation, _pre_activated),
        },
    )


def count_resnet_parameters(function: Callable) -> None:
    """``function(depth)`` counts the parameters of the CIFAR ResNet of that depth with shortcut A."""
    for depth in DEPTHS:
        want = sum(_parts(depth).values())
        what = f"count_resnet_parameters({depth})"
        got = number_of(call(function, depth), what)
        hint = "the four parts: first convolution, 2n convolutions in each stage, batch norms, linear layer."
        expect_equal(got, want, what=what, look_at=hint_for(got, _count_slips(depth), hint))
    passed(
        "count_resnet_parameters",
        f"{len(DEPTHS)} depths agree, ResNet-20 with 269,722 and ResNet-32 with 464,154",
    )


def _parts(depth: int) -> dict[str, int]:
    """Parameters of the network of ``depth`` layers by part."""
    convolutions = (depth - 2) // 3  # in a stage
    parts = {
        "stem": COLORS * CHANNELS[0] * KERNEL,
        "norm": 2 * CHANNELS[0],
        "head": (CHANNELS[-1] + 1) * CLASSES,
    }
    parts["convolutions"], source = 0, CHANNELS[0]
    for wide in CHANNELS:
        parts["convolutions"] += KERNEL * (source * wide + (convolutions - 1) * wide**2)
        parts["norm"] += 2 * convolutions * wide
        source = wide
    return parts


def _count_slips(depth: int) -> Slips:
    parts = _parts(depth)
    total, per_stage = sum(parts.values()), (depth - 2) // 3
    units = parts["norm"] // 2  # as many as output channels of all convolutions
    yield "the batch norms: two parameters for each channel, after every convolution.", total - parts["norm"]
    yield "the batch norms: two parameters for each channel, a scale and a shift.", total - units
    yield "the batch norms: their running mean and variance are not trained.", total + parts["norm"]
    yield "the convolutions: a batch norm follows each, so they have no biases.", total + units
    yield "the linear layer at the end: 64 inputs and a bias for each of 10 classes.", total - parts["head"]
    yield "the linear layer: it has a bias for each class.", total - CLASSES
    yield "the first convolution: 3×3 from 3 to 16 channels.", total - parts["stem"]
    yield "the first batch norm, after the first convolution.", total - 2 * CHANNELS[0]
    wider = sum(KERNEL * a * (b - a) for a, b in itertools.pairwise(CHANNELS))
    yield (
        "the first convolution of stages 2 and 3: it reads half as many channels as it makes.",
        total + wider,
    )
    projections = sum(a * b + 2 * b for a, b in itertools.pairwise(CHANNELS))
    yield "the shortcuts: option A has no parameters, this is option B.", total + projections
    yield (
        "the shortcuts: option A has no parameters.",
        total + sum(a * b for a, b in itertools.pairwise(CHANNELS)),
    )
    halved = total - sum(per_stage // 2 * (KERNEL * wide**2 + 2 * wide) for wide in CHANNELS)
    yield "the number of convolutions: a block has two.", halved


def shortcut_a(function: Callable) -> None:
    """``function(x, out_channels, stride)`` is the shortcut without parameters: subsample, append zeros."""
    generator = torch.Generator().manual_seed(4)
    for channels, wide, stride, side in (
        (16, 32, 2, 8),
        (2, 5, 2, 7),
        (4, 4, 1, 6),
        (3, 6, 1, 5),
        (2, 3, 3, 9),
    ):
        x = torch.randn(2, channels, side, side + 1, generator=generator)
        want = _zero_padded(x, wide, stride)
        got = call(function, x, wide, stride)
        hint = "keep rows and columns 0, stride, 2·stride …, then append channels of zeros."
        hint = hint_for(got, _shortcut_slips(x, want, wide, stride), hint)
        what = f"shortcut_a(x [2, {channels}, {side}, {side + 1}], {wide}, {stride})"
        expect_close(got, want, what=what, look_at=hint)
    passed("shortcut_a", "five shapes, odd sides and a stride of 3 among them")


def _zero_padded(x: Tensor, wide: int, stride: int) -> Tensor:
    small = x[:, :, ::stride, ::stride]
    B, C, H, W = small.shape
    return torch.cat([small, x.new_zeros(B, wide - C, H, W)], dim=1)


def _shortcut_slips(x: Tensor, want: Tensor, wide: int, stride: int) -> Slips:
    channels = x.shape[1]
    if wide > channels:
        yield "the channels: zeros are missing, there should be out_channels in all.", want[:, :channels]
        yield "the channels: append the zeros, do not put them first.", want.roll(wide - channels, dims=1)
        more = x.new_zeros(len(x), wide, *want.shape[2:])
        yield (
            "the number of new channels: out_channels − in_channels.",
            torch.cat([want[:, :channels], more], dim=1),
        )
    if stride > 1:
        yield "the stride: rows and columns are not thinned out.", _zero_padded(x, wide, 1)
        pooled = F.avg_pool2d(x, stride, ceil_mode=True)
        if pooled.shape[2:] == want.shape[2:]:
            yield (
                "the subsampling: take every stride-th pixel, without averaging.",
                _zero_padded(pooled, wide, 1),
            )
        yield (
            "where the stride begins: at row 0 and column 0.",
            _zero_padded(x[:, :, stride - 1 :, stride - 1 :], wide, stride),
        )
        yield "the columns: they are thinned out as the rows are.", _zero_padded(x[:, :, ::stride], wide, 1)


def residual_gradient(function: Callable) -> None:
    """``function(x, w1, w2, g)`` is ∂L/∂x of y = x + w2 · relu(w1 · x) for g = ∂L/∂y."""
    generator = torch.Generator().manual_seed(4)
    for size, hidden in ((3, 5), (4, 4), (1, 1), (6, 2), (16, 32)):
        x, g = (torch.randn(size, generator=generator) for _ in range(2))
        w1, w2 = (
            torch.randn(hidden, size, generator=generator),
            torch.randn(size, hidden, generator=generator),
        )
        want = _by_autograd(x, w1, w2, g)
        got = call(function, x, w1, w2, g)
        hint = (
            "the chain rule from the end: g, times w2ᵀ, times 0 or 1 of the ReLU, times w1ᵀ, "
            "plus what the identity passes on."
        )
        hint = hint_for(got, _gradient_slips(x, w1, w2, g), hint)
        what = f"residual_gradient for x [{size}], w1 [{hidden}, {size}]"
        expect_close(got, want, what=what, look_at=hint)
    passed("residual_gradient", "five blocks agree with autograd")


def _by_autograd(x: Tensor, w1: Tensor, w2: Tensor, g: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        return torch.autograd.grad(leaf + w2 @ torch.relu(w1 @ leaf), leaf, g)[0]


def _gradient_slips(x: Tensor, w1: Tensor, w2: Tensor, g: Tensor) -> Slips:
    hidden = w1 @ x
    open_ = (hidden > 0).to(x.dtype)
    branch = w1.T @ (open_ * (w2.T @ g))
    yield "the identity: y = x + …, so g itself reaches x as well.", branch
    yield "the identity: it passes on g, not 1.", 1 + branch
    yield "the identity: the gradient of x + F(x) gets g once from it, not x.", x + branch
    yield "the branch: only the identity's part is here.", g
    yield "the ReLU: where w1 · x is negative, nothing comes back.", g + w1.T @ (w2.T @ g)
    yield (
        "the ReLU: its derivative is 0 or 1, this multiplies by its value.",
        g + w1.T @ (torch.relu(hidden) * (w2.T @ g)),
    )
    yield "where the ReLU looks: at w1 · x, not at what comes back.", g + w1.T @ torch.relu(w2.T @ g)
    if w1.shape[0] == w1.shape[1]:
        yield "the transposes: on the way back the matrices are w2ᵀ and w1ᵀ.", g + w1 @ (open_ * (w2 @ g))
        yield "the order: back through w2 first, then through w1.", g + w2.T @ (open_ * (w1.T @ g))


def full_preactivation(function: Callable) -> None:
    """``function(x, bn1, conv1, bn2, conv2)`` is the fully pre-activated residual block."""
    torch_state = torch.random.get_rng_state()
    try:
        torch.manual_seed(4)
        for channels in (3, 1, 8):
            layers = _drawn_layers(channels)
            x = torch.randn(2, channels, 5, 6)
            with torch.no_grad():
                want = _block(x, layers, "n1 r c1 n2 r c2 +")
                got = call(function, x, *layers)
                hint = "the order on the branch: batch norm, ReLU, convolution, and the same once more."
                hint = hint_for(got, ((text, _block(x, layers, order)) for text, order in ORDERS), hint)
            what = f"full_preactivation for x [2, {channels}, 5, 6]"
            expect_close(got, want, what=what, look_at=hint)
    finally:
        torch.random.set_rng_state(torch_state)
    passed("full_preactivation", "three blocks with random weights, scales and shifts agree")


# what a common slip computes: n batch norm, r ReLU, c convolution, + the addition of the block's input
ORDERS = (
    ("the order: this is the original block, convolution first.", "c1 n1 r c2 n2 + r"),
    (
        "the order: this is the original branch. Batch norm and ReLU come before their convolution.",
        "c1 n1 r c2 n2 +",
    ),
    ("after the addition: nothing comes there, no ReLU either.", "n1 r c1 n2 r c2 + r"),
    ("the shortcut: x has to be added.", "n1 r c1 n2 r c2"),
    ("the ReLUs: one before each convolution, both are missing.", "n1 c1 n2 c2 +"),
    ("the second half: batch norm and ReLU come before conv2 as well.", "n1 r c1 c2 +"),
    ("the second half: bn2 is missing.", "n1 r c1 r c2 +"),
    ("the second half: the ReLU is missing.", "n1 r c1 n2 c2 +"),
    ("the first half: the ReLU is missing.", "n1 c1 n2 r c2 +"),
    ("the first half: bn1 and its ReLU are missing.", "c1 n2 r c2 +"),
    ("the order: batch norm first, then ReLU.", "r n1 c1 r n2 c2 +"),
    ("the order: this is ReLU-only pre-activation.", "r c1 n1 r c2 n2 +"),
    ("the shortcut: what is added is x, before bn1 and ReLU.", "n1 r = c1 n2 r c2 +"),
)


def _drawn_layers(channels: int) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    """bn1, conv1, bn2, conv2 in evaluation mode, with statistics, scales and shifts of their own."""
    norms = [nn.BatchNorm2d(channels).eval() for _ in range(2)]
    for norm in norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    convolutions = [nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2)]
    return norms[0], convolutions[0], norms[1], convolutions[1]


def _pre_activated(x: Tensor, bn1: nn.Module, conv1: nn.Module, bn2: nn.Module, conv2: nn.Module) -> Tensor:
    return _block(x, (bn1, conv1, bn2, conv2), "n1 r c1 n2 r c2 +")


def _block(x: Tensor, layers: tuple[nn.Module, ...], order: str) -> Tensor:
    """``x`` through the layers in that order; "=" makes the present value the one that is added."""
    named = dict(zip(("n1", "c1", "n2", "c2"), layers, strict=True)) | {"r": torch.relu}
    y = added = x
    for step in order.split():
        if step == "=":
            added = y
        else:
            y = y + added if step == "+" else named[step](y)
    return y


def path_lengths(function: Callable) -> None:
    """``function(blocks, deleted)``: entry k counts the paths through exactly k branches."""
    cases = [(3, 0), (1, 0), (2, 1), (15, 0), (15, 1), (9, 4), (54, 0), (5, 5)]
    for blocks, deleted in cases:
        want = _path_lengths(blocks, deleted)
        got = listed(call(function, blocks, deleted))
        hint = "of n branches, choose the k that the path goes through."
        hint = hint_for(got, _path_slips(blocks, deleted, want), hint)
        if isinstance(got, list) and len(got) > 12:  # the message would fill the page
            wrong = next((k for k in range(min(len(got), len(want))) if got[k] != want[k]), None)
            if len(got) != len(want) or wrong is not None:
                what = f"{len(got)} entries" if wrong is None else f"{got[wrong]!r} at length {wrong}"
                expected = f"{len(want)} entries" if wrong is None else f"{want[wrong]}"
                fail(f"path_lengths({blocks}, {deleted})", expected, what, hint)
        expect_equal(got, want, what=f"path_lengths({blocks}, {deleted})", look_at=hint)
    passed("path_lengths", "eight networks agree, ResNet-110 with its 2⁵⁴ paths among them")


def _path_lengths(blocks: int, deleted: int) -> list[int]:
    """By Pascal's triangle: a further block doubles the paths, half of them one branch longer."""
    counts = [1]
    for _ in range(blocks - deleted):
        counts = [a + b for a, b in zip([*counts, 0], [0, *counts], strict=True)]
    return counts


def _path_slips(blocks: int, deleted: int, want: list[int]) -> Slips:
    left = blocks - deleted
    if deleted:
        yield (
            "the deleted blocks: a path that goes through one of them is gone.",
            [comb(blocks, k) for k in range(blocks + 1)],
        )
        yield (
            "the length of the list: no path is longer than the branches that are left.",
            [comb(blocks, k) for k in range(left + 1)],
        )
    yield "length 0: the path that takes every shortcut counts too.", want[1:]
    yield "the longest path: it goes through all branches.", want[:-1]
    yield "the return value: one count for each length, not the sum of all.", 2**left
    yield "counts, not shares: do not divide by the number of all paths.", [c / 2**left for c in want]
    yield (
        "the count: 2ᵏ is the number of all paths of a net of k blocks, not of those of length k.",
        [2**k for k in range(left + 1)],
    )
