"""The patchify VGG: the totals of its five variants, its maps, and the layers written out."""

import pytest
import torch
from torch.nn import functional as F

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model

ZOO = {
    "patchify-vgg": zoo.small(1_315_786, fixed_size=True),
}

STRIDED, GAP = {"downsampling": "stride"}, {"head": "gap"}


@pytest.mark.parametrize(
    ("options", "params"),
    [
        ({}, 1_315_786),
        (STRIDED, 1_315_786),
        (GAP, 1_185_866),
        ({**STRIDED, **GAP}, 1_185_866),
        # without a scale and a shift for each of 64 + 2·(64 + 128 + 256) channels
        ({"batch_norm": False}, 1_315_786 - 2 * 960),
    ],
)
def test_totals_of_the_five_variants(options, params):
    with torch.device("meta"):
        model = build_model("patchify-vgg", **options)
    assert sum(parameter.numel() for parameter in model.parameters()) == params


def test_maps_and_multiply_adds():
    with torch.device("meta"):
        rows = account(build_model("patchify-vgg"), (3, 32, 32))
    assert round(rows.total_macs / 1e6, 1) == 47.5
    assert rows["stem.conv1"].output_shape == (64, 16, 16)
    pools = [rows[f"block{block}.pool"].output_shape for block in (1, 2, 3)]
    assert pools == [(64, 8, 8), (128, 4, 4), (256, 2, 2)] and rows["head.flatten"].output_shape == (1024,)


def test_strides_for_pooling_give_the_same_maps_for_less():
    with torch.device("meta"):
        rows = account(build_model("patchify-vgg", **STRIDED), (3, 32, 32))
    assert [rows[f"block{block}.relu2"].output_shape[-1] for block in (1, 2, 3)] == [8, 4, 2]
    assert not any(row.type == "MaxPool2d" for row in rows)


@pytest.mark.parametrize("options", [{}, STRIDED, GAP])
def test_the_layers_written_out(options):
    torch.manual_seed(0)
    model = build_model("patchify-vgg", batch_norm=False, width=0.25, **options).eval()
    x = torch.randn(2, 3, 32, 32)
    y = F.conv2d(x, model.stem.conv1.weight, model.stem.conv1.bias, stride=2).relu()
    stride = 2 if options == STRIDED else 1
    for block in (model.block1, model.block2, model.block3):
        y = F.conv2d(y, block.conv1.weight, block.conv1.bias, padding=1).relu()
        y = F.conv2d(y, block.conv2.weight, block.conv2.bias, stride=stride, padding=1).relu()
        y = y if options == STRIDED else F.max_pool2d(y, 2)
    if options == GAP:
        expected = model.head.fc(y.mean(dim=(2, 3)))
    else:
        expected = model.head.fc2(model.head.fc1(y.flatten(1)).relu())
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"downsampling": "mean"}, "downsampling must be 'pool' or 'stride', got 'mean'"),
        ({"head": "mlp"}, "head must be 'flatten' or 'gap', got 'mlp'"),
        ({"dropout": -0.1}, r"in \[0, 1\), got -0.1"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_model("patchify-vgg", **options)
