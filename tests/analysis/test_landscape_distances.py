"""The probe of the loss around the weights: where the losses are known, and what it leaves behind."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils.analysis.landscape import DistanceProbe, filter_normalized_directions
from utils.data.batches import derive_seed


def test_the_losses_are_those_at_the_weights_plus_a_direction():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x, y = torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 1, 0])
    probe = DistanceProbe([0.5, 1.0], directions=2, every=10)
    for step in range(11):
        probe(model=model, step=step, x=x, y=y, loss=None)
    found = probe.read()
    assert found.steps.tolist() == [0, 10] and found.losses.shape == (2, 2, 2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training and model[1].training
    directions = filter_normalized_directions(model, 2, derive_seed(10))
    model.eval()
    assert found.start_loss[1] == pytest.approx(F.cross_entropy(model(x), y).item())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter += 0.5 * directions[1][name]
    assert found.losses[1, 1, 0] == pytest.approx(F.cross_entropy(model(x), y).item(), rel=1e-5)


def test_a_step_of_one_flips_or_doubles_a_filter_of_one_weight():
    """A filter of one weight w has only the directions +w and −w: at 1 it has become 2w or 0."""
    model = nn.Sequential(nn.Linear(1, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [0.0]]))
    probe = DistanceProbe([1.0], directions=8)
    probe(model=model, step=0, x=torch.ones(1, 1), y=torch.tensor([0]), loss=None)
    at_two, at_zero = math.log(1 + math.exp(-2)), math.log(2)
    found = probe.read().losses[0, :, 0]
    assert set(np.round(found, 5)) == {round(at_two, 5), round(at_zero, 5)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([],), "distances must be positive numbers, got \\[\\]"),
        (([0.0],), "distances must be positive"),
        (([1.0], 0), "directions must be a whole number of at least 1, got 0"),
        (([1.0], 1, 0), "every must be a whole number of at least 1, got 0"),
    ],
)
def test_impossible_arguments(arguments, said):
    with pytest.raises(ValueError, match=said):
        DistanceProbe(*arguments)
