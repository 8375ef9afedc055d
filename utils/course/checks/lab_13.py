"""Checks of the exercises of lab 13, noisy labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, wraps

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    expect_close,
    expect_number,
    expect_shape,
    fail,
    hint_for,
    kind_of,
    number_of,
    parts_of,
    passed,
)
from utils.training.coteaching import coteaching_loss, kept_of


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "group_noise": (group_noise, _group_noise),
            "swapped_losses": (swapped_losses, coteaching_loss),
            "confident_class": (confident_class, _confident_class),
            "wrong_probability": (wrong_probability, _wrong_probability),
            "forget_report": (forget_report, _forget_report),
            "prune_by_class": (prune_by_class, _prune),
        },
    )


def group_noise(function: Callable) -> None:
    """``function(groups, rate)`` is the transition matrix of noise that stays within groups of classes."""
    cases = [
        ([0, 0], 0.2),
        ([0, 0, 1, 1, 1], 0.3),
        ([0, 1, 0, 2, 1, 0], 0.45),
        ([5, 5, 5, 5], 1.0),
        ([0, 1, 2], 0.3),
        ([0, 0, 1], 0.0),
    ]
    for groups, rate in cases:
        want = _group_noise(groups, rate)
        got = call(function, list(groups), rate)
        hint = (
            "for each class the rate, divided by the number of other classes in its group; "
            "what is left on the diagonal."
        )
        hint = hint_for(got, _group_slips(groups, rate), hint)
        expect_close(got, want, what=f"group_noise({groups}, {rate})", look_at=hint)
    passed("group_noise", f"{len(cases)} matrices agree, classes that are alone among them")


def _group_noise(groups: Sequence[int], rate: float) -> Tensor:
    matrix = torch.eye(len(groups), dtype=torch.float64)
    for i, own in enumerate(groups):
        others = [j for j, group in enumerate(groups) if group == own and j != i]
        for j in others:
            matrix[i, j] = rate / len(others)
        if others:
            matrix[i, i] = 1 - rate
    return matrix


def _group_slips(groups: Sequence[int], rate: float) -> Slips:
    same = torch.tensor([[float(a == b) for b in groups] for a in groups], dtype=torch.float64)
    eye = torch.eye(len(groups), dtype=torch.float64)
    others = same - eye
    size = others.sum(dim=1, keepdim=True)
    each = rate * others / size.clamp_min(1)
    redrawn = rate * same / same.sum(dim=1, keepdim=True)
    yield (
        "the true class: it may not be drawn again, only the other classes of the group.",
        redrawn + (1 - rate) * eye,
    )
    yield (
        "a class that is alone in its group: it keeps its label, its diagonal entry is 1.",
        each + (1 - rate) * eye,
    )
    yield (
        "a class that is alone in its group: the division by zero.",
        each / (size > 0) + torch.diag(1 - each.sum(dim=1)),
    )
    yield (
        "the rate: it is shared by the other classes of the group, not given to each of them.",
        rate * others + (1 - rate) * eye,
    )
    yield (
        "the rows: each is the distribution of one true class; this is the transpose.",
        _group_noise(groups, rate).T,
    )
    yield "the diagonal: with probability 1 − rate the label stays.", each
    count = max(len(groups) - 1, 1)
    yield (
        "the groups: the label may not leave the group of its class.",
        (1 - rate) * eye + rate / count * (1 - eye),
    )


def swapped_losses(function: Callable) -> None:
    """``function(logits_a, logits_b, labels, forget_rate)`` gives both losses, each on the other's choice."""
    generator = Generator().manual_seed(41)
    cases = [(8, 3, 0.0), (10, 4, 0.3), (64, 10, 0.45), (10, 5, 0.9), (7, 2, 0.5), (20, 10, 0.15)]
    names = ("loss of a", "loss of b")
    for n, k, rate in cases:
        a, b = (2 * torch.randn(n, k, generator=generator, dtype=torch.float64) for _ in range(2))
        labels = torch.randint(k, (n,), generator=generator)
        what = f"swapped_losses of {n} examples and {k} classes at the rate {rate}"
        got = parts_of(call(function, a, b, labels, rate), names, what, of="losses")
        pairs = zip(got, names, strict=True)
        got = [torch.as_tensor(number_of(value, f"{what}, {name}")) for value, name in pairs]
        want = coteaching_loss(a, b, labels, rate)
        hint = "of each network the mean loss over the examples of smallest loss in the other network."
        hint = hint_for(got, _swap_slips(a, b, labels, rate), hint)
        for value, right, name in zip(got, want, names, strict=True):
            expect_close(value.double(), right, what=f"{what}, {name}", look_at=hint)
    _expect_gradients(function)
    passed("swapped_losses", f"{len(cases)} batches agree with utils.training.coteaching, and the gradients")


