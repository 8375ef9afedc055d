"""Networks without their last layer."""

import pytest
import torch
from torch import nn

from utils.models import build_model
from utils.models.heads import FrozenEncoder, cut_head


@pytest.mark.parametrize(
    "name, options, features",
    [
        ("resnet-18-cifar", {"width": 0.125}, 64),
        ("vgg-a-bn-cifar", {"width": 0.125}, 64),
        ("se-residual", {"blocks": 1}, 128),
        ("mobilenet-v2-cifar", {"width": 0.25}, None),
        ("vit-cifar", {"features": 32, "depth": 1, "heads": 2, "hidden": 32}, 32),
    ],
)
def test_what_is_left_are_the_features_that_the_head_took(name, options, features):
    torch.manual_seed(0)
    model = build_model(name, num_classes=7, **options).eval()
    x = torch.randn(2, 3, 32, 32)
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    logits = model(x)
    width = cut_head(model)
    assert width == head.in_features and (features is None or width == features)
    assert model(x).shape == (2, width)
    assert torch.allclose(head(model(x)), logits, atol=1e-6)


def test_a_network_without_a_head_says_so():
    with pytest.raises(ValueError, match="Sequential has no linear layer"):
        cut_head(nn.Sequential(nn.Conv2d(3, 4, 3)))
    with pytest.raises(ValueError, match="nothing would be left"):
        cut_head(nn.Linear(3, 4))


def test_a_frozen_encoder_does_not_move_while_its_head_is_trained():
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = nn.Sequential(FrozenEncoder(encoder), nn.Linear(4, 2)).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    start = model[1].weight.detach().clone()
    model(torch.randn(8, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    assert not encoder.training and model[1].training
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert not torch.equal(start, model[1].weight)
