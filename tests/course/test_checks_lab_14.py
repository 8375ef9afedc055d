"""Lab 14's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import math

import torch
import torch.nn.functional as F

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_14 as check

NAMES = [
    "info_nce",
    "similarity_gradient",
    "alignment_uniformity",
    "pulls_inside",
    "effective_negatives",
    "batch_with_company",
]


def info_nce(views, temperature, normalize=True, hide=True, partner=None):
    z = views.reshape(-1, views.shape[2])
    z = F.normalize(z, dim=1) if normalize else z
    s = z @ z.T / temperature
    if hide:
        s = s.masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
    return F.cross_entropy(s, torch.arange(len(z)) ^ 1 if partner is None else partner)


def one_side(views, temperature):
    first, second = F.normalize(views, dim=2).unbind(1)
    return F.cross_entropy(first @ second.T / temperature, torch.arange(len(views)))


def half_of_the_anchors(views, temperature):
    z = F.normalize(views, dim=2).reshape(-1, views.shape[2])
    s = (z @ z.T / temperature).masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
    return F.cross_entropy(s[::2], torch.arange(1, len(z), 2))


def overflowing(views, temperature):
    z = F.normalize(views.reshape(-1, views.shape[2]), dim=1)
    e = torch.exp(z @ z.T / temperature)
    rows = torch.arange(len(z))
    return -(e[rows, rows ^ 1] / (e.sum(1) - e.diagonal())).log().mean()


def stopped(views, temperature):
    """The right number, and half of the gradient."""
    return info_nce(views, temperature) / 2 + info_nce(views.detach(), temperature) / 2


def similarity_gradient(similarity, positive, temperature):
    p = torch.softmax(similarity / temperature, dim=0)
    return (p - positive / positive.sum()) / temperature


def by_autograd(similarity, positive, temperature):
    leaf = similarity.clone().requires_grad_()
    logs = torch.log_softmax(leaf / temperature, dim=0)
    return torch.autograd.grad(-logs[positive].mean(), leaf)[0]


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
    ("info_nce", lambda v, t: info_nce(v, t, normalize=False), "is a cosine"),
    ("info_nce", lambda v, t: info_nce(F.normalize(v, dim=1), t, normalize=False), "dim=2"),
    ("info_nce", lambda v, t: info_nce(v, t, hide=False), "no negative of its own"),
    ("info_nce", lambda v, t: info_nce(v, 1 / t), "divided by it"),
    ("info_nce", lambda v, t: info_nce(v, 1.0), "it is missing"),
    ("info_nce", lambda v, t: info_nce(v, t) * 2 * len(v), "this is the sum"),
    ("info_nce", lambda v, t: info_nce(v, t) * 2, "divides by N"),
    ("info_nce", lambda v, t: -info_nce(v, t), "the sign"),
    ("info_nce", one_side, "of the same side"),
    ("info_nce", lambda v, t: (one_side(v, t) + one_side(v.flip(1), t)) / 2, "of the same side"),
    ("info_nce", half_of_the_anchors, "anchors as well"),
    (
        "info_nce",
        lambda v, t: info_nce(v, t, partner=torch.arange(2 * len(v)).roll(len(v))),
        "image by image",
    ),
    ("info_nce", overflowing, "logsumexp, not exp"),
    ("info_nce", lambda v, t: info_nce(v, t).item(), "a tensor with a gradient"),
    ("info_nce", lambda v, t: info_nce(v.detach(), t), "a tensor with a gradient"),
    ("info_nce", stopped, "gradient of info_nce"),
    ("info_nce", lambda v, t: v, "expected one number, got a tensor"),
    ("similarity_gradient", lambda s, p, t: similarity_gradient(s, p, t) * t, "the factor 1/τ"),
    ("similarity_gradient", by_autograd, "does not require grad"),
    ("similarity_gradient", lambda s, p, t: (torch.softmax(s / t, 0) - 1.0 * p) / t, "taken off each"),
    ("similarity_gradient", lambda s, p, t: similarity_gradient(s, p, t) * p.sum(), "derivative of the sum"),
    ("similarity_gradient", lambda s, p, t: -similarity_gradient(s, p, t), "the sign"),
    (
        "similarity_gradient",
        lambda s, p, t: torch.where(p, -1 / p.sum(), torch.softmax(s / t, 0)) / t,
        "which adds p",
    ),
    ("similarity_gradient", lambda s, p, t: torch.softmax(s / t, 0) / t, "the logarithm takes"),
    ("similarity_gradient", lambda s, p, t: similarity_gradient(s, p, 1.0) / t, "softmax is of similarity/τ"),
    ("similarity_gradient", lambda s, p, t: pulls_inside(s, p, t), "inside of the logarithm"),
    ("similarity_gradient", lambda s, p, t: similarity_gradient(s, p, t)[:-1], "expected shape"),
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
    (
        "alignment_uniformity",
        lambda a, b: (alignment_uniformity(a, b)[0], (-2 * torch.cdist(a, b).square()).exp().mean().log()),
        "first views alone",
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
    ("batch_with_company", lambda k, p: batch_with_company(k, p) + 1, "one image fewer"),
    ("batch_with_company", lambda k, p: 3 * k, "round up"),
    ("batch_with_company", beyond, "one image fewer"),
    ("batch_with_company", rounded_down, "reached exactly"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)

test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)
