"""The SE-residual net: every row of the report's size table, and the order of layers in a block."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model

ZOO = {
    "se-residual": zoo.small(773_842),
}


def total(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("convs", "reduction", "params", "megabytes"),
    [
        (2, None, 767_514, 12.816),
        (2, 2, 811_866, 12.843),
        (2, 4, 790_138, 12.840),
        (2, 8, 779_274, 12.838),
        (2, 16, 773_842, 12.837),
        (2, 32, 771_258, 12.837),
        (1, 16, 384_978, 7.587),
        (3, 16, 1_162_706, 18.087),
    ],
)
def test_sizes_of_the_report(convs, reduction, params, megabytes):
    with torch.device("meta"):
        model = build_model("se-residual", convs=convs, reduction=reduction)
    assert total(model) == params
    # The report's tool counts the outputs of layers and of blocks, for the forward and the backward pass
    blocks = 4 * 8 * (16 * 32**2 + 32 * 16**2 + 64 * 8**2)
    assert round(2 * (account(model, (3, 32, 32)).total_bytes + blocks) / 2**20, 3) == megabytes


def test_multiply_adds_of_the_report():
    with torch.device("meta"):
        assert round(account(build_model("se-residual"), (3, 32, 32)).total_macs / 1e9, 4) == 0.1116


@pytest.mark.parametrize(("blocks", "params"), [(7, 675_835), (8, 773_842), (9, 871_849)])
def test_blocks_in_a_stage(blocks, params):
    with torch.device("meta"):
        model = build_model("se-residual", blocks=blocks)
    assert total(model) == params
    assert [len(stage) for stage in (model.stage1, model.stage2, model.stage3)] == [blocks] * 3


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("stage", [1, 2])
def test_a_block_written_out(activation, stage):
    torch.manual_seed(0)
    act = getattr(torch, activation)
    model = build_model("se-residual", blocks=1, activation=activation, width=0.5).eval()
    block = getattr(model, f"stage{stage}")[0]
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    x = torch.randn(2, 8, 6, 6)
    layers = block.branch
    y = act(layers.bn1(F.conv2d(x, layers.conv1.weight, stride=stage, padding=1)))
    y = act(layers.bn2(F.conv2d(y, layers.conv2.weight, padding=1)))
    projected = x if stage == 1 else block.shortcut[1](F.conv2d(x, block.shortcut[0].weight, stride=2))
    y = y + projected
    squeezed = y.mean(dim=(2, 3)) @ block.se.reduce.weight[:, :, 0, 0].T + block.se.reduce.bias
    excited = squeezed.relu() @ block.se.expand.weight[:, :, 0, 0].T + block.se.expand.bias
    torch.testing.assert_close(block(x), y * excited.sigmoid()[:, :, None, None])


def test_activation_is_used_everywhere_but_in_squeeze_and_excitation():
    model = build_model("se-residual", activation="tanh")
    kinds = {"Tanh": 0, "ReLU": 0, "Sigmoid": 0}
    for module in model.modules():
        if type(module).__name__ in kinds:
            kinds[type(module).__name__] += 1
    assert kinds == {"Tanh": 2 * 24 + 2, "ReLU": 24, "Sigmoid": 24}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, "blocks must be a whole number from 1, got 0"),
        ({"convs": 1.5}, "convs must be a whole number from 1, got 1.5"),
        ({"activation": "gelu"}, "activation must be one of relu, tanh, sigmoid, got 'gelu'"),
        ({"reduction": 0}, "reduction must be a whole number from 1, got 0"),
        ({"dropout": 1.0}, r"in \[0, 1\), got 1.0"),
        ({"width": 0.0}, "must be positive, got 0.0"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_model("se-residual", **options)
