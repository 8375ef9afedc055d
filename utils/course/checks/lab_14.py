"""Checks of the exercises of lab 14, contrastive learning."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial, wraps

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    expect_close,
    expect_equal,
    expect_number,
    fail,
    hint_for,
    kind_of,
    number_of,
    parts_of,
    passed,
)
from utils.training.losses import supervised_contrastive_loss


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "info_nce": (info_nce, _info_nce),
            "similarity_gradient": (similarity_gradient, partial(_by_autograd, _outside)),
            "alignment_uniformity": (alignment_uniformity, _alignment_uniformity),
            "pulls_inside": (pulls_inside, partial(_by_autograd, _inside)),
            "effective_negatives": (effective_negatives, _effective_negatives),
            "batch_with_company": (batch_with_company, _batch_with_company),
        },
    )


def info_nce(function: Callable) -> None:
    """``function(views [N, 2, D], temperature)`` is SimCLR's loss of two views of N images."""
    generator = Generator().manual_seed(14)
    cases = ((2, 2, 0.5), (3, 4, 1.0), (8, 5, 0.2), (5, 16, 0.07))
    for images, features, temperature in cases:
        views = 3 * torch.randn(images, 2, features, generator=generator)
        want = _info_nce(views, temperature)
        what = f"info_nce of {images} images, {features} features, τ = {temperature}"
        got = number_of(call(function, views, temperature), what)
        hint = "one cross-entropy over the 2N − 1 others of each of the 2N vectors."
        hint = hint_for(got, _info_nce_slips(views, temperature), hint)
        expect_number(got, float(want), what=what, look_at=hint, atol=1e-5)
    views = torch.randn(4, 2, 3, generator=generator)
    small = 0.002  # exp(1/0.002) is infinite
    what = f"info_nce at τ = {small}"
    got = number_of(call(function, views, small), what)
    look_at = "overflow: use F.cross_entropy or torch.logsumexp, not exp."
    expect_number(got, float(_info_nce(views, small)), what=what, look_at=look_at, rtol=1e-3)
    _expect_gradient(function, views)
    passed("info_nce", f"{len(cases)} batches agree, one at a τ where exp overflows, and the gradient")


def _info_nce(views: Tensor, temperature: float) -> Tensor:
    return supervised_contrastive_loss(views, None, temperature)


def _expect_gradient(function: Callable, views: Tensor) -> None:
    """A network is trained with the loss, so it must be a tensor with the right gradient."""
    leaf = views.clone().requires_grad_()
    loss = call(wraps(function)(partial(function, leaf, 0.5)))
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        fail("info_nce", "a tensor with a gradient", kind_of(loss), "detach, item, math.log or float.")
    want = torch.autograd.grad(_info_nce(leaf, 0.5), leaf)[0]
    got = torch.autograd.grad(loss, leaf)[0]
    expect_close(got, want, what="gradient of info_nce", look_at="a detach inside of the loss.")


def _info_nce_slips(views: Tensor, temperature: float) -> Slips:
    N, _, D = views.shape
    myself = torch.eye(2 * N, dtype=torch.bool)
    partner = torch.arange(2 * N) ^ 1

    def similarity(rows: Tensor) -> Tensor:
        return rows @ rows.T

    def loss(s: Tensor, factor: float = 1 / temperature, mask: Tensor = myself) -> Tensor:
        return F.cross_entropy((s * factor).masked_fill(mask, -torch.inf), partner)

    z = F.normalize(views, dim=2)
    s = similarity(z.reshape(2 * N, D))
    right = loss(s)
    yield "the length of the vectors: the similarity is a cosine.", loss(similarity(views.reshape(2 * N, D)))
    yield (
        "the length of the vectors: that of each, over its D numbers (dim=2).",
        loss(similarity(F.normalize(views, dim=1).reshape(2 * N, D))),
    )
    yield (
        "the vector itself: it is no negative of its own, so it does not stand in the sum.",
        loss(s, mask=torch.zeros_like(myself)),
    )
    yield "the temperature: similarities are divided by it.", loss(s, temperature)
    yield "the temperature: it is missing.", loss(s, 1.0)
    yield "the mean: over the 2N anchors; this is the sum.", right * 2 * N
    yield "the mean: over the 2N anchors; this divides by N.", right * 2
    yield "the sign: −ln of the share.", -right
    across = z[:, 0] @ z[:, 1].T / temperature
    rows, columns = F.cross_entropy(across, torch.arange(N)), F.cross_entropy(across.T, torch.arange(N))
    yield "the negatives: the other images' views of the same side count too.", rows
    yield "the negatives: the other images' views of the same side count too.", (rows + columns) / 2
    hidden = (s / temperature).masked_fill(myself, -torch.inf)
    yield (
        "the anchors: the second views are anchors as well.",
        F.cross_entropy(hidden[::2], partner[::2]),
    )
    yield (
        "the partner: the rows come image by image, so row 0 belongs to row 1, row 2 to row 3, and so on.",
        F.cross_entropy(hidden, torch.arange(2 * N).roll(N)),
    )
    negatives = myself.clone()
    negatives[torch.arange(2 * N), partner] = True
    positive = s[torch.arange(2 * N), partner] / temperature
    yield (
        "the sum: the positive stands in it too.",
        (torch.logsumexp((s / temperature).masked_fill(negatives, -torch.inf), dim=1) - positive).mean(),
    )


