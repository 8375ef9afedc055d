"""Checks of the exercises of lab 11, filters and attribution."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    call_unchanging,
    expect_close,
    expect_number,
    hint_for,
    number_of,
    passed,
)

RULES = ("gradient", "deconvnet", "guided")


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "send_back": (send_back, _masked_way_back),
            "weighted_maps": (weighted_maps, _contracted),
            "spearman": (spearman, _by_sorting),
            "gray_share": (gray_share, _gray_share),
            "class_activation_map": (class_activation_map, _weighted_sum),
            "integrated_gradients": (integrated_gradients, _mean_slope),
        },
    )


def _masked_way_back(x: Tensor, w1: Tensor, w2: Tensor, g: Tensor, rule: str) -> Tensor:
    came_in = [w1 @ x]
    came_in.append(w2 @ came_in[0].clamp(min=0))
    for weight, values in ((w2, came_in[1]), (w1, came_in[0])):
        passes = torch.ones_like(values, dtype=torch.bool)
        if rule != "deconvnet":
            passes &= values > 0
        if rule != "gradient":
            passes &= g > 0
        g = (g * passes) @ weight
    return g


def _contracted(maps: Tensor, slopes: Tensor) -> Tensor:
    height, width = maps.shape[2:]
    return (torch.einsum("bkij,bkhw->bhw", slopes, maps) / (height * width)).clamp(min=0)


def _by_sorting(a: Tensor, b: Tensor) -> float:
    first, second = (_places(values.flatten()) for values in (a, b))
    return torch.nn.functional.cosine_similarity(first, second, dim=0).item()


def _places(values: Tensor) -> Tensor:
    ordered = values.sort().values
    below, up_to = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    places = (below + up_to).double()  # twice the rank, but for a constant
    return places - places.mean()


def _weighted_sum(maps: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    return torch.einsum("bk,bkhw->bhw", weight[target], maps).clamp(min=0) / maps[0, 0].numel()


def _mean_slope(gradient: Callable, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    middles = [(j + 0.5) / steps for j in range(steps)]
    return _integrated(gradient, x, baseline, middles)


def gray_share(function: Callable) -> None:
    """``function(weight [n, C, k, k])`` is the share of each filter's energy that is gray."""
    generator = Generator().manual_seed(11)
    for filters, channels, side in ((4, 3, 5), (7, 3, 3), (3, 2, 1), (2, 1, 4), (1, 5, 3)):
        weight = torch.randn(filters, channels, side, side, generator=generator)
        want = _gray_share(weight)
        got = call(function, weight)
        hint = hint_for(
            got, _gray_slips(weight, want), "the mean over the channels at each place, its squares, times C."
        )
        expect_close(got, want, what=f"gray_share of weights {list(weight.shape)}", look_at=hint)
    gray = torch.randn(2, 1, 5, 5, generator=generator).expand(2, 3, 5, 5)
    expect_close(
        call(function, gray),
        torch.ones(2),
        what="gray_share of two gray filters",
        look_at="a gray filter is all gray: 1.",
    )
    passed("gray_share", "five layers agree, and gray filters have share 1")


def _gray_share(weight: Tensor) -> Tensor:
    mean = weight.mean(dim=1, keepdim=True).expand_as(weight)
    return mean.square().sum(dim=(1, 2, 3)) / weight.square().sum(dim=(1, 2, 3))


def _gray_slips(weight: Tensor, want: Tensor) -> Slips:
    channels = weight.shape[1]
    mean, energy = weight.mean(dim=1), weight.square().sum(dim=(1, 2, 3))
    yield "the factor C: the gray part stands in each of the C channels.", want / channels
    yield "the mean over the channels: this is their sum.", want * channels**2
    yield "the other part: this is the share that is not gray.", 1 - want
    yield "the squares: the share is of the sum of squares, not of its root.", want.sqrt()
    yield (
        "the order: first the mean over the channels, then the squares.",
        weight.square().mean(dim=1).sum(dim=(1, 2)) / energy,
    )
    by_place = weight.mean(dim=(2, 3)).square().sum(dim=1) * weight.shape[2] * weight.shape[3] / energy
    yield "the mean: over the channels (dimension 1), not over the places.", by_place
    total = channels * mean.square().sum() / weight.square().sum()
    yield "the sums: one number for each filter, not one for the whole layer.", total
    yield "the sums: one number for each filter, not one for the whole layer.", total.expand_as(want)
    yield (
        "the sum over all channels and places below the fraction.",
        channels * mean.square().sum(dim=(1, 2)) / weight.square().sum(),
    )


