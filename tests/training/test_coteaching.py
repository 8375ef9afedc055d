"""Co-teaching: the loss against a plain computation, the schedule by hand, and the pair inside ``fit``."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from utils.data import load_dataset
from utils.data.label_noise import noisy_labels
from utils.training import fit
from utils.training.coteaching import CoTeaching, coteaching_loss, forget_rate_schedule, kept_of


def plainly(own, other, labels, rate):
    """Sort by the other network's loss, keep the first, average one's own: with Python lists."""

    def losses(logits):
        return [
            math.log(sum(math.exp(v) for v in row)) - row[label]
            for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
        ]

    order = sorted(range(len(labels)), key=lambda i: losses(other)[i])[: (1 - rate) * len(labels) // 1]
    mine = losses(own)
    return sum(mine[i] for i in order) / len(order)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 12), st.integers(2, 5), st.fractions(0, 0.5, max_denominator=10_000), st.integers(0, 2**31)
)
def test_each_learns_from_what_the_other_chose(n, classes, rate, seed):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, n, classes, generator=generator)
    labels = torch.randint(0, classes, (n,), generator=generator)
    loss_a, loss_b = coteaching_loss(a, b, labels, float(rate))
    assert loss_a.item() == pytest.approx(plainly(a, b, labels, rate), rel=1e-4)
    assert loss_b.item() == pytest.approx(plainly(b, a, labels, rate), rel=1e-4)


def test_nothing_left_out_is_the_cross_entropy():
    a, b = torch.randn(2, 6, 3)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    loss_a, loss_b = coteaching_loss(a, b, labels, 0.0)
    assert torch.allclose(loss_a, F.cross_entropy(a, labels)) and torch.allclose(
        loss_b, F.cross_entropy(b, labels)
    )


def test_what_was_left_out_gets_no_gradient():
    a = torch.tensor([[5.0, 0.0], [0.0, 5.0], [1.0, 0.0]], requires_grad=True)
    b = torch.tensor([[0.0, 9.0], [4.0, 0.0], [3.0, 0.0]], requires_grad=True)
    labels = torch.tensor([0, 0, 0])  # b finds the first wrong, a the second
    loss_a, loss_b = coteaching_loss(a, b, labels, 0.3)
    (loss_a + loss_b).backward()
    assert [bool(row.any()) for row in a.grad] == [False, True, True]
    assert [bool(row.any()) for row in b.grad] == [True, False, True]


def test_the_number_kept_is_that_of_exact_fractions():
    assert kept_of(10, 0.9) == 1  # in floating point (1 - 0.9) * 10 is 0.9999...
    assert kept_of(90, 0.3) == 63 and kept_of(100, 0.8) == 20 and kept_of(5, 0.4) == 3
    assert kept_of(10, 0.1 + 0.2) == 7 and kept_of(10, 0.3 * 2 / 3) == 8  # as a schedule computes its rates
    assert kept_of(3, 1 / 3) == 2 and kept_of(7, 2 / 7) == 5
    for percent, examples in itertools.product(range(100), range(1, 130)):
        exact = (100 - percent) * examples // 100
        if exact:
            assert kept_of(examples, percent / 100) == exact, (percent, examples)
    for epochs, epoch in ((9, 4), (7, 3), (30, 29), (10, 1)):
        rate = forget_rate_schedule(epochs + 1, 0.45, ramp=epochs)[epoch]
        for examples in range(40, 260):
            exact = (1 - Fraction(45, 100) * Fraction(epoch, epochs)) * examples // 1
            assert kept_of(examples, rate) == exact, (epochs, epoch, examples)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_batch_of_which_nothing_is_left_is_refused_before_the_first_step(size):
    seen, both = [], pair(4, 1)
    both.forget_rates = (0.0, 0.1, 0.76)  # nothing is left in the third epoch only
    with pytest.raises(
        ValueError, match=f"forget_rate 0.76 leaves nothing of {size} examples.*drop_last=True"
    ):
        fit(
            both, load_dataset("digits").train.subset(64 + size), epochs=4, batch_size=32, loss=both.loss,
            hits=both.hits, progress=False, probes=[lambda **_: seen.append(1)],
        )  # fmt: skip
    assert not seen


@pytest.mark.parametrize("more", [{"drop_last": True}, {"batch_size": 13}, {"batch_size": 5}])
def test_the_remedies_for_too_small_a_batch_work(more):
    both = pair(2, 5)
    both.forget_rates = (0.0, 0.7)
    options = {"epochs": 2, "batch_size": 32, "progress": False, **more}
    fit(both, load_dataset("digits").train.subset(65), loss=both.loss, hits=both.hits, **options)


def test_the_rate_rises_and_stays():
    assert forget_rate_schedule(6, 0.4, ramp=4) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.4])
    assert forget_rate_schedule(3, 0.3, ramp=0) == [0.3, 0.3, 0.3]


def test_the_rate_is_that_of_the_epoch():
    both = CoTeaching(nn.Identity(), nn.Identity(), [0.0, 0.1, 0.3], steps_per_epoch=5)
    rates = []
    for steps in (0, 4, 5, 9, 10, 14, 15, 99):  # the last rate goes on
        both.steps.fill_(steps)
        rates.append(both.forget_rate)
    assert rates == [0.0, 0.0, 0.1, 0.1, 0.3, 0.3, 0.3, 0.3]


def test_the_loss_counts_steps_and_takes_the_rate_of_each():
    both = CoTeaching(nn.Identity(), nn.Identity(), [0.0, 0.5], steps_per_epoch=2)
    outputs, labels = (
        torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0, 1, 2, 0]),
    )
    for rate in (0.0, 0.0, 0.5, 0.5):
        expected = sum(coteaching_loss(outputs[..., 0], outputs[..., 1], labels, rate))
        assert both.loss(outputs, labels) == expected
    assert int(both.steps) == 4


@pytest.mark.parametrize(
    "call, complaint",
    [
        (
            lambda: coteaching_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2), 1.0),
            r"in \[0, 1\), got 1.0",
        ),
        (
            lambda: coteaching_loss(torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2), 0.1),
            "logits must be two",
        ),
        (
            lambda: coteaching_loss(torch.zeros(1, 3), torch.zeros(1, 3), torch.zeros(1).long(), 0.3),
            "forget_rate 0.3 leaves nothing of 1 examples; give larger batches, or drop_last=True",
        ),
        (lambda: forget_rate_schedule(0, 0.3), "epochs must be at least 1"),
        (lambda: forget_rate_schedule(5, 1.5), "rate is a fraction"),
        (lambda: CoTeaching(nn.Identity(), nn.Identity(), [], 10), "one for each epoch"),
        (lambda: CoTeaching(nn.Identity(), nn.Identity(), [0.1], 0), "steps_per_epoch must be at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()


def pair(epochs, steps):
    def network(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))

    networks = [network(seed) for seed in (1, 2)]
    for part in networks:
        part(torch.zeros(1, 1, 32, 32))
    return CoTeaching(*networks, forget_rate_schedule(epochs, 0.4, ramp=2), steps)


def test_in_evaluation_the_probabilities_are_averaged():
    both = pair(1, 1).eval()
    x = torch.randn(4, 1, 32, 32)
    expected = (both.a(x).softmax(1) + both.b(x).softmax(1)) / 2
    assert torch.allclose(both(x).exp(), expected, atol=1e-6)


def test_fit_trains_the_pair_and_a_resumed_training_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path))
    digits = load_dataset("digits")
    part = digits.train.subset(320)
    noisy = part.with_labels(noisy_labels(part.labels, 0.3, 10))
    options = {"batch_size": 64, "lr": 1e-2, "progress": False, "drop_last": True}

    def train(model, epochs, **more):
        return fit(
            model, noisy, digits.valid, epochs=epochs, loss=model.loss, hits=model.hits, **options, **more
        )

    whole = pair(4, 5)
    history = train(whole, 4)
    assert int(whole.steps) == 20 and history.valid_accuracy[-1] > 0.5
    interrupted = pair(4, 5)
    train(interrupted, 2, checkpoint=tmp_path / "run.pt")
    resumed = pair(4, 5)
    again = train(resumed, 4, checkpoint=tmp_path / "run.pt")
    assert again.train_loss == history.train_loss and again.valid_loss == history.valid_loss
    assert int(resumed.steps) == 20
