"""Lab 14's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import math

import torch
import torch.nn.functional as F

from tests.course.exercise_checks import proofs
from utils.course.checks import lab_14 as check

NAMES = ["nt_xent", "pulls_inside", "alignment_uniformity", "effective_negatives", "batch_with_company"]


def nt_xent(first, second, temperature, normalize=True, hide=True):
    z = torch.cat([first, second])
    z = F.normalize(z, dim=1) if normalize else z
    s = z @ z.T / temperature
    if hide:
        s = s.masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
    return F.cross_entropy(s, torch.arange(len(z)).roll(len(first)))


def one_side(first, second, temperature):
    s = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / temperature
    return F.cross_entropy(s, torch.arange(len(s)))


def overflowing(first, second, temperature):
    z = F.normalize(torch.cat([first, second]), dim=1)
    e = torch.exp(z @ z.T / temperature)
    share = e.roll(len(first), 1).diagonal() / (e.sum(1) - e.diagonal())
    return -share.log().mean()


def pulls_inside(similarity, positive, temperature):
    p = torch.softmax(similarity / temperature, dim=0)
    return (p - positive * p / p[positive].sum()) / temperature


def alignment_uniformity(first, second):
    squares = torch.pdist(first).square()
    return (first - second).square().sum(1).mean(), (-2 * squares).exp().mean().log().item()


def uniformity(function):
    """The right alignment, and as uniformity a function of the squared distances [pairs]."""
    return lambda a, b: (alignment_uniformity(a, b)[0], function(torch.pdist(a).square()))


def effective_negatives(similarity, temperature):
    shares = torch.softmax(similarity / temperature, dim=0)
    return torch.special.entr(shares).sum().exp()


def batch_with_company(classes, probability):
    if classes == 1:
        return 2
    return 1 + math.ceil(math.log(1 - probability) / math.log(1 - 1 / classes))


def beyond(classes, probability):
    """Asks for more than the probability, where the task says at least."""
    N = 2
    while 1 - (1 - 1 / classes) ** (N - 1) <= probability:
        N += 1
    return N


def rounded_down(classes, probability):
    """Right wherever the probability is not reached exactly."""
    if classes == 1:
        return 2
    return int(math.log(1 - probability) / math.log(1 - 1 / classes)) + 2


WRONG = [
    ("nt_xent", lambda a, b, t: nt_xent(a, b, t, normalize=False), "is a cosine"),
    ("nt_xent", lambda a, b, t: nt_xent(a, b, t, hide=False), "no negative of its own"),
    ("nt_xent", lambda a, b, t: nt_xent(a, b, 1 / t), "divided by it"),
    ("nt_xent", lambda a, b, t: nt_xent(a, b, 1.0), "it is missing"),
    ("nt_xent", lambda a, b, t: nt_xent(a, b, t) * 2 * len(a), "this is the sum"),
    ("nt_xent", lambda a, b, t: nt_xent(a, b, t) * 2, "divides by N"),
    ("nt_xent", lambda a, b, t: -nt_xent(a, b, t), "the sign"),
    ("nt_xent", one_side, "of the same side"),
    ("nt_xent", lambda a, b, t: (one_side(a, b, t) + one_side(b, a, t)) / 2, "of the same side"),
    ("nt_xent", overflowing, "logsumexp, not exp"),
    ("nt_xent", lambda a, b, t: a, "expected one number, got a tensor"),
    ("pulls_inside", lambda s, p, t: pulls_inside(s, p, t) * t, "the factor 1/τ"),
    ("pulls_inside", lambda s, p, t: (torch.softmax(s / t, 0) - p / p.sum()) / t, "derivative of L_out"),
    ("pulls_inside", lambda s, p, t: -pulls_inside(s, p, t), "the sign"),
    ("pulls_inside", lambda s, p, t: torch.softmax(s / t, 0) / t, "the logarithm pulls"),
    ("pulls_inside", lambda s, p, t: pulls_inside(s / 1.0, p, 1.0) / t, "softmax is of similarity/τ"),
    ("pulls_inside", lambda s, p, t: pulls_inside(s, p, t)[:-1], "expected shape"),
    ("alignment_uniformity", lambda a, b: alignment_uniformity(a, b)[0], "expected two numbers"),
    ("alignment_uniformity", lambda a, b: ((a - b).norm(dim=1).mean(), 0), "not the distance"),
    ("alignment_uniformity", lambda a, b: ((a - b).square().sum(), 0), "this is the sum"),
    ("alignment_uniformity", lambda a, b: ((a - b).square().mean(), 0), "this is their mean"),
    ("alignment_uniformity", lambda a, b: ((a * b).sum(1).mean(), 0), "cosine similarity"),
    ("alignment_uniformity", uniformity(lambda d: (-2 * d).mean()), "not the mean of the logs"),
    ("alignment_uniformity", uniformity(lambda d: (-d).exp().mean().log()), "the factor 2"),
    ("alignment_uniformity", uniformity(lambda d: (-2 * d).exp().mean()), "the logarithm"),
    (
        "alignment_uniformity",
        lambda a, b: (alignment_uniformity(a, b)[0], (-2 * torch.cdist(a, a).square()).exp().mean().log()),
        "no pair",
    ),
    ("effective_negatives", lambda s, t: effective_negatives(s, t).log(), "it is missing"),
    ("effective_negatives", lambda s, t: 1 / effective_negatives(s, t), "the sign"),
    ("effective_negatives", lambda s, t: effective_negatives(s, 1 / t), "divided by it"),
    ("effective_negatives", lambda s, t: 1 / torch.softmax(s / t, 0).square().sum(), "another count"),
    (
        "effective_negatives",
        lambda s, t: (lambda w: (-(w * w.log()).sum()).exp())(torch.softmax(s / t, 0)),
        "0 · ln 0",
    ),
    ("batch_with_company", lambda k, p: batch_with_company(k, p) - 1, "the anchor itself"),
    ("batch_with_company", lambda k, p: batch_with_company(k, p) + 1, "one picture fewer"),
    ("batch_with_company", lambda k, p: 3 * k, "round up"),
    ("batch_with_company", beyond, "one picture fewer"),
    ("batch_with_company", rounded_down, "reached exactly"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)


IDS = [f"{name}: {message}" for name, _, message in WRONG]