def _expect_gradients(function: Callable) -> None:
    """Each network gets the gradient of its own loss, over the examples that the other one chose."""
    generator = Generator().manual_seed(43)
    a, b = (torch.randn(12, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    labels = torch.randint(4, (12,), generator=generator)
    for number, name in enumerate(("a", "b")):
        logits = [a.clone().requires_grad_(), b.clone().requires_grad_()]
        loss = call(wraps(function)(partial(function, *logits, labels, 0.25)))[number]
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            fail(f"the loss of {name}", "a tensor with a gradient", kind_of(loss), "detach, item or float.")
        want = torch.autograd.grad(coteaching_loss(*logits, labels, 0.25)[number], logits[number])[0]
        got = torch.autograd.grad(loss, logits[number], allow_unused=True)[0]
        if got is None:
            fail(f"the loss of {name}", "a gradient for its own logits", "none", "the pairing.")
        expect_close(got, want, what=f"gradient of the loss of {name}", look_at="what is averaged.")


def _swap_slips(a: Tensor, b: Tensor, labels: Tensor, rate: float) -> Slips:
    n = len(labels)
    each = [F.cross_entropy(logits, labels, reduction="none") for logits in (a, b)]
    order_a, order_b = (losses.argsort() for losses in each)
    kept = kept_of(n, rate)

    def pair(chosen_for_a: Tensor, chosen_for_b: Tensor) -> list[Tensor]:
        return [each[0][chosen_for_a].mean(), each[1][chosen_for_b].mean()]

    right = pair(order_b[:kept], order_a[:kept])
    yield "the swap: here each network learns from its own choice.", pair(order_a[:kept], order_b[:kept])
    yield "the order: the loss of a comes first.", right[::-1]
    yield (
        "the swap: the losses of a, averaged over the choice of b, are the loss of a.",
        [each[1][order_b[:kept]].mean(), each[0][order_a[:kept]].mean()],
    )
    yield (
        "the end of the list: the smallest losses are kept.",
        pair(order_b[n - kept :], order_a[n - kept :]),
    )
    out = n - kept
    yield "how many: a share of 1 − forget_rate is kept.", pair(order_b[:out], order_a[:out])
    yield "the choice: this is the mean over all examples.", [losses.mean() for losses in each]
    yield "the mean: over the examples that were chosen.", [value * kept for value in right]
    yield (
        "the mean: over the examples that were chosen, not over the whole batch.",
        [value * kept / n for value in right],
    )
    floating = int((1 - rate) * n)
    yield (
        "rounding: (1 − 0.9) · 10 is 0.9999… in floating point; kept_of takes the rate as a fraction.",
        pair(order_b[:floating], order_a[:floating]),
    )
    yield (
        "how many are kept: kept_of(len(labels), forget_rate), rounded down.",
        pair(order_b[: kept + 1], order_a[: kept + 1]),
    )


def confident_class(function: Callable) -> None:
    """``function(p, labels)`` is the class as which each example is counted confidently, or −1."""
    generator = Generator().manual_seed(47)
    cases = [(30, 3), (40, 4), (90, 5), (200, 10)]
    for number, (n, k) in enumerate(cases):
        labels = torch.randint(k, (n,), generator=generator)
        labels[:k] = torch.arange(k)
        if number == 2:
            labels[labels == 4] = 0  # a class without examples
        # some classes are more probable than others, and most examples fit their label
        p = torch.rand(n, k, generator=generator, dtype=torch.float64) ** 3 + 0.01
        p *= torch.linspace(0.2, 3.0, k, dtype=torch.float64)
        p[torch.arange(n), labels] += torch.rand(n, generator=generator, dtype=torch.float64)
        p /= p.sum(dim=1, keepdim=True)
        _expect_counted(function, p, labels)
    # the last example has its label alone, so its probability is the threshold of its class
    p = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]], dtype=torch.float64)
    _expect_counted(function, p, torch.tensor([0, 0, 1]))
    told = f"{len(cases)} random cases, one with a class without examples, and one at the threshold agree"
    passed("confident_class", told)


