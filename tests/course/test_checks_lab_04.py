"""Lab 04's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

from math import comb

import pytest
import torch
import torch.nn.functional as F

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_04 as check
from utils.models import build_model

NAMES = ["count_resnet_parameters", "shortcut_a", "residual_gradient", "full_preactivation", "path_lengths"]


def count_resnet_parameters(depth):
    n = (depth - 2) // 6
    total, source = 3 * 16 * 9 + 2 * 16, 16
    for wide in (16, 32, 64):
        for _ in range(2 * n):
            total += 9 * source * wide + 2 * wide
            source = wide
    return total + 64 * 10 + 10


def shortcut_a(x, out_channels, stride):
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, out_channels - x.shape[1]))


def residual_gradient(x, w1, w2, g):
    return g + w1.T @ ((w1 @ x > 0) * (w2.T @ g))


def full_preactivation(x, bn1, conv1, bn2, conv2):
    return x + conv2(torch.relu(bn2(conv1(torch.relu(bn1(x))))))


def path_lengths(blocks, deleted):
    return [comb(blocks - deleted, k) for k in range(blocks - deleted + 1)]


def units(depth):
    return 16 + (depth - 2) // 3 * (16 + 32 + 64)


def branch(x, w1, w2, g):
    return residual_gradient(x, w1, w2, g) - g


def original(x, bn1, conv1, bn2, conv2):
    return torch.relu(x + bn2(conv2(torch.relu(bn1(conv1(x))))))


def pooled(x, wide, stride):
    small = F.avg_pool2d(x, stride) if stride > 1 else x
    return shortcut_a(small, wide, 1)


count = count_resnet_parameters
WRONG = [
    ("count_resnet_parameters", lambda d: count(d) - 2 * units(d), "after every convolution"),
    ("count_resnet_parameters", lambda d: count(d) - units(d), "a scale and a shift"),
    ("count_resnet_parameters", lambda d: count(d) + 2 * units(d), "running mean and variance"),
    ("count_resnet_parameters", lambda d: count(d) + units(d), "no biases"),
    ("count_resnet_parameters", lambda d: count(d) - 650, "linear layer at the end"),
    ("count_resnet_parameters", lambda d: count(d) - 10, "bias for each class"),
    ("count_resnet_parameters", lambda d: count(d) - 432, "first convolution"),
    ("count_resnet_parameters", lambda d: count(d) - 32, "first batch norm"),
    ("count_resnet_parameters", lambda d: count(d) + 9 * (16 * 16 + 32 * 32), "half as many channels"),
    ("count_resnet_parameters", lambda d: count(d) + 16 * 32 + 32 * 64 + 2 * 96, "this is option B"),
    ("count_resnet_parameters", lambda d: count(d) + 16 * 32 + 32 * 64, "option A has no parameters"),
    ("count_resnet_parameters", lambda d: 269_722, "count_resnet_parameters(8)"),
    ("count_resnet_parameters", lambda d: None, "returned None"),
    ("count_resnet_parameters", lambda d: [1], "expected one number, got list of length 1"),
    ("shortcut_a", lambda x, c, s: x[:, :, ::s, ::s], "zeros are missing"),
    ("shortcut_a", lambda x, c, s: shortcut_a(x, c, 1), "not thinned out"),
    (
        "shortcut_a",
        lambda x, c, s: F.pad(x[:, :, ::s, ::s], (0, 0, 0, 0, c - x.shape[1], 0)),
        "do not put them first",
    ),
    (
        "shortcut_a",
        lambda x, c, s: F.pad(x[:, :, ::s, ::s], (0, 0, 0, 0, 0, c)),
        "out_channels − in_channels",
    ),
    ("shortcut_a", lambda x, c, s: F.pad(x[:, :, ::s], (0, 0, 0, 0, 0, c - x.shape[1])), "the columns"),
    ("shortcut_a", lambda x, c, s: shortcut_a(x[:, :, s - 1 :, s - 1 :], c, s), "where the stride begins"),
    ("shortcut_a", pooled, "expected shape"),
    ("shortcut_a", lambda x, c, s: shortcut_a(F.avg_pool2d(x, s, ceil_mode=True), c, 1), "without averaging"),
    ("shortcut_a", lambda x, c, s: 3, "got int"),
    ("residual_gradient", branch, "g itself reaches x"),
    ("residual_gradient", lambda x, a, b, g: 1 + branch(x, a, b, g), "it passes on g, not 1"),
    ("residual_gradient", lambda x, a, b, g: x + branch(x, a, b, g), "not x"),
    ("residual_gradient", lambda x, a, b, g: g, "only the identity's part"),
    ("residual_gradient", lambda x, a, b, g: g + a.T @ (b.T @ g), "nothing comes back"),
    ("residual_gradient", lambda x, a, b, g: g + a.T @ (torch.relu(a @ x) * (b.T @ g)), "by its value"),
    ("residual_gradient", lambda x, a, b, g: g + a.T @ torch.relu(b.T @ g), "where the ReLU looks"),
    ("residual_gradient", lambda x, a, b, g: g + a @ ((a @ x > 0) * (b @ g)), "RuntimeError"),
    ("full_preactivation", original, "original block"),
    ("full_preactivation", lambda x, n, c, m, d: x + m(d(torch.relu(n(c(x))))), "original branch"),
    ("full_preactivation", lambda *a: torch.relu(full_preactivation(*a)), "no ReLU either"),
    ("full_preactivation", lambda x, *a: full_preactivation(x, *a) - x, "x has to be added"),
    ("full_preactivation", lambda x, n, c, m, d: x + d(m(c(n(x)))), "both are missing"),
    ("full_preactivation", lambda x, n, c, m, d: x + d(c(torch.relu(n(x)))), "before conv2 as well"),
    (
        "full_preactivation",
        lambda x, n, c, m, d: x + d(m(torch.relu(c(n(torch.relu(x)))))),
        "batch norm first",
    ),
    ("full_preactivation", lambda x, n, c, m, d: x + m(d(torch.relu(n(c(torch.relu(x)))))), "ReLU-only"),
    (
        "full_preactivation",
        lambda x, n, c, m, d: torch.relu(n(x)) + d(torch.relu(m(c(torch.relu(n(x)))))),
        "before bn1",
    ),
    ("path_lengths", lambda n, d: path_lengths(n, 0), "is gone"),
    ("path_lengths", lambda n, d: path_lengths(n, 0)[: n - d + 1], "no path is longer"),
    ("path_lengths", lambda n, d: path_lengths(n, d)[1:], "takes every shortcut"),
    ("path_lengths", lambda n, d: path_lengths(n, d)[:-1], "through all branches"),
    ("path_lengths", lambda n, d: 2 ** (n - d), "not the sum of all"),
    ("path_lengths", lambda n, d: [c / 2 ** (n - d) for c in path_lengths(n, d)], "not shares"),
    ("path_lengths", lambda n, d: [2**k for k in range(n - d + 1)], "2ᵏ"),
    ("path_lengths", lambda n, d: path_lengths(n, d) if n < 54 else [0, *path_lengths(n, d)], "at length 0"),
    (
        "path_lengths",
        lambda n, d: path_lengths(n, d) if n < 54 else path_lengths(n, d) + [0],
        "expected 55 entries",
    ),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)

test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


@pytest.mark.parametrize("depth", [20, 32, 56])
def test_the_expected_count_is_that_of_the_network(depth):
    with torch.device("meta"):
        network = build_model(f"resnet-{depth}")
    assert count_resnet_parameters(depth) == sum(p.numel() for p in network.parameters())


def test_the_expected_block_is_that_of_the_library():
    """The library's block with the layers that the check draws, in evaluation mode."""
    block = build_model("resnet-20", variant="full-preact", width=0.25).stage1[1].eval()
    x = torch.randn(2, 4, 5, 5)
    got = full_preactivation(x, block.bn1, block.conv1, block.bn2, block.conv2)
    assert torch.allclose(got, block(x), atol=1e-6)


def test_the_check_leaves_the_random_numbers_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    check.full_preactivation(full_preactivation)
    assert torch.equal(torch.rand(3), expected)
