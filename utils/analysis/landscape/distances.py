"""How the loss rises around the weights, measured while a network trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from utils.analysis.landscape.directions import filter_normalized_directions
from utils.data.batches import derive_seed


@dataclass(frozen=True, eq=False)
class DistanceRecord:
    """What a :class:`DistanceProbe` has measured, at S steps, in D directions and at K distances, float64.

    - ``distances``: ``[K]``. ``steps``: ``[S]`` int, numbers of the steps.
    - ``start_loss``: ``[S]``, loss at the weights. ``losses``: ``[S, D, K]``, at a distance in a direction.
    """

    distances: np.ndarray
    steps: np.ndarray
    start_loss: np.ndarray
    losses: np.ndarray


class DistanceProbe:
    """A probe for ``fit`` that walks away from the weights in random filter-normalized directions.

    The directions are those of Li et al. (2018, arXiv 1712.09913): each filter of a random direction has the
    norm of the network's own filter, biases and norms stay. At distance 1 every filter has been changed by as
    much as it is long. The loss is that of the step's batch in evaluation mode, as in the paper's pictures.

    ``distances``: how far to walk. ``directions``: how many, new ones at every step. ``every``: measure only
    at steps whose number it divides. A measured step costs 1 + D·K forward passes in float32. Weights,
    buffers and modes are left as they were.
    """

    def __init__(self, distances: Sequence[float], directions: int = 4, every: int = 1) -> None:
        self.distances = tuple(float(distance) for distance in distances)
        if not self.distances or not all(0 < distance < float("inf") for distance in self.distances):
            raise ValueError(f"distances must be positive numbers, got {list(distances)!r}")
        for name, value in (("directions", directions), ("every", every)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        self.directions, self.every = directions, every
        self._steps: list[int] = []
        self._rows: list[Tensor] = []  # [1 + D·K]

    def __call__(self, *, model: nn.Module, step: int, x: Tensor, y: Tensor, **unused: Any) -> None:
        """Measure at the present weights on the batch (x [B, C, H, W], y); ``fit`` also passes ``loss``."""
        if step % self.every:
            return
        model = getattr(model, "_orig_mod", model)  # of a compiled model the one inside
        modes = {module: module.training for module in model.modules()}
        model.eval()
        try:
            with torch.no_grad():
                self._rows.append(torch.stack(self._losses(model, step, x, y)))
        finally:
            for module, mode in modes.items():
                module.training = mode
        self._steps.append(step)

    def _losses(self, model: nn.Module, step: int, x: Tensor, y: Tensor) -> list[Tensor]:
        weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
        found = [F.cross_entropy(model(x).float(), y)]
        for direction in filter_normalized_directions(model, self.directions, derive_seed(step)):
            for distance in self.distances:
                moved = {name: weight + distance * direction[name] for name, weight in weights.items()}
                found.append(F.cross_entropy(functional_call(model, moved, (x,)).float(), y))
        return found

    def read(self) -> DistanceRecord:
        """What has been measured so far. Waits for the device."""
        K, D = len(self.distances), self.directions
        table = torch.stack(self._rows).double().cpu().numpy() if self._rows else np.zeros((0, 1 + D * K))
        return DistanceRecord(
            distances=np.array(self.distances),
            steps=np.array(self._steps, dtype=np.int64),
            start_loss=table[:, 0].copy(),
            losses=table[:, 1:].reshape(len(table), D, K).copy(),
        )