def _expect_counted(function: Callable, p: Tensor, labels: Tensor) -> None:
    n, k = p.shape
    want = _confident_class(p, labels)
    got = call(function, p, labels)
    what = f"confident_class of {n} examples and {k} classes"
    expect_shape(got, (n,), what=what, look_at="the return value: one class for each example.")
    if not torch.equal(got.detach().long(), want):
        hint = "t_j, the mean of p[labels == j, j]; of the classes with p ≥ t the most probable; −1 if none."
        hint = hint_for(got.detach().long(), _confident_slips(p, labels), hint)
        what = f"{what}, of which {int((got != want).sum())} differ"
        fail(what, f"{want.tolist()[:12]}…", f"{got.tolist()[:12]}…", hint)


def _confident_class(p: Tensor, labels: Tensor) -> Tensor:
    """Example by example, in plain Python."""
    rows, classes = p.tolist(), range(p.shape[1])
    limits = []
    for j in classes:
        own = [row[j] for row, label in zip(rows, labels.tolist(), strict=True) if label == j]
        limits.append(math.fsum(own) / len(own) if own else math.inf)
    reached = [[(row[j], -j) for j in classes if row[j] >= limits[j]] for row in rows]
    return torch.tensor([-max(found)[1] if found else -1 for found in reached])


def _confident_slips(p: Tensor, labels: Tensor) -> Slips:
    k = p.shape[1]

    def counted(limits: Tensor) -> Tensor:
        passing = torch.where(p >= limits, p, -1.0)
        return torch.where((passing >= 0).any(dim=1), passing.argmax(dim=1), -1)

    limits = torch.stack([p[labels == j, j].mean() for j in range(k)])  # nan is reached by nobody
    top = p.argmax(dim=1)
    yield "the comparison: an example that just reaches the threshold counts, p ≥ t.", counted(limits + 1e-9)
    yield (
        "the thresholds: this is the most probable class of every example; t_j is the mean over the examples "
        "with the label j, not over all.",
        top,
    )
    yield (
        "several classes: the most probable of those that reach their threshold, which need not be the most "
        "probable of all.",
        torch.where(p.gather(1, top[:, None]).squeeze(1) >= limits[top], top, -1),
    )
    yield (
        "several classes: the most probable of those that reach their threshold, not the first.",
        torch.where((p >= limits).any(dim=1), (p >= limits).int().argmax(dim=1), -1),
    )
    yield (
        "several classes: by the probability, not by how far it lies above the threshold.",
        torch.where((p >= limits).any(dim=1), (p - limits).nan_to_num(-9.0).argmax(dim=1), -1),
    )
    yield (
        "no class: where none reaches its threshold the answer is −1.",
        torch.where(p >= limits, p, -1.0).argmax(dim=1),
    )
    yield "the thresholds: over the examples with the label j, not over all.", counted(p.mean(dim=0))
    own = p.gather(1, labels[:, None]).squeeze(1)
    yield "the thresholds: each class has its own.", counted(own.mean().expand(k))
    predicted = torch.stack([p[top == j, j].mean() for j in range(k)])
    yield (
        "the thresholds: over the examples that carry the label j, whatever is predicted.",
        counted(predicted),
    )


def wrong_probability(function: Callable) -> None:
    """``function(p, given, matrix)`` is the probability, by Bayes' rule, that each given label is wrong."""
    generator = Generator().manual_seed(13)
    cases = 6
    for number in range(cases):
        n, k = [(1, 2), (5, 3), (40, 10), (7, 4), (9, 2), (30, 6)][number]
        p = torch.rand(n, k, generator=generator, dtype=torch.float64) + 0.01
        p /= p.sum(dim=1, keepdim=True)
        matrix = torch.rand(k, k, generator=generator, dtype=torch.float64) + 0.02
        matrix += 2 * torch.eye(k, dtype=torch.float64)
        matrix /= matrix.sum(dim=1, keepdim=True)
        given = torch.randint(k, (n,), generator=generator)
        want = _wrong_probability(p, given, matrix)
        got = call(function, p, given, matrix)
        hint = (
            "p[n, j] · T[j, g] for each class j, with g the given label; "
            "divide by the sum over j; one minus the entry of g."
        )
        hint = hint_for(got, _bayes_slips(p, given, matrix), hint)
        expect_close(got, want, what=f"wrong_probability of {n} examples and {k} classes", look_at=hint)
    passed("wrong_probability", f"{cases} random cases agree")


