"""GoogLeNet row by row against the paper's table with its own layers' numbers, and its auxiliary heads."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model
from utils.models.googlenet import MODULES, Inception

ZOO = {
    "googlenet": zoo.large(13_378_280, fixed_size=True),  # 6,998,552 and the two auxiliary heads
    "googlenet-cifar": zoo.small(5_976_122, fixed_size=True),
}


def on_meta(name, *arguments, **options):
    with torch.device("meta"):
        return build_model(name, *arguments, **options)


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


# parameters with biases and 10⁶ multiply-adds of each row
TABLE = {
    "conv1": (9_472, 118.0),
    "conv2": (114_944, 359.7),
    "inception3a": (163_696, 128.0),
    "inception3b": (388_736, 304.3),
    "inception4a": (376_176, 73.6),
    "inception4b": (449_160, 87.9),
    "inception4c": (510_104, 99.9),
    "inception4d": (605_376, 118.5),
    "inception4e": (868_352, 170.0),
    "inception5a": (1_043_456, 51.1),
    "inception5b": (1_444_080, 70.7),
    "linear": (1_025_000, 1.0),
}


def row_of(path):
    first, *rest = path.split(".")
    layer = rest[0] if first in ("stem", "classifier") else first
    return layer.removesuffix("_reduce")


def test_parameters_and_multiply_adds_of_each_row():
    params, macs = dict.fromkeys(TABLE, 0), dict.fromkeys(TABLE, 0)
    for row in account(on_meta("googlenet", auxiliary=False), (3, 224, 224)):
        if row.params:
            params[row_of(row.name)] += row.params
            macs[row_of(row.name)] += row.macs
    assert {name: (params[name], round(macs[name] / 1e6, 1)) for name in params} == TABLE


def test_totals():
    cost = account(on_meta("googlenet", auxiliary=False), (3, 224, 224))
    assert cost.total_params == 6_998_552 and round(cost.total_macs / 1e9, 3) == 1.583
    modules = on_meta("googlenet", auxiliary=False).modules()
    weights = [module.weight for module in modules if isinstance(module, nn.Conv2d | nn.Linear)]
    assert sum(weight.numel() for weight in weights) == 6_990_272


def test_auxiliary_heads_by_hand():
    model = on_meta("googlenet")
    for head, channels in ((model.auxiliary1, 512), (model.auxiliary2, 528)):
        assert parameters(head) == (channels + 1) * 128 + (4 * 4 * 128 + 1) * 1024 + 1025 * 1000
    assert parameters(model) == 13_378_280
    assert (model.auxiliary1.dropout.p, model.classifier.dropout.p) == (0.7, 0.4)


def test_depths_and_sizes_of_the_maps():
    rows = account(on_meta("googlenet", auxiliary=False), (3, 224, 224))
    poolings = [row.output_shape for row in rows if row.type == "MaxPool2d" and "branch" not in row.name]
    assert poolings == [(64, 56, 56), (192, 28, 28), (480, 14, 14), (832, 7, 7)]
    model = on_meta("googlenet", auxiliary=False)
    depths = [module.out_channels for module in model.modules() if isinstance(module, Inception)]
    assert depths == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


def test_a_module_is_four_branches_side_by_side():
    torch.manual_seed(0)
    module = Inception(8, (2, 3, 4, 5, 6, 7), batch_norm=False)
    x = torch.randn(1, 8, 9, 9)
    conv = {name: layer for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)}
    one = F.relu(conv["branch1.conv"](x))
    three = F.relu(conv["branch3.conv"](F.relu(conv["branch3.conv_reduce"](x))))
    five = F.relu(conv["branch5.conv"](F.relu(conv["branch5.conv_reduce"](x))))
    pooled = F.relu(conv["branch_pool.conv"](F.max_pool2d(x, 3, 1, 1)))
    torch.testing.assert_close(module(x), torch.cat([one, three, five, pooled], dim=1))
    assert [layer.kernel_size[0] for layer in conv.values()] == [1, 1, 3, 1, 5, 1]
    assert module.out_channels == 2 + 4 + 6 + 7


def test_three_logits_while_it_trains_and_one_otherwise():
    x = torch.zeros(2, 3, 224, 224, device="meta")
    model = on_meta("googlenet", num_classes=7)
    assert [tuple(output.shape) for output in model.train()(x)] == [(2, 7)] * 3
    assert model.eval()(x).shape == (2, 7)
    assert on_meta("googlenet", num_classes=7, auxiliary=False).train()(x).shape == (2, 7)


def test_auxiliary_heads_read_4a_and_4d():
    torch.manual_seed(0)
    model = build_model("googlenet-cifar", auxiliary=True, width=0.1, dropout=0, auxiliary_dropout=0)
    _, first, second = model(torch.randn(2, 3, 32, 32))
    first.sum().backward(retain_graph=True)
    assert model.inception4a.branch1.conv.weight.grad is not None
    assert model.inception4b.branch1.conv.weight.grad is None
    second.sum().backward()
    assert model.inception4d.branch1.conv.weight.grad is not None
    assert model.inception4e.branch1.conv.weight.grad is None


def test_auxiliary_losses_count_three_tenths():
    model = on_meta("googlenet")
    assert model.auxiliary_weight == 0.3  # section 5; the training loop reads it


def test_the_heads_change_nothing_in_evaluation():
    torch.manual_seed(0)
    with_heads = build_model("googlenet-cifar", auxiliary=True, width=0.1).eval()
    without = build_model("googlenet-cifar", width=0.1).eval()
    without.load_state_dict(with_heads.state_dict(), strict=False)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(with_heads(x), without(x))


def test_batch_norm_precedes_every_relu_of_a_convolution_and_replaces_the_other_normalization():
    model = on_meta("googlenet", batch_norm=True, auxiliary=False)
    kinds = [type(module) for module in model.modules()]
    assert kinds.count(nn.BatchNorm2d) == kinds.count(nn.Conv2d) == 3 + 6 * len(MODULES)
    assert nn.LocalResponseNorm not in kinds
    assert [type(module) for module in on_meta("googlenet").modules()].count(nn.LocalResponseNorm) == 2


def test_cifar_maps_and_width():
    reductions = [
        row.output_shape[1]
        for row in account(on_meta("googlenet-cifar"), (3, 32, 32))
        if row.name.endswith(".conv_reduce")
    ]
    assert reductions == [16] * 4 + [8] * 10 + [4] * 4
    narrow = on_meta("googlenet-cifar", width=0.25)
    assert narrow.inception5b.out_channels == 256 and narrow.stem.conv2.out_channels == 48


@pytest.mark.parametrize("option", ["dropout", "auxiliary_dropout"])
def test_impossible_dropout_is_named(option):
    with pytest.raises(ValueError, match=f"^{option} is the probability of dropping a unit, .*got 2"):
        on_meta("googlenet", **{option: 2})