def similarity_gradient(function: Callable) -> None:
    """``function(similarity [A], positive bool [A], temperature)`` is the derivative of L_out by each."""
    for similarity, positive, temperature, what in _anchors("similarity_gradient"):
        want = _by_autograd(_outside, similarity, positive, temperature)
        with torch.no_grad():  # by hand, as the text asks
            got = call(function, similarity, positive, temperature)
        hint = "p for a negative, p − 1/|P| for a positive, both divided by τ."
        hint = hint_for(got, _gradient_slips(similarity, positive, temperature, want), hint)
        expect_close(got, want, what=what, look_at=hint)
    passed("similarity_gradient", "five anchors agree with autograd")


def _anchors(name: str) -> Iterator[tuple[Tensor, Tensor, float, str]]:
    """Similarities, positives, temperature and a description of anchors to try."""
    generator = Generator().manual_seed(14)
    for others, positives, temperature in ((3, 1, 1.0), (6, 2, 0.5), (9, 4, 0.2), (5, 5, 0.7), (4, 2, 0.05)):
        similarity = 2 * torch.rand(others, generator=generator) - 1
        positive = torch.randperm(others, generator=generator) < positives
        what = f"{name} for {others} others, {positives} of them positives, τ = {temperature}"
        yield similarity, positive, temperature, what


def _by_autograd(loss: Callable, similarity: Tensor, positive: Tensor, temperature: float) -> Tensor:
    with torch.enable_grad():
        leaf = similarity.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(torch.log_softmax(leaf / temperature, dim=0)[positive]), leaf)
        return gradient


def _outside(log_shares: Tensor) -> Tensor:
    return -log_shares.mean()


def _inside(log_shares: Tensor) -> Tensor:
    return -torch.logsumexp(log_shares, dim=0)  # up to a constant


def _gradient_slips(similarity: Tensor, positive: Tensor, temperature: float, want: Tensor) -> Slips:
    p = torch.softmax(similarity / temperature, dim=0)
    number = positive.sum()
    yield "the factor 1/τ: the similarity is divided by it before anything else.", want * temperature
    yield (
        "the positives: 1/|P| is taken off each of them, for the loss is their mean.",
        torch.where(positive, p - 1, p) / temperature,
    )
    yield "the mean: this is the derivative of the sum over the positives.", want * number
    yield "the sign: the derivative, not the direction of descent.", -want
    yield (
        "the positives: they stand in the denominator as well, which adds p.",
        torch.where(positive, -1 / number, p) / temperature,
    )
    yield "the positives: the logarithm takes 1/|P| off each of them.", p / temperature
    plain = torch.softmax(similarity, dim=0)
    yield (
        "the shares: the softmax is of similarity/τ.",
        torch.where(positive, plain - 1 / number, plain) / temperature,
    )
    yield (
        "the form: this is the derivative with the sum inside of the logarithm.",
        torch.where(positive, p - p / p[positive].sum(), p) / temperature,
    )


def pulls_inside(function: Callable) -> None:
    """``function(similarity [A], positive bool [A], temperature)`` is the derivative of L_in by each."""
    for similarity, positive, temperature, what in _anchors("pulls_inside"):
        want = _by_autograd(_inside, similarity, positive, temperature)
        got = call(function, similarity, positive, temperature)
        hint = "p for a negative, p − p/q for a positive, both divided by τ."
        hint = hint_for(got, _pull_slips(similarity, positive, temperature, want), hint)
        expect_close(got, want, what=what, look_at=hint)
    passed("pulls_inside", "five anchors agree with autograd")


