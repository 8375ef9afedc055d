"""Lab 07's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_07 as check

NAMES = [
    "batch_norm",
    "batch_norm_backward",
    "running_statistics",
    "group_norm",
    "fold",
    "rms_norm_backward",
    "signal_sizes",
]


def batch_norm(x, gamma, beta, eps, correction=0, over=(0, 2, 3), outside=False):
    variance = x.var(dim=over, keepdim=True, correction=correction)
    deviation = variance.sqrt() + eps if outside else torch.sqrt(variance + eps)
    normalized = (x - x.mean(dim=over, keepdim=True)) / deviation
    return gamma[:, None, None] * normalized + beta[:, None, None]


def batch_norm_backward(g, x, gamma, eps, mean=1.0, along=1.0, correction=0):
    over = {"dim": (0, 2, 3), "keepdim": True}
    deviation = torch.sqrt(x.var(**over, correction=correction) + eps)
    hat = (x - x.mean(**over)) / deviation
    inner = g - mean * g.mean(**over) - along * hat * (g * hat).mean(**over)
    return gamma[:, None, None] / deviation * inner, (g * hat).sum(dim=(0, 2, 3)), g.sum(dim=(0, 2, 3))


def without(part):
    """``batch_norm_backward`` whose result of one number is changed by a function of (g, x, result)."""
    place, change = part

    def slip(g, x, gamma, eps):
        parts = list(batch_norm_backward(g, x, gamma, eps))
        parts[place] = change(g, x, parts[place])
        return tuple(parts)

    return slip


def group_norm(x, groups, eps, correction=0, over=2):
    rows = x.reshape(x.shape[0], groups, -1)
    mean, variance = (
        rows.mean(dim=over, keepdim=True),
        rows.var(dim=over, keepdim=True, correction=correction),
    )
    return ((rows - mean) / torch.sqrt(variance + eps)).reshape(x.shape)


def fold(weight, bias, gamma, beta, mean, variance, eps):
    scale = gamma / torch.sqrt(variance + eps)
    return weight * scale[:, None, None, None], beta + scale * (bias - mean)


def running_statistics(batches, momentum, start=(0.0, 1.0), correction=1):
    mean, variance = (torch.full_like(batches[0][0], value) for value in start)
    for batch in batches:
        mean = (1 - momentum) * mean + momentum * batch.mean(dim=0)
        variance = (1 - momentum) * variance + momentum * batch.var(dim=0, correction=correction)
    return mean, variance


def corrected_twice(batches, momentum):
    mean, variance = torch.zeros_like(batches[0][0]), torch.ones_like(batches[0][0])
    for batch in batches:
        mean = (1 - momentum) * mean + momentum * batch.mean(dim=0)
        variance = (1 - momentum) * variance + momentum * batch.var(dim=0) * len(batch) / (len(batch) - 1)
    return mean, variance


def rms_norm_backward(g, x, eps):
    r = torch.sqrt((x**2).mean() + eps)
    return (g - x / r * (g * x / r).mean()) / r


def signal_sizes(fan_ins, deviation):
    sizes, square = [], 1.0
    for n in fan_ins:
        sizes.append(deviation * math.sqrt(n * square))
        square = sizes[-1] ** 2 / 2
    return sizes


def channelwise(x, groups, eps):
    variance = x.var(dim=(0, 2, 3), keepdim=True, correction=0)
    return (x - x.mean(dim=(0, 2, 3), keepdim=True)) / torch.sqrt(variance + eps)


def folded(change):
    """``fold`` with one of its arguments changed."""

    def slip(weight, bias, gamma, beta, mean, variance, eps):
        arguments = {
            "weight": weight,
            "bias": bias,
            "gamma": gamma,
            "beta": beta,
            "mean": mean,
            "variance": variance,
            "eps": eps,
        }
        return fold(**{**arguments, **change(arguments)})

    return slip


def r_of(x, eps):
    return torch.sqrt((x**2).mean() + eps)


def values_of_a_channel(x):
    return x.numel() / x.shape[1]


WRONG = [
    ("batch_norm", lambda x, g, b, e: batch_norm(x, g, b, e, correction=1), "not by N − 1"),
    ("batch_norm", lambda x, g, b, e: batch_norm(x, g, b, e, outside=True), "under the root"),
    ("batch_norm", lambda x, g, b, e: batch_norm(x, g, b, 0.0), "missing under the root"),
    ("batch_norm", lambda x, g, b, e: batch_norm(x, g, b, check.EPS), "the argument eps, not EPS"),
    ("batch_norm", lambda x, g, b, e: batch_norm(x, g, b, e, over=(2, 3)), "not for each image"),
    ("batch_norm", lambda x, g, b, e: batch_norm(x, g, b, e, over=(0,)), "over all positions"),
    ("batch_norm", lambda x, g, b, e: batch_norm(x, g, b, e, over=(0, 1, 2, 3)), "of its own"),
    ("batch_norm", lambda x, g, b, e: batch_norm(x, g, torch.zeros_like(b), e), "beta: it is added"),
    ("batch_norm", lambda x, g, b, e: batch_norm(x, torch.ones_like(g), b, e), "gamma: it multiplies"),
    ("batch_norm", lambda x, g, b, e: batch_norm(x, g, g * b, e), "scale first, then shift"),
    ("batch_norm", lambda x, g, b, e: batch_norm(x, g, b, e).flatten(1), "expected shape"),
    ("batch_norm_backward", lambda *a: batch_norm_backward(*a, mean=0, along=0), "depend on each x_i"),
    ("batch_norm_backward", lambda g, x, c, e: batch_norm_backward(g, x, c, check.EPS), "eps, not EPS"),
    ("batch_norm_backward", lambda g, x, c, e: batch_norm_backward(g, x, c, 0.0), "missing in s"),
    ("batch_norm_backward", lambda *a: batch_norm_backward(*a, correction=1), "not by N − 1"),
    (
        "batch_norm_backward",
        lambda *a: batch_norm_backward(*a, along=0),
        "through the variance: it is missing",
    ),
    ("batch_norm_backward", lambda *a: batch_norm_backward(*a, mean=0), "through the mean: it is missing"),
    ("batch_norm_backward", lambda *a: batch_norm_backward(*a, mean=-1, along=-1), "are subtracted"),
    (
        "batch_norm_backward",
        lambda g, x, c, e: batch_norm_backward(g, x, c, e, *2 * [values_of_a_channel(x)]),
        "not sums",
    ),
    (
        "batch_norm_backward",
        lambda g, x, c, e: batch_norm_backward(g, x, torch.ones_like(c), e),
        "γ is missing",
    ),
    (
        "batch_norm_backward",
        without((1, lambda g, x, to_gamma: to_gamma / values_of_a_channel(x))),
        "not their mean",
    ),
    ("batch_norm_backward", without((1, lambda g, x, _: (g * x).sum(dim=(0, 2, 3)))), "not x"),
    ("batch_norm_backward", without((1, lambda g, x, _: g.sum(dim=(0, 2, 3)))), "order of the return values"),
    (
        "batch_norm_backward",
        lambda *a: batch_norm_backward(*a)[0],
        "three gradients (to_x, to_gamma, to_beta)",
    ),
    ("group_norm", lambda x, n, e: group_norm(x, n, e, correction=1), "not by one less"),
    ("group_norm", lambda x, n, e: group_norm(x, n, e, over=(0, 2)), "of one image"),
    ("group_norm", lambda x, n, e: group_norm(x, n, 0.0), "missing under the root"),
    ("group_norm", channelwise, "this is batch normalization"),
    ("group_norm", lambda x, n, e: group_norm(x, 1, e), "over all channels"),
    ("group_norm", lambda x, n, e: group_norm(x, x.shape[1], e), "each channel by itself"),
    ("group_norm", lambda x, n, e: group_norm(x, n, e).flatten(1), "expected shape"),
    ("group_norm", lambda x, n, e: None, "returned None"),
    ("fold", lambda *a: fold(*a)[0], "two values (weight, bias)"),
    ("fold", lambda w, *a: (w, fold(w, *a)[1]), "channel by channel"),
    ("fold", folded(lambda a: {"gamma": torch.ones_like(a["gamma"])}), "gamma: it multiplies"),
    (
        "fold",
        folded(lambda a: {"variance": (a["variance"] + a["eps"]) ** 2, "eps": 0.0}),
        "not by the variance",
    ),
    ("fold", folded(lambda a: {"eps": 0.0}), "eps: it is missing"),
    ("fold", folded(lambda a: {"bias": torch.zeros_like(a["bias"])}), "is normalized like all"),
    ("fold", folded(lambda a: {"mean": torch.zeros_like(a["mean"])}), "subtract it"),
    ("fold", folded(lambda a: {"mean": -a["mean"]}), "before the scaling"),
    ("fold", folded(lambda a: {"beta": torch.zeros_like(a["beta"])}), "beta: it is missing"),
    ("running_statistics", lambda b, m: running_statistics(b, 1 - m), "not of the old value"),
    ("running_statistics", lambda b, m: running_statistics(b, m, correction=0), "divide by B"),
    ("running_statistics", corrected_twice, "the factor B / (B − 1) is in it"),
    ("running_statistics", lambda b, m: running_statistics(b, m, start=(0.0, 0.0)), "running variance 1"),
    (
        "running_statistics",
        lambda b, m: (torch.cat(b).mean(dim=0), torch.cat(b).var(dim=0)),
        "0 and 1, not the first batch",
    ),
    ("running_statistics", lambda b, m: running_statistics(b, m)[0], "two values (mean, variance)"),
    ("rms_norm_backward", lambda g, x, e: g / r_of(x, e), "each x_i is in r"),
    (
        "rms_norm_backward",
        lambda g, x, e: rms_norm_backward(g, x, e) - g.mean() / r_of(x, e),
        "no term through it",
    ),
    (
        "rms_norm_backward",
        lambda g, x, e: rms_norm_backward(g, x, e) * r_of(x, e),
        "everything is divided by r",
    ),
    ("rms_norm_backward", lambda g, x, e: (g - x * (g * x).mean()) / r_of(x, e), "it has y, not x"),
    (
        "rms_norm_backward",
        lambda g, x, e: (g - x / r_of(x, e) ** 2 * (g * x).sum()) / r_of(x, e),
        "not the sum",
    ),
    ("rms_norm_backward", lambda g, x, e: 2 * g / r_of(x, e) - rms_norm_backward(g, x, e), "is subtracted"),
    (
        "signal_sizes",
        lambda n, s: [s * math.sqrt(n[0])] + [s * math.sqrt(k / 2) for k in n[1:]],
        "factors multiply",
    ),
    ("signal_sizes", lambda n, s: [size**2 for size in signal_sizes(n, s)], "not variances"),
    (
        "signal_sizes",
        lambda n, s: signal_sizes([k / 2 if i == 0 else k for i, k in enumerate(n)], s),
        "no ReLU comes before",
    ),
    (
        "signal_sizes",
        lambda n, s: signal_sizes([k if i == 0 else 2 * k for i, k in enumerate(n)], s),
        "leaves half",
    ),
    ("signal_sizes", lambda n, s: signal_sizes(n, s)[-1:], "one number for each layer"),
    ("signal_sizes", lambda n, s: 1.0, "got float"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)


test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_the_predicted_sizes_are_those_of_a_stack():
    """Wide random layers, against the argument of the lab."""
    torch.manual_seed(0)
    h, measured = torch.randn(200, 400), []
    for _ in range(3):
        out = h @ (0.05 * torch.randn(400, 400))
        measured.append(out.std().item())
        h = torch.relu(out)
    assert measured == pytest.approx(signal_sizes([400, 400, 400], 0.05), rel=0.05)


def test_the_expected_fold_is_the_two_layers_of_torch():
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(shape, generator=generator) for shape in ((4, 3, 3, 3), (2, 3, 7, 6)))
    bias, gamma, beta, mean = torch.randn(4, 4, generator=generator)
    variance = torch.rand(4, generator=generator) + 0.2
    expected = F.batch_norm(F.conv2d(x, weight, bias), mean, variance, gamma, beta, training=False, eps=0.1)
    assert torch.allclose(
        F.conv2d(x, *fold(weight, bias, gamma, beta, mean, variance, 0.1)), expected, atol=1e-5
    )


def test_the_check_leaves_the_random_numbers_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    for name in NAMES:
        getattr(check, name)(globals()[name])
    assert torch.equal(torch.rand(3), expected)
