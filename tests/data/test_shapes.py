"""The ten shapes need spatial structure: single pixels tell little, a LeNet much, a residual net more."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils.data.shapes import SHAPE_CLASSES, make_shapes

TRAIN, TEST = 6000, 2000


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small networks train no faster on more, and far slower where the cores are shared with other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shapes():
    """Normalized training and test pictures with their labels."""
    data = []
    for n, seed in ((TRAIN, 0), (TEST, 1)):
        images, labels = make_shapes(n, seed)
        data += [torch.from_numpy(images).float() / 255 * 4 - 2, torch.from_numpy(labels)]
    return data


class Residual(nn.Module):
    def __init__(self, width_in, width):
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(width_in, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
        self.shortcut = nn.Sequential(nn.Conv2d(width_in, width, 1, 2, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))


def lenet():
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def residual():
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    blocks = nn.Sequential(Residual(16, 32), Residual(32, 64))
    return nn.Sequential(stem, blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def accuracy(make, shapes, epochs, peak, batch=64, seed=0):
    """Test accuracy after training with Adam and one cycle of the learning rate."""
    train_x, train_y, test_x, test_y = shapes
    torch.manual_seed(seed)
    model = make()
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, total_steps=epochs * -(-len(train_x) // batch)
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(train_x)).split(batch):
            F.cross_entropy(model(train_x[rows]), train_y[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    model.eval()
    with torch.no_grad():
        return (torch.cat([model(x) for x in test_x.split(500)]).argmax(1) == test_y).float().mean().item()


def test_linear_fails_lenet_does_well_and_a_residual_net_better(shapes):
    flat, small, deep = (
        accuracy(linear, shapes, epochs=4, peak=1e-3),
        accuracy(lenet, shapes, epochs=5, peak=3e-3),
        accuracy(residual, shapes, epochs=5, peak=1e-2),
    )
    assert flat < 0.45, flat
    assert small > 0.80, small
    assert deep > small + 0.02, (deep, small)


def test_color_and_brightness_do_not_tell_the_class(shapes):
    """The best single-number rule on channel means or spreads stays near chance (0.1)."""
    train_x, train_y, test_x, test_y = shapes
    features = [torch.cat([x.mean((2, 3)), x.std((2, 3))], dim=1) for x in (train_x, test_x)]
    low, high = features[0].min(0).values, features[0].max(0).values
    for feature in range(features[0].shape[1]):
        bins = [
            ((f[:, feature] - low[feature]) / (high[feature] - low[feature]) * 20).long().clamp(0, 19)
            for f in features
        ]
        table = torch.zeros(20, 10)
        table.index_put_((bins[0], train_y), torch.ones(len(train_y)), accumulate=True)
        assert (table.argmax(1)[bins[1]] == test_y).float().mean() < 0.2


def test_same_seed_same_pictures_other_seed_others():
    one, labels = make_shapes(30, 5)
    again, _ = make_shapes(30, 5)
    other, _ = make_shapes(30, 6)
    assert (one == again).all() and (one != other).any()
    assert one.dtype == np.uint8 and one.shape == (30, 3, 32, 32) and labels.dtype == np.int64


@pytest.mark.parametrize("n", [1, 7, 10, 205, 1001])
def test_any_number_with_balanced_classes(n):
    images, labels = make_shapes(n, 0)
    counts = np.bincount(labels, minlength=len(SHAPE_CLASSES))
    assert len(images) == n and counts.max() - counts.min() <= 1


@pytest.mark.parametrize("n", [0, -3, 2.5, True, "9"])
def test_bad_number_is_refused(n):
    with pytest.raises(ValueError, match="positive whole number"):
        make_shapes(n)


def test_figures_are_as_often_lighter_as_darker_than_the_ground():
    """A disc near the middle: its center against the corners."""
    images, labels = make_shapes(4000, 2)
    discs = images[labels == SHAPE_CLASSES.index("disc")].mean(axis=1)
    lighter = discs[:, 14:18, 14:18].mean(axis=(1, 2)) > discs[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(axis=1)
    assert 0.35 < lighter.mean() < 0.65
