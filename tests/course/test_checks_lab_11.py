"""Lab 11's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

from functools import wraps

import pytest
import torch
from scipy.stats import rankdata, spearmanr

from tests.course.exercise_checks import goes_on_without, proofs
from utils.analysis import attribution
from utils.course.checks import lab_11 as check

NAMES = [
    "send_back",
    "weighted_maps",
    "spearman",
    "gray_share",
    "class_activation_map",
    "integrated_gradients",
]


def writes(solution, place):
    """The solution, which afterwards doubles one of the tensors that it was given."""

    @wraps(solution)
    def function(*arguments):
        result = solution(*arguments)
        arguments[place].mul_(2)
        return result

    return function


def gray_share(weight):
    return weight.shape[1] * weight.mean(dim=1).square().sum(dim=(1, 2)) / weight.square().sum(dim=(1, 2, 3))


def through(came_in, arrives, rule):
    if rule != "deconvnet":
        arrives = arrives * (came_in > 0)
    return arrives if rule == "gradient" else arrives * (arrives > 0)


def send_back(x, w1, w2, g, rule):
    first = w1 @ x
    return w1.T @ through(first, w2.T @ through(w2 @ torch.relu(first), g, rule), rule)


def alpha(slopes):
    return slopes.mean(dim=(2, 3), keepdim=True)


def weighted_maps(maps, slopes):
    return (alpha(slopes) * maps).sum(dim=1).clamp(min=0)


def weighted(maps, weight, target):
    return (weight[target][:, :, None, None] * maps).sum(dim=1)


def class_activation_map(maps, weight, target):
    return torch.relu(weighted(maps, weight, target)) / maps[0, 0].numel()


def along(gradient, x, baseline, places):
    return (x - baseline) * sum(gradient(baseline + p * (x - baseline)) for p in places) / len(places)


def integrated_gradients(gradient, x, baseline, steps):
    return along(gradient, x, baseline, [(j + 0.5) / steps for j in range(steps)])


def ranks(values):
    return torch.from_numpy(rankdata(values.flatten().numpy()))


def by_argsort(values, stable=False):
    return values.flatten().argsort(stable=stable).argsort().double()


def smaller(values):
    return (values.flatten()[:, None] > values.flatten()).double().sum(dim=1)


def equal(values):
    return (values.flatten()[:, None] == values.flatten()).double().sum(dim=1)


def pearson(a, b):
    return torch.corrcoef(torch.stack([a.flatten().double(), b.flatten().double()]))[0, 1].item()


def spearman(a, b):
    return pearson(ranks(a), ranks(b))


ig = integrated_gradients
WRONG = [
    ("gray_share", lambda w: gray_share(w) / w.shape[1], "the factor C"),
    ("gray_share", lambda w: gray_share(w) * w.shape[1] ** 2, "this is their sum"),
    ("gray_share", lambda w: 1 - gray_share(w), "not gray"),
    ("gray_share", lambda w: gray_share(w).sqrt(), "not of its root"),
    ("gray_share", lambda w: w.square().mean(1).sum((1, 2)) / w.square().sum((1, 2, 3)), "first the mean"),
    (
        "gray_share",
        lambda w: w.mean((2, 3)).square().sum(1) * w[0, 0].numel() / w.square().sum((1, 2, 3)),
        "not over the places",
    ),
    (
        "gray_share",
        lambda w: w.shape[1] * w.mean(1).square().sum() / w.square().sum(),
        "one number for each filter",
    ),
    (
        "gray_share",
        lambda w: w.shape[1] * w.mean(1).square().sum((1, 2)) / w.square().sum(),
        "below the fraction",
    ),
    ("gray_share", lambda w: 0.5, "got float"),
    ("send_back", lambda x, a, b, g, r: send_back(x, a, b, g, "gradient"), "what 'gradient' sends back"),
    ("send_back", lambda x, a, b, g, r: send_back(x, a, b, g, "guided"), "what 'guided' sends back"),
    ("send_back", lambda x, a, b, g, r: a.T @ b.T @ g, "let everything through"),
    ("send_back", lambda x, a, b, g, r: a.T @ b.T @ through(b @ torch.relu(a @ x), g, r), "ReLU after w1"),
    ("send_back", lambda x, a, b, g, r: a.T @ through(a @ x, b.T @ g, r), "ReLU at the end"),
    (
        "send_back",
        lambda x, a, b, g, r: a.T @ through(a @ x, b.T @ through(b @ a @ x, g, r), r),
        "w2 gets relu",
    ),
    ("send_back", lambda x, a, b, g, r: a @ g, "RuntimeError"),
    (
        "send_back",
        lambda x, a, b, g, r: (
            send_back(x, a, b, g, r) if r == "gradient" else send_back(x, a, b, g, r).clamp(min=0)
        ),
        "the result may have them",
    ),
    (
        "class_activation_map",
        lambda m, w, t: weighted(m, w, t) / m[0, 0].numel(),
        "maximum with 0 at the end",
    ),
    ("class_activation_map", lambda m, w, t: torch.relu(weighted(m, w, t)), "not the sum"),
    (
        "class_activation_map",
        lambda m, w, t: class_activation_map(m, w, t) / m[0, 0].numel(),
        "it is there once",
    ),
    ("class_activation_map", lambda m, w, t: torch.relu(weighted(m, w, t)) / m.shape[2], "not h or w alone"),
    (
        "class_activation_map",
        lambda m, w, t: class_activation_map(m, w.clamp(min=0), t),
        "not of each weight",
    ),
    ("class_activation_map", lambda m, w, t: class_activation_map(m, w, t) / m.shape[1], "not the mean"),
    ("class_activation_map", lambda m, w, t: class_activation_map(m, w, t)[:, None], "expected shape"),
    (
        "class_activation_map",
        lambda m, w, t: class_activation_map(m, w, t.new_zeros(len(t))),
        "its own class",
    ),
    ("integrated_gradients", lambda s, x, b, n: ig(s, x, b, n) * n, "number of steps"),
    ("integrated_gradients", lambda s, x, b, n: ig(s, x, b, n) / (x - b), "it is missing"),
    ("integrated_gradients", lambda s, x, b, n: ig(s, x, b, n) / (x - b) * x, "not x."),
    ("integrated_gradients", lambda s, x, b, n: -ig(s, x, b, n), "not baseline − x"),
    (
        "integrated_gradients",
        lambda s, x, b, n: along(s, x, b, [(j + 1) / n for j in range(n)]),
        "right ends",
    ),
    ("integrated_gradients", lambda s, x, b, n: along(s, x, b, [j / n for j in range(n)]), "left ends"),
    (
        "integrated_gradients",
        lambda s, x, b, n: along(s, x, b, [(j - 0.5) / n for j in range(n)]),
        "counts from 0",
    ),
    ("integrated_gradients", lambda s, x, b, n: (x - b) * s(x), "not only at x"),
    ("weighted_maps", lambda m, s: (alpha(s) * m).sum(1), "maximum with 0 at the end"),
    ("weighted_maps", lambda m, s: weighted_maps(m, s) * m[0, 0].numel(), "not their sum"),
    ("weighted_maps", lambda m, s: (alpha(s).clamp(min=0) * m).sum(1), "not of each weight"),
    ("weighted_maps", lambda m, s: (s * m).sum(1).clamp(min=0), "slopes at each position"),
    ("weighted_maps", lambda m, s: weighted_maps(m, s) / m.shape[1], "not the mean"),
    ("weighted_maps", lambda m, s: weighted_maps(m, s)[:, None], "expected shape"),
    ("weighted_maps", lambda m, s: weighted_maps(m, s.mean(dim=0, keepdim=True)), "not over the batch"),
    ("weighted_maps", lambda m, s: weighted_maps(s, m), "the maps are weighted"),
    ("send_back", writes(send_back, 3), "g = g … in place of g -="),
    ("weighted_maps", writes(weighted_maps, 0), "expected maps as it was given"),
    ("integrated_gradients", writes(integrated_gradients, 1), "expected x as it was given"),
    ("spearman", writes(spearman, 1), "expected b as it was given"),
    ("spearman", pearson, "values themselves"),
    ("spearman", lambda a, b: pearson(by_argsort(a), by_argsort(b)), "breaks ties by position"),
    ("spearman", lambda a, b: pearson(smaller(a), smaller(b)), "half the number of the others"),
    (
        "spearman",
        lambda a, b: pearson(smaller(a) + equal(a), smaller(b) + equal(b)),
        "not all of it",
    ),
    ("spearman", lambda a, b: pearson(a.flatten().argsort(), b.flatten().argsort()), "argsort of that"),
    ("spearman", lambda a, b: pearson(ranks(a), b), "only a has been"),
    ("spearman", lambda a, b: -spearman(a, b), "same direction"),
    (
        "spearman",
        lambda a, b: (ranks(a) * ranks(b)).sum() / (ranks(a).norm() * ranks(b).norm()),
        "subtract the mean rank",
    ),
    ("spearman", lambda a, b: ranks(a), "expected one number, got a tensor of shape (6,)"),
    ("spearman", lambda a, b: "much", "expected one number, got str 'much'"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)

test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_the_expected_signals_are_those_of_the_library():
    """The check's own rules against the library's, on a network of images with one pixel."""
    generator = torch.Generator().manual_seed(3)
    x, g = torch.randn(3, generator=generator), torch.randn(4, generator=generator)
    w1, w2 = torch.randn(5, 3, generator=generator), torch.randn(4, 5, generator=generator)
    layers = [
        torch.nn.Conv2d(3, 5, 1, bias=False),
        torch.nn.Conv2d(5, 4, 1, bias=False),
        torch.nn.Conv2d(4, 1, 1, bias=False),
    ]
    for layer, weight in zip(layers, (w1, w2, g[None]), strict=True):
        layer.weight.data = weight[:, :, None, None]
    network = torch.nn.Sequential(
        layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2], torch.nn.Flatten()
    )
    methods = {
        "gradient": attribution.gradient,
        "deconvnet": attribution.deconvnet,
        "guided": attribution.guided_backprop,
    }
    for rule, method in methods.items():
        want = method(network, x.view(1, 3, 1, 1), 0).flatten()
        assert torch.allclose(check._sent_back(x, w1, w2, g, rule), want, atol=1e-6)


def test_the_expected_rank_correlation_is_that_of_scipy():
    for a, b in ((torch.rand(40), torch.rand(40)), (torch.randn(40).clamp(min=0), torch.rand(40).round())):
        want = pytest.approx(spearmanr(a, b).statistic)
        assert check._pearson(check._ranks(a), check._ranks(b)).item() == want
        assert check._by_sorting(a, b) == want


def test_a_number_of_any_kind_is_taken():
    check.spearman(lambda a, b: torch.tensor(spearman(a, b)))
