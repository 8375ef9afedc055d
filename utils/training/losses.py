"""Losses: functions of logits and labels that return the mean over the batch.

Logits are float [B, K], labels int64 [B] or soft float [B, K].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(label_smoothing: float = 0.0) -> Loss:
    """The cross entropy, with each label smoothed: ``1 - s`` + s/K for its class, s/K for the K - 1 others.

    Szegedy et al. 2016 (arXiv:1512.00567). Soft labels, as Mixup makes them, are smoothed in the same way.
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing in [0, 1], got {label_smoothing}")
    return partial(F.cross_entropy, label_smoothing=label_smoothing)


def is_cross_entropy(loss: Loss) -> bool:
    """Whether a loss is torch's cross entropy, as :func:`cross_entropy` gives it or as it is."""
    return (loss.func if isinstance(loss, partial) else loss) is F.cross_entropy


def count_correct(logits: Tensor, y: Tensor) -> Tensor:
    """How many rows of ``logits`` [B, K] are largest at the label, a tensor without a dimension.

    Of soft labels [B, K] the largest counts.
    """
    target = y.argmax(1) if y.ndim == 2 else y
    return (logits.argmax(1) == target).sum()


def supervised_contrastive_loss(
    features: Tensor, labels: Tensor | None = None, temperature: float = 0.07
) -> Tensor:
    """Khosla et al. 2020 (arXiv:2004.11362), equation 2, the form with the sum outside of the logarithm.

    ``features``: ``[N, V, D]``, V views of N images, scaled to length 1 here. ``labels``: int64 ``[N]``;
    without them each image is a class of its own, which is the loss of SimCLR (Chen et al. 2020,
    arXiv:2002.05709). For each anchor, one of all N·V features: the mean over its positives p (same label,
    not itself) of −log(exp(z·z_p/τ) / Σ_a exp(z·z_a/τ)), the sum over all others a. The result is the mean
    over all anchors that have a positive.

    The largest similarity is subtracted before exponentials are taken, so that small τ do not overflow.
    Raises ``ValueError`` for other shapes, τ not positive, and if no anchor has a positive.
    """
    if features.ndim != 3:
        raise ValueError(f"features must be [N, V, D], got {list(features.shape)}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    N, V, D = features.shape
    if labels is None:
        labels = torch.arange(N, device=features.device)
    if labels.shape != (N,):
        raise ValueError(f"labels must be [{N}], got {list(labels.shape)}")
    z = F.normalize(features.float(), dim=2).reshape(N * V, D)
    owner = labels.repeat_interleave(V)  # [N·V]
    myself = torch.eye(N * V, dtype=torch.bool, device=z.device)
    positive = (owner[:, None] == owner[None, :]) & ~myself
    number = positive.sum(dim=1)
    anchors = number > 0
    if not bool(anchors.any()):
        raise ValueError(
            f"no anchor has a positive: {N} images of {N} classes with {V} view; give two views or labels"
        )
    similarity = (z @ z.T / temperature).masked_fill(myself, -torch.inf)
    log_share = similarity - torch.logsumexp(similarity, dim=1, keepdim=True)
    mean = log_share.masked_fill(~positive, 0.0).sum(dim=1)[anchors] / number[anchors]
    return -mean.mean()
