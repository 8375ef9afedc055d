"""Checks of the exercises of lab 14, contrastive learning."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from utils.course.checks.core import (
    Slips,
    call,
    expect_close,
    expect_equal,
    expect_number,
    hint_for,
    number_of,
    parts_of,
    passed,
)
from utils.training.losses import supervised_contrastive_loss


def nt_xent(function: Callable) -> None:
    """``function(first [N, D], second [N, D], temperature)`` is SimCLR's loss of two views of N pictures."""
    generator = Generator().manual_seed(14)
    for pictures, features, temperature in ((2, 2, 0.5), (3, 4, 1.0), (8, 5, 0.2), (5, 16, 0.07)):
        first, second = (3 * torch.randn(pictures, features, generator=generator) for _ in range(2))
        want = supervised_contrastive_loss(torch.stack([first, second], dim=1), None, temperature)
        what = f"nt_xent of {pictures} pictures, {features} features, τ = {temperature}"
        got = number_of(call(function, first, second, temperature), what)
        hint = "one cross-entropy over the 2N − 1 others of each of the 2N vectors."
        hint = hint_for(got, _nt_xent_slips(first, second, temperature), hint)
        expect_number(got, float(want), what=what, look_at=hint, atol=1e-5)
    first, second = (torch.randn(4, 3, generator=generator) for _ in range(2))
    small = 0.002  # exp(1/0.002) is infinite
    want = supervised_contrastive_loss(torch.stack([first, second], dim=1), None, small)
    what = f"nt_xent at τ = {small}"
    got = number_of(call(function, first, second, small), what)
    look_at = "overflow: use F.cross_entropy or torch.logsumexp, not exp."
    expect_number(got, float(want), what=what, look_at=look_at, rtol=1e-3)
    passed("nt_xent", "four batches agree, and one at a temperature where exp overflows")


def _similarity(first: Tensor, second: Tensor, normalize: bool = True) -> Tensor:
    z = torch.cat([first, second])
    z = F.normalize(z, dim=1) if normalize else z
    return z @ z.T


def _nt_xent_slips(first: Tensor, second: Tensor, temperature: float) -> Slips:
    N = len(first)
    myself = torch.eye(2 * N, dtype=torch.bool)
    partner = (torch.arange(2 * N) + N) % (2 * N)

    def loss(similarity: Tensor, factor: float = 1 / temperature, mask: Tensor = myself) -> Tensor:
        return F.cross_entropy((similarity * factor).masked_fill(mask, -torch.inf), partner)

    s = _similarity(first, second)
    right = loss(s)
    yield (
        "the length of the vectors: the similarity is a cosine.",
        loss(_similarity(first, second, normalize=False)),
    )
    yield (
        "the vector itself: it is no negative of its own, so it does not stand in the sum.",
        loss(s, mask=torch.zeros_like(myself)),
    )
    yield "the temperature: similarities are divided by it.", loss(s, temperature)
    yield "the temperature: it is missing.", loss(s, 1.0)
    yield "the mean: over the 2N anchors; this is the sum.", right * 2 * N
    yield "the mean: over the 2N anchors; this divides by N.", right * 2
    yield "the sign: −log of the share.", -right
    across = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / temperature
    rows, columns = F.cross_entropy(across, torch.arange(N)), F.cross_entropy(across.T, torch.arange(N))
    yield "the negatives: the other pictures' views of the same side count too.", rows
    yield "the negatives: the other pictures' views of the same side count too.", (rows + columns) / 2
    half = F.cross_entropy((s / temperature).masked_fill(myself, -torch.inf)[:N], partner[:N])
    yield "the anchors: the second views are anchors as well.", half
    negatives = myself.clone()
    negatives[torch.arange(2 * N), partner] = True
    positive = s[torch.arange(2 * N), partner] / temperature
    yield (
        "the sum: the positive stands in it too.",
        (torch.logsumexp((s / temperature).masked_fill(negatives, -torch.inf), dim=1) - positive).mean(),
    )


def pulls_inside(function: Callable) -> None:
    """``function(similarity [A], positive bool [A], temperature)`` is the derivative of L_in by each."""
    generator = Generator().manual_seed(14)
    for others, positives, temperature in ((3, 1, 1.0), (6, 2, 0.5), (9, 4, 0.2), (5, 5, 0.7)):
        similarity = 2 * torch.rand(others, generator=generator) - 1
        positive = torch.arange(others) < positives
        leaf = similarity.clone().requires_grad_()
        shares = torch.softmax(leaf / temperature, dim=0)
        (want,) = torch.autograd.grad(-torch.log(shares[positive].sum() / positives), leaf)
        got = call(function, similarity, positive, temperature)
        hint = hint_for(
            got,
            _pull_slips(similarity, positive, temperature, want),
            "p for a negative, p − p/q for a positive, both divided by τ.",
        )
        what = f"pulls_inside for {others} others, {positives} of them positives, τ = {temperature}"
        expect_close(got, want, what=what, look_at=hint)
    passed("pulls_inside", "four anchors agree with autograd")


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
    for pictures, features in ((2, 2), (4, 3), (9, 8)):
        both = F.normalize(torch.randn(2, pictures, features, generator=generator), dim=2)
        first, second = both[0], both[1]
        pairs = torch.combinations(torch.arange(pictures))
        squares = (first[pairs[:, 0]] - first[pairs[:, 1]]).double().square().sum(dim=1)
        distance = (first - second).double().square().sum(dim=1)
        what = f"{pictures} pictures, {features} features"
        alignment, uniformity = _two_numbers(call(function, first, second), what)
        hint = "the mean over the pictures of ‖first − second‖²."
        hint = hint_for(alignment, _alignment_slips(first, second, distance), hint)
        want = float(distance.mean())
        expect_number(alignment, want, what=f"alignment of {what}", look_at=hint, atol=1e-5)
        hint = "the log of the mean of exp(−2 ‖a − b‖²) over pairs of different vectors."
        hint = hint_for(uniformity, _uniformity_slips(first, squares), hint)
        want = float((-2 * squares).exp().mean().log())
        expect_number(uniformity, want, what=f"uniformity of {what}", look_at=hint, atol=1e-5)
    one, what = F.normalize(torch.ones(5, 3), dim=1), "a collapsed embedding"
    collapsed = _two_numbers(call(function, one, one), what)
    for value, name in zip(collapsed, ("alignment", "uniformity"), strict=True):
        expect_number(value, 0.0, what=f"{name} of {what}", look_at="all distances are 0.", atol=1e-5)
    passed("alignment_uniformity", "three sets of vectors agree, and a collapsed embedding has 0 and 0")


