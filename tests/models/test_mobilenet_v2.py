"""MobileNetV2 against torchvision's, and the CIFAR variant against the totals that single it out."""

import pytest
import torch
import torchvision
from torch import nn

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model
from utils.models.mobilenet_v2 import multiple_of_8

ZOO = {
    "mobilenet-v2": zoo.large(3_504_872),
    "mobilenet-v2-cifar": zoo.small(2_598_074),
}


def total(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_parameters_and_multiply_adds_of_the_paper():
    with torch.device("meta"):
        rows = account(build_model("mobilenet-v2"), (3, 224, 224))
    assert rows.total_params == 3_504_872 and round(rows.total_macs / 1e6, 1) == 300.8


@pytest.mark.parametrize("width", [1.0, 0.5, 1.4])
def test_same_output_as_torchvision_with_our_weights(width):
    torch.manual_seed(0)
    ours = build_model("mobilenet-v2", num_classes=7, width=width).eval()
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
    with torch.device("meta"):
        theirs = torchvision.models.mobilenet_v2(num_classes=7, width_mult=width)
    names = list(theirs.state_dict())  # theirs have other names and the same order
    theirs.load_state_dict(dict(zip(names, ours.state_dict().values(), strict=True)), assign=True)
    theirs.eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(x)
        assert expected.std() > 1e-3
        torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "params"),
    [
        ({}, 2_598_074),
        ({"expansion": 5}, 1_995_770),
        ({"expansion": 6}, 2_296_922),
        ({"stage_stride": 2}, 2_597_642),
        ({"project_shortcut": False}, 2_538_922),
        ({"expand_first": False}, 2_596_986),
    ],
)
def test_totals_of_the_small_image_variant(options, params):
    with torch.device("meta"):
        assert total(build_model("mobilenet-v2-cifar", **options)) == params


def test_maps_and_multiply_adds_of_the_small_image_variant():
    with torch.device("meta"):
        rows = account(build_model("mobilenet-v2-cifar"), (3, 32, 32))
    sizes = [rows[f"stage{stage}.0.project.bn"].output_shape[-1] for stage in range(1, 8)]
    assert sizes == [32, 32, 16, 8, 8, 4, 4] and round(rows.total_macs / 1e6, 1) == 104.4


def test_shortcuts_are_where_the_stride_is_one():
    with torch.device("meta"):
        model = build_model("mobilenet-v2-cifar")
    blocks = [block for stage in range(1, 8) for block in getattr(model, f"stage{stage}")]
    assert len(blocks) == 17
    kinds = {None: 0, nn.Identity: 0, nn.Sequential: 0}
    for block in blocks:
        kinds[None if block.shortcut is None else type(block.shortcut)] += 1
    assert kinds == {None: 3, nn.Identity: 10, nn.Sequential: 4}
    projected = [block.shortcut.conv for block in blocks if isinstance(block.shortcut, nn.Sequential)]
    assert [(c.in_channels, c.out_channels) for c in projected] == [(32, 16), (16, 24), (64, 96), (160, 320)]


@pytest.mark.parametrize("name", ["mobilenet-v2", "mobilenet-v2-cifar"])
def test_nothing_follows_a_projection_or_an_addition(name):
    """The bottleneck is linear: a block can give negative values."""
    torch.manual_seed(0)
    model = build_model(name, width=0.25)
    assert not hasattr(model.stage3[1].project, "act")
    x = torch.randn(4, 8, 8, 8)
    assert model.stage3[1](x).min() < 0
    block = model.stage3[1].eval()
    torch.testing.assert_close(block(x), x + block.project(block.depthwise(block.expand(x))))


def test_activations():
    for name, activation in {"mobilenet-v2": nn.ReLU6, "mobilenet-v2-cifar": nn.ReLU}.items():
        with torch.device("meta"):
            kinds = {type(module) for module in build_model(name).modules()}
        assert kinds & {nn.ReLU, nn.ReLU6} == {activation}


def test_channels_are_multiples_of_8():
    for channels, expected in {1: 8, 8: 8, 11.9: 16, 12: 16, 16.8: 16, 19: 24, 24: 24, 1280: 1280}.items():
        assert multiple_of_8(channels) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expansion": 0}, "expansion must be a whole number from 1, got 0"),
        ({"stage_stride": 3}, "stage_stride must be 1 or 2, got 3"),
        ({"width": 0}, "must be positive, got 0"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_model("mobilenet-v2-cifar", **options)
