"""The lecture's factorized network: its table, its counts, and what factorizing saves."""

import torch
from torch import nn

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model
from utils.models.factorised_cnn import ROWS

ZOO = {
    "factorised-cnn": zoo.small(549_156, fixed_size=True, classes=100),
}


def on_meta(*arguments, **options):
    with torch.device("meta"):
        return build_model("factorised-cnn", *arguments, **options)


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_totals():
    assert parameters(on_meta()) == 549_156
    assert parameters(on_meta(batch_norm=True)) == 552_036
    assert parameters(on_meta(10)) == 537_546


def test_total_by_hand():
    def block(source, wide):  # 1×3, 3×1, 1×3, 3×1, each with a bias for each output
        return (3 * source + 1) * wide + 3 * (3 * wide + 1) * wide

    def subsampling(wide):
        return (9 * wide + 1) * wide

    count = block(3, 32) + block(32, 32) + subsampling(32) + block(32, 128) + block(128, 128)
    assert count + subsampling(128) + 129 * 100 == 549_156


def test_rows_of_the_lectures_table():
    model = on_meta()
    x = torch.zeros(1, 3, 32, 32, device="meta")
    shapes = []
    for name, row in model.features.named_children():
        x = row(x)
        shapes.append((name, tuple(x.shape[1:])))
    assert shapes == [
        ("block1", (32, 32, 32)),
        ("block2", (32, 32, 32)),
        ("sub1", (32, 16, 16)),
        ("block3", (128, 16, 16)),
        ("block4", (128, 16, 16)),
        ("sub2", (128, 8, 8)),
    ]
    assert [name for name, _ in shapes] == [name for name, _ in ROWS]


def test_a_block_is_twice_1x3_and_3x1_each_with_relu():
    block = on_meta(batch_norm=True).features.block1
    kernels = [layer.kernel_size for layer in block if isinstance(layer, nn.Conv2d)]
    assert kernels == [(1, 3), (3, 1), (1, 3), (3, 1)]
    kinds = [type(layer) for layer in block]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 4


def test_a_pair_of_narrow_kernels_sees_a_3x3_square():
    torch.manual_seed(0)
    block = build_model("factorised-cnn", width=0.25).features.block1.double()
    x = torch.randn(1, 3, 11, 11, dtype=torch.float64, requires_grad=True)
    for layers, side in ((block[:4], 3), (block, 5)):
        (gradient,) = torch.autograd.grad(layers(x)[0, :, 5, 5].sum(), x)
        rows, columns = gradient[0].abs().sum(dim=0).nonzero().T
        assert rows.max() - rows.min() + 1 == side and columns.max() - columns.min() + 1 == side


def test_dropout_is_before_the_linear_layer_and_off_by_default():
    assert on_meta().classifier.drop.p == 0
    model = on_meta(dropout=0.5)
    assert list(dict(model.classifier.named_children())) == ["average", "flatten", "drop", "linear"]
    assert model.classifier.drop.p == 0.5


def test_multiply_adds_and_width():
    assert account(on_meta(), (3, 32, 32)).total_macs == 125_350_400
    assert on_meta(width=0.5).features.sub2.conv.out_channels == 64