def _pull_slips(similarity: Tensor, positive: Tensor, temperature: float, want: Tensor) -> Slips:
    p = torch.softmax(similarity / temperature, dim=0)
    q = p[positive].sum()
    number = positive.sum()
    yield "the factor 1/τ: the similarity is divided by it before anything else.", want * temperature
    yield "the form: this is the derivative of L_out.", torch.where(positive, p - 1 / number, p) / temperature
    yield "the sign: the derivative, not the direction of descent.", -want
    yield (
        "q: the sum of the shares of the positives, not their mean.",
        torch.where(positive, p - p * number / q, p) / temperature,
    )
    yield (
        "the positives: they stand in the denominator as well, which adds p.",
        torch.where(positive, -p / q, p) / temperature,
    )
    yield "the positives: the logarithm pulls at them with p/q.", p / temperature
    plain = torch.softmax(similarity, dim=0)
    yield (
        "the shares: the softmax is of similarity/τ.",
        torch.where(positive, plain - plain / plain[positive].sum(), plain) / temperature,
    )


def alignment_uniformity(function: Callable) -> None:
    """``function(first [N, D], second [N, D])`` is (alignment, uniformity of the first)."""
    generator = Generator().manual_seed(14)
    for images, features in ((2, 2), (4, 3), (9, 8)):
        both = F.normalize(torch.randn(2, images, features, generator=generator), dim=2)
        first, second = both[0], both[1]
        distance = (first - second).double().square().sum(dim=1)
        want = _alignment_uniformity(first, second)
        what = f"{images} images, {features} features"
        alignment, uniformity = _two_numbers(call(function, first, second), what)
        hint = "the mean over the images of ‖first − second‖²."
        hint = hint_for(alignment, _alignment_slips(first, second, distance), hint)
        expect_number(alignment, want[0], what=f"alignment of {what}", look_at=hint, atol=1e-5)
        hint = "the log of the mean of exp(−2 ‖a − b‖²) over pairs of different vectors."
        hint = hint_for(uniformity, _uniformity_slips(first, second), hint)
        expect_number(uniformity, want[1], what=f"uniformity of {what}", look_at=hint, atol=1e-5)
    one, what = F.normalize(torch.ones(5, 3), dim=1), "a collapsed embedding"
    collapsed = _two_numbers(call(function, one, one), what)
    for value, name in zip(collapsed, ("alignment", "uniformity"), strict=True):
        expect_number(value, 0.0, what=f"{name} of {what}", look_at="all distances are 0.", atol=1e-5)
    passed("alignment_uniformity", "three sets of vectors agree, and a collapsed embedding has 0 and 0")


def _alignment_uniformity(first: Tensor, second: Tensor) -> tuple[float, float]:
    """By cosines, for a squared distance of unit vectors is two minus twice their cosine."""
    first, second = first.double(), second.double()
    alignment = 2 - 2 * (first * second).sum(dim=1).mean()
    cosines = (first @ first.T)[torch.ones(len(first), len(first)).triu(diagonal=1).bool()]
    return float(alignment), float((4 * cosines - 4).exp().mean().log())


def _two_numbers(value: object, what: str) -> list[float]:
    names = ("alignment", "uniformity")
    both = parts_of(value, names, f"alignment_uniformity of {what}", of="numbers")
    return [number_of(each, f"{name} of {what}") for each, name in zip(both, names, strict=True)]


def _alignment_slips(first: Tensor, second: Tensor, distance: Tensor) -> Slips:
    yield "the square: the squared distance, not the distance.", distance.sqrt().mean()
    yield "the mean: over the images; this is the sum.", distance.sum()
    yield "the sum over the features: this is their mean.", distance.mean() / first.shape[1]
    yield "the distance: this is the cosine similarity.", (first * second).double().sum(dim=1).mean()


def _uniformity_slips(first: Tensor, second: Tensor) -> Slips:
    squares = torch.pdist(first.double()).square()
    kernel = (-2 * squares).exp()
    N = len(first)
    yield "the pairs: a vector and itself are no pair.", ((2 * kernel.sum() + N) / N**2).log()
    yield "the order: the log of the mean, not the mean of the logs.", (-2 * squares).mean()
    yield "the factor 2: it is missing.", (-squares).exp().mean().log()
    yield "the logarithm: it is missing.", kernel.mean()
    yield "the sign in the exponent: far apart is good, exp(−2 d²).", (2 * squares).exp().mean().log()
    yield "the square: the squared distance, not the distance.", (-2 * squares.sqrt()).exp().mean().log()
    yield "the mean: over the pairs; this is the sum.", kernel.sum().log()
    across = torch.cdist(first.double(), second.double()).square()
    yield "the pairs: of first views alone.", (-2 * across).exp().mean().log()


