"""Does a map explain the network, or would it look the same whatever the network had learned?

Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim, "Sanity Checks for Saliency Maps", NeurIPS 2018, arXiv
1810.03292: the weights are randomized layer by layer from the output down. A map that hardly changes did
not depend on what they had learned.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Generator, Tensor, nn

from utils.analysis.attribution.running import plain
from utils.data.batches import derive_seed


def randomize_layers(model: nn.Module, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """Cascading randomization: (module path, a copy of the network with this layer and all above it random).

    A step is a layer with a weight of two or more dimensions (convolution, linear), with the normalizations
    that follow it, from the last to the first in the order of ``named_modules``, which is that of the
    forward pass up to parallel paths. What a layer becomes depends on ``seed`` and its number only.

    Weights are drawn from N(0, 2 / fan-in) (He et al., arXiv 1502.01852), which keeps the size of what flows
    through ReLUs, biases are 0; normalizations get factor 1, bias 0, mean 0 and variance 1; other parameters
    (class tokens, scales) are drawn from a normal distribution with the mean and deviation that they have.
    The paper re-initializes as its networks had been. ``model`` stays as it is.

    Raises ``ValueError`` for a network without such layers.
    """
    working = copy.deepcopy(plain(model))
    steps = _steps(working)
    for number in reversed(range(len(steps))):
        name, modules = steps[number]
        generator = Generator().manual_seed(derive_seed(seed, number))
        for module in modules:
            _randomize(module, generator)
        yield name, copy.deepcopy(working)


def _steps(model: nn.Module) -> list[tuple[str, list[nn.Module]]]:
    steps: list[tuple[str, list[nn.Module]]] = []
    for name, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if not own and not hasattr(module, "reset_running_stats"):
            continue
        normalization = all(parameter.ndim == 1 for parameter in own.values())
        if normalization and steps:
            steps[-1][1].append(module)
        else:
            steps.append((name or "(model)", [module]))
    if not steps:
        raise ValueError(f"{type(model).__name__} has no parameters to randomize")
    return steps


@torch.no_grad()
def _randomize(module: nn.Module, generator: Generator) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        if name.endswith("weight") and parameter.ndim >= 2:
            # drawn on the CPU, so that a GPU gets the same
            values = torch.empty(parameter.shape)
            nn.init.kaiming_normal_(values, mode="fan_in", nonlinearity="relu", generator=generator)
        elif name.endswith("weight"):
            values = torch.ones(parameter.shape)
        elif name.endswith("bias"):
            values = torch.zeros(parameter.shape)
        else:
            spread = float(parameter.std(correction=0))
            values = float(parameter.mean()) + spread * torch.randn(parameter.shape, generator=generator)
        parameter.copy_(values)
    if hasattr(module, "reset_running_stats"):
        module.reset_running_stats()


def rank_correlation(a: Tensor, b: Tensor, *, absolute: bool = True) -> Tensor:
    """How alike two sets of maps are, by the ranks of their values.

    Spearman's rank correlation of the maps ``a`` and ``b`` ``[B, ...]``, one for each image: ``[B]``,
    float64.

    Of absolute values, or of the values themselves with ``absolute=False``; the paper has both. Equal values
    share their mean rank. nan where a map is constant. Raises ``ValueError`` for different shapes.
    """
    if a.shape != b.shape or a.ndim < 2:
        raise ValueError(
            f"two maps [B, ...] of one shape are compared, got {list(a.shape)} and {list(b.shape)}"
        )
    first, second = (_ranks(maps.abs() if absolute else maps) for maps in (a, b))
    covariance = (first * second).mean(axis=1)
    with np.errstate(invalid="ignore"):
        return torch.from_numpy(covariance / (first.std(axis=1) * second.std(axis=1)))


def _ranks(maps: Tensor) -> np.ndarray:
    """``[B, pixels]``: the rank of each value in its map, less the mean rank."""
    ranks = rankdata(maps.detach().flatten(1).double().cpu().numpy(), axis=1)
    return ranks - ranks.mean(axis=1, keepdims=True)
