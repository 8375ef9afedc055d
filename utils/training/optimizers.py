"""Optimizers by name, in torch's fused version where the device has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

OPTIMIZERS = ("adam", "adamw", "sgd")
# devices on which torch has fused kernels: one call updates all parameters
FUSED_DEVICES = ("cpu", "cuda")

OptimizerChoice = str | Callable[[Iterable[nn.Parameter], float], torch.optim.Optimizer]


def build_optimizer(
    optimizer: OptimizerChoice, model: nn.Module, lr: float, weight_decay: float = 0.0, momentum: float = 0.9
) -> torch.optim.Optimizer:
    """An optimizer over the parameters of ``model`` that require a gradient.

    ``optimizer`` is "adam" (``weight_decay`` is an L2 penalty that goes through the moments), "adamw"
    (``weight_decay`` is decoupled: Loshchilov and Hutter 2019, arXiv:1711.05101; as in torch each step
    shrinks by lr times it), "sgd" (with ``momentum``; 0 for none), or a function of (parameters, lr) that
    returns a torch optimizer, which then has its own weight decay and momentum.

    Nothing decays unless ``weight_decay`` is given: "adamw" without it is Adam, where torch's own default for
    AdamW is 0.01. It reaches all parameters alike, scales and shifts of norms and biases included.
    """
    if not lr > 0:
        raise ValueError(f"lr must be positive, got {lr}")
    if weight_decay < 0:
        raise ValueError(f"weight_decay must not be negative, got {weight_decay}")
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"momentum in [0, 1), got {momentum}")
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(
            f"{type(model).__name__} has no parameter that requires a gradient: there is nothing to train"
        )
    if callable(optimizer):
        return optimizer(parameters, lr)
    fused = all(p.device.type in FUSED_DEVICES and p.is_floating_point() for p in parameters)
    if optimizer == "adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=fused)
    if optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=fused)
    if optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=fused)
    raise ValueError(
        f"unknown optimizer {optimizer!r}; choose one of {', '.join(OPTIMIZERS)}, "
        "or pass a function of (parameters, lr)"
    )


def base_learning_rates(optimizer: torch.optim.Optimizer) -> list[float]:
    """The learning rate of each parameter group, before any schedule."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def set_learning_rates(optimizer: torch.optim.Optimizer, base: Sequence[float], factor: float) -> float:
    """Give every group ``factor`` times its base rate; the first group's new rate is returned."""
    for group, lr in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = factor * lr
    return factor * base[0]