def send_back(function: Callable) -> None:
    """``function(x, w1, w2, g, rule)`` is the signal at x for y = relu(w2 · relu(w1 · x))."""
    generator = Generator().manual_seed(11)
    for size, hidden, out in ((3, 4, 2), (5, 5, 5), (2, 16, 8), (1, 1, 1), (12, 8, 4)):
        x, g = torch.randn(size, generator=generator), torch.randn(out, generator=generator)
        w1 = torch.randn(hidden, size, generator=generator)
        w2 = torch.randn(out, hidden, generator=generator)
        for rule in RULES:
            want = _sent_back(x, w1, w2, g, rule)
            got = call_unchanging(function, x, w1, w2, g, rule)
            hint = hint_for(
                got,
                _rule_slips(x, w1, w2, g, rule),
                "the table of the three rules, at both ReLUs, and the transposes in between.",
            )
            what = f"send_back for x [{size}], w1 [{hidden}, {size}], w2 [{out}, {hidden}], rule {rule!r}"
            expect_close(got, want, what=what, look_at=hint)
    passed("send_back", "five networks and three rules agree")


def _rule(came_in: Tensor, arrives: Tensor, rule: str) -> Tensor:
    passes = {
        "gradient": came_in > 0,
        "deconvnet": arrives > 0,
        "guided": (came_in > 0) & (arrives > 0),
        "none": came_in == came_in,
    }
    return torch.where(passes[rule], arrives, 0.0)


def _sent_back(
    x: Tensor, w1: Tensor, w2: Tensor, g: Tensor, rule: str, first_rule: str | None = None
) -> Tensor:
    """``first_rule``: that of the first layer, which the signal reaches last."""
    first = w1 @ x
    second = w2 @ torch.relu(first)
    return w1.T @ _rule(first, w2.T @ _rule(second, g, rule), first_rule or rule)


def _rule_slips(x: Tensor, w1: Tensor, w2: Tensor, g: Tensor, rule: str) -> Slips:
    for other in RULES:
        if other != rule:
            yield f"the rule: this is what {other!r} sends back.", _sent_back(x, w1, w2, g, other)
            yield (
                f"the first layer: it follows the rule {other!r} here.",
                _sent_back(x, w1, w2, g, rule, other),
            )
            yield (
                f"the second layer: it follows the rule {other!r} here.",
                _sent_back(x, w1, w2, g, other, rule),
            )
    yield "the ReLUs: both let everything through.", _sent_back(x, w1, w2, g, "none")
    yield "the first layer: there is a ReLU after w1 · x as well.", _sent_back(x, w1, w2, g, rule, "none")
    yield (
        "the second layer: there is a ReLU at the end, which g meets first.",
        _sent_back(x, w1, w2, g, "none", rule),
    )
    first = w1 @ x
    linear = w2 @ first
    yield (
        "the way up: w2 gets relu(w1 · x), not w1 · x.",
        w1.T @ _rule(first, w2.T @ _rule(linear, g, rule), rule),
    )
    second = w2 @ torch.relu(first)
    if len(x) == len(first) == len(second):
        yield (
            "the transposes: on the way back the matrices are w2ᵀ and w1ᵀ.",
            w1 @ _rule(first, w2 @ _rule(second, g, rule), rule),
        )
    if rule != "gradient":
        at_g = _rule(second, g, rule)
        came = (first > 0) if rule == "guided" else torch.ones_like(first, dtype=torch.bool)
        yield (
            "the last step: only ReLUs remove negative values, the result may have them.",
            torch.relu(w1.T @ _rule(first, w2.T @ at_g, rule)),
        )
        if len(g) == len(first):
            masked = torch.where(came & (g > 0), w2.T @ at_g, 0.0)
            yield "the first layer: its rule looks at the signal that arrives there, not at g.", w1.T @ masked


