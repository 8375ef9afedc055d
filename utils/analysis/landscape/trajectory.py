"""The path of a training through the space of the weights, and the plane in which most of it lies.

Li et al. 2018 (arXiv 1712.09913, section 7): random directions show next to nothing of a path, the principal
components of the weights along the path show most of it. A large share is no proof that the landscape is
simple: a random walk of many dimensions gives large shares too (Antognini and Sohl-Dickstein 2018, arXiv
1806.08805).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from utils.analysis.landscape.directions import IGNORE, Direction

# a component with less than this share of the variance is rounding
SMALLEST_SHARE = 1e-10


class TrajectoryRecorder:
    """A probe for ``fit`` that keeps the weights.

    ``fit(…, probes=[recorder])``, then
    ``recorder.finish(model)``.

    ``every``: keep the weights of the steps whose number it divides, before that step; ``finish`` adds those
    at the end. ``states``: a list of name → tensor on the CPU, parameters only; ``steps``: their numbers.
    Each state takes as much memory as the parameters.
    """

    def __init__(self, every: int = 1) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every must be a whole number of at least 1, got {every!r}")
        self.every = every
        self.states: list[dict[str, Tensor]] = []
        self.steps: list[int] = []
        self._last = -1

    def __call__(self, *, model: nn.Module, step: int, **unused: Any) -> None:
        self._last = step
        if step % self.every == 0:
            self._keep(model, step)

    def finish(self, model: nn.Module) -> None:
        """Add the weights that the training ended with."""
        self._keep(model, self._last + 1)

    def _keep(self, model: nn.Module, step: int) -> None:
        model = getattr(model, "_orig_mod", model)
        self.states.append({name: p.detach().to("cpu", copy=True) for name, p in model.named_parameters()})
        self.steps.append(step)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The way of the weights in the directions in which it is widest.

    ``directions``: n orthonormal directions, name → tensor, most important first. ``coordinates``: ``[S,
    n]``, where the S states lie along them, the last state at 0. ``explained``: ``[n]``, share of the
    variance of the states along each, in [0, 1].
    """

    directions: list[Direction]
    coordinates: np.ndarray
    explained: np.ndarray


def trajectory_directions(
    states: Sequence[Mapping[str, Tensor]], n: int = 2, *, ignore: str | None = "bias_bn"
) -> Trajectory:
    """The ``n`` principal components of ``states`` (name → parameter, in the order of the training).

    Draw the surface around the last state. ``ignore="bias_bn"``, as in the paper, leaves out what has one
    dimension or none (biases, parameters and statistics of batch normalization); None leaves out nothing, so
    give parameters only. Components are those of the centered states; they have length 1 and are not
    filter-normalized, so coordinates are distances in the space of the weights. Signs are such that the first
    state has no negative coordinate.

    Raises ``ValueError`` where the states do not have the same entries, or vary in fewer than n directions.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, got {n!r}")
    if ignore not in IGNORE:
        raise ValueError(f"ignore is one of {IGNORE}, got {ignore!r}")
    S = len(states)
    if n + 1 > S:
        raise ValueError(f"{n} components need at least {n + 1} states, got {S}")
    last = states[-1]
    moving = [name for name, t in last.items() if t.is_floating_point() and (t.ndim > 1 or ignore is None)]
    if not moving:
        raise ValueError("the states hold nothing that could move")
    paths = {name: _path(states, name) for name in moving}

    # [S, S] in place of [P, P]: inner products of the states, seen from the last one
    products = sum(path @ path.T for path in paths.values())
    center = torch.eye(S, dtype=torch.float64) - 1 / S
    variances, shares = torch.linalg.eigh(center @ products @ center)
    total = variances.clamp_min(0).sum()
    order = variances.argsort(descending=True)[:n]
    variances, shares = variances[order], shares[:, order]
    if not total > 0 or variances[-1] <= SMALLEST_SHARE * total:
        raise ValueError(f"the {S} states vary in fewer than {n} directions")
    mixing = center @ shares / variances.sqrt()  # [S, n]: a component is this mixture of the states
    coordinates = products @ mixing
    signs = torch.where(coordinates[0] < 0, -1.0, 1.0).double()
    mixing, coordinates = mixing * signs, coordinates * signs
    directions = [
        {name: (mixing[:, k] @ path).view(last[name].shape).to(last[name]) for name, path in paths.items()}
        for k in range(n)
    ]
    return Trajectory(directions, coordinates.numpy(), (variances / total).numpy())


def _path(states: Sequence[Mapping[str, Tensor]], name: str) -> Tensor:
    """float64 [S, entries] of one parameter, relative to the last state."""
    shape = states[-1][name].shape
    for place, state in enumerate(states):
        if name not in state or state[name].shape != shape:
            found = tuple(state[name].shape) if name in state else "nothing"
            raise ValueError(f"state {place} has {found} for {name!r}, the last state {tuple(shape)}")
    path = torch.stack([state[name].detach().cpu().double().flatten() for state in states])
    return path - path[-1]
