"""Highway networks: the layer by hand, the gates, the totals."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.models import zoo
from utils.models import build_model
from utils.models.highway import HighwayLayer, mean_gates

ZOO = {
    "highway": zoo.small(509_194),
}


def total(model):
    return sum(parameter.numel() for parameter in model.parameters())


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 8), st.integers(1, 100), st.booleans())
def test_totals(layers, classes, gated):
    plain = 9 * (3 * 16 + 16 * 32 + 32 * 64) + 16 + 32 + 64
    stages = layers * sum(9 * wide**2 + wide for wide in (16, 32, 64))
    with torch.device("meta"):
        model = build_model("highway", classes, depth=3 * layers + 4, gated=gated)
    assert total(model) == plain + (2 if gated else 1) * stages + 65 * classes
    weighted = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len([name for name in weighted if "gate" not in name]) == 3 * layers + 4


def test_totals_of_the_default():
    with torch.device("meta"):
        assert total(build_model("highway")) == 509_194
        assert total(build_model("highway", gated=False)) == 266_714


def test_a_layer_by_hand():
    layer = HighwayLayer(1, gated=True)
    with torch.no_grad():
        for convolution in (layer.transform.conv, layer.gate.conv):
            convolution.weight.zero_()
            convolution.bias.zero_()
        layer.transform.conv.weight[0, 0, 1, 1] = 3.0
        layer.gate.conv.bias[:] = math.log(1 / 4)  # T = 1 / (1 + 4) = 0.2
    x = torch.tensor([[[[1.0, -5.0]]]])
    torch.testing.assert_close(layer(x), torch.tensor([[[[0.2 * 3 + 0.8 * 1, 0.8 * -5]]]]))


@pytest.mark.parametrize("bias", [-4.0, -1.0, 0.0])
def test_gates_start_near_the_sigmoid_of_their_bias(bias):
    torch.manual_seed(0)
    model = build_model("highway", depth=10, gate_bias=bias)
    for layer in model.modules():
        if isinstance(layer, HighwayLayer):
            nn.init.zeros_(layer.gate.conv.weight)
    gates = mean_gates(model, torch.randn(2, 3, 32, 32))
    assert list(gates) == [f"stage{stage}.{number}" for stage in (1, 2, 3) for number in (0, 1)]
    assert list(gates.values()) == pytest.approx([1 / (1 + math.exp(-bias))] * 6)


def test_reading_gates_leaves_the_model_as_it_was():
    torch.manual_seed(0)
    model = build_model("highway", depth=7)
    x = torch.randn(2, 3, 16, 16)
    before = model(x)
    gates = mean_gates(model, x)
    assert torch.equal(model(x), before) and before.requires_grad
    assert not any(module._forward_hooks for module in model.modules())
    layer = model.stage1[0]
    assert gates["stage1.0"] == pytest.approx(layer.gate(model.plain1(x)).mean().item())


def test_hooks_are_taken_away_when_the_model_fails():
    model = build_model("highway", depth=7)
    with pytest.raises(ValueError, match="expects images"):
        mean_gates(model, torch.zeros(2, 1, 16, 16))
    assert not any(module._forward_hooks for module in model.modules())


def test_no_gates_no_means():
    with pytest.raises(ValueError, match="HighwayNet has no highway layers with a gate"):
        mean_gates(build_model("highway", depth=7, gated=False), torch.zeros(1, 3, 8, 8))


def test_closed_gates_carry_the_input_through_any_depth():
    model = build_model("highway", depth=31, gate_bias=-40.0)
    x = torch.randn(2, 16, 8, 8)
    torch.testing.assert_close(model.stage1(x), x)


def test_it_learns_from_the_default_start():
    torch.manual_seed(0)
    x, y = torch.randn(32, 3, 16, 16), torch.arange(32) % 4
    x[:, 0] += y[:, None, None] * 0.5
    model = build_model("highway", 4, width=0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0], losses


@pytest.mark.parametrize("depth", [4, 8, 20, 19.0])
def test_impossible_depths_are_named(depth):
    with pytest.raises(ValueError, match=f"depth must be 4 plus a multiple of 3, .* got {depth}"):
        build_model("highway", depth=depth)
