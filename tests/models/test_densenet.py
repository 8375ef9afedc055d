"""DenseNets: the totals counted layer by layer, and each layer's view of those before it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.models import zoo
from utils.models import build_model
from utils.models.densenet import DenseLayer

ZOO = {
    "densenet": zoo.small(1_019_722),
    "densenet-bc": zoo.small(769_162),
}


def total(model):
    return sum(parameter.numel() for parameter in model.parameters())


def counted(depth, growth, bc, classes):
    """Weights of the convolutions and two per channel of a batch norm, in the order of the paper."""
    per_block = (depth - 4) // 3
    channels = 2 * growth if bc else 16
    count = 27 * channels
    for block in range(3):
        for _ in range(per_block // 2 if bc else per_block):
            if bc:
                wide = 4 * growth
                count += 2 * channels + channels * wide + 2 * wide + 9 * wide * growth
            else:
                count += 2 * channels + 9 * channels * growth
            channels += growth
        if block < 2:
            narrow = channels // 2 if bc else channels
            count += 2 * channels + channels * narrow
            channels = narrow
    return count + 2 * channels + (channels + 1) * classes


@pytest.mark.parametrize(
    ("name", "params", "depth"), [("densenet", 1_019_722, 40), ("densenet-bc", 769_162, 100)]
)
def test_totals_of_the_paper(name, params, depth):
    with torch.device("meta"):
        model = build_model(name)
    assert total(model) == params == counted(depth, 12, name.endswith("bc"), 10)
    # a layer with weights is a convolution or the linear one
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == depth


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5), st.integers(1, 40), st.booleans(), st.integers(1, 100))
def test_totals_of_any_size(layers, growth, bc, classes):
    depth = 4 + (6 if bc else 3) * layers
    with torch.device("meta"):
        model = build_model("densenet-bc" if bc else "densenet", classes, depth=depth, growth=growth)
    assert total(model) == counted(depth, growth, bc, classes)


@pytest.mark.parametrize("bottleneck", [False, True])
def test_a_layer_keeps_its_input_and_appends(bottleneck):
    layer = DenseLayer(5, 3, bottleneck, dropout=0.0)
    x = torch.randn(2, 5, 6, 6)
    out = layer(x)
    assert out.shape == (2, 8, 6, 6) and torch.equal(out[:, :5], x)


@pytest.mark.parametrize("name", ["densenet", "densenet-bc"])
def test_the_last_layer_of_a_block_sees_all_before(name):
    torch.manual_seed(0)
    model = build_model(name, depth=22, growth=4).eval()
    x = torch.randn(1, 3, 8, 8)
    first = model.conv1(x)
    seen = torch.cat([first], dim=1)
    for layer in model.block1:
        seen = torch.cat([seen, layer.branch(seen)], dim=1)
    torch.testing.assert_close(model.block1(first), seen)
    last = model.block1[-1].branch
    weight = last.conv1.weight
    assert weight.shape[1] == first.shape[1] + 4 * (len(model.block1) - 1)


def test_growth_without_a_bottleneck_against_torchvisions_block():
    """torchvision has bottlenecks only: its block with our weights gives what our block gives."""
    from torchvision.models.densenet import _DenseBlock

    torch.manual_seed(0)
    ours = nn.Sequential(*(DenseLayer(6 + 3 * number, 3, True, 0.0) for number in range(4))).eval()
    theirs = _DenseBlock(4, 6, 4, 3, 0.0).eval()
    names = list(theirs.state_dict())
    theirs.load_state_dict(dict(zip(names, ours.state_dict().values(), strict=True)))
    x = torch.randn(2, 6, 5, 5)
    torch.testing.assert_close(ours(x), theirs(x))


def test_compression_halves_the_channels():
    with torch.device("meta"):
        model = build_model("densenet-bc")
    assert (model.transition1.conv.in_channels, model.transition1.conv.out_channels) == (216, 108)
    assert (model.transition2.conv.in_channels, model.transition2.conv.out_channels) == (300, 150)
    assert model.fc.in_features == 342


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("densenet", {"depth": 41}, "depth must be 4 plus a multiple of 3 .* got 41"),
        ("densenet-bc", {"depth": 43}, "depth must be 4 plus a multiple of 6 .* got 43"),
        ("densenet", {"depth": 4}, "got 4"),
        ("densenet", {"growth": 0}, "growth must be a whole number from 1, got 0"),
        ("densenet", {"dropout": 1}, r"in \[0, 1\), got 1"),
    ],
)
def test_impossible_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        build_model(name, **options)


def test_images_that_the_transitions_would_use_up_are_named():
    model = build_model("densenet", depth=7).eval()
    assert model(torch.zeros(1, 3, 4, 4)).shape == (1, 10)
    with pytest.raises(ValueError, match=r"at least 4×4 pixels, got \[1, 3, 3, 8\]"):
        model(torch.zeros(1, 3, 3, 8))
