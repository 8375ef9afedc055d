"""Noise behind layers: how far it moves channels, where it is put, and that evaluation is free of it."""

import pytest
import torch
from torch import nn

from utils.experiments.activation_noise import ActivationNoise, with_noise
from utils.models import build_model


def test_each_call_moves_and_scales_each_channel_anew():
    torch.manual_seed(0)
    noise, x = ActivationNoise(shift=0.5, scale=1.25, jitter=0.0), torch.randn(400, 300, 1, 1)
    y = noise(x)
    means, scales = y.mean(dim=(0, 2, 3)) - x.mean(dim=(0, 2, 3)), y.std(dim=0) / x.std(dim=0)
    # uniform in ±.5: a deviation of 1 / √12 = .289; uniform from 1 to 1.25: a mean of 1.125
    assert means.std().item() == pytest.approx(0.289, abs=0.03) and means.abs().max() < 0.55
    assert scales.mean().item() == pytest.approx(1.125, abs=0.02)
    assert scales.min() > 0.99 and scales.max() < 1.26
    assert not torch.equal(noise(x), y)
    assert torch.equal(noise.eval()(x), x)


def test_examples_differ_by_the_jitter():
    torch.manual_seed(0)
    moved = ActivationNoise(shift=0.0, scale=1.0, jitter=0.1)(torch.zeros(500, 20, 2, 2))
    assert moved.std(dim=0).mean().item() == pytest.approx(0.1 / 3**0.5, abs=0.005)
    assert moved.abs().max() <= 0.1
    scaled = ActivationNoise(shift=0.0, scale=1.0, jitter=0.1)(torch.full((500, 20, 2, 2), 100.0))
    assert (scaled / 100).std(dim=0).mean().item() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(("name", "kind"), [("vgg-a-bn-cifar", nn.BatchNorm2d), ("vgg-a-cifar", nn.Conv2d)])
def test_it_stands_behind_each_norm_or_else_behind_each_convolution(name, kind):
    model = with_noise(build_model(name, width=0.05), jitter=0.2)
    pairs = [m for m in model.modules() if isinstance(m, nn.Sequential) and len(m) == 2]
    noisy = [pair for pair in pairs if isinstance(pair[1], ActivationNoise)]
    assert len(noisy) == 8 and all(isinstance(pair[0], kind) for pair in noisy)
    assert noisy[0][1].jitter == 0.2
    total = sum(p.numel() for p in build_model(name, width=0.05).parameters())
    assert sum(p.numel() for p in model.parameters()) == total


def test_impossible_noise_is_refused():
    with pytest.raises(ValueError, match="a scale from 1, got 0.5, 0.1, 0.9"):
        ActivationNoise(0.5, 0.9, 0.1)
    with pytest.raises(ValueError, match="Linear has no batch norm or convolution"):
        with_noise(nn.Linear(2, 2))
