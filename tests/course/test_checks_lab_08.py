"""Lab 08's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import numpy as np
import pytest
import torch

from tests.course.exercise_checks import goes_on_without, proofs
from utils.analysis.landscape import filter_normalized_directions, loss_bands
from utils.course.checks import lab_08 as check

NAMES = ["mean_width", "useless_rates", "filter_normalize", "effective_beta", "same_function"]


def cut(losses):
    ends = [next((i for i, v in enumerate(run) if not np.isfinite(v)), len(run)) for run in losses]
    return np.array([run[: min(ends)] for run in losses])


def mean_width(losses):
    return float(np.ptp(cut(losses), axis=0).mean())


def useless_rates(h, steps):
    return [k * 1e-3 / (h * steps) for k in (1, 2, 3, 4)]


def filter_normalize(direction, weight):
    if weight.ndim < 2:
        return torch.zeros_like(weight)
    factors = weight.flatten(1).norm(dim=1) / direction.flatten(1).norm(dim=1)
    return direction * factors.view(-1, *[1] * (weight.ndim - 1))


def effective_beta(gradient, w, lengths):
    g = gradient(w)
    return max((gradient(w - length * g) - g).norm() / (length * g.norm()) for length in lengths)


def same_function(w1, b1, w2, b2, factors):
    return w1 * factors[:, None], b1 * factors, w2 / factors, b2


def shortest(losses):
    """Every run as long as the shortest, nan and all."""
    return np.array([run[: min(map(len, losses))] for run in losses])


def betas(gradient, w, lengths):
    return [effective_beta(gradient, w, [length]) for length in lengths]


def uphill_beta(gradient, w, lengths):
    g = gradient(w)
    return max((gradient(w + length * g) - g).norm() / (length * g.norm()) for length in lengths)


def walked_beta(gradient, w, lengths):
    """Each length begins where the one before ended."""
    found = []
    for length in lengths:
        g = gradient(w)
        moved = w - length * g
        found.append((gradient(moved) - g).norm() / (length * g.norm()))
        w = moved
    return max(found)


def filters_only(change):
    """A wrong rule for filters beside the right one for biases."""
    return lambda d, w: change(d, w) if w.ndim > 1 else torch.zeros_like(w)


def altered(place, change):
    """The right four tensors but one."""

    def function(w1, b1, w2, b2, factors):
        result = list(same_function(w1, b1, w2, b2, factors))
        result[place] = change(w1, b1, w2, b2, factors)
        return result

    return function


WRONG = [
    ("effective_beta", lambda g, w, lengths: effective_beta(g, w, lengths[:1]), "which one"),
    ("effective_beta", lambda g, w, lengths: effective_beta(g, w, [min(lengths)]), "which one"),
    ("effective_beta", lambda g, w, lengths: walked_beta(g, w, lengths), "they do not follow each other"),
    (
        "mean_width",
        lambda losses: float(abs(cut(losses)[0] - cut(losses)[-1]).mean()),
        "highest and the lowest at each step",
    ),
    (
        "mean_width",
        lambda losses: float(np.ptp(cut(losses))),
        "the largest loss of all minus the smallest of all",
    ),
    ("mean_width", lambda losses: float(np.ptp(cut(losses), axis=0).sum()), "sum of the widths"),
    ("mean_width", lambda losses: float(np.ptp(cut(losses), axis=0).max()), "largest width"),
    ("mean_width", lambda losses: float(cut(losses).std(axis=0).mean()), "standard deviation"),
    (
        "mean_width",
        lambda losses: float((shortest(losses).max(0) - shortest(losses).min(0)).mean()),
        "the result is nan",
    ),
    (
        "mean_width",
        lambda losses: np.nanmean(np.nanmax(shortest(losses), 0) - np.nanmin(shortest(losses), 0)),
        "goes on without it",
    ),
    ("mean_width", lambda losses: np.ptp(np.array(losses), axis=0).mean(), "stopped with"),
    ("mean_width", lambda losses: np.ptp(cut(losses), axis=0), "expected one number"),
    ("mean_width", lambda losses: "wide", "got str"),
    ("useless_rates", lambda h, steps: [0.1, 0.2, 0.3], "expected 4 numbers, got 3"),
    ("useless_rates", lambda h, steps: [1e-9] * 4, "four different positive rates"),
    ("useless_rates", lambda h, steps: [-1e-9, 1e-9, 2e-9, 3e-9], "four different positive rates"),
    ("useless_rates", lambda h, steps: [1e-4, 2e-4, 3e-4, 4e-4], "it depends on h"),
    ("useless_rates", lambda h, steps: [k * 1e-3 / h for k in (1, 2, 3, 4)], "number of steps"),
    ("useless_rates", lambda h, steps: [(2 + k) / h for k in (1, 2, 3, 4)], "diverges"),
    ("useless_rates", lambda h, s: [(2 + (0.2 + k * 1e-3) / s) / h for k in (1, 2, 3, 4)], "diverges"),
    ("useless_rates", lambda h, steps: 1e-9, "a list of 4 numbers"),
    ("filter_normalize", lambda d, w: d * w.norm() / d.norm(), "one for the whole parameter"),
    (
        "filter_normalize",
        filters_only(lambda d, w: d / d.flatten(1).norm(dim=1).view(-1, *[1] * (w.ndim - 1))),
        "have length 1 now",
    ),
    ("filter_normalize", filters_only(lambda d, w: d * w.norm(dim=0) / d.norm(dim=0)), "column by column"),
    ("filter_normalize", lambda d, w: filter_normalize(d, w) if w.ndim > 1 else d, "they do not move"),
    ("filter_normalize", lambda d, w: d, "returned as it was"),
    (
        "filter_normalize",
        filters_only(lambda d, w: d * w.flatten(1).norm(dim=1).view(-1, *[1] * (w.ndim - 1))),
        "divide by it",
    ),
    ("filter_normalize", filters_only(lambda d, w: w), "values differ"),
    ("filter_normalize", lambda d, w: 3.0, "got float"),
    ("effective_beta", lambda g, w, lengths: min(betas(g, w, lengths)), "this is the smallest"),
    ("effective_beta", lambda g, w, lengths: sum(betas(g, w, lengths)) / len(lengths), "this is the mean"),
    (
        "effective_beta",
        lambda g, w, lengths: effective_beta(g, w, lengths) * g(w).norm(),
        "divides by η alone",
    ),
    (
        "effective_beta",
        lambda g, w, lengths: max(b * s for b, s in zip(betas(g, w, lengths), lengths, strict=True)),
        "divides by ‖g‖ alone",
    ),
    ("effective_beta", uphill_beta, "against the gradient"),
    ("effective_beta", lambda g, w, lengths: torch.ones(2), "expected one number"),
    ("same_function", altered(0, lambda w1, b1, w2, b2, f: w1), "it is returned as it was"),
    (
        "same_function",
        altered(0, lambda w1, b1, w2, b2, f: w1 / f[:, None]),
        "times the factors, not divided",
    ),
    ("same_function", altered(1, lambda w1, b1, w2, b2, f: b1), "a unit's bias is multiplied too"),
    ("same_function", altered(2, lambda w1, b1, w2, b2, f: w2), "the last must take away"),
    ("same_function", altered(2, lambda w1, b1, w2, b2, f: w2 * f), "divided by the factors, not times"),
    ("same_function", altered(3, lambda w1, b1, w2, b2, f: b2 + 1), "b2 is added after"),
    ("same_function", lambda *tensors: tensors[0], "expected four tensors"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)


test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_rates_that_jump_across_the_valley_are_a_second_answer(capsys):
    check.useless_rates(lambda h, steps: [(2 - k * 1e-3 / steps) / h for k in (1, 2, 3, 4)])
    assert capsys.readouterr().out.startswith("✓")


def test_the_expected_width_is_that_of_the_library():
    losses = [[3.0, 2.0, 1.5, 1.0], [2.5, 2.4, float("nan"), 1.0], [4.0, 1.0, 1.0, 1.0]]
    assert mean_width(losses) == loss_bands(losses, uneven="cut").mean_width == pytest.approx((1.5 + 1.4) / 2)


def test_the_expected_direction_is_that_of_the_library():
    torch.manual_seed(0)
    model = torch.nn.Conv2d(2, 3, 3)
    (raw,), (normalized,) = (
        filter_normalized_directions(model, 1, normalize=how) for how in (None, "filter")
    )
    for name, weight in model.named_parameters():
        assert torch.allclose(filter_normalize(raw[name], weight.detach()), normalized[name], atol=1e-6)
