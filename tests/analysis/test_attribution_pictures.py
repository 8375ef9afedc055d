"""Feature maps, filters, maximized activations, nearest patches, sanity checks: by hand and on small nets."""

import copy
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn

from utils.analysis.attribution import (
    Regularization,
    feature_maps,
    filter_grid,
    maximize_activation,
    nearest_patches,
    randomize_layers,
    rank_correlation,
)
from utils.data.dataset import Split
from utils.models import build_model


def net(in_channels=3, inplace=False):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(in_channels, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=inplace),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 4, 3),
        nn.ReLU(inplace=inplace),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


def images(n=2, channels=3, seed=1):
    return torch.randn(n, channels, 8, 8, generator=torch.Generator().manual_seed(seed))


def linear(weight):
    """A score that is linear in an input [B, 1, 1, len(weight)]."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(len(weight), 1, bias=False))
    model[1].weight.data = torch.tensor([weight])
    return model


@pytest.mark.parametrize("inplace", [False, True])
def test_feature_maps_are_what_each_layer_returns(inplace):
    x = images()
    maps = feature_maps(net(inplace=inplace), x, ["0", "1", "4", "7"])
    with torch.no_grad():
        plain = net().eval()
        for name, found in maps.items():
            torch.testing.assert_close(found, plain[: int(name) + 1](x))
    assert list(feature_maps(net(), x, "4")) == ["4"]
    with pytest.raises(ValueError, match="no layer '9'"):
        feature_maps(net(), x, ["4", "9"])


def test_filters_as_pictures_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 1, 1))
    model[0].weight.data = torch.tensor([[2.0, -1.0, 0.0], [0.0, 0.0, 4.0]]).view(2, 3, 1, 1)
    model[1].weight.data = torch.tensor([[0.0, 3.0]]).view(1, 2, 1, 1)
    assert filter_grid(model).shape == (2, 3, 1, 1)
    assert filter_grid(model).flatten(1).tolist() == [[1.0, 0.25, 0.5], [0.5, 0.5, 1.0]]
    assert filter_grid(model, shared_scale=True).flatten(1).tolist() == [[0.75, 0.375, 0.5], [0.5, 0.5, 1.0]]
    assert filter_grid(model, order="norm", n=1).flatten().tolist() == [0.5, 0.5, 1.0]
    # means over the colors: 1/3 and 4/3
    gray = filter_grid(model, gray=True, shared_scale=True)
    assert gray.shape == (2, 1, 1, 1) and gray.flatten().tolist() == [0.625, 1.0]
    assert filter_grid(model, channel=1).flatten().tolist() == [0.0, 0.5]  # an empty filter is mid-gray
    assert filter_grid(model, "1", channel=1).flatten().tolist() == [1.0]
    for options, message in [
        ({"layer": "1"}, "filters of 1 are over 2 channels"),
        ({"layer": "1", "channel": 2}, "channel 2 is out of range: 1 has 2"),
        ({"layer": "2"}, "no layer '2'"),
        ({"n": 0}, "n must be .* got 0"),
        ({"order": "size"}, "index, norm, got 'size'"),
    ]:
        with pytest.raises(ValueError, match=message):
            filter_grid(model, **options)
    with pytest.raises(ValueError, match="7 is a Linear, not a Conv2d"):
        filter_grid(net(), "7")
    with pytest.raises(ValueError, match="has no convolution"):
        filter_grid(nn.Linear(2, 2))


def test_ascent_finds_the_maximum_of_a_linear_score():
    model = linear([3.0, -4.0])
    start = torch.zeros(1, 1, 1, 2)
    # w·x − ½ Σ x² is largest at x = w
    found = maximize_activation(model, start, 0, steps=100, lr=0.2, regularization=Regularization(l2=0.5))
    torch.testing.assert_close(found.images.flatten(), torch.tensor([3.0, -4.0]), atol=0.02, rtol=0)
    assert found.activations.shape == (101, 1)
    assert found.activations[0] == 0 and found.activations[-1] == pytest.approx(25, abs=0.1)
    # without a penalty the way is straight, as long as Σ η√2 = √2 · 0.1 · (1 + ¾ + ½ + ¼)
    found = maximize_activation(model, start, 0, steps=4, lr=0.1)
    length = 0.25 * 2**0.5
    torch.testing.assert_close(found.images.flatten(), torch.tensor([0.6, -0.8]) * length)
    assert found.activations[-1] == pytest.approx(5 * length)


def test_total_variation_by_hand():
    # 2 x₁ − TV with TV = 0.5 |x₁ − x₂|: gradients ±: x₂ follows x₁
    model = linear([2.0, 0.0])
    options = Regularization(total_variation=0.5)
    found = maximize_activation(
        model, torch.tensor([0.1, 0.0]).view(1, 1, 1, 2), 0, steps=1, lr=1.0, regularization=options
    )
    step = torch.tensor([1.5, 0.5])
    expected = torch.tensor([0.1, 0.0]) + step / step.square().mean().sqrt()
    torch.testing.assert_close(found.images.flatten(), expected)


def test_pixels_stay_within_what_an_image_can_have():
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    found = maximize_activation(net(), (2, 3, 8, 8), [0, 2], steps=30, lr=1.0, mean=mean, std=std)
    pixels = found.images * torch.tensor(std).view(-1, 1, 1) + torch.tensor(mean).view(-1, 1, 1)
    assert pixels.min() >= -1e-6 and pixels.max() <= 1 + 1e-6 and pixels.max() > 0.99


def test_ascent_is_seeded_and_raises_the_activation():
    options = Regularization(l2=1e-4, total_variation=1e-4, jitter=2, blur=0.7, blur_every=3)
    for target, layer in ((1, None), ([1, 2], "4"), ((1, 0, 1), "4")):
        runs = [
            maximize_activation(
                net(), (2, 3, 8, 8), target, layer, steps=8, regularization=options, seed=seed
            )
            for seed in (0, 0, 1)
        ]
        assert torch.equal(runs[0].images, runs[1].images)
        assert torch.equal(runs[0].activations, runs[1].activations)
        assert not torch.equal(runs[0].images, runs[2].images)
        assert (runs[0].activations[-1] > runs[0].activations[0]).all()
    # a channel stands for the mean of its map
    start = images()
    found = maximize_activation(net(), start, 3, "4", steps=1)
    maps = feature_maps(net(), start, "4")["4"]
    torch.testing.assert_close(found.activations[0], maps[:, 3].mean(dim=(1, 2)))


def test_blur_and_jitter_do_what_they_say():
    model = linear([1.0, 0.0, 0.0, 0.0, 0.0])
    start = torch.zeros(1, 1, 5, 1)
    blurred = maximize_activation(
        model, start, 0, steps=1, lr=1.0, regularization=Regularization(blur=0.5, blur_every=1)
    )
    assert torch.equal(blurred.images, maximize_activation(model, start, 0, steps=1, lr=1.0).images)
    wide = nn.Sequential(nn.Flatten(), nn.Linear(25, 1, bias=False))
    wide[1].weight.data = torch.eye(25)[12:13]  # the pixel in the middle
    start = torch.zeros(1, 1, 5, 5)
    blurred = maximize_activation(
        wide, start, 0, steps=1, lr=1.0, regularization=Regularization(blur=0.5, blur_every=1)
    ).images[0, 0]
    assert blurred.sum() == pytest.approx(5, abs=0.05) and 0 < blurred[2, 1] < blurred[2, 2] < 5
    moved = [
        maximize_activation(
            wide, start, 0, steps=1, lr=1.0, regularization=Regularization(jitter=1), seed=seed
        ).images[0, 0]
        for seed in range(12)
    ]
    places = {divmod(int(picture.argmax()), 5) for picture in moved}
    assert all(picture.sum() == 5 and picture.max() == 5 for picture in moved)
    assert len(places) > 3 and all(abs(i - 2) <= 1 and abs(j - 2) <= 1 for i, j in places)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l2": -1.0}, "l2 must not be negative, got -1.0"),
        ({"blur": float("nan")}, "blur must not be negative, got nan"),
        ({"jitter": 1.5}, "jitter must be a whole number of pixels, got 1.5"),
        ({"blur_every": 0}, "blur_every .* got 0"),
    ],
)
def test_regularization_is_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Regularization(**options)


def test_options_of_the_ascent_are_checked():
    for options, message in [
        ({"steps": 0}, "steps must be .* got 0"),
        ({"lr": 0.0}, "lr must be above 0, got 0.0"),
        ({"mean": (0.5,), "std": (0.5,)}, r"mean and std need 3 values each, got \(0.5,\)"),
        ({"mean": (0.5, 0.5, 0.5)}, "got .* and None"),
        ({"layer": "44"}, "no layer '44'"),
    ]:
        with pytest.raises(ValueError, match=message):
            maximize_activation(net(), (1, 3, 8, 8), 0, **options)
    with pytest.raises(ValueError, match=r"or that shape, got \(3, 8, 8\)"):
        maximize_activation(net(), (3, 8, 8), 0)
    with pytest.raises(FrozenInstanceError):
        Regularization().l2 = 1.0


def split(pictures):
    return Split(pictures, torch.arange(len(pictures)), (0.5,), (0.25,))


def test_nearest_patches_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1, bias=False))
    model[0].weight.data = torch.zeros(2, 1, 3, 3)
    model[0].weight.data[1, 0, 1, 1] = 1.0  # unit 1 answers with the pixel in the middle of its field
    pictures = torch.zeros(3, 1, 6, 6, dtype=torch.uint8)
    pictures[0, 0, 2, 4] = 100
    pictures[1, 0, 0, 0] = 250
    pictures[2, 0, 3, 3] = 255  # between the units
    pictures[2, 0, 4, 4] = 50
    first, second = nearest_patches(model, split(pictures), "0", 1, n=2, batch_size=2)
    assert (first.image, first.label, first.place, first.box) == (1, 1, (0, 0), (0, 2, 0, 2))
    assert first.activation == pytest.approx((250 / 255 - 0.5) / 0.25)
    assert first.pixels.tolist() == [[[250, 0], [0, 0]]]
    assert (second.image, second.place, second.box) == (0, (1, 2), (1, 4, 3, 6))
    assert torch.equal(second.pixels, pictures[0, :, 1:4, 3:6])
    # the dead unit: all equal, so the first images, of which the first place
    assert [patch.image for patch in nearest_patches(model, split(pictures), "0", 0, n=3)] == [0, 1, 2]


def test_nearest_patches_alone_give_the_same_answer():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(256, (20, 1, 16, 16), generator=generator, dtype=torch.uint8)
    model = nn.Sequential(*list(net(1))[:6]).train()
    data = split(pictures)
    patches = nearest_patches(model, data, "4", 2, n=5)
    assert [p.activation for p in patches] == sorted((p.activation for p in patches), reverse=True)
    assert model.training
    for patch in patches:
        # all but the patch black: the unit does not see the difference
        top, bottom, left, right = patch.box
        covered = torch.zeros_like(pictures[:1])
        covered[0, :, top:bottom, left:right] = patch.pixels
        x = (covered / 255 - 0.5) / 0.25
        value = feature_maps(model, x, "4")["4"][0, 2][patch.place]
        assert float(value) == pytest.approx(patch.activation, rel=1e-5)
    # a unit that has no place sees the whole image
    (whole,) = nearest_patches(net(1), split(pictures[:, :, :8, :8]), "7", 2, n=1)
    assert whole.place == () and whole.box == (0, 8, 0, 8) and whole.pixels.shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("layer", "unit", "n", "message"),
    [
        ("9", 0, 1, "no layer '9'"),
        ("4", 4, 1, "unit 4 is out of range: 4 has 4"),
        ("4", -1, 1, "unit -1 is out of range"),
        ("4", 1.5, 1, "whole number.* got 1.5"),
        ("4", 0, 3, "from 1 to the 2 images, got 3"),
    ],
)
def test_patches_are_checked(layer, unit, n, message):
    pictures = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match=message):
        nearest_patches(net(1), split(pictures), layer, unit, n)


def test_randomization_goes_from_the_top_down_and_keeps_the_rest():
    model = net().train()
    model(images(8))  # statistics that are not those of a new network
    before = copy.deepcopy(model.state_dict())
    steps = list(randomize_layers(model, seed=3))
    assert [name for name, _ in steps] == ["7", "4", "0"]
    random = []
    for name, network in steps:
        random.append(name)
        for key, value in network.state_dict().items():
            layer = key.split(".")[0]
            changed = ("0" if layer == "1" else layer) in random  # batch norm goes with its convolution
            if not changed:
                assert torch.equal(value, before[key]), (name, key)
            elif key.endswith("weight") and value.ndim > 1:
                assert not torch.equal(value, before[key]), (name, key)
    last = steps[-1][1]
    assert torch.equal(last[1].running_var, torch.ones(6)) and torch.equal(last[1].weight, torch.ones(6))
    assert not last[0].bias.any() and not last[7].bias.any()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    again = dict(randomize_layers(model, seed=3))
    assert torch.equal(again["4"][4].weight, last[4].weight)
    assert not torch.equal(dict(randomize_layers(model, seed=4))["4"][4].weight, last[4].weight)
    with pytest.raises(ValueError, match="ReLU has no parameters to randomize"):
        next(randomize_layers(nn.ReLU()))


def test_random_weights_have_the_deviation_of_he():
    layer = nn.Sequential(nn.Conv2d(32, 64, 5))
    ((_, network),) = randomize_layers(layer)
    assert network[0].weight.std().item() == pytest.approx((2 / (32 * 25)) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet-20", {"width": 0.25}),
        ("vit-cifar", {"features": 32, "depth": 1, "hidden": 32}),
        ("convnext-t-cifar", {"depths": (1, 1, 1, 1), "channels": (8, 16, 24, 32)}),
        ("se-residual", {"blocks": 1, "width": 0.5}),
    ],
)
def test_every_parameter_of_a_network_becomes_random(name, options):
    model = build_model(name, **options)
    steps = iter(randomize_layers(model))
    first, _ = next(steps)
    _, last = list(steps)[-1]
    assert dict(model.named_modules())[first].weight.shape[0] == 10  # the classes
    old = dict(model.named_parameters())
    for key, value in last.named_parameters():
        if value.ndim > 1:
            assert torch.isfinite(value).all()
            # ConvNeXt's layer scale starts with one value, which is also its mean with deviation 0
            assert old[key].std() == 0 or not torch.equal(value, old[key]), key


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([3, 1000]))
def test_rank_correlation_is_spearmans(seed, levels):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randint(-levels, levels, (3, 2, 4, 4), generator=generator).float() for _ in range(2))
    for absolute in (True, False):
        found = rank_correlation(a, b, absolute=absolute)
        pairs = [(u.abs(), v.abs()) if absolute else (u, v) for u, v in zip(a, b, strict=True)]
        expected = [spearmanr(u.flatten().numpy(), v.flatten().numpy()).statistic for u, v in pairs]
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_rank_correlation_by_hand():
    a = torch.tensor([[1.0, -2.0, 3.0]])
    assert rank_correlation(a, 5 * a.square()).item() == pytest.approx(1)
    assert rank_correlation(a, a.flip(1)).item() == pytest.approx(-1)
    # with signs −2 < 1 < 3 and 3 > … : ranks (2, 1, 3) and (3, 1, 2)
    assert rank_correlation(a, a.flip(1), absolute=False).item() == pytest.approx(0.5)
    assert rank_correlation(a, torch.zeros(1, 3)).isnan().all()
    with pytest.raises(ValueError, match=r"\[1, 3\] and \[1, 2\]"):
        rank_correlation(a, a[:, :2])
