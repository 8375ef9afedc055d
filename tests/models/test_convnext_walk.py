"""The walk from ResNet to ConvNeXt: its ends against other implementations, each step against the paper."""

import pytest
import torch
from torch import nn

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model
from utils.models.convnext import ChannelNorm, ConvNeXt, ConvNeXtBlock
from utils.models.convnext_walk import STEPS, WalkBlock
from utils.models.resnet import Bottleneck

ZOO = {"convnext-walk": zoo.small(1_811_914)}


def total(model):
    return sum(parameter.numel() for parameter in model.parameters())


def kinds(module):
    return [type(layer).__name__ for layer in module]


def block_of(step):
    """The second block of the third stage: as many channels in as out."""
    with torch.device("meta"):
        blocks = [m for m in build_model("convnext-walk", step=step).stage3 if isinstance(m, WalkBlock)]
    return blocks[1]


def test_the_end_is_convnext_but_for_the_layer_scale():
    torch.manual_seed(0)
    walk = build_model("convnext-walk").eval()
    theirs = ConvNeXt(10, 3, (3, 3, 9, 3), (24, 48, 96, 192), 0.0, small_images=True)
    theirs.stem.conv = nn.Conv2d(3, 24, 2, 2)
    for module in theirs.modules():
        if isinstance(module, ConvNeXtBlock):
            nn.init.ones_(module.scale)
    names = [name for name in theirs.state_dict() if not name.endswith(".scale")]
    assert len(names) == len(walk.state_dict())
    for tensor in walk.state_dict().values():
        tensor.add_(0.05 * torch.randn_like(tensor))
    theirs.load_state_dict(dict(zip(names, walk.state_dict().values(), strict=True)), strict=False)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(walk(x), theirs.eval()(x), rtol=1e-4, atol=1e-5)
        assert walk(x).std() > 1e-2


def test_the_start_has_the_bottlenecks_of_resnet_50():
    torch.manual_seed(0)
    ours = build_model("convnext-walk", step="resnet", width=0.5).eval()
    assert [len(stage) for stage in (ours.stage1, ours.stage2, ours.stage3, ours.stage4)] == [3, 4, 6, 3]
    for stage, channels in ((ours.stage1, 8), (ours.stage2, 16)):
        x = torch.randn(2, 8 if channels == 8 else 32, 8, 8)
        block = stage[0]
        theirs = Bottleneck(x.shape[1], channels, 1 if channels == 8 else 2, "3x3", None).eval()
        assert total(theirs) == total(block)
        values = list(block.branch.state_dict().values()) + list(block.shortcut.state_dict().values())
        theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
        with torch.no_grad():
            torch.testing.assert_close(block(x), theirs(x))


@pytest.mark.parametrize(
    ("step", "layers"),
    [
        ("resnet", "Conv2d BatchNorm2d ReLU Conv2d BatchNorm2d ReLU Conv2d BatchNorm2d"),
        ("gelu", "Conv2d BatchNorm2d GELU Conv2d BatchNorm2d GELU Conv2d BatchNorm2d"),
        ("fewer-activations", "Conv2d BatchNorm2d Conv2d BatchNorm2d GELU Conv2d BatchNorm2d"),
        ("fewer-norms", "Conv2d BatchNorm2d Conv2d GELU Conv2d"),
        ("layer-norm", "Conv2d ChannelNorm Conv2d GELU Conv2d"),
    ],
)
def test_norms_and_activations_go_one_after_the_other(step, layers):
    assert " ".join(kinds(block_of(step).branch)) == layers
    after = {"resnet": nn.ReLU, "gelu": nn.GELU}.get(step, nn.Identity)
    assert type(block_of(step).after) is after


@pytest.mark.parametrize(
    ("step", "convolutions"),
    [  # channels in, out, pixels a side of the kernel, groups; 16 (24) · 4 channels in the third stage
        ("resnet", [(256, 64, 1, 1), (64, 64, 3, 1), (64, 256, 1, 1)]),
        ("depthwise", [(256, 64, 1, 1), (64, 64, 3, 64), (64, 256, 1, 1)]),
        ("width", [(384, 96, 1, 1), (96, 96, 3, 96), (96, 384, 1, 1)]),
        ("inverted", [(96, 384, 1, 1), (384, 384, 3, 384), (384, 96, 1, 1)]),
        ("move-up", [(96, 96, 3, 96), (96, 384, 1, 1), (384, 96, 1, 1)]),
        ("kernel-7", [(96, 96, 7, 96), (96, 384, 1, 1), (384, 96, 1, 1)]),
    ],
)
def test_convolutions_change_as_in_the_paper(step, convolutions):
    found = [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.groups)
        for layer in block_of(step).branch
        if isinstance(layer, nn.Conv2d)
    ]
    assert found == convolutions


def test_costs_rise_and_fall_as_in_table_10():
    """In the paper 4.09, 4.53, 4.42, 2.35, 5.27, 4.64, 4.07, 4.15 … 4.46, 4.49 thousand million."""
    with torch.device("meta"):
        macs = [account(build_model("convnext-walk", step=step), (3, 32, 32)).total_macs for step in STEPS]
    ratio, patchify, depthwise, width, inverted, move_up, kernel = (
        after / before for before, after in zip(macs, macs[1:8], strict=False)
    )
    assert 1.05 < ratio < 1.15 and patchify < 1 and 0.45 < depthwise < 0.65 and 2 < width < 2.4
    assert inverted < 1 and move_up < 1 and 1 < kernel < 1.1
    assert macs[7] == macs[8] == macs[9] == macs[10] == macs[11]


def test_downsampling_moves_out_of_the_blocks_at_last():
    with torch.device("meta"):
        before, after = (build_model("convnext-walk", step=step) for step in STEPS[-2:])
    assert isinstance(before.stage2[0], WalkBlock) and len(before.stage2) == 3
    assert [type(layer) for layer in after.stage2[:3]] == [ChannelNorm, nn.Conv2d, WalkBlock]
    assert isinstance(before.norm, nn.Identity) and isinstance(after.norm, ChannelNorm)


def test_an_unknown_step_is_refused():
    with pytest.raises(ValueError, match="step must be one of resnet, stage-ratio.*got 'swin'"):
        build_model("convnext-walk", step="swin")
