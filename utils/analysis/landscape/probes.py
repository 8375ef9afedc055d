"""How the loss and its gradient change along the gradient, measured while a network trains.

The measures of Santurkar et al., "How does batch normalization help optimization?" (2018, arXiv 1805.11604,
figure 4): at a step of the training one walks from the weights w against the gradient g, to w − ηg for
several step sizes η about the learning rate, and looks at the loss there, at the change ‖g(w − ηg) − g(w)‖ of
the gradient (gradient predictiveness: a small change means that the gradient can be trusted that far), and at
the largest change per distance moved, ‖g(w − ηg) − g(w)‖ / ‖ηg‖ ("effective" β-smoothness).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from utils.data.batches import derive_seed


@dataclass(frozen=True, eq=False)
class GradientRecord:
    """What a :class:`GradientProbe` has measured, at S steps and K lengths, float64.

    - ``lengths``: ``[K]``, factors η on the gradient. ``steps``: ``[S]`` int, numbers of the steps.
    - ``start_loss``: ``[S]``, loss at the weights. ``losses``: ``[S, K]``, at w − ηg.
    - ``gradient_norms``: ``[S]``, ‖g‖. ``changes``: ``[S, K]``, ‖g(w − ηg) − g(w)‖.

    Values may be inf or nan where a length leads out of the range of the numbers.
    """

    lengths: np.ndarray
    steps: np.ndarray
    start_loss: np.ndarray
    losses: np.ndarray
    gradient_norms: np.ndarray
    changes: np.ndarray

    @property
    def loss_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest loss over the lengths, ``[S]`` each: the variation of the loss."""
        return self.losses.min(axis=1), self.losses.max(axis=1)

    @property
    def change_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest change of the gradient, ``[S]`` each: gradient predictiveness."""
        return self.changes.min(axis=1), self.changes.max(axis=1)

    @property
    def smoothness(self) -> np.ndarray:
        """How fast the gradient changes on the way.

        ``[S]``: the largest change of the gradient per distance moved (effective β); nan where g is zero.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.changes / (self.lengths * self.gradient_norms[:, None])).max(axis=1)

    def __len__(self) -> int:
        """Number of recorded steps."""
        return len(self.steps)


class GradientProbe:
    """A probe for ``fit`` that looks along the gradient.

    ``fit(model, train, …, probes=[GradientProbe(lengths=lr * np.geomspace(0.5, 4,
    4))])``.

    ``lengths``: the factors η > 0 on the gradient; those of plain gradient descent, whatever the optimizer
    does. ``every``: measure only at steps whose number it divides. ``loss_function(logits, y)``: that of the
    training. The weighted losses of auxiliary heads are added, as the training does.

    A measured step costs 1 + K forward and backward passes over the step's batch, in float32, with the model
    in the mode it is in (training: batch normalization with the statistics of the batch). All passes of a
    step draw the same dropout masks. Weights, gradients, buffers and random generators are left as they were:
    the passes run on copies of parameters and buffers. Results stay on the device until ``read``. Forward
    hooks of the model run in these passes too: give a ``GradientFlow`` before this probe.
    """

    def __init__(
        self,
        lengths: Sequence[float],
        every: int = 1,
        loss_function: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    ) -> None:
        self.lengths = tuple(float(length) for length in lengths)
        if not self.lengths or not all(0 < length < float("inf") for length in self.lengths):
            raise ValueError(f"lengths must be positive numbers, got {list(lengths)!r}")
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every must be a whole number of at least 1, got {every!r}")
        self.every, self.loss_function = every, loss_function
        self._steps: list[int] = []
        self._rows: list[Tensor] = []  # [2 + 2K]: loss, norm, losses, changes

    def __call__(self, *, model: nn.Module, step: int, x: Tensor, y: Tensor, **unused: Any) -> None:
        """Measure at the present weights on the batch (x [B, C, H, W], y); ``fit`` also passes ``loss``."""
        if step % self.every:
            return
        model = getattr(model, "_orig_mod", model)  # of a compiled model the one inside
        weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        # manual_seed reseeds every GPU, so that all of them are put back
        devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
        with torch.random.fork_rng(devices=devices), torch.enable_grad():
            seed = derive_seed(step)
            loss, gradient = self._at(model, weights, x, y, seed)
            losses, changes = [], []
            for length in self.lengths:
                moved = {
                    name: weight - length * slope
                    for (name, weight), slope in zip(weights.items(), gradient, strict=True)
                }
                moved_loss, moved_gradient = self._at(model, moved, x, y, seed)
                losses.append(moved_loss)
                changes.append(_norm([a - b for a, b in zip(moved_gradient, gradient, strict=True)]))
        self._rows.append(torch.stack([loss, _norm(gradient), *losses, *changes]))
        self._steps.append(step)

    def _at(
        self, model: nn.Module, weights: dict[str, Tensor], x: Tensor, y: Tensor, seed: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Loss and gradient at these weights."""
        torch.manual_seed(seed)
        leaves = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
        own = dict(model.named_buffers())
        buffers, before = ({name: buffer.clone() for name, buffer in own.items()} for _ in range(2))
        outputs = functional_call(model, {**leaves, **buffers}, (x,))
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        try:
            loss = self.loss_function(logits.float(), y)
            for head in auxiliary:
                loss = loss + model.auxiliary_weight * self.loss_function(head.float(), y)
            chosen = list(leaves.values())
            gradient = torch.autograd.grad(loss, chosen, allow_unused=True, materialize_grads=True)
        finally:
            with torch.no_grad():  # a loss may be a method of the model, and count its calls
                for name, buffer in own.items():
                    buffer.copy_(before[name])
        return loss.detach().float(), gradient

    def read(self) -> GradientRecord:
        """What has been measured so far. Waits for the device."""
        K = len(self.lengths)
        table = torch.stack(self._rows).double().cpu().numpy() if self._rows else np.zeros((0, 2 + 2 * K))
        return GradientRecord(
            lengths=np.array(self.lengths),
            steps=np.array(self._steps, dtype=np.int64),
            start_loss=table[:, 0].copy(),
            losses=table[:, 2 : 2 + K].copy(),
            gradient_norms=table[:, 1].copy(),
            changes=table[:, 2 + K :].copy(),
        )


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm over all entries of all tensors."""
    return torch.stack([torch.linalg.vector_norm(tensor, dtype=torch.float32) for tensor in tensors]).norm()