def weighted_maps(function: Callable) -> None:
    """``function(maps, slopes)``, both [B, K, h, w], is Grad-CAM [B, h, w]."""
    generator = Generator().manual_seed(11)
    for shape in ((2, 6, 4, 4), (5, 3, 2, 7), (1, 8, 8, 8), (3, 1, 1, 1), (3, 4, 5, 3)):
        maps, slopes = torch.rand(shape, generator=generator), torch.randn(shape, generator=generator)
        slopes = slopes + torch.randn(*shape[:2], 1, 1, generator=generator)
        weighted = slopes.mean(dim=(2, 3), keepdim=True) * maps
        want = weighted.sum(dim=1).clamp(min=0)
        got = call_unchanging(function, maps, slopes)
        hint = hint_for(
            got,
            _grad_cam_slips(maps, slopes, weighted, want),
            "α_k, the mean of the slopes of map k; the sum over k of α_k times map k; the maximum with 0.",
        )
        expect_close(got, want, what=f"weighted_maps for maps {list(shape)}", look_at=hint, atol=1e-6)
    passed("weighted_maps", "five sets of maps and slopes agree")


def _grad_cam_slips(maps: Tensor, slopes: Tensor, weighted: Tensor, want: Tensor) -> Slips:
    places = maps.shape[2] * maps.shape[3]
    yield "the maximum with 0 at the end.", weighted.sum(dim=1)
    yield "the weights: the mean of the slopes over the positions, not their sum.", want * places
    alpha = slopes.mean(dim=(2, 3), keepdim=True)
    yield (
        "the maximum with 0: of the sum over k, not of each weight.",
        (alpha.clamp(min=0) * maps).sum(dim=1),
    )
    yield "the maximum with 0: of the sum over k, not of each map.", weighted.clamp(min=0).sum(dim=1)
    yield (
        "the weights: each map has one, the mean of its slopes; these are the slopes at each position.",
        (slopes * maps).sum(dim=1).clamp(min=0),
    )
    yield "the channels: the sum over k, not the mean.", want / maps.shape[1]
    yield "the channels: they are added up, the result is [B, h, w].", weighted.clamp(min=0)
    yield "the shape: [B, h, w], without a channel.", want[:, None]
    yield (
        "the images: each has its own weights, so the mean is not over the batch.",
        (slopes.mean(dim=(0, 2, 3), keepdim=True) * maps).sum(dim=1).clamp(min=0),
    )
    yield (
        "which of the two is averaged: the slopes give the weights, the maps are weighted.",
        (maps.mean(dim=(2, 3), keepdim=True) * slopes).sum(dim=1).clamp(min=0),
    )


def class_activation_map(function: Callable) -> None:
    """``function(maps [B, K, h, w], weight [classes, K], target [B])`` is Grad-CAM at the last maps."""
    generator = Generator().manual_seed(11)
    for images, channels, height, width, classes in (
        (2, 6, 4, 4, 3),
        (5, 3, 2, 7, 10),
        (1, 8, 8, 8, 2),
        (3, 3, 1, 1, 3),
    ):
        maps = torch.rand(images, channels, height, width, generator=generator)
        weight = torch.randn(classes, channels, generator=generator)
        target = torch.randint(classes, (images,), generator=generator)
        leaf = maps.clone().requires_grad_()
        scores = leaf.mean(dim=(2, 3)) @ weight.T
        (slopes,) = torch.autograd.grad(scores.gather(1, target[:, None]).sum(), leaf)
        want = torch.relu((slopes.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1))
        got = call(function, maps, weight, target)
        hint = hint_for(
            got,
            _cam_slips(maps, weight, target, want),
            "α_k = w_ck / (h·w); the sum over k of α_k times map k; the maximum with 0.",
        )
        what = f"class_activation_map for maps {list(maps.shape)}, {classes} classes"
        expect_close(got, want, what=what, look_at=hint, atol=1e-6)
    passed("class_activation_map", "four sets of maps agree with Grad-CAM by autograd")


