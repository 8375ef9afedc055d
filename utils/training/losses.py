"""Losses: functions of (logits float [B, K], labels int64 [B] or soft float [B, K]) that return the mean over
the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(label_smoothing: float = 0.0) -> Loss:
    """The cross entropy, with each label smoothed to ``1 - s`` + s/K for its class and s/K for the K - 1
    others.

    Szegedy et al. 2016 (arXiv:1512.00567). Soft labels, as Mixup makes them, are smoothed in the same way.
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing in [0, 1], got {label_smoothing}")
    return partial(F.cross_entropy, label_smoothing=label_smoothing)


def count_correct(logits: Tensor, y: Tensor) -> Tensor:
    """How many rows of ``logits`` [B, K] are largest at the label, a tensor without a dimension; of soft
    labels, at the largest.
    """
    target = y.argmax(1) if y.ndim == 2 else y
    return (logits.argmax(1) == target).sum()
