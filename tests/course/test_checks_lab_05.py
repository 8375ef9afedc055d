"""Lab 05's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import math

import torch
import torch.nn.functional as F

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_05 as check

NAMES = [
    "widest_middle",
    "nearest_separable",
    "depthwise_separable",
    "inverted_residual_parameters",
    "arithmetic_intensity",
]


def widest_middle(c_in, c_out, k):
    m = 0
    while k * (m + 1) * (c_in + c_out) < k * k * c_in * c_out:
        m += 1
    return m


def nearest_separable(kernel):
    """By power iteration on kernelᵀ kernel, in double precision: no SVD."""
    row = torch.ones(kernel.shape[1], dtype=torch.float64) + torch.arange(kernel.shape[1]) / 7
    wide = kernel.double()
    for _ in range(600):
        row = wide.T @ (wide @ row)
        row = row / row.norm()
    return (wide @ row).float(), row.float()


def depthwise_separable(x, depthwise, pointwise, stride=1):
    B, C, H, W = x.shape
    k = depthwise.shape[-1]
    padded = F.pad(x, (k // 2,) * 4)
    rows, columns = range(0, H, stride), range(0, W, stride)
    y = torch.zeros(B, C, len(rows), len(columns))
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            y[:, :, i, j] = (padded[:, :, top : top + k, left : left + k] * depthwise).sum((-1, -2))
    return torch.einsum("oc,bchw->bohw", pointwise, y)


def inverted_residual_parameters(c_in, c_out, t):
    wide = t * c_in
    return (t > 1) * (c_in + 2) * wide + 11 * wide + (wide + 2) * c_out


def arithmetic_intensity(batch, c_in, c_out, k, side, stride=1, groups=1, bytes_per_value=4):
    out = math.ceil(side / stride)
    values = batch * (c_in * side**2 + c_out * out**2) + k * k * c_in * c_out / groups
    return batch * out**2 * k * k * c_in * c_out / groups / values / bytes_per_value


def svd(kernel):
    return torch.linalg.svd(kernel)


def flops(*arguments, **options):
    return 2 * arithmetic_intensity(*arguments, **options)


def weights_per_picture(batch, c_in, c_out, k, side, stride=1, groups=1, bytes_per_value=4):
    return arithmetic_intensity(1, c_in, c_out, k, side, stride, groups, bytes_per_value)


def no_weights(batch, c_in, c_out, k, side, stride=1, groups=1, bytes_per_value=4):
    out = math.ceil(side / stride)
    return out**2 * k * k * c_in * c_out / groups / (c_in * side**2 + c_out * out**2) / bytes_per_value


def no_stride(batch, c_in, c_out, k, side, stride=1, groups=1, bytes_per_value=4):
    return arithmetic_intensity(batch, c_in, c_out, k, side, 1, groups, bytes_per_value)


def no_groups(batch, c_in, c_out, k, side, stride=1, groups=1, bytes_per_value=4):
    return arithmetic_intensity(batch, c_in, c_out, k, side, stride, 1, bytes_per_value)


def in_values(batch, c_in, c_out, k, side, stride=1, groups=1, bytes_per_value=4):
    return arithmetic_intensity(batch, c_in, c_out, k, side, stride, groups, 1)


def with_library(x, depthwise, pointwise, stride=1):
    filtered = F.conv2d(
        x, depthwise[:, None], padding=depthwise.shape[-1] // 2, stride=stride, groups=x.shape[1]
    )
    return torch.einsum("oc,bchw->bohw", pointwise, filtered)


WRONG = [
    ("widest_middle", lambda i, o, k: k * i * o // (i + o), "must have fewer"),
    ("widest_middle", lambda i, o, k: (k * i * o - 1) / (i + o), "whole number"),
    ("widest_middle", lambda i, o, k: (k * k * i * o - 1) // (i + o), "its kernels have k weights"),
    ("widest_middle", lambda i, o, k: (i * o - 1) // (i + o), "k² weights, a row has k"),
    ("widest_middle", lambda i, o, k: (k * i - 1) // 2, "the two widths"),
    ("widest_middle", lambda i, o, k: 7, "solved for m"),
    ("widest_middle", lambda i, o, k: None, "returned None"),
    ("widest_middle", lambda i, o, k: 1 // 0, "ZeroDivisionError"),
    ("nearest_separable", lambda w: (svd(w)[0][:, 0], svd(w)[2][0]), "singular value is missing"),
    (
        "nearest_separable",
        lambda w: (svd(w)[1][0] * svd(w)[0][:, 0], svd(w)[1][0] * svd(w)[2][0]),
        "once, not twice",
    ),
    ("nearest_separable", lambda w: (svd(w)[1][0] * svd(w)[0][:, 0], svd(w)[2][:, 0]), "svd returns vᵀ"),
    ("nearest_separable", lambda w: (svd(w)[1][0] * svd(w)[0][0], svd(w)[2][0]), "u: its columns"),
    ("nearest_separable", lambda w: nearest_separable(w)[::-1], "first the column"),
    ("nearest_separable", lambda w: (w[:, 0] + 1, w[0] + 2), "first column of u"),
    ("nearest_separable", lambda w: torch.outer(*nearest_separable(w)), "expected two tensors (column, row)"),
    (
        "nearest_separable",
        lambda w: (nearest_separable(w)[0][:, None], nearest_separable(w)[1]),
        "two vectors",
    ),
    ("depthwise_separable", with_library, "by hand"),
    (
        "depthwise_separable",
        lambda x, d, p, stride=1: depthwise_separable(x, d, p),
        "the windows are that many pixels apart",
    ),
    (
        "depthwise_separable",
        lambda x, d, p, stride=1: depthwise_separable(x, d.flip(1, 2), p, stride),
        "does not reverse",
    ),
    (
        "depthwise_separable",
        lambda x, d, p, stride=1: depthwise_separable(x, d.mT, p, stride),
        "height first",
    ),
    (
        "depthwise_separable",
        lambda x, d, p, stride=1: depthwise_separable(x, d, torch.eye(len(d)), stride),
        "not mixed yet",
    ),
    ("depthwise_separable", lambda x, d, p, stride=1: torch.zeros(3), "expected shape"),
    (
        "depthwise_separable",
        lambda x, d, p, stride=1: depthwise_separable(x, d, p, stride) + 1,
        "its own kernel",
    ),
    (
        "inverted_residual_parameters",
        lambda i, o, t: (t > 1) * i * i * t + 9 * t * i + t * i * o,
        "two parameters for each channel",
    ),
    (
        "inverted_residual_parameters",
        lambda i, o, t: inverted_residual_parameters(i, o, t) - 2 * o,
        "after the projection",
    ),
    (
        "inverted_residual_parameters",
        lambda i, o, t: inverted_residual_parameters(i, o, t) + 9 * t * i * (t * i - 1),
        "per pair of channels",
    ),
    ("inverted_residual_parameters", lambda i, o, t: t * i * (i + 2) + 11 * t * i + (t * i + 2) * o, "t = 1"),
    (
        "inverted_residual_parameters",
        lambda i, o, t: inverted_residual_parameters(i, o, t) + i * o + 2 * o,
        "the shortcut",
    ),
    (
        "inverted_residual_parameters",
        lambda i, o, t: inverted_residual_parameters(i, o, t) - 9 * t * i + 9 * i,
        "has t·c_in channels",
    ),
    ("inverted_residual_parameters", lambda i, o, t: 5, "2 per channel after each"),
    ("arithmetic_intensity", flops, "factor 2"),
    ("arithmetic_intensity", weights_per_picture, "once for the whole batch"),
    ("arithmetic_intensity", no_weights, "the weights: they have to be read"),
    ("arithmetic_intensity", no_stride, "the stride"),
    ("arithmetic_intensity", no_groups, "has as few weights"),
    ("arithmetic_intensity", in_values, "bytes_per_value"),
    ("arithmetic_intensity", lambda *a, **o: 1 / arithmetic_intensity(*a, **o), "which way round"),
    ("arithmetic_intensity", lambda *a, **o: "many", "str 'many'"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)

test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_any_split_of_the_singular_value_passes():
    """Only the outer product counts: both factors may change sign, and either may carry the size."""

    def split(kernel):
        column, row = nearest_separable(kernel)
        return -column / 3, -3 * row

    check.nearest_separable(split)
