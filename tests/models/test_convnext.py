"""ConvNeXt-T against torchvision's with the same weights, the small-image stem, stochastic depth."""

import pytest
import torch
import torchvision
from torch import nn

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model
from utils.models.convnext import ChannelNorm, ConvNeXtBlock, StochasticDepth

ZOO = {
    "convnext-t": zoo.large(28_589_128),
    "convnext-t-cifar": zoo.small(27_825_802),
}


def total(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "classes", "params"),
    [
        ("convnext-t", 1000, 28_589_128),
        ("convnext-t-cifar", 10, 27_825_802),
        ("convnext-t-cifar", 100, 27_895_012),
    ],
)
def test_totals(name, classes, params):
    with torch.device("meta"):
        assert total(build_model(name, classes)) == params


def test_multiply_adds_are_the_papers():
    with torch.device("meta"):
        assert round(account(build_model("convnext-t"), (3, 224, 224)).total_macs / 1e9, 1) == 4.5


def weights_for_torchvision(ours, theirs):
    """The order is the same; the names differ, and our 1×1 convolutions are linear layers there."""
    target = theirs.state_dict()
    values = ours.state_dict().values()
    return {name: v.reshape(target[name].shape) for name, v in zip(target, values, strict=True)}


def test_same_output_as_torchvision_with_our_weights():
    torch.manual_seed(0)
    ours = build_model("convnext-t", num_classes=7).eval()
    for module in ours.modules():
        if isinstance(module, ConvNeXtBlock):
            nn.init.uniform_(module.scale, 0.1, 1.0)  # so that the branches count
        elif isinstance(module, ChannelNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    with torch.device("meta"):
        theirs = torchvision.models.convnext_tiny(num_classes=7)
    theirs.load_state_dict(weights_for_torchvision(ours, theirs), assign=True)
    theirs.eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(x)
        assert expected.std() > 1e-3
        torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-5)


def test_small_images_keep_their_size_until_the_second_stage():
    with torch.device("meta"):
        rows = account(build_model("convnext-t-cifar"), (3, 32, 32))
    assert [rows[f"stage{s}.0.depthwise"].output_shape[-1] for s in (1, 2, 3, 4)] == [32, 16, 8, 4]


def test_channel_norm_is_the_formula():
    torch.manual_seed(0)
    norm = ChannelNorm(5)
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    x = torch.randn(2, 5, 3, 4)
    centered = x - x.mean(dim=1, keepdim=True)
    expected = centered / (centered.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(norm(x), expected * norm.weight[:, None, None] + norm.bias[:, None, None])


def test_a_new_block_is_nearly_the_identity():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 6, 6)
    difference = ConvNeXtBlock(8, 0.0)(x) - x
    assert 0 < difference.abs().max() < 1e-5


def test_stochastic_depth_keeps_the_mean_and_drops_whole_examples():
    torch.manual_seed(0)
    layer = StochasticDepth(0.25)
    out = layer(torch.ones(4000, 2, 1, 3))
    torch.testing.assert_close(out.unique(), torch.tensor([0.0, 4 / 3]))
    assert (out == out[:, :1, :1, :1]).all()
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(layer.eval()(out), out)


def test_stochastic_depth_grows_with_the_block():
    model = build_model("convnext-t", stochastic_depth=0.17, depths=(2, 2, 6, 8), channels=(4, 4, 4, 4))
    rates = [module.p for module in model.modules() if isinstance(module, StochasticDepth)]
    assert rates == pytest.approx([0.17 * number / 17 for number in range(18)])


def test_impossible_options_are_named():
    with pytest.raises(ValueError, match=r"need four numbers each, one a stage, got \(1, 1\)"):
        build_model("convnext-t", depths=(1, 1))
    with pytest.raises(ValueError, match=r"in \[0, 1\), got 1"):
        build_model("convnext-t-cifar", stochastic_depth=1)


def test_too_small_images_are_named():
    model = build_model("convnext-t-cifar", depths=(1, 1, 1, 1), channels=(4, 4, 4, 4)).eval()
    assert model(torch.zeros(1, 3, 8, 8)).shape == (1, 10)
    with pytest.raises(ValueError, match=r"at least 8×8 pixels, got \[1, 3, 7, 8\]"):
        model(torch.zeros(1, 3, 7, 8))
