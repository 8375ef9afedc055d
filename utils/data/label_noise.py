"""Wrong labels, made on purpose: a function of the true labels, the rate and the seed alone.

Exactly ``round(rate · N)`` examples are chosen, and each gets a new label:

- *symmetric*: one of the K − 1 other classes, all equally likely. With ``may_redraw=True`` one of all K: the
  true class may come again, so that only about ``rate · (K − 1) / K`` of the labels are wrong: of 30 % in ten
  classes 27 %. Both are called "30 % noise" in print.
- *pair*: the next class (the last one's next is the first), as for a labeler who confuses neighbors
  (Han et al. 2018, arXiv 1804.06872, "pair flipping").
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

KINDS = ("symmetric", "pair")


def noisy_labels(
    labels: Tensor,
    rate: float,
    num_classes: int,
    *,
    kind: str = "symmetric",
    may_redraw: bool = False,
    seed: int = 0,
) -> Tensor:
    """A copy of ``labels`` (int64 ``[N]``, in 0…K − 1) in which ``round(rate · N)`` were drawn anew.

    Put them into a split with ``split.with_labels(…)``; ``noisy != labels`` says which are wrong. Labels of
    the validation and test splits stay true unless the caller changes them as well.

    Raises ``ValueError`` for another kind, a rate outside [0, 1], fewer than two classes, labels out of
    range, and ``may_redraw`` with pairs, which draw nothing.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, got {kind!r}")
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate is a fraction in [0, 1], got {rate}")
    if num_classes < 2:
        raise ValueError(f"noise needs at least two classes, got {num_classes}")
    if labels.ndim != 1 or labels.dtype != torch.int64:
        raise ValueError(f"labels must be int64 [N], got {labels.dtype} {list(labels.shape)}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"labels go from {int(labels.min())} to {int(labels.max())}, not from 0 to {num_classes - 1}"
        )
    if kind == "pair" and may_redraw:
        raise ValueError("may_redraw belongs to symmetric noise: a pair has one wrong class")
    generator = Generator().manual_seed(seed)
    n = len(labels)
    chosen = torch.randperm(n, generator=generator)[: round(rate * n)].to(labels.device)
    if kind == "pair":
        steps = torch.ones(len(chosen), dtype=torch.int64)
    else:
        # 0 steps on is the true class
        steps = torch.randint(0 if may_redraw else 1, num_classes, (len(chosen),), generator=generator)
    noisy = labels.clone()
    noisy[chosen] = (labels[chosen] + steps.to(labels.device)) % num_classes
    return noisy
