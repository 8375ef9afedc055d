"""The all-convolutional networks: totals, multiply-adds, map sizes, dropout."""

import pytest
import torch
from torch import nn

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model

ZOO = {
    "all-cnn-c": zoo.small(1_369_738, fixed_size=True),
    "convpool-cnn-c": zoo.small(1_369_738, fixed_size=True),
    "model-c": zoo.small(954_730, fixed_size=True),
    "strided-cnn-c": zoo.small(954_730, fixed_size=True),
}

# parameters for 10 and 100 classes, 10⁶ multiply-adds for 10 classes, sides of the map after each convolution
TABLE = {
    "model-c": (954_730, 972_100, 228.3, [32, 32, 16, 16, 6, 6, 6]),
    "strided-cnn-c": (954_730, 972_100, 100.9, [32, 16, 16, 8, 6, 6, 6]),
    "convpool-cnn-c": (1_369_738, 1_387_108, 398.2, [32, 32, 32, 16, 16, 16, 6, 6, 6]),
    "all-cnn-c": (1_369_738, 1_387_108, 270.8, [32, 32, 16, 16, 16, 8, 6, 6, 6]),
}


def on_meta(name, *arguments, **options):
    with torch.device("meta"):
        return build_model(name, *arguments, **options)


@pytest.mark.parametrize("name", TABLE)
def test_parameters_multiply_adds_and_maps(name):
    ten, hundred, mmacs, sides = TABLE[name]
    cost = account(on_meta(name), (3, 32, 32))
    assert cost.total_params == ten and round(cost.total_macs / 1e6, 1) == mmacs
    assert [row.output_shape[1] for row in cost if row.type == "Conv2d"] == sides
    assert account(on_meta(name, 100), (3, 32, 32)).total_params == hundred


def test_the_three_networks_made_from_model_c():
    """What the paper does to model C, layer by layer."""
    kinds = {
        name: [
            (layer.stride[0] if isinstance(layer, nn.Conv2d) else "pool")
            for layer in on_meta(name).features
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d)
        ]
        for name in TABLE
    }
    assert kinds["model-c"] == [1, 1, "pool", 1, 1, "pool", 1]
    assert kinds["strided-cnn-c"] == [1, 2, 1, 2, 1]  # the pooling layers' stride moves to the layers before
    assert kinds["all-cnn-c"] == [2 if kind == "pool" else kind for kind in kinds["model-c"]]
    assert kinds["convpool-cnn-c"] == [1, 1, 1, "pool", 1, 1, 1, "pool", 1]  # as many as all-cnn-c


@pytest.mark.parametrize("name", TABLE)
def test_dropout_of_the_input_and_after_each_smaller_map(name):
    layers = list(on_meta(name).features)
    assert isinstance(layers[0], nn.Dropout) and layers[0].p == 0.2
    places = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Dropout)][1:]
    assert len(places) == 2
    for place in places:
        assert layers[place].p == 0.5
        before = [layer for layer in layers[:place] if not isinstance(layer, nn.ReLU)][-1]
        assert before.stride in (2, (2, 2))


def test_dropout_can_be_switched_off():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 32)
    model = build_model("all-cnn-c", width=0.1)
    assert not torch.equal(model(x), model(x))
    model = build_model("all-cnn-c", width=0.1, dropout=0, input_dropout=0)
    torch.testing.assert_close(model(x), model(x))


@pytest.mark.parametrize("option", ["dropout", "input_dropout"])
def test_impossible_dropout_is_named(option):
    with pytest.raises(ValueError, match=f"^{option} is the probability of dropping a unit, .*got 1"):
        build_model("model-c", **{option: 1})


def test_logits_are_the_averages_of_the_class_maps():
    torch.manual_seed(0)
    model = build_model("strided-cnn-c", width=0.2).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        maps = model.classifier.conv7(model.classifier.relu6(model.classifier.conv6(model.features(x))))
    assert maps.shape == (2, 10, 6, 6)
    torch.testing.assert_close(model(x), maps.mean(dim=(2, 3)))


def test_the_papers_last_relu_is_an_option():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 32, 32)
    without = build_model("all-cnn-c", width=0.1).eval()
    with_relu = build_model("all-cnn-c", width=0.1, last_relu=True).eval()
    with_relu.load_state_dict(without.state_dict())
    assert without(x).min() < 0 <= with_relu(x).min()


def test_batch_norm_follows_every_convolution_but_the_last():
    model = on_meta("all-cnn-c", batch_norm=True)
    layers = [*model.features, *model.classifier]
    convolutions = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
    assert [isinstance(layers[place + 1], nn.BatchNorm2d) for place in convolutions] == [True] * 8 + [False]


def test_width_leaves_the_number_of_classes():
    model = on_meta("all-cnn-c", width=0.25)
    assert [layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)] == [
        24, 24, 24, 48, 48, 48, 48, 48, 10,
    ]  # fmt: skip
