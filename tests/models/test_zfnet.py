"""ZFNet: the maps of the paper's figure, its count by hand, and the 32×32 form."""

import torch
from torch import nn

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model

ZOO = {
    "zfnet": zoo.large(62_357_608, fixed_size=True),
    "zfnet-cifar": zoo.small(6_080_394, fixed_size=True),
}


def on_meta(name, *arguments, **options):
    with torch.device("meta"):
        return build_model(name, *arguments, **options)


def test_maps_are_those_of_figure_3():
    rows = account(on_meta("zfnet"), (3, 224, 224))
    maps = [row.output_shape for row in rows if row.type in ("Conv2d", "MaxPool2d")]
    assert maps == [
        (96, 110, 110),
        (96, 55, 55),
        (256, 26, 26),
        (256, 13, 13),
        (384, 13, 13),
        (384, 13, 13),
        (256, 13, 13),
        (256, 6, 6),
    ]


def test_parameters_by_hand():
    convolutions = [(49, 3, 96), (25, 96, 256), (9, 256, 384), (9, 384, 384), (9, 384, 256)]
    count = sum((area * source + 1) * wide for area, source, wide in convolutions)
    count += (6 * 6 * 256 + 1) * 4096 + 4097 * 4096 + 4097 * 1000
    assert account(on_meta("zfnet"), (3, 224, 224)).total_params == count == 62_357_608


def test_contrast_normalization_follows_the_pooling():
    names = list(dict(on_meta("zfnet").features.named_children()))
    assert names[:8] == ["conv1", "relu1", "pool1", "lrn1", "conv2", "relu2", "pool2", "lrn2"]


def test_cifar_maps_width_and_batch_norm():
    rows = account(on_meta("zfnet-cifar"), (3, 32, 32))
    sides = [row.output_shape[1] for row in rows if row.type in ("Conv2d", "MaxPool2d")]
    assert sides == [32, 16, 16, 8, 8, 8, 8, 4]
    narrow = on_meta("zfnet-cifar", width=0.5, batch_norm=True)
    assert [m.out_channels for m in narrow.features if isinstance(m, nn.Conv2d)] == [48, 128, 192, 192, 128]
    assert sum(isinstance(module, nn.BatchNorm2d) for module in narrow.modules()) == 5
