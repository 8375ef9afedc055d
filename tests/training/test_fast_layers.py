"""Layers that are computed in another way: the same results, and invisible to everything around them."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

from utils.training.fast_convolutions import ALL_PASSES, Passes, Shapes
from utils.training.fast_layers import FastLayers


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(8, 4, 3, padding="same"), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Flatten(),
    )  # fmt: skip


def always(shapes):
    seen.append(shapes)
    return ALL_PASSES if shapes.groups == 1 else Passes(spread=True)


def nothing(shapes):
    return Passes()


seen: list = []


@pytest.fixture(autouse=True)
def forget():
    seen.clear()


def run(model, x, mode, autocast=True):
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast), mode:
        y = model(x)
    y.float().square().mean().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    return y, gradients


def test_a_network_under_the_mode_computes_the_same_to_the_precision_of_bfloat16():
    model, x = network(), torch.randn(2, 3, 8, 8)
    y, gradients = run(model, x, FastLayers(always))
    assert seen == [  # and not the one with padding "same"
        Shapes(3, 8, (3, 3), (1, 1), 1, (8, 8)),
        Shapes(8, 8, (3, 3), (2, 2), 2, (4, 4)),
        Shapes(4, 4, (3, 3), (1, 1), 1, (4, 4)),
    ]
    expected, theirs = run(model, x, FastLayers(lambda shapes: Passes()))
    assert y.dtype == expected.dtype == torch.bfloat16
    assert torch.allclose(y, expected, rtol=0.05, atol=0.02)
    for ours, other in zip(gradients, theirs, strict=True):
        assert ours.dtype == other.dtype == torch.float32
        assert (ours - other).norm() < 0.03 * other.norm()


def test_without_autocast_it_computes_the_same_in_float32():
    model, x = network(), torch.randn(2, 3, 8, 8)
    y, gradients = run(model, x, FastLayers(always), autocast=False)
    assert len(seen) == 3
    expected, theirs = run(model, x, FastLayers(nothing), autocast=False)
    assert y.dtype == expected.dtype == torch.float32
    assert torch.allclose(y, expected, rtol=1e-4, atol=1e-6)
    for ours, other in zip(gradients, theirs, strict=True):
        assert torch.allclose(ours, other, rtol=1e-4, atol=1e-6)


def test_in_other_types_and_outside_of_the_block_nothing_is_touched():
    model, x = network().double(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    before = model(x)
    with FastLayers(always):
        assert torch.equal(model(x), before) and seen == []
        with pytest.raises(RuntimeError, match="type"):
            model(x.float())
    model, x = network(), torch.randn(2, 3, 8, 8)
    before = model(x)
    with pytest.raises(RuntimeError, match="stop"), torch.autocast("cpu", torch.bfloat16), FastLayers(always):
        raise RuntimeError("stop")
    seen.clear()
    with torch.autocast("cpu", torch.bfloat16):
        model(x)
    assert seen == [] and torch.equal(model(x), before)


def test_copies_traces_hooks_and_states_see_the_same_modules():
    model, x = network(), torch.randn(2, 3, 8, 8)
    calls, state = [], {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model[0].register_forward_hook(lambda module, inputs, output: calls.append(type(module)))
    with torch.autocast("cpu", torch.bfloat16), FastLayers(always):
        model(x)
        twin, traced = copy.deepcopy(model), fx.symbolic_trace(model)
    assert calls == [nn.Conv2d] and [type(m) for m in twin] == [type(m) for m in model]
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == [
        str(i) for i in range(7)
    ]
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in state.items())


@pytest.mark.parametrize("size", [1, (1, 1)])
def test_the_gradient_of_a_mean_is_torchs_and_lies_as_the_map_does(size):
    x = torch.randn(2, 3, 4, 5).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
    upstream = torch.randn(2, 3, 1, 1).bfloat16()
    expected = F.adaptive_avg_pool2d(x, size)
    with torch.autocast("cpu", torch.bfloat16), FastLayers(nothing):
        got = F.adaptive_avg_pool2d(x, output_size=size)
    (theirs,), (ours,) = (torch.autograd.grad(y, x, upstream) for y in (expected, got))
    assert torch.equal(got, expected) and torch.equal(ours, theirs)
    assert ours.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [2, (1, 2), (None, 1)])
def test_other_pools_are_torchs(size):
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16), FastLayers(nothing):
        assert torch.equal(F.adaptive_avg_pool2d(x, size), F.adaptive_avg_pool2d(x, size))
