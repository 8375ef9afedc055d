"""ResNet-18 to 152: totals, multiply-adds, and the same outputs as torchvision's with the same weights."""

import pytest
import torch
import torchvision
from torch import nn

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model
from utils.models.resnet import BasicBlock, Bottleneck

ZOO = {
    "resnet-18": zoo.large(11_689_512),
    "resnet-34": zoo.large(21_797_672),
    "resnet-50": zoo.large(25_557_032),
    "resnet-101": zoo.large(44_549_160),
    "resnet-152": zoo.large(60_192_808),
    "resnet-18-cifar": zoo.small(11_173_962),
    "resnet-34-cifar": zoo.small(21_282_122),
    "resnet-50-cifar": zoo.small(23_520_842),
    "resnet-101-cifar": zoo.small(42_512_970),
    "resnet-152-cifar": zoo.small(58_156_618),
}

# blocks, parameters and GMACs at 224×224 (stride in the first 1×1, in the 3×3) for 1000 classes
TABLE = {
    18: ((2, 2, 2, 2), 11_689_512, 1.814, 1.814),
    34: ((3, 4, 6, 3), 21_797_672, 3.664, 3.664),
    50: ((3, 4, 6, 3), 25_557_032, 3.858, 4.089),
    101: ((3, 4, 23, 3), 44_549_160, 7.570, 7.801),
    152: ((3, 8, 36, 3), 60_192_808, 11.282, 11.514),
}


def total(model):
    return sum(parameter.numel() for parameter in model.parameters())


def weights_for_torchvision(state):
    """Ours under torchvision's names: layer1.0.downsample.0.weight for stage1.0.shortcut.0.weight."""
    return {name.replace("stage", "layer").replace("shortcut", "downsample"): v for name, v in state.items()}


@pytest.mark.parametrize("depth", TABLE)
def test_parameters_and_multiply_adds(depth):
    _, params, first, second = TABLE[depth]
    with torch.device("meta"):
        paper, later = (build_model(f"resnet-{depth}", stride_in=where) for where in ("1x1", "3x3"))
    assert total(paper) == total(later) == params
    assert round(account(paper, (3, 224, 224)).total_macs / 1e9, 3) == first
    assert round(account(later, (3, 224, 224)).total_macs / 1e9, 3) == second


def test_projections_of_34_layers_cost_twenty_million_multiply_adds():
    with torch.device("meta"):
        rows = account(build_model("resnet-34"), (3, 224, 224))
    projections = sum(row.macs for row in rows if ".shortcut." in row.name)
    assert projections == 28**2 * 64 * 128 + 14**2 * 128 * 256 + 7**2 * 256 * 512
    assert round((rows.total_macs - projections) / 1e9, 3) == 3.644


@pytest.mark.parametrize("depth", TABLE)
def test_blocks_are_those_of_table_1(depth):
    with torch.device("meta"):
        model = build_model(f"resnet-{depth}")
    blocks = [len(getattr(model, f"stage{stage}")) for stage in (1, 2, 3, 4)]
    assert tuple(blocks) == TABLE[depth][0]
    kind = Bottleneck if depth >= 50 else BasicBlock
    assert {type(block) for stage in (1, 2, 3, 4) for block in getattr(model, f"stage{stage}")} == {kind}
    layers = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    layers = [name for name in layers if "shortcut" not in name]
    assert len(layers) == depth


def test_fifty_layers_without_the_last_have_23_million():
    with torch.device("meta"):
        assert total(build_model("resnet-50")) - 1000 * 2049 == 23_508_032
        assert total(build_model("resnet-50", num_classes=10)) == 23_528_522


@pytest.mark.parametrize("depth", TABLE)
def test_same_output_as_torchvision_with_our_weights(depth):
    torch.manual_seed(0)
    ours = build_model(f"resnet-{depth}", num_classes=7, stride_in="3x3").eval()
    with torch.no_grad():
        for module in ours.modules():  # batch norms that do something, in a range that keeps the scale
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.2, 0.4)
                module.bias.uniform_(-0.2, 0.2)
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.8, 1.2)
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"resnet{depth}")(num_classes=7)
    theirs.load_state_dict(weights_for_torchvision(ours.state_dict()), assign=True)
    theirs.eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(x)
        assert expected.std() > 1e-3
        torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-5)


def test_stride_of_the_paper_sits_in_the_first_convolution():
    with torch.device("meta"):
        paper, later = (build_model("resnet-50", stride_in=where).stage2[0] for where in ("1x1", "3x3"))
    assert (paper.conv1.stride, paper.conv2.stride) == ((2, 2), (1, 1))
    assert (later.conv1.stride, later.conv2.stride) == ((1, 1), (2, 2))


@pytest.mark.parametrize(("classes", "params"), [(10, 11_173_962), (100, 11_220_132)])
def test_small_image_stem(classes, params):
    with torch.device("meta"):
        model = build_model("resnet-18-cifar", num_classes=classes)
    assert total(model) == params
    rows = account(model, (3, 32, 32))
    assert rows.total_macs // 10**6 == 555
    assert rows["stage1.0.conv1"].output_shape == (64, 32, 32)
    assert rows["stage4.1.bn2"].output_shape == (512, 4, 4)


@pytest.mark.parametrize("depth", TABLE)
def test_small_image_stem_of_every_depth(depth):
    # instead of 7×7 weights the stem has 3×3, and the last layer 10 outputs instead of 1000
    features = 2048 if depth >= 50 else 512
    with torch.device("meta"):
        model = build_model(f"resnet-{depth}-cifar")
    assert total(model) == TABLE[depth][1] - 3 * 64 * (49 - 9) - 990 * (features + 1)


def test_width_multiplies_every_number_of_channels():
    with torch.device("meta"):
        model = build_model("resnet-18-cifar", width=0.25)
    channels = [module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert set(channels) == {16, 32, 64, 128}


@pytest.mark.parametrize("name", ["resnet-18-cifar", "resnet-50-cifar"])
def test_it_learns_from_the_default_start(name):
    torch.manual_seed(0)
    x, y = torch.randn(16, 3, 16, 16), torch.arange(16) % 4
    x[:, 0] += y[:, None, None] * 0.5
    model = build_model(name, 4, width=0.125)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(15):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride_in": "2x2"}, "stride_in must be '1x1' .* or '3x3' .* got '2x2'"),
        ({"width": -1}, "width .* must be positive, got -1"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_model("resnet-50", **options)
