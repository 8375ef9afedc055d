"""AlexNet against torchvision's weights, the counts of 2012 and the formula of its normalization."""

import pytest
import torch
import torchvision
from torch import nn

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model
from utils.models.stacks import local_response_norm

ZOO = {
    "alexnet": zoo.large(61_100_840, fixed_size=True),
    "alexnet-cifar": zoo.small(4_816_714, fixed_size=True),
}


def on_meta(name, *arguments, **options):
    with torch.device("meta"):
        return build_model(name, *arguments, **options)


def sides(model, size):
    """Sides of the maps after convolutions and poolings."""
    rows = account(model, (3, size, size))
    return [row.output_shape[1] for row in rows if row.type in ("Conv2d", "MaxPool2d")]


def test_one_tower_computes_what_torchvisions_does():
    torch.manual_seed(0)
    expected = torchvision.models.alexnet(num_classes=5).eval()
    model = on_meta("alexnet", num_classes=5).eval()
    weights = dict(zip(model.state_dict(), expected.state_dict().values(), strict=True))
    model.load_state_dict(weights, assign=True)  # the same tensors: no second quarter of a gigabyte
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(model(x), expected(x))
    assert account(on_meta("alexnet"), (3, 224, 224)).total_params == 61_100_840


def test_two_towers_have_the_parameters_of_2012():
    counts = {
        row.name.split(".")[1]: row.params
        for row in account(on_meta("alexnet", towers=2), (3, 224, 224))
        if row.params
    }
    assert counts == {
        "conv1": (11 * 11 * 3 + 1) * 96,
        "conv2": (5 * 5 * 48 + 1) * 256,
        "conv3": (3 * 3 * 256 + 1) * 384,
        "conv4": (3 * 3 * 192 + 1) * 384,
        "conv5": (3 * 3 * 192 + 1) * 256,
        "fc6": (6 * 6 * 256 + 1) * 4096,
        "fc7": 4097 * 4096,
        "fc8": 4097 * 1000,
    }
    assert sum(counts.values()) == 60_965_224


@pytest.mark.parametrize("towers", [1, 2])
@pytest.mark.parametrize("size", [224, 227])
def test_maps_have_55_27_13_and_6_pixels(towers, size):
    assert sides(on_meta("alexnet", towers=towers, input_size=size), size) == [55, 27, 27, 13, 13, 13, 13, 6]


def test_two_towers_meet_in_conv3_only():
    torch.manual_seed(0)
    features = on_meta("alexnet", towers=2).features
    assert [layer.groups for layer in features if isinstance(layer, nn.Conv2d)] == [1, 2, 1, 2, 2]
    names = list(dict(features.named_children()))
    assert names.index("relu1") < names.index("lrn1") < names.index("pool1")
    assert names.index("relu2") < names.index("lrn2") < names.index("pool2")


def test_normalization_is_the_papers_formula():
    torch.manual_seed(0)
    x = torch.randn(2, 7, 3, 3, dtype=torch.float64) * 100
    expected = torch.empty_like(x)
    for channel in range(7):
        around = x[:, max(0, channel - 2) : channel + 3]
        expected[:, channel] = x[:, channel] / (2 + 1e-4 * around.square().sum(dim=1)) ** 0.75
    torch.testing.assert_close(local_response_norm()(x), expected)


def test_weights_of_two_towers_start_as_in_the_paper():
    torch.manual_seed(0)
    model = build_model("alexnet", num_classes=10, towers=2)
    layers = {
        name.split(".")[1]: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    for name, layer in layers.items():
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02), name
        assert (layer.bias == (name in ("conv2", "conv4", "conv5", "fc6", "fc7"))).all(), name


@pytest.mark.parametrize("towers", [0, 3, "two"])
def test_other_numbers_of_towers_are_refused(towers):
    with pytest.raises(ValueError, match=f"towers must be 1 or 2, got {towers!r}"):
        build_model("alexnet", towers=towers)


def test_other_image_sizes_are_refused():
    with pytest.raises(ValueError, match="images of 224 or 227 pixels a side, got input_size=32"):
        build_model("alexnet", input_size=32)
    with pytest.raises(ValueError, match=r"\[B, 3, 227, 227\], got \[1, 3, 224, 224\]"):
        on_meta("alexnet", input_size=227)(torch.zeros(1, 3, 224, 224, device="meta"))


def test_cifar_maps_and_width():
    assert sides(on_meta("alexnet-cifar"), 32) == [32, 16, 16, 8, 8, 8, 8, 4]
    narrow = on_meta("alexnet-cifar", width=0.25, batch_norm=True)
    assert [m.out_channels for m in narrow.features if isinstance(m, nn.Conv2d)] == [16, 48, 96, 64, 64]
    assert narrow.classifier.fc7.weight.shape == (128, 128)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in narrow.modules()) == 5
