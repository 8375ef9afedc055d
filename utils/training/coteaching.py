"""Co-teaching: two networks that choose for each other which examples to learn from.

Han et al. 2018, "Co-teaching: Robust training of deep neural networks with extremely noisy labels",
arXiv 1804.06872. Networks learn what most examples agree on before they learn single wrong labels, so an
example with a small loss probably has a true label. Each network takes the examples of smallest loss of a
batch, and the *other* one learns from them: two networks make different mistakes, and neither confirms its
own.

:class:`CoTeaching` is such a pair as one module, so that ``fit`` trains, checkpoints and resumes it like any
network::

    rates = forget_rate_schedule(epochs, 0.3, ramp=5)
    pair = CoTeaching(build_model(...), build_model(...), rates, steps_per_epoch=len(train) // batch_size)
    fit(pair, train, valid, epochs=epochs, loss=pair.loss, hits=pair.hits, batch_size=batch_size,
        drop_last=True)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.training.losses import count_correct

FINEST = 10**9  # the largest denominator of a rate: sums and products of rates are as exact


def coteaching_loss(
    logits_a: Tensor, logits_b: Tensor, labels: Tensor, forget_rate: float
) -> tuple[Tensor, Tensor]:
    """The losses of the two networks, each over the examples that the *other* network has chosen.

    Of each network it is the mean cross entropy over the :func:`kept_of` B examples of the smallest loss in
    the other one. ``logits_a``, ``logits_b``: ``[B, K]``; ``labels``: int64 ``[B]``;
    ``forget_rate`` in [0, 1). The choice itself has no gradient. Raises ``ValueError`` for other rates and
    shapes, and where no example is left.
    """
    kept = kept_of(len(labels), forget_rate)
    if logits_a.shape != logits_b.shape or logits_a.ndim != 2 or labels.shape != logits_a.shape[:1]:
        raise ValueError(
            f"logits must be two [B, K] and labels [B], got {list(logits_a.shape)}, {list(logits_b.shape)} "
            f"and {list(labels.shape)}"
        )
    losses_a = F.cross_entropy(logits_a, labels, reduction="none")
    losses_b = F.cross_entropy(logits_b, labels, reduction="none")
    chosen_by_a = losses_a.detach().topk(kept, largest=False).indices
    chosen_by_b = losses_b.detach().topk(kept, largest=False).indices
    return losses_a[chosen_by_b].mean(), losses_b[chosen_by_a].mean()


def kept_of(examples: int, forget_rate: float) -> int:
    """How many of a batch are learned from: ``(1 − forget_rate) · examples``, rounded down.

    The paper's R(T)·|D|. The rate is taken as the fraction that it is meant as: in floating point
    ``(1 - 0.9) * 10`` is 0.9999…, and 1 is kept. Raises ``ValueError`` for rates outside of [0, 1), and where
    nothing is left.
    """
    if not 0.0 <= forget_rate < 1.0:
        raise ValueError(f"forget_rate is a fraction in [0, 1), got {forget_rate}")
    kept = math.floor((1 - Fraction(forget_rate).limit_denominator(FINEST)) * examples)
    if kept == 0:
        raise ValueError(
            f"forget_rate {forget_rate:.4g} leaves nothing of {examples} examples; give larger batches, or "
            "drop_last=True where only the last batch of an epoch is so small"
        )
    return kept


def forget_rate_schedule(epochs: int, rate: float, ramp: int = 10) -> list[float]:
    """The share of a batch to leave out, for each epoch: from 0 up to ``rate`` over ``ramp`` epochs, then so.

    Epoch e (from 0) has ``rate · min(e / ramp, 1)``; ``ramp=0`` begins with ``rate``. At first nothing is
    left out, because the losses of new networks say nothing about labels.
    """
    if epochs < 1 or ramp < 0:
        raise ValueError(f"epochs must be at least 1 and ramp at least 0, got {epochs} and {ramp}")
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"rate is a fraction in [0, 1), got {rate}")
    return [rate * min(epoch / ramp, 1.0) if ramp else rate for epoch in range(epochs)]


class CoTeaching(nn.Module):
    """Two networks that are trained on the same batches and choose for each other.

    Each maps ``[B, C, H, W]`` → ``[B, K]``. ``forget_rates``: one for each epoch (the last one goes on);
    ``steps_per_epoch``: batches of an epoch. In training mode the output is ``[B, K, 2]``, the logits of
    both; in evaluation mode ``[B, K]``, the logarithm of the mean of their probabilities. The number of steps
    is part of the state, so that a resumed training goes on with the right rate.
    """

    def __init__(
        self, a: nn.Module, b: nn.Module, forget_rates: Sequence[float], steps_per_epoch: int
    ) -> None:
        super().__init__()
        if not forget_rates or not all(0.0 <= rate < 1.0 for rate in forget_rates):
            raise ValueError(
                f"forget_rates are fractions in [0, 1), one for each epoch, got {list(forget_rates)}"
            )
        if steps_per_epoch < 1:
            raise ValueError(f"steps_per_epoch must be at least 1, got {steps_per_epoch}")
        self.a, self.b = a, b
        self.forget_rates, self.steps_per_epoch = tuple(forget_rates), steps_per_epoch
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def forget_rate(self) -> float:
        """That of the present epoch."""
        epoch = int(self.steps) // self.steps_per_epoch
        return self.forget_rates[min(epoch, len(self.forget_rates) - 1)]

    def require_batch(self, size: int) -> None:
        """For ``fit``: raise ``ValueError`` if of so many examples nothing is left at the largest rate."""
        kept_of(size, max(self.forget_rates))

    def extra_repr(self) -> str:
        return f"forget_rates={self.forget_rates}, steps_per_epoch={self.steps_per_epoch}"

    def forward(self, x: Tensor) -> Tensor:
        logits_a, logits_b = self.a(x), self.b(x)
        if self.training:
            return torch.stack([logits_a, logits_b], dim=2)
        both = torch.stack([logits_a.log_softmax(1), logits_b.log_softmax(1)])
        return torch.logsumexp(both, dim=0) - math.log(2.0)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """For ``fit``: in training the sum of both losses, in evaluation the cross entropy.

        In training each call counts one step. The gradient of the sum is, for each network, that of its own
        loss: they share no weights.
        """
        if outputs.ndim == 2:
            return F.cross_entropy(outputs, labels)
        loss_a, loss_b = coteaching_loss(outputs[..., 0], outputs[..., 1], labels, self.forget_rate)
        self.steps += 1
        return loss_a + loss_b

    def hits(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """For ``fit``: how many of the batch the first network gets right (in evaluation: both together)."""
        return count_correct(outputs if outputs.ndim == 2 else outputs[..., 0], labels)
