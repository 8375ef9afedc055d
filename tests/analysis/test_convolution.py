"""Toeplitz matrices, im2col and output sizes against torch, on whole numbers and so exact to the last bit."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from utils.analysis.convolution import (
    conv_output_size,
    conv_transpose_output_size,
    im2col,
    toeplitz_1d,
    toeplitz_2d,
)

exact = settings(deadline=None, max_examples=60)


def whole_numbers(*shape, seed):
    """Whole numbers as float64: sums of their products are exact whatever the order."""
    return torch.randint(-9, 10, shape, generator=torch.Generator().manual_seed(seed)).double()


# --- one dimension


def test_the_lectures_matrix_by_hand():
    # three taps a, b, c on six inputs with one zero on each side: y_i = a·f_(i−1) + b·f_i + c·f_(i+1)
    a, b, c = 2.0, 3.0, 5.0
    by_hand = torch.tensor(
        [
            [b, c, 0, 0, 0, 0],
            [a, b, c, 0, 0, 0],
            [0, a, b, c, 0, 0],
            [0, 0, a, b, c, 0],
            [0, 0, 0, a, b, c],
            [0, 0, 0, 0, a, b],
        ]
    )
    assert torch.equal(toeplitz_1d(torch.tensor([a, b, c]), 6, padding=1), by_hand)
    assert torch.equal(
        toeplitz_1d(torch.tensor([a, b, c]), 6), by_hand[1:-1]
    )  # valid: first and last row less
    assert torch.equal(toeplitz_1d(torch.tensor([a, b, c]), 6, padding=1, stride=2), by_hand[::2])


def test_the_matrix_correlates_and_its_transpose_convolves():
    kernel, signal = np.array([1.0, -2.0, 4.0]), np.arange(7.0)
    matrix = toeplitz_1d(torch.tensor(kernel), 7, padding=1).numpy()
    np.testing.assert_array_equal(matrix @ signal, np.correlate(signal, kernel, "same"))
    np.testing.assert_array_equal(matrix.T @ signal, np.convolve(signal, kernel, "same"))


@exact
@given(
    n=st.integers(1, 20),
    k=st.integers(1, 6),
    padding=st.integers(0, 5),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_toeplitz_1d_is_conv1d_and_its_transpose(n, k, padding, stride, dilation, seed):
    assume(dilation * (k - 1) + 1 <= n + 2 * padding)
    kernel, x = whole_numbers(k, seed=seed), whole_numbers(n, seed=seed + 1)
    matrix = toeplitz_1d(kernel, n, padding, stride, dilation)
    y = F.conv1d(x[None, None], kernel[None, None], stride=stride, padding=padding, dilation=dilation)[0, 0]
    assert matrix.dtype == torch.float64 and torch.equal(matrix @ x, y)

    g = whole_numbers(len(y), seed=seed + 2)
    rest = n - conv_transpose_size(len(y), k, stride, padding, dilation)
    back = F.conv_transpose1d(
        g[None, None],
        kernel[None, None],
        stride=stride,
        padding=padding,
        dilation=dilation,
        output_padding=rest,
    )
    assert torch.equal(matrix.T @ g, back[0, 0])


def conv_transpose_size(n, k, stride, padding, dilation):
    """Written out again, so that the tests do not rest on what they test."""
    return (n - 1) * stride - 2 * padding + dilation * (k - 1) + 1


def test_the_transpose_is_the_backward_pass():
    kernel, x = whole_numbers(3, seed=0), whole_numbers(9, seed=1).requires_grad_()
    y = F.conv1d(x[None, None], kernel[None, None], stride=2, padding=1)[0, 0]
    g = whole_numbers(len(y), seed=2)
    y.backward(g)
    assert torch.equal(x.grad, toeplitz_1d(kernel, 9, padding=1, stride=2).T @ g)


def test_gradients_reach_the_kernel():
    x, kernel = whole_numbers(8, seed=0), whole_numbers(3, seed=1)
    through_matrix, through_torch = kernel.clone().requires_grad_(), kernel.clone().requires_grad_()
    (toeplitz_1d(through_matrix, 8, padding=1) @ x).square().sum().backward()
    F.conv1d(x[None, None], through_torch[None, None], padding=1).square().sum().backward()
    assert torch.equal(through_matrix.grad, through_torch.grad)


def test_a_list_of_numbers_is_a_kernel_and_keeps_its_type():
    assert toeplitz_1d([1, 2], 3).tolist() == [[1, 2, 0], [0, 1, 2]]
    assert toeplitz_1d([1, 2], 3).dtype == torch.int64
    assert toeplitz_1d(torch.ones(2, dtype=torch.float16), 3).dtype == torch.float16


# --- two dimensions


def test_doubly_block_toeplitz_by_hand():
    # a 2×2 kernel on a 2×3 image: one row of outputs, two blocks
    matrix = toeplitz_2d(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), (2, 3))
    assert matrix.to_dense().tolist() == [[1, 2, 0, 3, 4, 0], [0, 1, 2, 0, 3, 4]]


def test_blocks_are_the_toeplitz_matrices_of_the_kernels_rows():
    weight = whole_numbers(1, 1, 3, 3, seed=0)
    blocks = toeplitz_2d(weight, 5, padding=1).to_dense().reshape(5, 5, 5, 5)  # [y', x', y, x]
    rows = [toeplitz_1d(weight[0, 0, row], 5, padding=1) for row in range(3)]
    for out, into in itertools.product(range(5), repeat=2):
        tap = into - out + 1
        expected = rows[tap] if 0 <= tap < 3 else torch.zeros(5, 5, dtype=torch.float64)
        assert torch.equal(blocks[out, :, into, :], expected)


@settings(deadline=None, max_examples=120)
@given(
    size=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    groups=st.integers(1, 3),
    per_group=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    seed=st.integers(0, 1000),
)
def test_toeplitz_2d_is_conv2d_and_its_transpose(
    size, kernel, padding, stride, dilation, groups, per_group, seed
):
    for n, k, p, d in zip(size, kernel, padding, dilation, strict=True):
        assume(d * (k - 1) + 1 <= n + 2 * p)
    outs, ins = per_group
    weight = whole_numbers(outs * groups, ins, *kernel, seed=seed)
    x = whole_numbers(ins * groups, *size, seed=seed + 1)
    matrix = toeplitz_2d(weight, size, padding, stride, dilation, groups)
    settings_ = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = F.conv2d(x[None], weight, **settings_)[0]
    assert matrix.layout == torch.sparse_csr and matrix.dtype == torch.float64
    assert matrix.shape == (y.numel(), x.numel())
    assert torch.equal(matrix @ x.flatten(), y.flatten())

    g = whole_numbers(*y.shape, seed=seed + 2)
    rest = tuple(
        n - conv_transpose_size(m, k, s, p, d)
        for n, m, k, s, p, d in zip(size, y.shape[1:], kernel, stride, padding, dilation, strict=True)
    )
    back = F.conv_transpose2d(g[None], weight, output_padding=rest, **settings_)[0]
    assert torch.equal(matrix.t() @ g.flatten(), back.flatten())


def test_numbers_stand_for_pairs():
    weight = whole_numbers(2, 1, 3, 3, seed=0)
    one = toeplitz_2d(weight, 6, 1, 2, 2).to_dense()
    assert torch.equal(one, toeplitz_2d(weight, (6, 6), (1, 1), (2, 2), (2, 2)).to_dense())


def test_what_is_stored_depends_on_the_geometry_alone():
    zeros = toeplitz_2d(torch.zeros(1, 1, 3, 3), 4)
    assert zeros.values().numel() == 4 * 9  # four windows, each of nine pixels inside the image
    padded = toeplitz_2d(torch.zeros(1, 1, 3, 3), 4, padding=1)
    assert padded.values().numel() == (3 * 4 - 2) ** 2  # along one axis 4 windows of 3, two taps outside


def test_the_sparse_tensor_is_a_valid_one_without_a_gradient():
    matrix = toeplitz_2d(torch.randn(4, 2, 3, 3, requires_grad=True), (5, 7), padding=1, stride=2, groups=2)
    assert not matrix.requires_grad
    torch.sparse_csr_tensor(  # looks at the order of the rows and columns
        matrix.crow_indices(), matrix.col_indices(), matrix.values(), matrix.shape, check_invariants=True
    )


# --- im2col


@exact
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_im2col_is_unfold_and_gives_the_convolution(shape, kernel, padding, stride, dilation):
    for n, k, p, d in zip(shape[2:], kernel, padding, dilation, strict=True):
        assume(d * (k - 1) + 1 <= n + 2 * p)
    x = whole_numbers(*shape, seed=0)
    columns = im2col(x, kernel, padding=padding, stride=stride, dilation=dilation)
    assert torch.equal(columns, F.unfold(x, kernel, dilation=dilation, padding=padding, stride=stride))
    weight = whole_numbers(2, shape[1], *kernel, seed=1)
    y = F.conv2d(x, weight, stride=stride, padding=padding, dilation=dilation)
    assert torch.equal(weight.flatten(1) @ columns, y.flatten(2))


def test_im2col_takes_any_memory_layout():
    x = whole_numbers(2, 3, 6, 5, seed=0)
    views = [x.contiguous(memory_format=torch.channels_last), x.transpose(2, 3).contiguous().transpose(2, 3)]
    views.append(torch.cat([x, x], dim=1)[:, 3:])  # a view that does not begin at its storage's first value
    for view in views:
        assert torch.equal(im2col(view, 3), F.unfold(x, 3))


# --- sizes


def test_output_sizes_against_torch_over_a_grid():
    cases = failures = 0
    for n, k, s, p, d in itertools.product(range(1, 13), range(1, 6), range(1, 5), range(4), range(1, 4)):
        cases += 1
        x, kernel = torch.zeros(1, 1, n, device="meta"), torch.zeros(1, 1, k, device="meta")
        if d * (k - 1) + 1 > n + 2 * p:
            failures += 1
            with pytest.raises(ValueError):
                conv_output_size(n, k, stride=s, padding=p, dilation=d)
        else:
            expected = F.conv1d(x, kernel, stride=s, padding=p, dilation=d).shape[-1]
            assert conv_output_size(n, k, stride=s, padding=p, dilation=d) == expected
    assert cases == 2880 and 0 < failures < cases


def test_transposed_output_sizes_against_torch_over_a_grid():
    refused = 0
    for n, k, s, p, d, op in itertools.product(
        range(1, 8), range(1, 6), range(1, 5), range(3), range(1, 4), range(3)
    ):
        x, kernel = torch.zeros(1, 1, n), torch.zeros(1, 1, k)
        try:
            expected = F.conv_transpose1d(
                x, kernel, stride=s, padding=p, dilation=d, output_padding=op
            ).shape[-1]
        except RuntimeError:
            expected = 0
        if expected > 0:
            size = conv_transpose_output_size(n, k, stride=s, padding=p, dilation=d, output_padding=op)
            assert size == expected
        else:
            refused += 1
            with pytest.raises(ValueError):
                conv_transpose_output_size(n, k, stride=s, padding=p, dilation=d, output_padding=op)
    assert refused > 0


def test_sizes_that_the_course_speaks_of():
    assert conv_output_size(227, 11, stride=4) == conv_output_size(224, 11, stride=4, padding=2) == 55
    assert conv_output_size(224, 11, stride=4) == 54
    assert conv_output_size(112, 3, stride=2, padding=1) == 56 and conv_output_size(112, 3, stride=2) == 55
    assert conv_transpose_output_size(16, 2, stride=2) == 32
    assert conv_transpose_output_size(16, 4, stride=2, padding=1) == 32
    assert conv_transpose_output_size(16, 3, stride=2, padding=1) == 31
    assert conv_transpose_output_size(16, 3, stride=2, padding=1, output_padding=1) == 32


def test_tuples_give_one_size_for_each_dimension():
    assert conv_output_size((32, 28), 5, padding=(0, 2)) == (28, 28)
    assert conv_output_size(8, (3, 2, 1)) == (6, 7, 8)
    assert conv_output_size(torch.Size([8, 9]), 3) == (6, 7)
    assert conv_transpose_output_size((4, 5), 2, stride=2) == (8, 10)


# --- errors name the value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv_output_size(4, 3, dilation=2), "spans 5 .* does not fit into 4"),
        (lambda: conv_output_size(0, 1), "size must be .* got 0"),
        (lambda: conv_output_size(4, 0), "kernel_size must be .* got 0"),
        (lambda: conv_output_size(4, 2, stride=0), "stride must be .* got 0"),
        (lambda: conv_output_size(4, 2, padding=-1), "padding must be .* got -1"),
        (lambda: conv_output_size(4, 2, dilation=0), "dilation must be .* got 0"),
        (lambda: conv_output_size(4.5, 2), "size must be a whole number .* got 4.5"),
        (lambda: conv_output_size((4, 4), (2, 2, 2)), r"one length, got .*\(2, 2, 2\)"),
        (
            lambda: conv_transpose_output_size(4, 3, stride=2, output_padding=2),
            "output_padding .* got 2 with stride 2",
        ),
        (lambda: conv_transpose_output_size(4, 3, output_padding=-1), "output_padding must be .* got -1"),
        (lambda: conv_transpose_output_size(1, 1, padding=1), "no output: its size would be -1"),
        (lambda: toeplitz_1d(torch.ones(2, 2), 4), r"one row of numbers, got the shape \(2, 2\)"),
        (lambda: toeplitz_1d(torch.ones(5), 4), "spans 5 .* does not fit into 4"),
        (lambda: toeplitz_2d(torch.ones(3, 3), 4), r"got the shape \(3, 3\)"),
        (lambda: toeplitz_2d(torch.ones(3, 1, 2, 2), 4, groups=2), "groups must divide the 3 .* got 2"),
        (lambda: toeplitz_2d(torch.ones(3, 1, 2, 2), 4, groups=0), "groups must divide the 3 .* got 0"),
        (lambda: toeplitz_2d(torch.ones(1, 1, 5, 5), (4, 9)), "spans 5 .* does not fit into 4"),
        (lambda: toeplitz_2d(torch.ones(1, 1, 2, 2), (4, 4, 4)), r"a pair is needed, got \(4, 4, 4\)"),
        (lambda: im2col(torch.ones(3, 8, 8), 3), r"got the shape \(3, 8, 8\)"),
        (lambda: im2col(torch.ones(1, 3, 2, 8), 3), "spans 3 .* does not fit into 2"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_sizes_of_numpy_are_sizes():
    seven, three, two = np.int64(7), np.int32(3), np.uint8(2)
    assert conv_output_size(seven, three, stride=two) == conv_output_size(7, 3, stride=2) == 3
    assert conv_transpose_output_size(seven, three) == 9
    kernel = torch.tensor([1, 2, 3])
    assert torch.equal(toeplitz_1d(kernel, seven, padding=np.int64(1)), toeplitz_1d(kernel, 7, padding=1))
