"""Convolutions as matrix products and with spread gradients: against torch in float64."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.training.fast_convolutions import (
    ALL_PASSES,
    Passes,
    columns,
    convolve,
    output_size,
)

CHOICES = [ALL_PASSES, *(Passes(**{name: True}) for name in ("output", "input", "weight", "spread"))]


@st.composite
def convolutions(draw):
    """Arguments of a convolution that leave at least one output position."""

    def pair(low, high):
        return st.tuples(st.integers(low, high), st.integers(low, high))

    kernel, stride, padding, dilation = draw(pair(1, 4)), draw(pair(1, 3)), draw(pair(0, 3)), draw(pair(1, 3))
    size = tuple(
        draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), d * (k - 1) + 5))
        for k, p, d in zip(kernel, padding, dilation, strict=True)
    )
    B, C, O, groups = (draw(st.integers(1, 3)) for _ in range(4))
    seed = draw(st.integers(0, 2**31))
    passes = draw(st.sampled_from(CHOICES))
    groups = groups if passes == Passes(spread=True) else 1
    return (B, C, O, size, kernel), (stride, padding, dilation, groups), passes, seed, draw(st.booleans())


@given(convolutions())
@settings(max_examples=200, deadline=None)
def test_output_and_gradients_are_those_of_torch(case):
    (B, C, O, size, kernel), arguments, passes, seed, channels_last = case
    groups = arguments[-1]
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, weight, bias = random(B, C * groups, *size), random(O * groups, C, *kernel), random(O * groups)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    inputs = [t.requires_grad_() for t in (x, weight, bias)]
    expected, got = F.conv2d(x, weight, bias, *arguments), convolve(x, weight, bias, *arguments, passes)
    assert got.shape == expected.shape and torch.allclose(got, expected, atol=1e-12)
    assert got.shape[2:] == output_size(size, kernel, *arguments[:3])
    upstream = random(*expected.shape)
    for ours, theirs in zip(
        torch.autograd.grad(got, inputs, upstream),
        torch.autograd.grad(expected, inputs, upstream),
        strict=True,
    ):
        assert torch.allclose(ours, theirs, atol=1e-11)


@pytest.mark.parametrize("passes", CHOICES)
def test_gradients_of_gradients_are_right(passes):
    torch.manual_seed(0)
    inputs = [torch.randn(2, 2, 4, 3), torch.randn(3, 2, 3, 2), torch.randn(3)]
    inputs = [t.double().requires_grad_() for t in inputs]

    def function(x, w, b):
        return convolve(x, w, b, (1, 2), (1, 0), (1, 1), 1, passes)

    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_several_groups_are_no_matrix_product():
    with pytest.raises(ValueError, match="groups=2"):
        convolve(torch.zeros(1, 2, 3, 3), torch.zeros(2, 1, 3, 3), groups=2)


def test_columns_by_hand():
    x = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]).view(1, 1, 3, 3)
    assert columns(x, (2, 2), (1, 1), (0, 0), (1, 1)).tolist() == [
        [1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9],
    ]  # fmt: skip
    assert columns(x, (2, 2), (2, 2), (1, 1), (2, 2)).tolist() == [
        [0, 0, 0, 5], [0, 0, 5, 0], [0, 5, 0, 0], [5, 0, 0, 0],
    ]  # fmt: skip


def test_only_what_needs_a_gradient_gets_one():
    x, weight = torch.randn(1, 1, 4, 4), torch.randn(1, 1, 3, 3, requires_grad=True)
    convolve(x, weight).sum().backward()
    assert x.grad is None and weight.grad is not None
    x.requires_grad_()
    convolve(x, weight.detach()).sum().backward()
    assert x.grad is not None
