"""Label noise: exact numbers, the right classes, and the same for the same seed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.data.label_noise import noisy_labels

LABELS = torch.arange(10).repeat(1000)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 12), st.integers(1, 300), st.floats(0, 1), st.integers(0, 2**31))
def test_exactly_so_many_are_wrong_and_every_label_is_a_class(classes, n, rate, seed):
    labels = torch.randint(0, classes, (n,), generator=torch.Generator().manual_seed(seed))
    for kind in ("symmetric", "pair"):
        noisy = noisy_labels(labels, rate, classes, kind=kind, seed=seed)
        assert int((noisy != labels).sum()) == round(rate * n)
        assert noisy.min() >= 0 and noisy.max() < classes


def test_wrong_classes_are_equally_likely():
    noisy = noisy_labels(LABELS, 0.5, 10)
    steps = ((noisy - LABELS) % 10)[noisy != LABELS]
    counts = torch.bincount(steps, minlength=10)
    assert counts[0] == 0 and counts.sum() == 5000
    # 5000 / 9 = 556 with a standard deviation of 22
    assert counts[1:].min() > 556 - 5 * 22 and counts[1:].max() < 556 + 5 * 22


def test_redrawing_thirty_percent_leaves_twenty_seven_percent_wrong():
    wrong = (noisy_labels(LABELS, 0.3, 10, may_redraw=True) != LABELS).double().mean()
    assert abs(wrong - 0.27) < 0.009  # 5 standard deviations of 3,000 draws


def test_pairs_go_to_the_next_class_and_round():
    noisy = noisy_labels(torch.tensor([0, 1, 2]), 1.0, 3, kind="pair")
    assert noisy.tolist() == [1, 2, 0]


def test_the_seed_decides_and_the_original_stays():
    before = LABELS.clone()
    first, again, other = (noisy_labels(LABELS, 0.3, 10, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(LABELS, before)


def test_a_larger_rate_keeps_what_was_chosen_at_a_smaller_one():
    few, many = ((noisy_labels(LABELS, rate, 10, kind="pair") != LABELS) for rate in (0.2, 0.4))
    assert bool((many | ~few).all())


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"kind": "uniform"}, "kind is one of symmetric, pair, got 'uniform'"),
        ({"rate": 1.2}, "rate is a fraction.*1.2"),
        ({"num_classes": 1}, "at least two classes, got 1"),
        ({"num_classes": 5}, "labels go from 0 to 9, not from 0 to 4"),
        ({"labels": torch.zeros(3)}, "int64"),
        ({"kind": "pair", "may_redraw": True}, "belongs to symmetric noise"),
    ],
)
def test_what_cannot_be_meant_is_refused(change, complaint):
    options = {"labels": LABELS, "rate": 0.3, "num_classes": 10, **change}
    with pytest.raises(ValueError, match=complaint):
        noisy_labels(**options)
