"""Contrastive pre-training: order of the views, the count of right neighbors, a training that separates."""

import pytest
import torch
from torch import nn

from utils.data import load_dataset
from utils.data.augment import RandomTranslate
from utils.data.views import Views
from utils.training import fit
from utils.training.contrastive import ContrastiveLoss, ContrastiveNetwork
from utils.training.losses import supervised_contrastive_loss


def test_rows_of_views_are_sorted_by_view():
    outputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))  # two views of three images
    labels = torch.tensor([0, 1, 0])
    by_hand = torch.stack([torch.stack([outputs[i], outputs[3 + i]]) for i in range(3)])
    assert torch.allclose(
        ContrastiveLoss(0.1)(outputs, labels), supervised_contrastive_loss(by_hand, labels, 0.1)
    )
    assert torch.allclose(
        ContrastiveLoss(0.1, supervised=False)(outputs, labels),
        supervised_contrastive_loss(by_hand, None, 0.1),
    )


def test_neighbors_are_counted_among_other_images():
    # images 0 and 1 of one class lie close together, image 2 lies near image 0 but is of another class
    outputs = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, -0.8]])
    labels = torch.tensor([5, 5, 7])
    assert int(ContrastiveLoss().hits(outputs, labels)) == 2  # 0 -> 1 right, 1 -> 0 right, 2 -> 0 wrong
    twice = torch.cat([outputs, outputs])  # the own second view does not count
    assert int(ContrastiveLoss().hits(twice, labels)) == 4


def test_outputs_that_are_no_views_are_refused():
    with pytest.raises(ValueError, match=r"outputs must be \[V · 3, D\], got \[4, 2\]"):
        ContrastiveLoss()(torch.zeros(4, 2), torch.tensor([0, 1, 2]))


def test_fit_draws_the_classes_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path))
    digits = load_dataset("digits")
    torch.manual_seed(0)
    network = ContrastiveNetwork(nn.Sequential(nn.Flatten(), nn.Linear(1024, 32), nn.ReLU()), 32, 16)
    loss = ContrastiveLoss(0.2)
    history = fit(
        network, digits.train.subset(400), digits.valid, epochs=4, batch_size=100, lr=3e-3, loss=loss,
        hits=loss.hits, augment=Views(RandomTranslate(0.05)), progress=False,
    )  # fmt: skip
    assert history.train_loss[-1] < history.train_loss[0] - 0.3
    assert 0.7 < history.valid_accuracy[-1] <= 1 and history.train_accuracy[-1] <= 1


def test_a_validation_batch_without_a_pair_counts_nothing():
    loss, outputs = ContrastiveLoss(), nn.functional.normalize(torch.randn(3, 4), dim=1)
    assert loss(outputs, torch.tensor([0, 1, 2])) == 0
    assert loss(outputs, torch.tensor([0, 1, 0])) > 0
    assert loss.hits(outputs[:1], torch.tensor([5])) == 0
