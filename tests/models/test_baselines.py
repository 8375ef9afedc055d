"""The linear classifier and the MLP: sizes, counts and errors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import zoo
from utils.models import build_model, mlp_width

ZOO = {
    "linear": zoo.small(7_850, fixed_size=True, channels=1, size=28),
    "mlp": zoo.small(266_610, fixed_size=True, channels=1, size=28),
}


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_linear_is_one_affine_map_of_the_pixels():
    model = build_model("linear", num_classes=4, in_channels=3, input_size=(5, 7))
    assert parameters(model) == 4 * (3 * 5 * 7 + 1)
    x = torch.randn(2, 3, 5, 7)
    layer = model.layers.output
    torch.testing.assert_close(model(x), x.flatten(1) @ layer.weight.T + layer.bias)


def test_mlp_has_the_widths_of_the_paper_by_default():
    model = build_model("mlp")
    assert parameters(model) == 785 * 300 + 301 * 100 + 101 * 10
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_one_number_is_one_hidden_layer():
    assert parameters(build_model("mlp", hidden=20)) == parameters(build_model("mlp", hidden=[20]))
    assert parameters(build_model("mlp", hidden=20)) == 785 * 20 + 21 * 10


def test_mlp_as_large_as_lenet():
    width = mlp_width(61_706, in_features=28 * 28)
    assert width == 78 and parameters(build_model("mlp", hidden=width)) == 62_020


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 200_000), st.integers(1, 3), st.integers(2, 12), st.integers(1, 20))
def test_no_other_width_comes_closer(wanted, channels, size, classes):
    def count(width):
        return (channels * size * size + 1) * width + (width + 1) * classes

    width = mlp_width(wanted, channels * size * size, classes)
    built = build_model("mlp", classes, channels, hidden=width, input_size=size)
    assert parameters(built) == count(width)
    for other in {max(1, width - 1), width + 1}:
        assert abs(count(width) - wanted) <= abs(count(other) - wanted)


@pytest.mark.parametrize("hidden", [(), 0, (10, -1), (2.5,)])
def test_impossible_widths_are_named(hidden):
    with pytest.raises(ValueError, match="hidden must hold at least one positive width, got "):
        build_model("mlp", hidden=hidden)


@pytest.mark.parametrize("size", [0, (3, 0), (1, 2, 3), 2.5])
@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_impossible_sizes_are_named(name, size):
    with pytest.raises(ValueError, match="input_size must be one positive number or "):
        build_model(name, input_size=size)


def test_a_wrong_input_is_told_what_is_expected():
    with pytest.raises(ValueError, match=r"expects images \[B, 1, 28, 28\], got \[2, 3, 28, 28\]"):
        build_model("linear")(torch.zeros(2, 3, 28, 28))


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_torch_fx_can_trace_it(name):
    model = build_model(name)
    x = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(torch.fx.symbolic_trace(model)(x), model(x))
