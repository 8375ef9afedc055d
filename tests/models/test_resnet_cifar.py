"""CIFAR ResNets: the totals, and each variant against the figure of the paper written out with functions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model
from utils.models.resnet_cifar import VARIANTS, Block, ZeroPadShortcut

ZOO = {
    "resnet-20": zoo.small(269_722),
    "resnet-32": zoo.small(464_154),
    "resnet-44": zoo.small(658_586),
    "resnet-56": zoo.small(853_018),
    "resnet-110": zoo.small(1_727_962),
}

TOTALS = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}


def total(model):
    return sum(parameter.numel() for parameter in model.parameters())


def with_random_statistics(model):
    """Batch norms that do something in evaluation mode."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.uniform_(tensor, -0.5, 0.5)
    return model.eval()


@pytest.mark.parametrize("depth", TOTALS)
def test_totals_are_those_of_the_paper_whatever_the_variant(depth):
    with torch.device("meta"):
        for variant in VARIANTS:
            assert total(build_model(f"resnet-{depth}", variant=variant)) == TOTALS[depth]
        assert total(build_model(f"resnet-{depth}", shortcut=False)) == TOTALS[depth]
        # two projections without bias, 16 -> 32 and 32 -> 64, and their batch norms
        projections = 16 * 32 + 32 * 64 + 2 * (32 + 64)
        assert total(build_model(f"resnet-{depth}", shortcut="B")) == TOTALS[depth] + projections


def test_squeeze_and_excitation_rescales_each_branch_before_the_addition():
    """16, 32 and 64 channels have 1, 2 and 4 hidden units: 2·C·H weights and C + H biases in each block."""
    with torch.device("meta"):
        model = build_model("resnet-20", squeeze_excitation=16)
    assert total(model) - TOTALS[20] == 3 * sum(2 * c * h + c + h for c, h in ((16, 1), (32, 2), (64, 4)))
    torch.manual_seed(0)
    options = {"shortcut": "A", "variant": "full-preact", "batch_norm": True, "activated_input": False}
    block = Block(4, 4, 1, **options, squeeze_excitation=2).eval()
    branch = block.conv2(F.relu(block.bn2(block.conv1(F.relu(block.bn1(x := torch.randn(2, 4, 6, 6)))))))
    factors = torch.sigmoid(block.se.expand(F.relu(block.se.reduce(branch.mean(dim=(2, 3), keepdim=True)))))
    torch.testing.assert_close(block(x), x + factors * branch)


@pytest.mark.parametrize("depth", TOTALS)
def test_depth_counts_the_layers_with_weights(depth):
    with torch.device("meta"):
        model = build_model(f"resnet-{depth}")
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == depth


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(TOTALS)), st.floats(0.1, 2.5), st.integers(1, 20), st.booleans())
def test_total_for_any_width(depth, width, classes, batch_norm):
    one, two, three = (max(1, round(wide * width)) for wide in (16, 32, 64))
    n = (depth - 2) // 6
    same = 2 * n * one**2 + (2 * n - 1) * (two**2 + three**2)  # convolutions that keep the channels
    weights = 9 * (3 * one + one * two + two * three + same)
    outputs = one + 2 * n * (one + two + three)  # each has a scale and a shift, or a bias
    with torch.device("meta"):
        model = build_model(f"resnet-{depth}", classes, width=width, batch_norm=batch_norm)
    assert total(model) == weights + (2 if batch_norm else 1) * outputs + (three + 1) * classes


def test_multiply_adds_by_hand():
    rows = {
        "conv1": 32 * 32 * 9 * 3 * 16,
        "stage1": 6 * 32 * 32 * 9 * 16 * 16,
        "stage2": 16 * 16 * 9 * (16 * 32 + 5 * 32 * 32),
        "stage3": 8 * 8 * 9 * (32 * 64 + 5 * 64 * 64),
        "fc": 64 * 10,
    }
    accounted = account(build_model("resnet-20"), (3, 32, 32))
    for name, macs in rows.items():
        assert sum(row.macs for row in accounted if row.name.split(".")[0] == name) == macs
    assert accounted.total_macs == sum(rows.values()) == 40_551_040
    assert account(build_model("resnet-20", shortcut=False), (3, 32, 32)).total_macs == 40_551_040


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_blocks_are_those_of_the_figure(variant, shortcut):
    torch.manual_seed(0)
    block = Block(
        4, 6, 2, shortcut=shortcut, variant=variant, batch_norm=True, activated_input=False
    ).double()
    with_random_statistics(block)
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)

    def norm(layer, y):
        return F.batch_norm(y, layer.running_mean, layer.running_var, layer.weight, layer.bias)

    def first(y):
        return F.conv2d(y, block.conv1.weight, stride=2, padding=1)

    def second(y):
        return F.conv2d(y, block.conv2.weight, padding=1)

    if shortcut == "A":
        skip = torch.zeros(2, 6, 4, 4, dtype=torch.float64)
        skip[:, :4] = x[:, :, 0::2, 0::2]
    else:
        convolution, normalize = block.shortcut
        skip = norm(normalize, F.conv2d(x, convolution.weight, stride=2))
    bn1, bn2 = block.bn1, block.bn2
    expected = {
        "original": lambda: (norm(bn2, second(norm(bn1, first(x)).relu())) + skip).relu(),
        "bn-after-add": lambda: norm(bn2, second(norm(bn1, first(x)).relu()) + skip).relu(),
        "relu-before-add": lambda: norm(bn2, second(norm(bn1, first(x)).relu())).relu() + skip,
        "relu-only-preact": lambda: norm(bn2, second(norm(bn1, first(x.relu())).relu())) + skip,
        "full-preact": lambda: second(norm(bn2, first(norm(bn1, x).relu())).relu()) + skip,
    }
    torch.testing.assert_close(block(x), expected[variant]())


