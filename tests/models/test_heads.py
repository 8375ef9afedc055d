"""Networks without their last layer."""

import pytest
import torch
from torch import nn

from utils.models import build_model
from utils.models.heads import FrozenEncoder, cut_head, encode, parameter_groups


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


def test_features_are_those_of_evaluation_mode_in_the_order_of_the_batches():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Dropout(0.5)).train()
    encoder[1].eval()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    x, y = torch.randn(7, 1, 5, 5), torch.arange(7)
    features, labels = encode(encoder, [(x[:4], y[:4]), (x[4:], y[4:])])
    scale = 1 / torch.sqrt(encoder[1].running_var + encoder[1].eps)
    expected = encoder[0](x) * scale[:, None, None]  # fresh batch norm in evaluation: mean 0, and variance 1
    assert torch.allclose(features, expected.flatten(1), atol=1e-6) and not features.requires_grad
    assert torch.equal(labels, y)
    assert encoder.training and encoder[3].training and not encoder[1].training
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    with pytest.raises(ValueError, match="no batch"):
        encode(encoder, [])


def test_modes_are_put_back_after_an_error():
    encoder = nn.Sequential(nn.Linear(3, 2)).train()
    with pytest.raises(RuntimeError):
        encode(encoder, [(torch.randn(2, 4), torch.zeros(2))])
    assert encoder.training


def test_parameter_groups_by_hand():
    body, head = nn.Linear(2, 3), nn.Linear(3, 1)
    for parameter in (*body.parameters(), *head.parameters()):
        nn.init.ones_(parameter)
    optimizer = torch.optim.SGD(parameter_groups(body, head, lr=0.5, body_factor=0.1))
    for parameter in (*body.parameters(), *head.parameters()):
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert all(torch.allclose(p, torch.full_like(p, 0.5)) for p in head.parameters())
    assert all(torch.allclose(p, torch.full_like(p, 0.95)) for p in body.parameters())


def test_parameter_groups_leave_out_what_is_frozen_and_count_nothing_twice():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    whole = parameter_groups(model, model[2], lr=1.0)
    assert [[id(p) for p in group["params"]] for group in whole] == [
        [id(p) for p in model[2].parameters()],
        [id(p) for p in model[0].parameters()],
    ]
    assert [group["lr"] for group in whole] == [1.0, 0.1]
    model[0].requires_grad_(False)
    assert [group["lr"] for group in parameter_groups(model, model[2], lr=1.0)] == [1.0]
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="every parameter is frozen"):
        parameter_groups(model, model[2], lr=1.0)


@pytest.mark.parametrize(
    "options, message",
    [({"lr": 0.0}, "lr must be positive, got 0.0"), ({"lr": 1.0, "body_factor": -2}, "got -2")],
)
def test_parameter_groups_refuse_rates_that_cannot_be_meant(options, message):
    with pytest.raises(ValueError, match=message):
        parameter_groups(nn.Linear(1, 1), nn.Linear(1, 1), **options)