def _cam_slips(maps: Tensor, weight: Tensor, target: Tensor, want: Tensor) -> Slips:
    places = maps.shape[2] * maps.shape[3]
    total = torch.einsum("bk,bkhw->bhw", weight[target], maps)
    yield "the maximum with 0 at the end.", total / places
    yield "the factor 1/(h·w): the linear layer sees the mean of each map, not the sum.", torch.relu(total)
    yield (
        "the factor 1/(h·w): the mean of equal slopes is that slope, so it is there once.",
        torch.relu(total) / places**2,
    )
    yield "the factor: h·w places, not h or w alone.", torch.relu(total) / maps.shape[2]
    yield "the factor: h·w places, not h or w alone.", torch.relu(total) / maps.shape[3]
    positive = torch.einsum("bk,bkhw->bhw", torch.relu(weight[target]), maps) / places
    yield "the maximum with 0: of the sum over k, not of each weight.", positive
    yield (
        "the channels: they are added up, the result is [B, h, w].",
        torch.relu(weight[target][:, :, None, None] * maps) / places,
    )
    yield "the channels: the sum over k, not the mean.", want / maps.shape[1]
    yield "the shape: [B, h, w], without a channel.", want[:, None]
    for k in range(len(weight)):
        wrong = torch.relu(torch.einsum("k,bkhw->bhw", weight[k], maps)) / places
        yield "the target: each image has its own class, weight[target] is [B, K].", wrong


def integrated_gradients(function: Callable) -> None:
    """``function(gradient, x, baseline, steps)`` is integrated gradients by the midpoint rule."""
    generator = Generator().manual_seed(11)
    for shape, steps in (((4,), 3), ((2, 3), 1), ((1, 3, 4, 4), 8), ((6,), 50)):
        x, baseline, factor = (torch.randn(shape, generator=generator) for _ in range(3))

        def gradient(point: Tensor, factor: Tensor = factor) -> Tensor:
            return factor * torch.cos(point) + point**3  # of Σ factor · sin + point⁴/4

        want = _integrated(gradient, x, baseline, [(j + 0.5) / steps for j in range(steps)])
        got = call_unchanging(function, gradient, x, baseline, steps)
        hint = hint_for(
            got,
            _path_slips(gradient, x, baseline, steps, want),
            "the points baseline + (j − ½)/n · (x − baseline), j from 1 to n.",
        )
        expect_close(got, want, what=f"integrated_gradients for x {list(shape)}, {steps} steps", look_at=hint)
    x, baseline = torch.randn(5, generator=generator), torch.randn(5, generator=generator)
    total = call(function, lambda point: 2 * point, x, baseline, 7).sum()
    change = x.square().sum() - baseline.square().sum()
    expect_close(
        total,
        change,
        what="the sum of the values for s(x) = Σ x²",
        look_at="the values must add up to s(x) − s(baseline).",
    )
    passed(
        "integrated_gradients",
        "four functions agree, and for a sum of squares the values add up to the difference",
    )


def _integrated(
    gradient: Callable[[Tensor], Tensor], x: Tensor, baseline: Tensor, places: list[float]
) -> Tensor:
    slopes = torch.stack([gradient(baseline + place * (x - baseline)) for place in places])
    return (x - baseline) * slopes.mean(dim=0)


def _path_slips(gradient: Callable, x: Tensor, baseline: Tensor, steps: int, want: Tensor) -> Slips:
    span = x - baseline
    yield "the factor (x − baseline): it is missing.", want / span
    yield "the factor: x − baseline, not x.", want / span * x
    yield "the factor: x − baseline, not baseline − x.", -want
    yield "the mean: divide the sum by the number of steps.", want * steps
    yield (
        "the points: (j − ½)/n, the middle of each step; these are the right ends.",
        _integrated(gradient, x, baseline, [(j + 1) / steps for j in range(steps)]),
    )
    yield (
        "the points: (j − ½)/n, the middle of each step; these are the left ends.",
        _integrated(gradient, x, baseline, [j / steps for j in range(steps)]),
    )
    yield (
        "j: from 1 to n, this counts from 0.",
        _integrated(gradient, x, baseline, [(j - 0.5) / steps for j in range(steps)]),
    )
    yield (
        "j: from 1 to n, with j − ½; this adds ½ to them.",
        _integrated(gradient, x, baseline, [(j + 1.5) / steps for j in range(steps)]),
    )
    yield (
        "the path: it starts at the baseline, not at 0.",
        _integrated(gradient, x, torch.zeros_like(x), [(j + 0.5) / steps for j in range(steps)]),
    )
    yield "the path: the gradient is taken on the way, not only at x.", span * gradient(x)


