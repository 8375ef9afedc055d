"""The supervised contrastive loss against the formula of the paper, written out with loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.training.losses import supervised_contrastive_loss


def by_the_formula(features, labels, temperature):
    """Equation 2 of arXiv:2004.11362, one anchor and one positive after the other, in float64."""
    N, V, _ = features.shape
    z = [row / row.norm() for image in features.double() for row in image]
    owner = [labels[i] for i in range(N) for _ in range(V)]
    means = []
    for i in range(N * V):
        others = [a for a in range(N * V) if a != i]
        total = sum(math.exp(float(z[i] @ z[a]) / temperature) for a in others)
        shares = [
            math.log(math.exp(float(z[i] @ z[p]) / temperature) / total)
            for p in others
            if owner[p] == owner[i]
        ]
        if shares:
            means.append(-sum(shares) / len(shares))
    return sum(means) / len(means)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 5), st.integers(1, 3), st.integers(1, 3), st.floats(0.1, 2.0), st.integers(0, 2**31))
def test_equals_the_formula(n, views, classes, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, views, 4, generator=generator)
    labels = torch.randint(0, classes, (n,), generator=generator)
    labels[1] = labels[0]  # at least one positive
    expected = by_the_formula(features, labels.tolist(), temperature)
    assert supervised_contrastive_loss(features, labels, temperature).item() == pytest.approx(
        expected, rel=1e-4, abs=1e-5
    )


def test_without_labels_each_image_is_its_own_class():
    features = torch.randn(6, 2, 8, generator=torch.Generator().manual_seed(0))
    assert supervised_contrastive_loss(features).item() == pytest.approx(
        by_the_formula(features, range(6), 0.07), rel=1e-4
    )


def test_two_images_by_hand():
    # two images of one class at a right angle, one view each: one positive and no other, so the share is 1
    features = torch.tensor([[[1.0, 0.0]], [[0.0, 3.0]]])
    assert supervised_contrastive_loss(features, torch.tensor([4, 4]), 0.5).item() == pytest.approx(
        0.0, abs=1e-6
    )
    # a third one of another class, opposite to the first: anchor 1 sees e^0 and e^-2, anchor 2 e^0 and e^0
    features = torch.cat([features, torch.tensor([[[-1.0, 0.0]]])])
    expected = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert supervised_contrastive_loss(features, torch.tensor([4, 4, 1]), 0.5).item() == pytest.approx(
        expected, rel=1e-5
    )


def test_a_small_temperature_does_not_overflow_and_the_gradient_is_finite():
    features = torch.randn(8, 2, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
    loss = supervised_contrastive_loss(features, torch.arange(8) % 3, 1e-3)
    loss.backward()
    assert torch.isfinite(loss) and bool(torch.isfinite(features.grad).all())


def test_length_of_the_features_and_order_of_the_images_do_not_matter():
    features = torch.randn(5, 2, 8, generator=torch.Generator().manual_seed(2))
    labels, order = torch.tensor([0, 1, 0, 2, 1]), torch.tensor([3, 1, 4, 0, 2])
    loss = supervised_contrastive_loss(features, labels)
    assert torch.allclose(loss, supervised_contrastive_loss(7 * features, labels))
    assert torch.allclose(loss, supervised_contrastive_loss(features[order], labels[order]), atol=1e-5)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ((torch.zeros(4, 8),), r"features must be \[N, V, D\], got \[4, 8\]"),
        ((torch.ones(4, 2, 8), torch.zeros(3)), r"labels must be \[4\], got \[3\]"),
        ((torch.ones(4, 2, 8), None, 0.0), "temperature must be positive, got 0.0"),
        ((torch.ones(4, 1, 8),), "no anchor has a positive.*give two views or labels"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        supervised_contrastive_loss(*arguments)
