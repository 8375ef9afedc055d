"""Lab 13's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import pytest
import torch
import torch.nn.functional as F
from cleanlab.count import compute_confident_joint

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_13 as check
from utils.data.label_noise import noisy_labels
from utils.training.coteaching import kept_of

NAMES = [
    "group_noise",
    "swapped_losses",
    "confident_class",
    "wrong_probability",
    "forget_report",
    "prune_by_class",
]


def group_noise(groups, rate):
    groups = torch.tensor(groups)
    others = (groups[:, None] == groups[None, :]).double()
    others.fill_diagonal_(0)
    matrix = rate * others / others.sum(dim=1, keepdim=True).clamp_min(1)
    return matrix + torch.diag(1 - matrix.sum(dim=1))


def redrawn(groups, rate):
    same = (torch.tensor(groups)[:, None] == torch.tensor(groups)[None, :]).double()
    return rate * same / same.sum(dim=1, keepdim=True) + (1 - rate) * torch.eye(len(groups))


def off_diagonal(groups, rate):
    return group_noise(groups, rate).fill_diagonal_(0)


def swapped_losses(logits_a, logits_b, labels, forget_rate, *, kept=None, shift=0):
    each = [F.cross_entropy(logits, labels, reduction="none") for logits in (logits_a, logits_b)]
    kept = (kept_of(len(labels), forget_rate) if kept is None else kept) + shift
    chosen_by_a, chosen_by_b = (losses.argsort()[:kept] for losses in each)
    return each[0][chosen_by_b].mean(), each[1][chosen_by_a].mean()


def own_losses(logits_a, logits_b, labels, forget_rate, *, largest=False):
    kept = kept_of(len(labels), forget_rate)
    each = [F.cross_entropy(logits, labels, reduction="none") for logits in (logits_a, logits_b)]
    return [losses.topk(kept, largest=largest).values.mean() for losses in each]


def all_losses(logits_a, logits_b, labels, forget_rate):
    return F.cross_entropy(logits_a, labels), F.cross_entropy(logits_b, labels)


def largest_losses(logits_a, logits_b, labels, forget_rate):
    each = [F.cross_entropy(logits, labels, reduction="none") for logits in (logits_a, logits_b)]
    by_a, by_b = (losses.argsort(descending=True)[: kept_of(len(labels), forget_rate)] for losses in each)
    return each[0][by_b].mean(), each[1][by_a].mean()


def detached(*arguments):
    return tuple(loss.detach() for loss in swapped_losses(*arguments))


def scaled(factor):
    def function(a, b, labels, rate):
        return [loss * factor(len(labels), rate) for loss in swapped_losses(a, b, labels, rate)]

    return function


def confident_class(p, labels):
    thresholds = torch.stack([p[labels == j, j].mean() for j in range(p.shape[1])])
    return counted(p, thresholds)


def counted(p, thresholds):
    passed = torch.where(p >= thresholds, p, -1.0)
    return torch.where((passed >= 0).any(dim=1), passed.argmax(dim=1), -1)


def top_if_confident(p, labels):
    thresholds = torch.stack([p[labels == j, j].mean() for j in range(p.shape[1])])
    top = p.argmax(dim=1)
    return torch.where(p.gather(1, top[:, None]).squeeze(1) >= thresholds[top], top, -1)


def one_threshold(p, labels):
    own = p.gather(1, labels[:, None]).squeeze(1)
    return counted(p, own.mean().expand(p.shape[1]))


def above_threshold(p, labels):
    thresholds = torch.stack([p[labels == j, j].mean() for j in range(p.shape[1])])
    return counted(p, thresholds.nextafter(torch.tensor(2.0, dtype=p.dtype)))


def never_minus_one(p, labels):
    thresholds = torch.stack([p[labels == j, j].mean() for j in range(p.shape[1])])
    return torch.where(p >= thresholds, p, -1.0).argmax(dim=1)


def wrong_probability(p, given, matrix):
    weight = p * matrix[:, given].T
    return 1 - weight.gather(1, given[:, None]).squeeze(1) / weight.sum(dim=1)


def forget_report(losses, wrong, forget_rate, *, descending=False, kept=None):
    kept = kept_of(len(losses), forget_rate) if kept is None else kept
    out = wrong[losses.argsort(descending=descending)[kept:]]
    found = int(out.sum())
    return found / max(len(out), 1), found / int(wrong.sum()), (len(out) - found) / int((~wrong).sum())


def changed(place, change):
    """The report with the number at ``place`` changed."""

    def function(losses, wrong, rate):
        report = list(forget_report(losses, wrong, rate))
        report[place] = change(report, losses, wrong, rate)
        return report

    return function


def prune_by_class(labels, p, joint, *, descending=False):
    suspects = torch.zeros(len(labels), dtype=torch.bool)
    for i in range(len(joint)):
        members = (labels == i).nonzero().squeeze(1)
        count = int(joint[i].sum() - joint[i, i])
        suspects[members[p[members, i].argsort(descending=descending)[:count]]] = True
    return suspects


def pruned_everywhere(labels, p, joint):
    suspects = torch.zeros(len(labels), dtype=torch.bool)
    suspects[p[torch.arange(len(labels)), labels].argsort()[: int(joint.sum() - joint.trace())]] = True
    return suspects


WRONG = [
    ("group_noise", redrawn, "may not be drawn again"),
    ("group_noise", lambda g, r: off_diagonal(g, r) + (1 - r) * torch.eye(len(g)), "keeps its label"),
    ("group_noise", off_diagonal, "the label stays"),
    (
        "group_noise",
        lambda g, r: (off_diagonal(g, r) > 0) * r + (1 - r) * torch.eye(len(g)),
        "shared by the other classes",
    ),
    (
        "group_noise",
        lambda g, r: (1 - r) * torch.eye(len(g)) + r / (len(g) - 1) * (1 - torch.eye(len(g))),
        "may not leave the group",
    ),
    ("group_noise", lambda g, r: torch.eye(len(g)), "divided by the number of other classes"),
    ("group_noise", lambda g, r: 0.3, "got float"),
    ("swapped_losses", own_losses, "from its own choice"),
    ("swapped_losses", lambda *given: swapped_losses(*given)[::-1], "the loss of a comes first"),
    ("swapped_losses", all_losses, "mean over all examples"),
    ("swapped_losses", largest_losses, "smallest losses are kept"),
    (
        "swapped_losses",
        lambda a, b, y, r: swapped_losses(a, b, y, r, kept=int((1 - r) * len(y))),
        "in floating point",
    ),
    ("swapped_losses", lambda *given: swapped_losses(*given, shift=1), "rounded down"),
    ("swapped_losses", scaled(kept_of), "over the examples that were chosen"),
    ("swapped_losses", scaled(lambda n, r: kept_of(n, r) / n), "not over the whole batch"),
    ("swapped_losses", detached, "a tensor with a gradient"),
    ("swapped_losses", lambda *given: sum(swapped_losses(*given)), "two losses"),
    ("confident_class", lambda p, y: p.argmax(dim=1), "most probable class of every example"),
    ("confident_class", top_if_confident, "need not be the most probable of all"),
    ("confident_class", above_threshold, "just reaches the threshold"),
    ("confident_class", one_threshold, "each class has its own"),
    ("confident_class", lambda p, y: counted(p, p.mean(dim=0)), "not over all"),
    ("confident_class", never_minus_one, "the answer is −1"),
    ("confident_class", lambda p, y: confident_class(p, y)[:2], "expected shape"),
    ("wrong_probability", lambda p, g, t: 1 - wrong_probability(p, g, t), "the label is right"),
    (
        "wrong_probability",
        lambda p, g, t: 1 - p.gather(1, g[:, None]).squeeze(1),
        "as if the label told nothing",
    ),
    ("wrong_probability", lambda p, g, t: 1 - t.diagonal()[g], "as if the probabilities told nothing"),
    (
        "wrong_probability",
        lambda p, g, t: 1 - p.gather(1, g[:, None]).squeeze(1) * t.diagonal()[g],
        "the denominator",
    ),
    ("wrong_probability", lambda p, g, t: wrong_probability(p, g, t.T), "the given label is the column"),
    ("wrong_probability", lambda p, g, t: p, "expected shape"),
    ("forget_report", lambda x, w, r: forget_report(x, w, r, descending=True), "not the smallest"),
    (
        "forget_report",
        lambda x, w, r: forget_report(x, w, r, kept=round((1 - r) * len(x)) + 1),
        "rounded down",
    ),
    ("forget_report", lambda x, w, r: [forget_report(x, w, r)[i] for i in (1, 0, 2)], "order of the results"),
    (
        "forget_report",
        changed(2, lambda report, x, w, r: 1 - report[0] if r > 0.05 else 0),
        "not of those left out",
    ),
    (
        "forget_report",
        changed(2, lambda report, x, w, r: report[2] * float((~w).double().mean())),
        "not of all",
    ),
    ("forget_report", changed(0, lambda report, x, w, r: report[1] * float(w.double().mean())), "not of all"),
    ("forget_report", changed(1, lambda report, x, w, r: report[1] + 0.01), "two counts behind the recall"),
    ("forget_report", lambda x, w, r: 0.5, "three numbers"),
    ("forget_report", lambda x, w, r: (0.1, "high", 0.2), "expected one number"),
    ("prune_by_class", lambda y, p, c: prune_by_class(y, p, c.T), "given labels are rows"),
    ("prune_by_class", lambda y, p, c: prune_by_class(y, p, c + _as_row(c)), "no part of what is removed"),
    ("prune_by_class", lambda y, p, c: prune_by_class(y, p, c, descending=True), "least probable ones first"),
    ("prune_by_class", pruned_everywhere, "class by class"),
    ("prune_by_class", lambda y, p, c: p.argmax(dim=1) != y, "not the most probable class"),
    ("prune_by_class", lambda y, p, c: ~prune_by_class(y, p, c), "as many as row i"),
    ("prune_by_class", lambda y, p, c: prune_by_class(y, p, c).nonzero(), "expected a bool tensor"),
    ("prune_by_class", lambda y, p, c: [True], "got list"),
]


def _as_row(joint):
    """What makes the sum off the diagonal the sum of the whole row: the diagonal once more, beside it."""
    return torch.diag(joint.diagonal()).roll(1, dims=1)


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)

test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_one_group_of_all_classes_is_the_symmetric_noise_of_the_library():
    labels = torch.arange(10_000) % 4
    noisy = noisy_labels(labels, 0.3, 4, seed=3)
    shares = torch.stack([torch.bincount(noisy[labels == i], minlength=4) for i in range(4)]) / 2500
    assert torch.allclose(shares.double(), group_noise([0, 0, 0, 0], 0.3), atol=0.03)


def test_bayes_rule_agrees_with_counting():
    """Draw true classes from p and labels from T: of the examples with label 1, the share that is wrong."""
    generator = torch.Generator().manual_seed(0)
    p = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    matrix = group_noise([0, 0, 0], 0.4)
    classes = torch.multinomial(p.squeeze(0), 200_000, replacement=True, generator=generator)
    labels = torch.multinomial(matrix[classes], 1, generator=generator).squeeze(1)
    counted = (classes[labels == 1] != 1).double().mean()
    assert wrong_probability(p, torch.tensor([1]), matrix).item() == pytest.approx(counted.item(), abs=0.01)


def test_pruning_takes_as_many_as_the_librarys_joint_has_off_its_diagonal():
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(200) % 4
    p = (
        torch.rand(200, 4, generator=generator, dtype=torch.float64)
        + torch.eye(4, dtype=torch.float64)[labels]
    )
    p /= p.sum(dim=1, keepdim=True)
    joint = torch.from_numpy(compute_confident_joint(labels.numpy(), p.numpy(), calibrate=True))
    assert int(prune_by_class(labels, p, joint).sum()) == int(joint.sum() - joint.trace())
