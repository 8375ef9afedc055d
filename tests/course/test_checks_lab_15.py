"""Lab 15's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.course.exercise_checks import goes_on_without, proofs
from utils.analysis.accounting import account
from utils.course.checks import lab_15 as check
from utils.models.convnext import ChannelNorm, ConvNeXtBlock
from utils.models.squeeze_excitation import SqueezeExcitation

NAMES = ["excite", "channel_norm", "in_standard_errors", "images_needed", "convnext_cost"]


def gate(z, w1, b1, w2, b2):
    return torch.sigmoid(torch.relu(z @ w1.T + b1) @ w2.T + b2)


def scaled(x, s):
    return x * s[:, :, None, None]


def excite(x, *weights):
    return gate(x.mean((2, 3)), *weights)


def normal(x, dims=1, unbiased=False, epsilon=1e-6):
    centered = x - x.mean(dims, keepdim=True)
    return centered / (x.var(dims, keepdim=True, unbiased=unbiased) + epsilon).sqrt()


def by_channel(x, weight, bias):
    return x * weight.view(-1, 1, 1) + bias.view(-1, 1, 1)


def channel_norm(x, weight, bias, epsilon=1e-6, **options):
    return by_channel(normal(x, epsilon=epsilon, **options), weight, bias)


def convnext_cost(channels, kernel, expansion, side):
    wide = expansion * channels
    weights = kernel**2 * channels + 2 * channels * wide
    return weights + 2 * channels + wide + 3 * channels, weights * side**2


def spread(a, n):
    return math.sqrt(a * (1 - a) / n)


def in_standard_errors(a, b, n):
    return (a - b) / math.hypot(spread(a, n), spread(b, n))


def changed(parameters=lambda c, k, e, s: 0, macs=lambda c, k, e, s: 0):
    """The right bill with something added to its two numbers."""
    return lambda *case: (convnext_cost(*case)[0] + parameters(*case), convnext_cost(*case)[1] + macs(*case))


def variances(a, b):
    return a * (1 - a) + b * (1 - b)


def images_needed(a, b, errors):
    return math.ceil(errors**2 * variances(a, b) / (a - b) ** 2)


WRONG = [
    ("excite", lambda x, *w: scaled(x, excite(x, *w)), "these are the maps times the factors"),
    ("excite", lambda x, *w: excite(x, *w)[:, :, None, None], "two dimensions more"),
    ("excite", lambda x, *w: gate(x.amax((2, 3)), *w), "largest value"),
    ("excite", lambda x, *w: gate(x.sum((2, 3)), *w), "this is its sum"),
    (
        "excite",
        lambda x, w1, b1, w2, b2: torch.sigmoid((x.mean((2, 3)) @ w1.T + b1) @ w2.T + b2),
        "a ReLU follows",
    ),
    (
        "excite",
        lambda x, w1, b1, w2, b2: torch.sigmoid((torch.relu(x.mean((2, 3)) @ w1.T) + b1) @ w2.T + b2),
        "before the ReLU",
    ),
    (
        "excite",
        lambda x, *w: torch.logit(excite(x.double(), *(v.double() for v in w))).float(),
        "a sigmoid puts",
    ),
    ("excite", lambda x, *w: torch.softmax(torch.logit(excite(x, *w)), 1), "lets them compete"),
    ("excite", lambda x, *w: gate(x.mean((0, 2, 3))[None], *w).expand(len(x), -1), "means of its own"),
    ("excite", lambda x, *w: x @ w[0], "stopped with"),
    ("excite", lambda x, *w: 1 - excite(x, *w), "values differ"),
    (
        "channel_norm",
        lambda x, w, b, e: channel_norm(x, w, b, e, dims=(0, 2, 3)),
        "this is batch normalization",
    ),
    (
        "channel_norm",
        lambda x, w, b, e: channel_norm(x, w, b, e, dims=(1, 2, 3)),
        "not over the positions as well",
    ),
    ("channel_norm", lambda x, w, b, e: channel_norm(x, w, b, e, dims=(2, 3)), "the positions of each map"),
    ("channel_norm", lambda x, w, b, e: normal(x, epsilon=e), "weight and bias are missing"),
    ("channel_norm", lambda x, w, b, e: channel_norm(x, w, b, e, unbiased=True), "not by C − 1"),
    ("channel_norm", lambda x, w, b, e: channel_norm(x, w, b, 0), "it is not used"),
    (
        "channel_norm",
        lambda x, w, b, e: by_channel((x - x.mean(1, True)) / (x.var(1, False, keepdim=True) + e), w, b),
        "this is the variance",
    ),
    (
        "channel_norm",
        lambda x, w, b, e: by_channel((x - x.mean(1, True)) / (x.std(1, False, keepdim=True) + e), w, b),
        "under the root",
    ),
    (
        "channel_norm",
        lambda x, w, b, e: by_channel(x / (x.var(1, False, keepdim=True) + e).sqrt(), w, b),
        "subtract the mean",
    ),
    ("channel_norm", lambda x, w, b, e: F.layer_norm(x, (x.shape[3],)), "dimension 1 alone"),
    ("channel_norm", lambda x, w, b, e: normal(x, epsilon=e) * w + b, "stopped with"),
    ("images_needed", lambda a, b, k: images_needed(a, b, k) - 1, "up to a whole number"),
    ("images_needed", lambda a, b, k: k**2 * variances(a, b) / (a - b) ** 2, "up to a whole number"),
    (
        "images_needed",
        lambda a, b, k: math.ceil((k * (math.sqrt(a * (1 - a)) + math.sqrt(b * (1 - b))) / (a - b)) ** 2),
        "they are added, not the standard errors",
    ),
    (
        "images_needed",
        lambda a, b, k: math.ceil((k / (a - b)) ** 2 * a * (1 - a)),
        "both accuracies have one",
    ),
    ("images_needed", lambda a, b, k: math.ceil(math.sqrt(images_needed(a, b, k))), "the result is a square"),
    ("images_needed", lambda a, b, k: math.ceil(k * variances(a, b) / (a - b) ** 2), "it is squared"),
    ("images_needed", lambda a, b, k: math.ceil(variances(a, b) / (a - b) ** 2), "it is not used"),
    ("images_needed", lambda a, b, k: "half a million", "got str"),
    ("convnext_cost", changed(lambda c, k, e, s: -(2 + e) * c), "the biases"),
    ("convnext_cost", changed(lambda c, k, e, s: -2 * c), "a factor and a shift"),
    ("convnext_cost", changed(lambda c, k, e, s: -3 * c), "layer norm and layer scale have"),
    ("convnext_cost", changed(lambda c, k, e, s: -(5 + e) * c), "biases, layer norm and layer scale"),
    ("convnext_cost", changed(lambda c, k, e, s: k * k * c * (c - 1)), "each channel is filtered alone"),
    ("convnext_cost", changed(lambda c, k, e, s: -e * c * c), "there and back"),
    ("convnext_cost", lambda *case: convnext_cost(*case)[1:] * 2, "parameters do not depend on them"),
    (
        "convnext_cost",
        lambda c, k, e, s: (convnext_cost(c, k, e, s)[0], convnext_cost(c, k, e, s)[1] // s**2),
        "every weight of a convolution",
    ),
    (
        "convnext_cost",
        lambda c, k, e, s: (convnext_cost(c, k, e, s)[0], convnext_cost(c, k, e, s)[1] // s),
        "this is side",
    ),
    (
        "convnext_cost",
        lambda c, k, e, s: (convnext_cost(c, k, e, s)[0], convnext_cost(c, k, e, s)[0] * s**2),
        "convolutions only",
    ),
    (
        "convnext_cost",
        lambda *case: (convnext_cost(*case)[0], 2 * convnext_cost(*case)[1]),
        "not two operations",
    ),
    (
        "convnext_cost",
        changed(macs=lambda c, k, e, s: k * k * c * (c - 1) * s * s),
        "each channel is filtered alone",
    ),
    (
        "convnext_cost",
        lambda *case: convnext_cost(*case)[0],
        "expected two numbers (parameters, multiply-adds)",
    ),
    ("convnext_cost", lambda *case: ("many", 1), "got str"),
    ("in_standard_errors", lambda a, b, n: (a - b) / (spread(a, n) + spread(b, n)), "variances add"),
    ("in_standard_errors", lambda a, b, n: (a - b) / spread(a, n), "the first alone"),
    ("in_standard_errors", lambda a, b, n: (a - b) / spread(b, n), "the second alone"),
    (
        "in_standard_errors",
        lambda a, b, n: (a - b) / (spread(a, n) ** 2 + spread(b, n) ** 2),
        "root is missing",
    ),
    ("in_standard_errors", lambda a, b, n: in_standard_errors(a, b, 1), "belongs under the root"),
    ("in_standard_errors", lambda a, b, n: a - b, "divided by its standard error"),
    (
        "in_standard_errors",
        lambda a, b, n: math.hypot(spread(a, n), spread(b, n)),
        "this is the standard error",
    ),
    ("in_standard_errors", lambda a, b, n: abs(in_standard_errors(a, b, n)), "negative where b is larger"),
    ("in_standard_errors", lambda a, b, n: -in_standard_errors(a, b, n), "not b − a"),
    ("in_standard_errors", lambda a, b, n: "little", "got str"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)

test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_the_expected_factors_are_those_of_the_library():
    torch.manual_seed(0)
    layer, x = SqueezeExcitation(8, reduction=4), torch.randn(3, 8, 5, 4)
    weights = (
        layer.reduce.weight.flatten(1),
        layer.reduce.bias,
        layer.expand.weight.flatten(1),
        layer.expand.bias,
    )
    assert torch.allclose(scaled(x, excite(x, *weights)), layer(x), atol=1e-6)


def test_the_expected_norm_is_that_of_the_library():
    torch.manual_seed(0)
    layer, x = ChannelNorm(6), torch.randn(2, 6, 5, 4)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    assert torch.allclose(channel_norm(x, layer.weight, layer.bias, layer.eps), layer(x), atol=1e-5)


@pytest.mark.parametrize("case", [(96, 7, 4, 16), (24, 7, 4, 8)])
def test_the_expected_bill_is_that_of_the_library(case):
    bill = account(ConvNeXtBlock(case[0], 0.0), (case[0], case[3], case[3]))
    assert convnext_cost(*case) == (bill.total_params, bill.total_macs)


def test_the_published_difference_is_a_fraction_of_its_standard_error():
    # 91.92 and 92.03 % of 10,000: standard errors 0.2725 and 0.2708 points, of the difference 0.3842
    assert in_standard_errors(0.9203, 0.9192, 10_000) == pytest.approx(0.11 / 0.3842, abs=1e-3)


def test_half_a_million_images_would_be_needed():
    # two standard errors of 0.0011: n = (2 / 0.0011)² · (0.07428 + 0.07334)
    needed = images_needed(0.9203, 0.9192, 2)
    assert 480_000 < needed < 500_000
    assert in_standard_errors(0.9203, 0.9192, needed) >= 2 > in_standard_errors(0.9203, 0.9192, needed - 1)