def test_plain_network_is_the_stack_of_its_layers():
    torch.manual_seed(0)
    model = with_random_statistics(build_model("resnet-20", shortcut=False))
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    x = y = torch.randn(2, 3, 32, 32)
    assert len(convolutions) == len(norms) == 19
    for convolution, norm in zip(convolutions, norms, strict=True):
        y = norm(convolution(y)).relu()
    torch.testing.assert_close(model(x), model.fc(y.mean(dim=(2, 3))))


@pytest.mark.parametrize("variant", ["full-preact", "relu-only-preact"])
def test_preactivation_networks_end_with_an_activation_and_start_with_one(variant):
    model = build_model("resnet-20", variant=variant)
    first, second = model.stage1[0], model.stage1[1]
    assert first.branch[0] == "conv1" and first.branch == second.branch[-len(first.branch) :]
    assert len(first.branch) < len(second.branch)
    assert isinstance(model.last_relu, nn.ReLU)
    assert isinstance(model.last_bn, nn.BatchNorm2d) == (variant == "full-preact")


@pytest.mark.parametrize("variant", ["relu-only-preact", "full-preact"])
def test_identity_runs_through_a_stage_of_preactivation_blocks(variant):
    """With every branch silenced, what enters a stage of the second paper leaves it unchanged."""
    model = build_model("resnet-20", variant=variant).eval()
    for block in model.stage1:
        nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(model.stage1(x), x)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(0, 4))
def test_zero_padding_keeps_every_stride_th_pixel(height, width, stride, new):
    x = torch.randn(2, 3, height, width)
    out = ZeroPadShortcut(3, 3 + new, stride)(x)
    assert out.shape == (2, 3 + new, -(-height // stride), -(-width // stride))
    assert torch.equal(out[:, :3], x[:, :, ::stride, ::stride]) and not out[:, 3:].any()


def test_channels_last_is_kept_all_the_way():
    model = build_model("resnet-20").to(memory_format=torch.channels_last)
    outputs = {}
    for name, module in model.named_modules():
        if isinstance(module, Block | ZeroPadShortcut):
            module.register_forward_hook(lambda module, args, out, name=name: outputs.update({name: out}))
    model(torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last))
    assert len(outputs) == 11
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in outputs.values())


def test_start_is_kaimings_with_fan_out():
    torch.manual_seed(0)
    model = build_model("resnet-110")
    weight = torch.cat([block.conv2.weight.flatten() for block in model.stage3])
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.01)
    assert abs(weight.mean().item()) < 1e-3


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("batch_norm", [True, False])
def test_fx_traces_it_and_a_block_can_be_taken_out(variant, batch_norm):
    torch.manual_seed(0)
    model = build_model("resnet-20", variant=variant, batch_norm=batch_norm, width=0.25).eval()
    x = torch.randn(2, 3, 24, 20)
    whole = model(x)
    torch.testing.assert_close(torch.fx.symbolic_trace(model)(x), whole)
    model.stage2[1] = nn.Identity()
    assert model(x).shape == whole.shape and not torch.equal(model(x), whole)


@pytest.mark.parametrize("options", [{}, {"shortcut": False}, {"variant": "full-preact"}, {"shortcut": "B"}])
def test_it_learns_from_the_default_start(options):
    torch.manual_seed(0)
    x, y = torch.randn(32, 3, 16, 16), torch.arange(32) % 4
    x[:, 0] += y[:, None, None] * 0.5  # the class shifts the first channel
    model = build_model("resnet-20", 4, width=0.5, **options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(15):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shortcut": "C"}, "shortcut must be 'A', 'B' or False .* got 'C'"),
        ({"shortcut": True}, "got True"),
        ({"variant": "preact"}, "variant must be one of original, .*, got 'preact'"),
        ({"shortcut": False, "variant": "full-preact"}, "variant='full-preact' needs a shortcut"),
        ({"width": 0}, "width .* must be positive, got 0"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_model("resnet-20", **options)


def test_wrong_channels_are_named():
    with pytest.raises(ValueError, match=r"expects images \[B, 3, height, width\].* got \[2, 1, 32, 32\]"):
        build_model("resnet-20")(torch.zeros(2, 1, 32, 32))
