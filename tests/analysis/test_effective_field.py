"""Effective receptive fields against kernels, Gaussians of known width and the theoretical field."""

import math

import pytest
import torch
from torch import nn

from utils.analysis.receptive_field import effective_receptive_field, receptive_field
from utils.models import build_model


def uniform(n, kernel=3, channels=1):
    """n convolutions that take means."""
    layers = [nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False) for _ in range(n)]
    for layer in layers:
        nn.init.constant_(layer.weight, 1 / (channels * kernel**2))
    return nn.Sequential(*layers)


def test_of_one_linear_convolution_it_is_the_absolute_kernel():
    layer = nn.Conv2d(2, 3, 5, padding=2)
    net = nn.Sequential(layer)
    kernel = layer.weight.detach().abs().sum(dim=(0, 1)).double()
    field = effective_receptive_field(net, "0", torch.randn(4, 2, 11, 11))
    expected = torch.zeros(11, 11, dtype=torch.float64)
    expected[3:8, 3:8] = kernel / kernel.sum()
    torch.testing.assert_close(field.map, expected, rtol=1e-5, atol=1e-8)
    assert (field.center, field.theoretical_size, field.energy_inside) == ((5, 5), 5, 1)
    assert (field.images, field.units, field.channels) == (4, 1, 3)
    squares = layer.weight.detach().square().sum(dim=(0, 1)).double()
    squared = effective_receptive_field(net, "0", torch.randn(4, 2, 11, 11), squared=True).map
    torch.testing.assert_close(squared[3:8, 3:8], squares / squares.sum(), rtol=1e-5, atol=1e-8)


def test_stacked_means_become_a_gaussian_of_known_width():
    """The variance of one kernel of 3 equal weights is 2/3, and that of n is n times as large."""
    n = 12
    field = effective_receptive_field(uniform(n), str(n - 1), torch.zeros(1, 1, 41, 41))
    sigma = math.sqrt(n * 2 / 3)
    assert field.sigma == pytest.approx((sigma, sigma), rel=1e-5)
    assert field.sigma_fit == pytest.approx(sigma, rel=0.02)
    # of a Gaussian, the pixels above a share t of the peak fill a disc of radius σ·√(2 ln 1/t)
    radius = sigma * math.sqrt(-2 * math.log(1 - 0.9545))
    assert field.area_size == pytest.approx(math.sqrt(math.pi) * radius, rel=0.03)
    assert field.theoretical_size == 2 * n + 1 and field.energy_inside == 1
    assert field.map.sum() == pytest.approx(1)


def test_it_lies_inside_the_theoretical_field():
    net = build_model("resnet-20", width=0.25)
    x = torch.randn(3, 3, 32, 32)
    row = receptive_field(net, (3, 32, 32))["stage2.0"]
    field = effective_receptive_field(net, "stage2.0", x)
    assert field.energy_inside == 1 and field.theoretical_size == row.size
    (top, bottom), (left, right) = row.region(8, 8)
    assert field.map[top : bottom + 1, left : right + 1].sum() == pytest.approx(1)
    assert field.area_size < row.size


def test_positions_are_aligned_before_they_are_averaged():
    net = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False))
    x = torch.zeros(1, 1, 21, 21)
    one = effective_receptive_field(net, "0", x)
    many = effective_receptive_field(net, "0", x, positions=3)
    assert (one.units, many.units) == (1, 9)
    torch.testing.assert_close(one.map, many.map)
    assert many.center == (10, 10)
    # units of a transposed convolution that are alike lie two apart
    up = nn.Sequential(nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1))
    torch.testing.assert_close(
        effective_receptive_field(up, "0", x, positions=3).map, effective_receptive_field(up, "0", x).map
    )


def test_images_and_channels_are_averaged():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Tanh(), nn.Conv2d(2, 4, 3, padding=1))
    x = torch.randn(5, 1, 9, 9)
    total = torch.zeros(9, 9, dtype=torch.float64)
    for image in x:
        for channel in range(4):
            inputs = image[None].clone().requires_grad_()
            net(inputs)[0, channel, 4, 4].backward()
            total += inputs.grad[0, 0].abs().double()
    expected = total / total.sum()
    for data in (x, [x[:2], x[2:]], [(x[:3], None), (x[3:], None)], torch.cat([x, x])):
        field = effective_receptive_field(net, "2", data, images=5)
        assert field.images == 5
        torch.testing.assert_close(field.map, expected, rtol=1e-5, atol=1e-9)


def test_a_layer_that_sees_everything():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    field = effective_receptive_field(net, "3", torch.randn(2, 1, 8, 8))
    assert field.theoretical_size == math.inf and field.energy_inside == 1 and field.center == (3.5, 3.5)


def test_the_model_is_left_as_it_was():
    net = nn.Sequential(
        nn.ReLU(inplace=True), nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(inplace=True)
    )
    net.train()
    net[2].eval()
    net[1].bias.requires_grad_(False)
    net[1].weight.grad = torch.ones_like(net[1].weight)
    statistics = net[2].running_mean.clone()
    x = torch.randn(2, 1, 8, 8)
    kept = x.clone()
    effective_receptive_field(net, "2", x)
    assert torch.equal(x, kept) and not x.requires_grad
    assert net.training and net[1].training and not net[2].training
    assert [p.requires_grad for p in net.parameters()] == [True, False, True, True]
    assert torch.equal(net[1].weight.grad, torch.ones_like(net[1].weight))
    assert torch.equal(net[2].running_mean, statistics)
    assert not any(module._forward_hooks for module in net.modules())


def test_errors_say_what_to_do():
    net = nn.Sequential()
    net.add_module("conv1", nn.Conv2d(1, 1, 3))
    net.add_module("flat", nn.Flatten(2))
    x = torch.randn(1, 1, 8, 8)
    with pytest.raises(ValueError, match="no layer 'conv2'; did you mean 'conv1'"):
        effective_receptive_field(net, "conv2", x)
    with pytest.raises(ValueError, match="there are no images"):
        effective_receptive_field(net, "conv1", [])
    with pytest.raises(ValueError, match=r"flat has the output \(1, 36\), which is no map"):
        effective_receptive_field(net, "flat", x)
    with pytest.raises(ValueError, match="positions must be .* got 0"):
        effective_receptive_field(net, "conv1", x, positions=0)
    with pytest.raises(ValueError, match="normalized images as floats.*torch.uint8"):
        effective_receptive_field(net, "conv1", x.to(torch.uint8))
    with torch.no_grad():
        net.conv1.weight.zero_()
    with pytest.raises(ValueError, match="all zero"):
        effective_receptive_field(net, "conv1", x)

    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)

        def forward(self, x):
            return self.used(x)

    with pytest.raises(ValueError, match="'idle' does not run"):
        effective_receptive_field(Idle(), "idle", x)
