"""Lab 15's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import math

import pytest
import torch
from torch.nn import functional as F

from tests.course.exercise_checks import proofs
from utils.analysis.accounting import account
from utils.course.checks import lab_15 as check
from utils.models.convnext import ConvNeXtBlock
from utils.models.squeeze_excitation import SqueezeExcitation
from utils.models.vit import Attention

NAMES = ["excite", "convnext_cost", "attend", "patchify", "in_standard_errors"]


def gate(z, w1, b1, w2, b2):
    return torch.sigmoid(torch.relu(z @ w1.T + b1) @ w2.T + b2)


def scaled(x, s):
    return x * s[:, :, None, None]


def excite(x, *weights):
    return scaled(x, gate(x.mean((2, 3)), *weights))


def convnext_cost(channels, kernel, expansion, side):
    wide = expansion * channels
    weights = kernel**2 * channels + 2 * channels * wide
    return weights + 2 * channels + wide + 3 * channels, weights * side**2


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q, k, v, heads, root=None, dim=-1):
    q, k, v = (heads_of(x, heads) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) / (root or q.shape[-1] ** 0.5)
    return (torch.softmax(scores, dim=dim) @ v).transpose(1, 2).flatten(2)


def unsteady(q, k, v, heads):
    """The exponential of the scores as they are."""
    q, k, v = (heads_of(x, heads) for x in (q, k, v))
    powers = torch.exp(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5)
    return (powers / powers.sum(-1, keepdim=True) @ v).transpose(1, 2).flatten(2)


def unmerged(q, k, v, heads):
    return F.scaled_dot_product_attention(*(heads_of(x, heads) for x in (q, k, v))).reshape(q.shape)


def split_by_reshape(q, k, v, heads):
    parts = (x.reshape(x.shape[0], heads, x.shape[1], -1) for x in (q, k, v))
    return F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)


def patchify(images, p, order=(0, 2, 4, 1, 3, 5)):
    B, C, H, W = images.shape
    return images.reshape(B, C, H // p, p, W // p, p).permute(order).reshape(B, -1, C * p * p)


def spread(a, n):
    return math.sqrt(a * (1 - a) / n)


def in_standard_errors(a, b, n):
    return (a - b) / math.hypot(spread(a, n), spread(b, n))


def changed(parameters=lambda c, k, e, s: 0, macs=lambda c, k, e, s: 0):
    """The right bill with something added to its two numbers."""
    return lambda *case: (convnext_cost(*case)[0] + parameters(*case), convnext_cost(*case)[1] + macs(*case))


WRONG = [
    ("excite", lambda x, *w: gate(x.mean((2, 3)), *w), "these are the factors"),
    ("excite", lambda x, *w: x + excite(x, *w), "adds no shortcut"),
    ("excite", lambda x, *w: scaled(x, gate(x.amax((2, 3)), *w)), "largest value"),
    ("excite", lambda x, *w: scaled(x, gate(x.sum((2, 3)), *w)), "this is its sum"),
    (
        "excite",
        lambda x, w1, b1, w2, b2: scaled(x, torch.sigmoid((x.mean((2, 3)) @ w1.T + b1) @ w2.T + b2)),
        "a ReLU follows",
    ),
    (
        "excite",
        lambda x, w1, b1, w2, b2: scaled(x, torch.relu(x.mean((2, 3)) @ w1.T + b1) @ w2.T + b2),
        "a sigmoid puts",
    ),
    (
        "excite",
        lambda x, *w: scaled(x, torch.softmax(torch.logit(gate(x.mean((2, 3)), *w)), 1)),
        "lets them compete",
    ),
    ("excite", lambda x, *w: scaled(x, gate(x.mean((0, 2, 3))[None], *w)), "means of its own"),
    ("excite", lambda x, *w: x @ w[0], "stopped with"),
    ("excite", lambda x, *w: x, "values differ"),
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
    ("attend", lambda q, k, v, h: attend(q, k, v, h, root=q.shape[-1] ** 0.5), "not of all, D"),
    ("attend", lambda q, k, v, h: attend(q, k, v, 1), "this is one head"),
    ("attend", unmerged, "bring the heads back"),
    ("attend", split_by_reshape, "mixes tokens"),
    ("attend", lambda q, k, v, h: attend(q, k, v, h, root=1.0), "have to be divided by √d"),
    ("attend", lambda q, k, v, h: attend(q, k, v, h, root=q.shape[-1] / h), "not by d"),
    ("attend", lambda q, k, v, h: attend(q, k, v, h, dim=-2), "runs over the queries"),
    ("attend", lambda q, k, v, h: attend(k, q, v, h), "changed places"),
    ("attend", unsteady, "take the largest score out"),
    ("attend", lambda q, k, v, h: 1.0, "a tensor of shape (2, 5, 8)"),
    (
        "patchify",
        lambda images, p: images.reshape(len(images), -1, images.shape[1] * p * p),
        "never moves a number",
    ),
    ("patchify", lambda images, p: patchify(images, p, (0, 2, 4, 3, 5, 1)), "the channel comes last"),
    ("patchify", lambda images, p: patchify(images, p, (0, 4, 2, 1, 3, 5)), "column by column"),
    ("patchify", lambda images, p: patchify(images, p, (0, 2, 4, 1, 5, 3)), "rows before columns"),
    ("patchify", lambda images, p: F.unfold(images, p, stride=p), "changed places"),
    ("patchify", lambda images, p: images.tolist(), "list of length 2"),
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


def test_the_expected_factors_are_those_of_the_library():
    torch.manual_seed(0)
    layer, x = SqueezeExcitation(8, reduction=4), torch.randn(3, 8, 5, 4)
    weights = (
        layer.reduce.weight.flatten(1),
        layer.reduce.bias,
        layer.expand.weight.flatten(1),
        layer.expand.bias,
    )
    assert torch.allclose(excite(x, *weights), layer(x), atol=1e-6)


@pytest.mark.parametrize("case", [(96, 7, 4, 16), (24, 7, 4, 8)])
def test_the_expected_bill_is_that_of_the_library(case):
    bill = account(ConvNeXtBlock(case[0], 0.0), (case[0], case[3], case[3]))
    assert convnext_cost(*case) == (bill.total_params, bill.total_macs)


def test_the_expected_attention_is_that_of_the_library():
    torch.manual_seed(0)
    layer, x = Attention(12, heads=3), torch.randn(2, 5, 12)
    q, k, v = layer.query_key_value(x).chunk(3, dim=-1)
    assert torch.allclose(layer.out(attend(q, k, v, 3)), layer(x), atol=1e-6)


def test_the_published_difference_is_a_fraction_of_its_standard_error():
    # 91.92 and 92.03 % of 10,000: standard errors 0.2725 and 0.2708 points, of the difference 0.3842
    assert in_standard_errors(0.9203, 0.9192, 10_000) == pytest.approx(0.11 / 0.3842, abs=1e-3)
