"""Lab 01's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import convolve2d

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_01 as check
from utils.course.checks.core import CheckFailed

NAMES = ["toeplitz_matrix", "correlate_1d", "input_sizes", "true_convolution", "conv2d_im2col"]
NAMES += ["kernel_gradient"]


def toeplitz_matrix(w, n, padding=0):
    """The responses to single pulses."""
    return torch.stack([correlate_1d(pulse, w, padding) for pulse in torch.eye(n)], dim=1)


def correlate_1d(x, w, padding=0, stride=1, dilation=1):
    spread = np.zeros(dilation * (len(w) - 1) + 1)
    spread[::dilation] = w
    return torch.from_numpy(np.correlate(np.pad(x, padding), spread, "valid")[::stride].copy()).float()


def input_sizes(m, k, padding=0, stride=1, dilation=1):
    span = dilation * (k - 1) + 1
    starts = [(m - 1) * stride + rest for rest in range(stride)]
    return [n for n in (start + span - 2 * padding for start in starts) if n > 0]


def true_convolution(x, w):
    return torch.from_numpy(convolve2d(x, w))


def conv2d_im2col(x, w, padding=0, stride=1):
    windows = F.pad(x, (padding,) * 4).unfold(1, w.shape[2], stride).unfold(2, w.shape[3], stride)
    return torch.einsum("ihwuv,oiuv->ohw", windows, w)


def kernel_gradient(x, gradient, k, padding=0, stride=1):
    padded = F.pad(x, (padding, padding))
    total = torch.zeros(k)
    for i, value in enumerate(gradient):
        total += value * padded[i * stride : i * stride + k]
    return total


def skipping_a_start(x, w, padding=0, stride=1, dilation=1):
    return correlate_1d(x, w, padding, 1, dilation)[stride - 1 :: stride]


def python_index(x, w, padding=0, stride=1, dilation=1):
    y = torch.zeros(len(correlate_1d(x, w, padding, stride, dilation)))
    for i in range(len(y)):
        for j in range(len(w)):
            place = i * stride + j * dilation - padding
            if place < len(x):
                y[i] += w[j] * x[place]
    return y


def same_size(x, w):
    top, left = w.shape[0] // 2, w.shape[1] // 2
    return true_convolution(x, w)[top : top + x.shape[0], left : left + x.shape[1]]


def channel_last_columns(x, w, padding=0, stride=1):
    windows = F.pad(x, (padding,) * 4).unfold(1, w.shape[2], stride).unfold(2, w.shape[3], stride)
    _, height, width, *_ = windows.shape
    columns = windows.permute(3, 4, 0, 1, 2).reshape(-1, height * width)
    return (w.flatten(1) @ columns).view(-1, height, width)


def one_too_many(m, k, **options):
    lengths = input_sizes(m, k, **options)
    return [*lengths, lengths[-1] + 1]


def too_long(x, gradient, k, padding=0, stride=1):
    return F.conv1d(F.pad(x, (padding, padding))[None, None], gradient[None, None], dilation=stride)[0, 0]


def by_index(first, lowest):
    """A matrix whose weight w[j] stands in column i + j − first of row i, if that is not below ``lowest``."""

    def matrix(w, n, padding=0):
        W = torch.zeros(n + 2 * padding - len(w) + 1, n)
        for i in range(len(W)):
            for j in range(len(w)):
                if lowest(n) <= i + j - first(padding) < n:
                    W[i, i + j - first(padding)] = w[j]
        return W

    return matrix


shifted_matrix = by_index(lambda padding: 0, lambda n: 0)
wrapped_matrix = by_index(lambda padding: padding, lambda n: -n)


WRONG = [
    ("toeplitz_matrix", lambda w, n, padding: toeplitz_matrix(w.flip(0), n, padding), "stands reversed"),
    ("toeplitz_matrix", lambda w, n, padding: toeplitz_matrix(w, n, padding).T, "rows and columns"),
    (
        "toeplitz_matrix",
        lambda w, n, padding: toeplitz_matrix(w, n) if n >= len(w) else torch.zeros(0, n),
        "the padding: row 0",
    ),
    (
        "toeplitz_matrix",
        lambda w, n, padding: toeplitz_matrix(w, n, padding)[: n + padding - len(w) + 1],
        "2 · padding more rows",
    ),
    ("toeplitz_matrix", shifted_matrix, "the column: i + j − padding"),
    ("toeplitz_matrix", wrapped_matrix, "Python's name for the last one"),
    ("toeplitz_matrix", lambda w, n, padding: toeplitz_matrix(w, n, padding)[:-1], "the + 1 is missing"),
    ("toeplitz_matrix", lambda w, n, padding: toeplitz_matrix(w, n, padding) + 1, "where there is such"),
    ("toeplitz_matrix", lambda w, n, padding: [[0.0]], "the return value: a tensor"),
    ("correlate_1d", lambda x, w, **o: correlate_1d(x, w.flip(0), **o), "true convolution"),
    ("correlate_1d", lambda x, w, padding, **o: correlate_1d(x, w, **o), "the padding"),
    ("correlate_1d", lambda x, w, stride, **o: correlate_1d(x, w, **o), "the stride"),
    ("correlate_1d", lambda x, w, dilation, **o: correlate_1d(x, w, **o), "the dilation"),
    ("correlate_1d", skipping_a_start, "where the stride begins"),
    ("correlate_1d", python_index, "x[-1] is Python's name"),
    ("correlate_1d", lambda x, w, **o: correlate_1d(x, w, **o)[:-1], "the + 1 is missing"),
    ("correlate_1d", lambda x, w, **o: correlate_1d(x, w, **o) + 1, "Σ w[j]"),
    ("correlate_1d", lambda x, w, **o: correlate_1d(x, w, **o).numpy(), "the return value: a tensor"),
    ("correlate_1d", lambda x, w, **o: F.conv1d(x[None, None], w[None, None], **o)[0, 0], "calls F.conv1d"),
    ("correlate_1d", lambda x, w, **o: x[99], "IndexError"),
    ("correlate_1d", lambda x, w, **o: None, "returned None"),
    ("input_sizes", lambda m, k, **o: input_sizes(m, k, **o)[0], "a list, also where"),
    ("input_sizes", lambda m, k, **o: input_sizes(m, k, **o)[:1], "as many lengths as the stride"),
    ("input_sizes", lambda m, k, **o: [*input_sizes(m, k, **o), 99], "output-size formula"),
    ("input_sizes", one_too_many, "one output more"),
    ("input_sizes", lambda m, k, padding, **o: input_sizes(m, k, **o), "the padding"),
    (
        "input_sizes",
        lambda m, k, padding, **o: [n + padding for n in input_sizes(m, k, padding, **o)],
        "twice",
    ),
    ("input_sizes", lambda m, k, dilation, **o: input_sizes(m, k, **o), "the dilation"),
    ("input_sizes", lambda m, k, stride, **o: input_sizes(m, k, **o), "the stride"),
    ("input_sizes", lambda m, k, **o: input_sizes(m, k, **o)[::-1], "rising"),
    (
        "input_sizes",
        lambda m, k, **o: [n - 6 for n in input_sizes(m, k, 0, o["stride"])],
        "output-size formula",
    ),
    ("true_convolution", lambda x, w: true_convolution(x, w.flip(0, 1)), "not reversed"),
    ("true_convolution", lambda x, w: true_convolution(x, w.flip(0)), "rows still run"),
    ("true_convolution", lambda x, w: true_convolution(x, w.flip(1)), "columns still run"),
    ("true_convolution", lambda x, w: true_convolution(x, w.T), "Reversing is not transposing"),
    ("true_convolution", lambda x, w: true_convolution(x, w)[2:-2, 2:-2], "lies inside the picture"),
    ("true_convolution", same_size, "this has the size of x"),
    ("true_convolution", lambda x, w: true_convolution(x, w)[None, None], "batch and the channel dimension"),
    ("true_convolution", lambda x, w: F.conv2d(x, w), "stopped with"),
    ("conv2d_im2col", lambda x, w, **o: conv2d_im2col(x, w.flip(2, 3), **o), "does not reverse the kernel"),
    ("conv2d_im2col", lambda x, w, padding, stride: conv2d_im2col(x, w, 0, stride), "the padding"),
    ("conv2d_im2col", lambda x, w, padding, stride: conv2d_im2col(x, w, padding, 1), "the stride"),
    ("conv2d_im2col", channel_last_columns, "order inside a column"),
    ("conv2d_im2col", lambda x, w, **o: conv2d_im2col(x, w, **o)[None], "batch dimension"),
    ("conv2d_im2col", lambda x, w, **o: conv2d_im2col(x, w, **o).flatten(1), "make each row of the product"),
    ("conv2d_im2col", lambda x, w, **o: conv2d_im2col(x, w, **o).transpose(1, 2), "windows row by row"),
    ("conv2d_im2col", lambda x, w, **o: F.conv2d(x[None], w, **o)[0], "calls F.conv2d"),
    (
        "conv2d_im2col",
        lambda x, w, **o: w.flatten(1) @ F.unfold(x[None], w.shape[2:], **o)[0],
        "calls F.unfold",
    ),
    ("kernel_gradient", lambda x, g, k, **o: kernel_gradient(x, g, k, **o).flip(0), "backwards"),
    ("kernel_gradient", lambda x, g, k, **o: kernel_gradient(x, g, k, **o) / len(g), "not a mean"),
    ("kernel_gradient", lambda x, g, k, padding, stride: kernel_gradient(x, g, k, padding), "the stride"),
    ("kernel_gradient", too_long, "keep k entries"),
    ("kernel_gradient", lambda x, g, k, **o: torch.ones(k), "with the factor"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)


test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_the_derivative_by_the_input_is_told_from_that_by_the_kernel():
    def by_x(x, gradient, k, padding=0, stride=1):
        (w,) = check._draw(len(x) * 89 + k, len(x) + k)[0][
            None, len(x) :
        ]  # the kernel that the check has drawn
        return F.conv_transpose1d(gradient[None, None], w[None, None], padding=padding, stride=stride)[0, 0]

    with pytest.raises(CheckFailed, match="this is ∂L/∂x"):
        check.kernel_gradient(by_x)


def test_forgotten_padding_of_the_kernel_gradient_is_named():
    def unpadded(x, gradient, k, padding=0, stride=1):
        x = F.pad(x, (0, 100))
        return torch.stack([(gradient * x[j::stride][: len(gradient)]).sum() for j in range(k)])

    with pytest.raises(CheckFailed, match="the padding"):
        check.kernel_gradient(unpadded)


def test_lengths_below_one_are_named():
    def unbounded(m, k, padding=0, stride=1, dilation=1):
        least = (m - 1) * stride - 2 * padding + dilation * (k - 1) + 1
        return list(range(least, least + stride))

    with pytest.raises(CheckFailed, match="at least one value"):
        check.input_sizes(unbounded)


def test_other_ways_to_return_the_right_answer_pass(capsys):
    check.correlate_1d(lambda x, w, **o: correlate_1d(x, w, **o).tolist())
    check.correlate_1d(lambda x, w, **o: correlate_1d(x, w, **o).double())
    check.input_sizes(lambda m, k, **o: tuple(input_sizes(m, k, **o)))
    check.input_sizes(lambda m, k, **o: torch.tensor(input_sizes(m, k, **o)))
    check.true_convolution(lambda x, w: F.conv_transpose2d(x[None, None], w[None, None])[0, 0])
    assert capsys.readouterr().out.count("✓") == 5