def _two_numbers(value: object, what: str) -> list[float]:
    names = ("alignment", "uniformity")
    both = parts_of(value, names, f"alignment_uniformity of {what}", of="numbers")
    return [number_of(each, f"{name} of {what}") for each, name in zip(both, names, strict=True)]


def _alignment_slips(first: Tensor, second: Tensor, distance: Tensor) -> Slips:
    yield "the square: the squared distance, not the distance.", distance.sqrt().mean()
    yield "the mean: over the pictures; this is the sum.", distance.sum()
    yield "the sum over the features: this is their mean.", distance.mean() / first.shape[1]
    yield "the distance: this is the cosine similarity.", (first * second).double().sum(dim=1).mean()


def _uniformity_slips(first: Tensor, squares: Tensor) -> Slips:
    kernel = (-2 * squares).exp()
    N = len(first)
    yield "the pairs: a vector and itself are no pair.", ((2 * kernel.sum() + N) / N**2).log()
    yield "the order: the log of the mean, not the mean of the logs.", (-2 * squares).mean()
    yield "the factor 2: it is missing.", (-squares).exp().mean().log()
    yield "the logarithm: it is missing.", kernel.mean()
    yield "the sign in the exponent: far apart is good, exp(−2 d²).", (2 * squares).exp().mean().log()
    yield "the square: the squared distance, not the distance.", (-2 * squares.sqrt()).exp().mean().log()
    yield "the mean: over the pairs; this is the sum.", kernel.sum().log()


def effective_negatives(function: Callable) -> None:
    """``function(similarity [M], temperature)`` is exp of the entropy of the shares of M negatives."""
    generator = Generator().manual_seed(14)
    for number, temperature in ((2, 1.0), (5, 0.5), (40, 0.1), (40, 0.02)):
        similarity = 2 * torch.rand(number, generator=generator) - 1
        shares = torch.softmax(similarity.double() / temperature, dim=0)
        want = torch.special.entr(shares).sum().exp()
        what = f"effective_negatives of {number} negatives at τ = {temperature}"
        got = number_of(call(function, similarity, temperature), what)
        hint = "shares by softmax, their entropy −Σ w ln w, and exp of that."
        hint = hint_for(got, _effective_slips(similarity.double(), temperature, want), hint)
        expect_number(got, float(want), what=what, look_at=hint, rtol=1e-3)
    what = "effective_negatives of 7 equal similarities"
    got = number_of(call(function, torch.zeros(7), 0.3), what)
    expect_number(got, 7.0, what=what, look_at="equal shares count fully: 7.")
    what = "effective_negatives of one near and two far negatives at τ = 0.005"
    got = number_of(call(function, torch.tensor([1.0, -1.0, -1.0]), 0.005), what)
    look_at = "a share of 0: 0 · ln 0 is 0 and not nan (torch.special.entr, or log_softmax)."
    expect_number(got, 1.0, what=what, look_at=look_at)
    passed("effective_negatives", "four sets agree; equal negatives all count, at a small τ a near one alone")


def _effective_slips(similarity: Tensor, temperature: float, want: Tensor) -> Slips:
    shares = torch.softmax(similarity / temperature, dim=0)
    yield "the exponential of the entropy: it is missing.", want.log()
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
        alone = 1 - 1 / classes  # probability that one other picture is no company
        want = next(size for size in itertools.count(2) if 1 - alone ** (size - 1) >= probability)
        what = f"batch_with_company({classes}, {probability})"
        got = number_of(call(function, classes, probability), what)
        slips = [
            ("the anchor itself: only N − 1 pictures can be company.", want - 1),
            (
                "the smallest: one picture fewer would do "
                '("at least" is ≥, also where it is reached exactly).',
                want + 1,
            ),
        ]
        hint = "1 − (1 − 1/K)^(N − 1) must reach the probability; solve for N, and round up."
        expect_equal(got, want, what=what, look_at=hint_for(got, slips, hint))
    passed("batch_with_company", f"{len(cases)} cases agree")
