"""The networks for 32×32 images learn from the weights they start with."""

import math

import pytest
import torch
from torch.nn import functional as F

from utils.data.shapes import make_shapes
from utils.models import build_model

NETWORKS = [
    ("alexnet-cifar", {}),
    ("alexnet-cifar", {"batch_norm": True}),
    ("zfnet-cifar", {}),
    ("vgg-a-cifar", {}),
    ("vgg-a-bn-cifar", {}),
    ("model-c", {}),
    ("strided-cnn-c", {}),
    ("convpool-cnn-c", {}),
    ("all-cnn-c", {}),
    ("all-cnn-c", {"batch_norm": True}),
    ("googlenet-cifar", {}),
    ("googlenet-cifar", {"auxiliary": True}),
    ("cleanlab-cnn", {}),
    ("factorised-cnn", {"num_classes": 10}),
]


@pytest.fixture(scope="module")
def batch():
    """Eight pictures of two of the ten classes, with variance about 1."""
    images, labels = (torch.from_numpy(array) for array in make_shapes(40))
    x = images[labels < 2].float() / 255
    return (x - x.mean()) / x.std(), labels[labels < 2]


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_a_few_adam_steps_lower_the_loss(batch, name, options):
    x, y = batch
    torch.manual_seed(0)
    model = build_model(name, width=0.125, **options)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(16):
        outputs = model(x)
        logits, *heads = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = F.cross_entropy(logits, y) + sum(0.3 * F.cross_entropy(head, y) for head in heads)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    guess = math.log(10) * (1.6 if options.get("auxiliary") else 1)  # two heads count three tenths each
    assert losses[0] < 1.3 * guess
    assert sum(losses[-3:]) / 3 < 0.85 * losses[0]
