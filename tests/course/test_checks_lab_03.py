"""Lab 03's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_03 as check
from utils.models import build_model

NAMES = [
    "chain_parameters",
    "one_by_one",
    "inception_parameters",
    "alexnet_sides",
    "averaged_prediction",
    "polyak_average",
]


def alexnet_sides(side, padding):
    first = math.floor((side + 2 * padding - 11) / 4 + 1)
    second = math.floor((first - 3) / 2 + 1)
    third = math.floor((second - 3) / 2 + 1)
    return [first, second, third, math.floor((third - 3) / 2 + 1)]


def chain_parameters(layers):
    with torch.device("meta"):
        chain = [nn.Conv2d(*layer) for layer in layers]
    return sum(p.numel() for layer in chain for p in layer.parameters())


def one_by_one(x, weight, bias):
    y = torch.zeros(len(x), len(weight), *x.shape[2:])
    for d, row in enumerate(weight):
        y[:, d] = bias[d] + sum(w * x[:, c] for c, w in enumerate(row))
    return y


def inception_parameters(maps, row):
    a, b, c, d, e, f = row
    weights = maps * (a + b + d + f) + 9 * b * c + 25 * d * e
    return weights + sum(row)


def averaged_prediction(scores):
    return sum(network.softmax(dim=1) for network in scores) / len(scores)


def polyak_average(iterates, first):
    mean, count = 0, 0
    for number, weights in enumerate(iterates):
        if number >= first:
            mean, count = (mean * count + weights) / (count + 1), count + 1
    return mean


def update_in_place(iterates, first):
    mean, count = None, 0
    for number, weights in enumerate(iterates):
        if number >= first:
            count += 1
            mean = weights if mean is None else mean.add_((weights - mean) / count)
    return mean


def with_sides(first):
    """A wrong answer whose conv1 has ``first(side, padding)`` places, poolings right."""
    return lambda side, padding: check._pooled(first(side, padding))


WRONG = [
    ("alexnet_sides", lambda s, p: alexnet_sides(s, 0), "padding of conv1"),
    ("alexnet_sides", lambda s, p: alexnet_sides(s + p, 0), "both ends"),
    ("alexnet_sides", with_sides(lambda s, p: (s + 2 * p - 11) // 4), "the first window"),
    ("alexnet_sides", with_sides(lambda s, p: -(-(s + 2 * p - 11) // 4) + 1), "cut off"),
    ("alexnet_sides", lambda s, p: check._pooled((s + 2 * p - 11) // 4 + 1, kernel=2), "not 2×2"),
    ("alexnet_sides", with_sides(lambda s, p: (s + 2 * p - 11) / 4 + 1), "Two slashes"),
    ("alexnet_sides", lambda s, p: [float(n) for n in alexnet_sides(s, p)], "expected ints, got float"),
    ("alexnet_sides", lambda s, p: alexnet_sides(s, p)[-1], "a list of four"),
    ("alexnet_sides", lambda s, p: [alexnet_sides(s, p)[k] for k in (0, 2, 3)], "are four"),
    ("alexnet_sides", lambda s, p: None, "returned None"),
    ("chain_parameters", lambda ls: sum(i * o * k * k for i, o, k in ls), "one for each output channel"),
    ("chain_parameters", lambda ls: sum((k * k + 1) * i * o for i, o, k in ls), "not for a kernel"),
    ("chain_parameters", lambda ls: sum(k * k * i * o + i for i, o, k in ls), "not input channel"),
    ("chain_parameters", lambda ls: sum(i * o * k + o for i, o, k in ls), "kernel · kernel"),
    ("chain_parameters", lambda ls: sum((k * k + 1) * o for i, o, k in ls), "one kernel for each"),
    ("chain_parameters", lambda ls: sum(i * k + 1 for i, o, k in ls), "its own kernels"),
    ("chain_parameters", lambda ls: chain_parameters(ls[:1]), "first layer alone"),
    ("chain_parameters", lambda ls: 1_300_000, "added up over the layers"),
    ("chain_parameters", lambda ls: "many", "got str 'many'"),
    ("one_by_one", lambda x, w, b: F.conv2d(x, w[:, :, None, None], b), "calls F.conv2d"),
    ("one_by_one", lambda x, w, b: torch.einsum("dc,bchw->bdhw", w, x), "added to each output channel"),
    ("one_by_one", lambda x, w, b: F.linear(x.movedim(1, 3), w, b), "channels come second"),
    ("one_by_one", lambda x, w, b: 2 * one_by_one(x, w, b), "the sum over c"),
    (
        "one_by_one",
        lambda x, w, b: one_by_one(x, w if len(w) != len(w.T) else w.T, b),
        "rows belong to output channels",
    ),
    (
        "one_by_one",
        lambda x, w, b: one_by_one(x, w, 0 * b) + (b if len(b) == x.shape[-1] else b[:, None, None]),
        "not for each column",
    ),
    ("inception_parameters", lambda m, r: inception_parameters(m, r) - sum(r), "all six convolutions"),
    (
        "inception_parameters",
        lambda m, r: inception_parameters(m, r) - r[1] - r[3],
        "biases of the two reductions",
    ),
    ("inception_parameters", lambda m, r: inception_parameters(m, r) - 16 * r[3] * r[4], "5×5 in the paper"),
    (
        "inception_parameters",
        lambda m, r: inception_parameters(m, r) - (m + 1) * r[5],
        "branch with the pooling",
    ),
    (
        "inception_parameters",
        lambda m, r: inception_parameters(m, r) - (m + 1) * (r[1] + r[3]),
        "two 1×1 reductions",
    ),
    (
        "inception_parameters",
        lambda m, r: m * (r[0] + 9 * r[2] + 25 * r[4] + r[5]) + r[0] + r[2] + r[4] + r[5],
        "read what a 1×1",
    ),
    ("inception_parameters", lambda m, r: 159 * 1024, "four read the module's input"),
    ("averaged_prediction", lambda s: s.mean(0).softmax(-1), "probabilities are averaged, not scores"),
    ("averaged_prediction", lambda s: s.mean(0), "averaged scores"),
    ("averaged_prediction", lambda s: s.softmax(-1).sum(0), "add up to 1"),
    ("averaged_prediction", lambda s: s.log_softmax(-1).mean(0).exp(), "not their logs"),
    ("averaged_prediction", lambda s: s.softmax(1).mean(0), "last dimension"),
    ("averaged_prediction", lambda s: s.softmax(0).mean(0), "last dimension"),
    ("averaged_prediction", lambda s: s.softmax(-1).mean(1), "networks are the first"),
    ("averaged_prediction", lambda s: (s.exp() / s.exp().sum(-1, keepdim=True)).mean(0), "overflow"),
    ("averaged_prediction", lambda s: s.softmax(-1).mean(0).argmax(-1), "expected shape (5, 4)"),
    ("polyak_average", lambda ws, k: torch.stack(list(ws)).mean(0), "before number first"),
    ("polyak_average", lambda ws, k: torch.stack(list(ws)[: k + 1]).mean(0), "from number first on count"),
    ("polyak_average", lambda ws, k: sum(list(ws)[k:]), "this is the sum"),
    ("polyak_average", lambda ws, k: list(ws)[-1], "the last tensor"),
    ("polyak_average", lambda ws, k: polyak_average(list(ws), k + 1 if k == 2 else k), "number first itself"),
    ("polyak_average", lambda ws, k: torch.stack(ws[k:]).mean(0), "TypeError"),
    ("polyak_average", lambda ws, k: torch.stack(list(ws)[k:]).mean(0), "changed in place"),
    ("polyak_average", update_in_place, "expected the tensors it was given unchanged"),
    ("polyak_average", lambda ws, k: 0.5 * polyak_average(ws, k), "this one included"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)


test_a_page_goes_on_without_an_answer = goes_on_without(check, {name: globals()[name] for name in NAMES})


def test_the_messages_name_the_published_figures_that_do_not_hold(capsys):
    check.alexnet_sides(alexnet_sides)
    assert "224 with padding 0 ends at 5, which does not fit" in capsys.readouterr().out
    check.chain_parameters(chain_parameters)
    assert "Model C 954,730: not 1.3 million" in capsys.readouterr().out
    check.inception_parameters(inception_parameters)
    told = capsys.readouterr().out
    assert "6,998,552 in all" in told and "6,797.7 K" in told and "rows 4c, 4d, 5a, 5b" in told


@pytest.mark.parametrize("name", check.PRINTED_VGG)
def test_the_chains_are_the_networks_of_the_library(name):
    with torch.device("meta"):
        total = sum(p.numel() for p in build_model(f"vgg-{name.lower()}").parameters())
    assert chain_parameters(check.vgg_layers(name)) == total
    assert round(total / 1e6) == check.PRINTED_VGG[name]


def test_what_is_not_a_module_is_the_librarys_stem_and_last_layer():
    with torch.device("meta"):
        googlenet = build_model("googlenet", auxiliary=False)
    outside = [p.numel() for name, p in googlenet.named_parameters() if not name.startswith("inception")]
    assert sum(outside) == check.REST
    model_c = build_model("model-c")
    assert sum(p.numel() for p in model_c.parameters()) == chain_parameters(check.MODEL_C)


def test_no_single_mistake_explains_the_printed_rows():
    """5a is printed with too many parameters, 5b with too few."""
    exact = dict(zip(check.MODULES, (inception_parameters(*case) for case in check._modules()), strict=True))
    too_many = {name: printed * check.K / exact[name] - 1 for name, printed in check.PRINTED_MODULES.items()}
    assert too_many["5a"] > 0.05 and too_many["5b"] < -0.01