def spearman(function: Callable) -> None:
    """``function(a, b)`` is Spearman's rank correlation of two tensors; equal values share their rank."""
    generator = Generator().manual_seed(11)
    for shape in ((6,), (2, 5), (4, 4), (8, 8), (2, 3, 4)):
        size = math.prod(shape)
        a, b = (torch.randperm(size, generator=generator).reshape(shape).float() ** 3 for _ in range(2))
        _compare_ranks(function, a, b, f"spearman of two maps {list(shape)}")
    for shape in ((12,), (5, 5), (8, 8)):
        a, b = (torch.randn(shape, generator=generator).clamp(min=0) for _ in range(2))
        _compare_ranks(function, a, b, f"spearman of two maps {list(shape)} with many zeros")
    a = torch.rand(5, 5, generator=generator)
    for other, want, words in ((a**3, 1.0, "its cube"), (-a, -1.0, "its negative")):
        what = f"spearman of a map and {words}"
        got = number_of(call(function, a, other), what)
        expect_number(got, want, what=what, look_at="only the order of the values counts.", atol=1e-5)
    told = "eight pairs of maps agree, three with equal values"
    passed("spearman", f"{told}; a map and its cube have 1, a map and its negative −1")


def _compare_ranks(function: Callable, a: Tensor, b: Tensor, what: str) -> None:
    want = float(_pearson(_ranks(a), _ranks(b)))
    got = number_of(call_unchanging(function, a, b), what)
    hint = "the rank: the number of smaller values plus half the number of other equal ones; then Pearson."
    expect_number(got, want, what=what, look_at=hint_for(got, _rank_slips(a, b), hint), atol=1e-5)


def _ranks(values: Tensor) -> Tensor:
    flat = values.flatten()
    differences = flat[:, None] - flat[None, :]
    return differences.sign().double().sum(dim=1) / 2  # less the mean rank


def _pearson(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()


def _rank_slips(a: Tensor, b: Tensor) -> Slips:
    first, second = a.flatten().double(), b.flatten().double()
    yield "the ranks: this is Pearson's correlation of the values themselves.", _pearson(first, second)
    for stable in (False, True):
        one, other = (values.argsort(stable=stable) for values in (first, second))
        yield (
            "the ranks: argsort says where the values are; argsort of that is their rank.",
            _pearson(one.double(), other.double()),
        )
        yield (
            "equal values: they share their rank; argsort of argsort breaks ties by position.",
            _pearson(one.argsort().double(), other.argsort().double()),
        )
    smaller = [(v[:, None] > v).double().sum(dim=1) for v in (first, second)]
    yield "equal values: half the number of the others is added to the rank.", _pearson(*smaller)
    shared = [
        s + (v[:, None] == v).double().sum(dim=1) for s, v in zip(smaller, (first, second), strict=True)
    ]
    yield "equal values: half the number of the others, not all of it.", _pearson(*shared)
    yield "the ranks of b: only a has been replaced by its ranks.", _pearson(_ranks(a), second)
    yield "the ranks of a: only b has been replaced by its ranks.", _pearson(first, _ranks(b))
    yield "the sign: both maps are ranked in the same direction.", -_pearson(_ranks(a), _ranks(b))
    if a.ndim == 2:
        rows = [values.argsort(dim=-1).argsort(dim=-1).double().flatten() for values in (a, b)]
        yield "flatten: ranks are taken over the whole map, not in each row.", _pearson(*rows)
    for lowest in (0, 1):
        x, y = (_ranks(values) + (values.numel() - 1) / 2 + lowest for values in (a, b))
        yield (
            "the means: subtract the mean rank first.",
            (x * y).sum() / (x.square().sum() * y.square().sum()).sqrt(),
        )
    centered = (x - x.mean()) * (y - y.mean())
    yield "the denominator: the standard deviations of both.", centered.mean()
    yield "the denominator: the standard deviations of both.", centered.sum()
