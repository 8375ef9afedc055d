"""VGG against the paper's table, torchvision's weights and the 32×32 totals."""

import pytest
import torch
import torchvision
from torch import nn

from tests.models import zoo
from utils.analysis.accounting import account
from utils.models import build_model
from utils.models.vgg import CONVOLUTIONS

ZOO = {
    "vgg-a": zoo.large(132_863_336, fixed_size=True),
    "vgg-a-bn": zoo.large(132_868_840, fixed_size=True),
    "vgg-a-bn-cifar": zoo.small(9_756_426, fixed_size=True),
    "vgg-a-cifar": zoo.small(9_750_922, fixed_size=True),
    "vgg-a-lrn": zoo.large(132_863_336, fixed_size=True),
    "vgg-b": zoo.large(133_047_848, fixed_size=True),
    "vgg-c": zoo.large(133_638_952, fixed_size=True),
    "vgg-d": zoo.large(138_357_544, fixed_size=True),
    "vgg-e": zoo.large(143_667_240, fixed_size=True),
}


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def on_meta(name, *arguments, **options):
    with torch.device("meta"):
        return build_model(name, *arguments, **options)


def described(head):
    """What makes a fully connected head compute what it does."""
    return [
        (type(layer), layer.weight.shape if isinstance(layer, nn.Linear) else getattr(layer, "p", None))
        for layer in head
    ]


# weight layers, parameters, 10⁹ multiply-adds at 224×224
TABLE = {
    "vgg-a": (11, 132_863_336, 7.609),
    "vgg-a-lrn": (11, 132_863_336, 7.609),
    "vgg-b": (13, 133_047_848, 11.308),
    "vgg-c": (16, 133_638_952, 11.771),
    "vgg-d": (16, 138_357_544, 15.470),
    "vgg-e": (19, 143_667_240, 19.632),
    "vgg-a-bn": (11, 132_868_840, 7.609),
}


@pytest.mark.parametrize("name", TABLE)
def test_layers_parameters_and_multiply_adds_at_224(name):
    layers, total, gmacs = TABLE[name]
    model = on_meta(name)
    weighted = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(weighted) == layers and parameters(model) == total
    assert round(account(model, (3, 224, 224)).total_macs / 1e9, 3) == gmacs


def test_parameters_by_hand_from_the_papers_rule():
    for configuration, blocks in CONVOLUTIONS.items():
        count, source = 0, 3
        for block, wide in zip(blocks, (64, 128, 256, 512, 512), strict=True):
            for place in range(block):
                area = 1 if configuration == "C" and place == 2 else 9
                count += (area * source + 1) * wide
                source = wide
        count += (7 * 7 * 512 + 1) * 4096 + 4097 * 4096 + 4097 * 1000
        assert parameters(on_meta(f"vgg-{configuration.lower()}")) == count


@pytest.mark.parametrize(
    ("name", "reference", "plan", "batch_norm"),
    [
        ("vgg-a", "vgg11", "A", False),
        ("vgg-a-bn", "vgg11_bn", "A", True),
        ("vgg-b", "vgg13", "B", False),
        ("vgg-d", "vgg16", "D", False),
        ("vgg-e", "vgg19", "E", False),
    ],
)
def test_same_features_and_same_head_as_torchvision(name, reference, plan, batch_norm):
    torch.manual_seed(0)
    # only the convolutions get values: the fully connected layers would take half a gigabyte
    expected = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs[plan], batch_norm).eval()
    model = on_meta(name).eval()
    features = model.features.to_empty(device="cpu")
    weights = zip(features.state_dict(), expected.state_dict().values(), strict=True)
    features.load_state_dict(dict(weights))
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(features(x), expected(x))

    with torch.device("meta"):
        head = getattr(torchvision.models, reference)().classifier
    assert described(model.classifier[1:]) == described(head)  # after flatten, which torchvision does outside


def test_heads_of_the_same_shape_compute_the_same():
    torch.manual_seed(0)
    model = build_model("vgg-a-cifar", width=0.125).eval()  # 64 features: cheap enough to compute with
    expected = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    expected.load_state_dict(
        dict(zip(expected.state_dict(), model.classifier.state_dict().values(), strict=True))
    )
    x = torch.randn(3, 64, 1, 1)
    torch.testing.assert_close(model.classifier(x), expected(x.flatten(1)))


def test_a_lrn_differs_from_a_by_one_layer_without_parameters():
    plain, normalized = on_meta("vgg-a"), on_meta("vgg-a-lrn")
    extra = set(dict(normalized.named_modules())) - set(dict(plain.named_modules()))
    assert extra == {"features.lrn1"}
    names = list(dict(normalized.features.named_children()))
    assert names[:4] == ["conv1_1", "relu1_1", "lrn1", "pool1"]


def test_c_has_1x1_where_d_has_the_third_3x3():
    c, d = on_meta("vgg-c").features, on_meta("vgg-d").features
    for name, layer in d.named_children():
        if isinstance(layer, nn.Conv2d):
            ours = c.get_submodule(name)
            kernel = 1 if name in ("conv3_3", "conv4_3", "conv5_3") else 3
            assert ours.kernel_size == (kernel, kernel) and ours.out_channels == layer.out_channels


def test_cifar_totals_and_multiply_adds():
    plain, normalized = on_meta("vgg-a-cifar"), on_meta("vgg-a-bn-cifar")
    assert parameters(plain) == 9_750_922 and parameters(normalized) == 9_756_426
    assert round(account(plain, (3, 32, 32)).total_macs / 1e6, 1) == 153.3
    assert account(plain, (3, 32, 32)).total_macs == account(normalized, (3, 32, 32)).total_macs


def test_the_hidden_layers_may_have_a_norm_too():
    model = on_meta("vgg-a-bn-cifar", hidden_norm=True)
    assert parameters(model) == 9_758_474 == 9_756_426 + 2 * 2 * 512
    names = list(dict(model.classifier.named_children()))
    assert names[:5] == ["flatten", "fc6", "bn6", "relu6", "drop6"] and "bn7" in names and "bn8" not in names


def test_batch_norm_is_an_option_and_a_name():
    assert on_meta("vgg-a", batch_norm=True).state_dict().keys() == on_meta("vgg-a-bn").state_dict().keys()


def test_width_multiplies_channels_and_hidden_units():
    model = on_meta("vgg-a-cifar", width=0.5)
    assert model.features.conv1_1.out_channels == 32 and model.features.conv5_2.out_channels == 256
    assert model.classifier.fc6.weight.shape == model.classifier.fc7.weight.shape == (256, 256)
    assert on_meta("vgg-a-cifar", width=0.001).features.conv5_2.out_channels == 1


@pytest.mark.parametrize("width", [0, -0.5, float("inf"), float("nan")])
def test_impossible_widths_are_named(width):
    with pytest.raises(ValueError, match=f"width .* must be positive, got {width}"):
        build_model("vgg-a-cifar", width=width)


@pytest.mark.parametrize("dropout", [-0.1, 1, 1.5])
def test_impossible_dropout_is_named(dropout):
    with pytest.raises(ValueError, match=rf"dropout is the probability .* in \[0, 1\), got {dropout}"):
        build_model("vgg-a-cifar", dropout=dropout)


def test_weights_start_with_glorots_variance():
    torch.manual_seed(0)
    layer = build_model("vgg-a-cifar", width=0.5).features.conv5_1
    assert layer.weight.var().item() == pytest.approx(2 / (9 * (256 + 256)), rel=0.01)
    assert not layer.bias.any()
