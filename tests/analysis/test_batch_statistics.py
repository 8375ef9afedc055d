"""Statistics of batch norm measured without training: by hand, and against torch's own averaging."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from utils.analysis.batch_statistics import measure_batch_statistics
from utils.models import build_model


def test_mean_and_variance_are_those_computed_by_hand():
    norm = nn.BatchNorm1d(1)
    assert measure_batch_statistics(norm, torch.tensor([[1.0], [2.0], [3.0], [6.0]])) is norm
    assert norm.running_mean.tolist() == [3.0]  # 12 / 4
    # squared deviations 4 + 1 + 0 + 9, over 4 - 1
    assert norm.running_var.tolist() == [pytest.approx(14 / 3)]


def test_batches_count_alike_and_differ_by_one_in_size():
    norm = nn.BatchNorm1d(1)
    # two batches: 0, 3, 6 (mean 3, variance 9) and 10, 12 (mean 11, variance 2)
    measure_batch_statistics(norm, torch.tensor([[0.0], [3.0], [6.0], [10.0], [12.0]]), batch_size=4)
    assert norm.num_batches_tracked == 2
    assert norm.running_mean.tolist() == [7.0] and norm.running_var.tolist() == [5.5]


def test_second_layer_is_measured_behind_the_normalized_first():
    torch.manual_seed(0)
    images = 5 + 3 * torch.randn(64, 2, 6, 6)
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    measure_batch_statistics(model, images)
    with torch.no_grad():
        out = model.eval()(images)
    assert torch.allclose(out.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(out.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-3)


def test_agrees_with_update_bn_of_torch():
    torch.manual_seed(1)
    ours = build_model("resnet-20", width=0.25)
    theirs = copy.deepcopy(ours)
    images = torch.randn(24, 3, 32, 32)
    measure_batch_statistics(ours, images, batch_size=8)
    update_bn(images.split(8), theirs)
    for name, buffer in theirs.named_buffers():
        assert torch.allclose(buffer, ours.get_buffer(name), atol=1e-6), name


def test_earlier_statistics_count_for_nothing_and_all_else_is_as_before():
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=0.3), nn.Dropout(0.5), nn.Linear(4, 2))
    model[1].running_mean.fill_(100.0)
    model.train()
    model[3].eval()
    weights = [parameter.clone() for parameter in model.parameters()]
    flags = [module.training for module in model.modules()]
    images = torch.randn(10, 3)
    state = torch.get_rng_state()
    measure_batch_statistics(model, images)
    assert model[1].running_mean.abs().max() < 3
    assert torch.equal(torch.get_rng_state(), state)  # dropout is off
    assert [module.training for module in model.modules()] == flags and model[1].momentum == 0.3
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_only_fresh_keeps_what_was_collected_and_normalizes_with_it():
    model = nn.Sequential(nn.BatchNorm1d(1, affine=False, eps=0.0), nn.BatchNorm1d(1))
    model[0].running_mean.fill_(1.0)
    model[0].running_var.fill_(4.0)
    model[0].num_batches_tracked.fill_(7)
    measure_batch_statistics(model, torch.tensor([[1.0], [5.0]]), only_fresh=True)
    assert model[0].running_mean.item() == 1.0 and model[0].num_batches_tracked == 7
    # the second sees (1 - 1) / 2 and (5 - 1) / 2, that is 0 and 2
    assert model[1].running_mean.item() == 1.0 and model[1].running_var.item() == pytest.approx(2.0)


def test_networks_without_statistics_are_not_even_run():
    class Untouched(nn.Module):
        def forward(self, x):
            raise AssertionError("was run")

    for model in (Untouched(), nn.Sequential(Untouched(), nn.BatchNorm1d(2, track_running_stats=False))):
        assert measure_batch_statistics(model, torch.zeros(1, 2)) is model


def test_a_pass_that_fails_leaves_all_as_it_was():
    model = nn.Sequential(nn.BatchNorm1d(2, momentum=0.2), nn.Linear(3, 1))  # the sizes do not fit
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(RuntimeError):
        measure_batch_statistics(model, torch.randn(4, 2))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model[0].momentum == 0.2 and model[0].training


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"no images.*\[0, 3\]"):
        measure_batch_statistics(nn.BatchNorm1d(3), torch.zeros(0, 3))
    with pytest.raises(ValueError, match="got 0"):
        measure_batch_statistics(nn.BatchNorm1d(3), torch.zeros(4, 3), batch_size=0)