def _wrong_probability(p: Tensor, given: Tensor, matrix: Tensor) -> Tensor:
    result = []
    for row, g in zip(p, given.tolist(), strict=True):
        weights = [float(row[j] * matrix[j, g]) for j in range(len(row))]
        result.append(1 - weights[g] / sum(weights))
    return torch.tensor(result, dtype=p.dtype)


def _bayes_slips(p: Tensor, given: Tensor, matrix: Tensor) -> Slips:
    right = _wrong_probability(p, given, matrix)
    own = p.gather(1, given[:, None]).squeeze(1)
    stays = matrix.diagonal()[given]
    rows = p * matrix[given]
    yield (
        "the last step: this is the probability that the label is right; one minus it is asked for.",
        1 - right,
    )
    yield "the noise: this is 1 − p of the given class, as if the label told nothing.", 1 - own
    yield "the image: this is 1 − T[g, g], as if the probabilities told nothing.", 1 - stays
    yield "the denominator: the sum over all classes j of p[n, j] · T[j, g].", 1 - own * stays
    swapped = 1 - rows.gather(1, given[:, None]).squeeze(1) / rows.sum(dim=1)
    yield "rows and columns of T: the given label is the column, T[j, g].", swapped


def forget_report(function: Callable) -> None:
    """``function(losses, wrong, forget_rate)`` gives precision, recall and the share of right labels lost."""
    generator = Generator().manual_seed(31)
    cases = [(10, 0.3), (11, 0.3), (40, 0.25), (25, 0.5), (33, 0.1), (8, 0.0), (9, 0.04), (20, 0.9)]
    names = ("precision", "recall", "share of right labels lost")
    for n, rate in cases:
        losses = torch.rand(n, generator=generator, dtype=torch.float64) * 3
        wrong = torch.rand(n, generator=generator) < 0.35
        wrong[:2] = torch.tensor([True, False])  # both kinds
        want = _forget_report(losses, wrong, rate)
        what = f"forget_report of {n} examples at the rate {rate}"
        got = parts_of(call(function, losses, wrong, rate), names, what, of="numbers")
        numbers = [number_of(value, f"{what}, {name}") for value, name in zip(got, names, strict=True)]
        for name, value, right in zip(names, numbers, want, strict=True):
            hint = f"the two counts behind the {name}."
            hint = hint_for(numbers, _report_slips(losses, wrong, rate), hint, rtol=1e-6, atol=1e-9)
            expect_number(value, right, what=f"{what}, {name}", look_at=hint, rtol=1e-6)
    passed("forget_report", f"{len(cases)} cases agree, one in which nothing is left out")


def _counts(losses: Tensor, wrong: Tensor, kept: int, descending: bool = False) -> tuple[int, int, int, int]:
    """Left out, wrong among them, wrong of all, right of all."""
    out = sorted(range(len(losses)), key=lambda n: float(losses[n]), reverse=descending)[kept:]
    return len(out), sum(bool(wrong[n]) for n in out), int(wrong.sum()), int((~wrong).sum())


def _report(out: int, found: int, bad: int, good: int) -> tuple[float, float, float]:
    return found / max(out, 1), found / bad, (out - found) / good


def _forget_report(losses: Tensor, wrong: Tensor, rate: float) -> tuple[float, float, float]:
    return _report(*_counts(losses, wrong, kept_of(len(losses), rate)))