def effective_negatives(function: Callable) -> None:
    """``function(similarity [M], temperature)`` is exp of the entropy of the shares of M negatives."""
    generator = Generator().manual_seed(14)
    for number, temperature in ((2, 1.0), (5, 0.5), (40, 0.1), (40, 0.02)):
        similarity = 2 * torch.rand(number, generator=generator) - 1
        want = _effective_negatives(similarity, temperature)
        what = f"effective_negatives of {number} negatives at τ = {temperature}"
        got = number_of(call(function, similarity, temperature), what)
        hint = "shares by softmax, their entropy −Σ w ln w, and exp of that."
        hint = hint_for(got, _effective_slips(similarity.double(), temperature, want), hint)
        expect_number(got, want, what=what, look_at=hint, rtol=1e-3)
    what = "effective_negatives of 7 equal similarities"
    got = number_of(call(function, torch.zeros(7), 0.3), what)
    expect_number(got, 7.0, what=what, look_at="equal shares count fully: 7.")
    what = "effective_negatives of one near and two far negatives at τ = 0.005"
    got = number_of(call(function, torch.tensor([1.0, -1.0, -1.0]), 0.005), what)
    look_at = "a share of 0: 0 · ln 0 is 0 and not nan (torch.special.entr, or log_softmax)."
    expect_number(got, 1.0, what=what, look_at=look_at)
    passed("effective_negatives", "four sets agree; equal negatives all count, at a small τ a near one alone")


def _effective_negatives(similarity: Tensor, temperature: float) -> float:
    """The entropy is ln Σ exp(x) − Σ w x, with x the similarities over the temperature."""
    x = similarity.double() / temperature
    return float((torch.logsumexp(x, dim=0) - torch.softmax(x, dim=0) @ x).exp())


def _effective_slips(similarity: Tensor, temperature: float, want: float) -> Slips:
    shares = torch.softmax(similarity / temperature, dim=0)
    yield "the exponential of the entropy: it is missing.", math.log(want)
    yield "the sign: the entropy is −Σ w ln w.", 1 / want
    yield (
        "the temperature: similarities are divided by it.",
        torch.special.entr(torch.softmax(similarity * temperature, dim=0)).sum().exp(),
    )
    yield "the temperature: it is missing.", torch.special.entr(torch.softmax(similarity, dim=0)).sum().exp()
    yield "the entropy, a sum: this is the mean.", torch.special.entr(shares).mean().exp()
    yield (
        "the logarithm: natural, since exp undoes it.",
        (torch.special.entr(shares).sum() / math.log(2)).exp(),
    )
    yield "the entropy: this is 1/Σ w², another count.", 1 / shares.square().sum()


def batch_with_company(function: Callable) -> None:
    """``function(classes, probability)`` is the smallest batch in which an anchor has company that often."""
    cases = (
        (2, 0.6), (2, 0.8), (10, 0.5), (10, 0.95), (100, 0.95), (100, 0.5), (1000, 0.9), (1, 0.99),
        (2, 0.75), (2, 0.5),  # reached exactly
    )  # fmt: skip
    for classes, probability in cases:
        alone = 1 - 1 / classes  # probability that one other image is no company
        want = next(size for size in itertools.count(2) if 1 - alone ** (size - 1) >= probability)
        what = f"batch_with_company({classes}, {probability})"
        got = number_of(call(function, classes, probability), what)
        slips = [
            ("the anchor itself: only N − 1 images can be company.", want - 1),
            (
                'the smallest: one image fewer would do ("at least" is ≥, also where it is reached exactly).',
                want + 1,
            ),
        ]
        hint = "1 − (1 − 1/K)^(N − 1) must reach the probability; solve for N, and round up."
        expect_equal(got, want, what=what, look_at=hint_for(got, slips, hint))
    passed("batch_with_company", f"{len(cases)} cases agree")


def _batch_with_company(classes: int, probability: float) -> int:
    """By the logarithm; one part in a billion is taken off, for a bound that is reached exactly."""
    if classes == 1:
        return 2
    others = math.log(1 - probability) / math.log(1 - 1 / classes)
    return max(2, 1 + math.ceil(others - 1e-9))
