"""The Cleanlab CIFAR network: its count, and the two upstream faults that are mended."""

import torch
from torch import nn

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model

ZOO = {
    "cleanlab-cnn": zoo.small(4_434_570, fixed_size=True),
}


def on_meta(**options):
    with torch.device("meta"):
        return build_model("cleanlab-cnn", **options)


def test_parameters_by_kind_and_multiply_adds():
    model = on_meta()
    by_kind = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            key = f"{type(module).__name__}.{name}"
            by_kind[key] = by_kind.get(key, 0) + parameter.numel()
    assert by_kind["Conv2d.weight"] == 4_427_136 and by_kind["Conv2d.bias"] == 2_048
    assert by_kind["BatchNorm2d.weight"] + by_kind["BatchNorm2d.bias"] == 4_096
    assert by_kind["Linear.weight"] + by_kind["Linear.bias"] == 1_290
    cost = account(model, (3, 32, 32))
    assert cost.total_params == 4_434_570 and round(cost.total_macs / 1e6, 1) == 745.5


def test_maps_shrink_without_padding_in_the_last_block():
    rows = account(on_meta(), (3, 32, 32))
    sides = {row.name.removeprefix("features."): row.output_shape for row in rows if row.type == "Conv2d"}
    assert list(sides) == [f"c{number}" for number in range(1, 10)]
    assert sides["c3"] == (128, 32, 32) and sides["c6"] == (256, 16, 16)
    assert [sides[f"c{number}"] for number in (7, 8, 9)] == [(512, 6, 6), (256, 4, 4), (128, 2, 2)]


def test_dropout_takes_whole_channels_and_only_while_training():
    torch.manual_seed(0)
    model = build_model("cleanlab-cnn", width=0.125, dropout=0.5)
    x = torch.randn(2, 3, 32, 32)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
    dropped = model.train().features.drop1(torch.ones(4, 16, 5, 5)).flatten(2)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped == dropped[..., :1]).all()


def test_batch_norm_on_the_logits():
    torch.manual_seed(0)
    model = build_model("cleanlab-cnn", width=0.125, top_bn=True)
    logits = model(torch.randn(8, 3, 32, 32))
    torch.testing.assert_close(logits.mean(dim=0), torch.zeros(10), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits.var(dim=0, unbiased=False), torch.ones(10), atol=0.05, rtol=0)
    assert sum(p.numel() for p in on_meta(top_bn=True).parameters()) == 4_434_570 + 20


def test_leaky_relu_after_every_batch_norm():
    layers = list(on_meta().features)
    after = [layers[place + 1] for place, layer in enumerate(layers) if isinstance(layer, nn.BatchNorm2d)]
    assert len(after) == 9
    assert all(isinstance(layer, nn.LeakyReLU) and layer.negative_slope == 0.01 for layer in after)


def test_width():
    channels = [layer.out_channels for layer in on_meta(width=0.25).features if isinstance(layer, nn.Conv2d)]
    assert channels == [32, 32, 32, 64, 64, 64, 128, 64, 32]