def _report_slips(losses: Tensor, wrong: Tensor, rate: float) -> Slips:
    n = len(losses)
    kept = kept_of(n, rate)
    out, found, bad, good = _counts(losses, wrong, kept)
    precision, recall, lost = _report(out, found, bad, good)
    yield (
        "the order: the largest losses are left out, not the smallest.",
        _report(*_counts(losses, wrong, kept, descending=True)),
    )
    yield (
        "who is judged: precision and recall are about the examples that are left out, "
        "not those that are kept.",
        (
            (bad - found) / max(kept, 1),
            (bad - found) / bad,
            (kept - bad + found) / good,
        ),
    )
    yield "the order of the results: precision, recall, lost.", (recall, precision, lost)
    yield (
        "what is lost: a share of the rightly labeled examples, not of those left out.",
        (precision, recall, (out - found) / max(out, 1)),
    )
    yield (
        "what is lost: a share of the rightly labeled examples, not of all.",
        (precision, recall, (out - found) / n),
    )
    yield "the precision: a share of those left out, not of all.", (found / n, recall, lost)
    floating = int((1 - rate) * n)
    if floating != kept:
        yield (
            "rounding: (1 − 0.9) · 20 is 1.9999… in floating point; kept_of takes the rate as a fraction.",
            _report(*_counts(losses, wrong, floating)),
        )
    for other in {round((1 - rate) * n), n - int(rate * n), kept + 1, max(kept - 1, 0)} - {kept}:
        yield (
            "how many are kept: kept_of(N, forget_rate), that is (1 − forget_rate) · N rounded down.",
            _report(*_counts(losses, wrong, other)),
        )


def prune_by_class(function: Callable) -> None:
    """``function(labels, p, joint)`` marks the least probable examples of each given label."""
    generator = Generator().manual_seed(17)
    cases = [(12, 2), (40, 3), (90, 5), (30, 4)]
    for n, k in cases:
        labels = torch.arange(n) % k
        labels = labels[torch.randperm(n, generator=generator)]
        p = torch.rand(n, k, generator=generator, dtype=torch.float64) + 0.01
        p /= p.sum(dim=1, keepdim=True)
        joint = torch.randint(0, max(2, n // (k * k)), (k, k), generator=generator)
        joint[0] = torch.tensor([4] + [0] * (k - 1))  # nothing to remove in the first class
        joint[1, 0] += 1
        want = _prune(labels, p, joint)
        got = call(function, labels, p, joint)
        what = f"prune_by_class of {n} examples and {k} classes"
        if not isinstance(got, Tensor) or got.dtype != torch.bool or got.shape != (n,):
            came = f"{got.dtype} {list(got.shape)}" if isinstance(got, Tensor) else kind_of(got)
            fail(what, f"a bool tensor [{n}]", came, "the return value.")
        if not torch.equal(got, want):
            hint = (
                "for each label i: its examples, sorted by p[:, i], the first of them, "
                "as many as row i of the joint has off the diagonal."
            )
            hint = hint_for(got, _prune_slips(labels, p, joint), hint)
            what = f"{what}, of which {int((got != want).sum())} are judged differently"
            fail(what, f"{int(want.sum())} suspects", f"{int(got.sum())}", hint)
    passed("prune_by_class", f"{len(cases)} random cases agree")


def _prune(
    labels: Tensor,
    p: Tensor,
    joint: Tensor,
    *,
    columns: bool = False,
    diagonal: bool = False,
    descending: bool = False,
) -> Tensor:
    counts = joint.sum(dim=0 if columns else 1) - (0 if diagonal else joint.diagonal())
    suspects = torch.zeros(len(labels), dtype=torch.bool)
    for i, count in enumerate(counts.tolist()):
        members = [n for n in range(len(labels)) if labels[n] == i]
        members.sort(key=lambda n: float(p[n, i]), reverse=descending)
        suspects[members[:count]] = True
    return suspects


def _prune_slips(labels: Tensor, p: Tensor, joint: Tensor) -> Slips:
    yield (
        "rows and columns of the joint: given labels are rows, so the counts are sums over a row.",
        _prune(labels, p, joint, columns=True),
    )
    yield (
        "the diagonal: it counts labels that look right, and is no part of what is removed.",
        _prune(labels, p, joint, diagonal=True),
    )
    yield "the order: the least probable ones first.", _prune(labels, p, joint, descending=True)
    own = p.gather(1, labels[:, None]).squeeze(1)
    everywhere = torch.zeros(len(labels), dtype=torch.bool)
    everywhere[own.argsort()[: int(joint.sum() - joint.diagonal().sum())]] = True
    yield "class by class: each label has its own count; this takes the least probable of all.", everywhere
    yield (
        "the counts: this calls every label wrong that is not the most probable class.",
        p.argmax(dim=1) != labels,
    )
