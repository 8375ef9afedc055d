"""Noise that moves mean and scale of every channel at every step, behind the layers of a network.

Santurkar et al. 2018 (arXiv:1805.11604), section 2.1: noise of this kind behind batch normalization makes the
distributions less stable than they are without it, and the network trains well nevertheless; the same noise
without batch normalization is the control.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ActivationNoise(nn.Module):
    """In training, each channel gets a new scale and shift at every call; evaluation changes nothing.

    ``[B, C, H, W]`` -> the same shape. The shift of a channel is uniform in ±``shift``, its scale uniform
    from 1 to ``scale``; each example's own differ from these by up to ±``jitter``, and by a normal deviation
    of ``jitter``.
    """

    def __init__(self, shift: float = 0.5, scale: float = 1.25, jitter: float = 0.1):
        super().__init__()
        if shift < 0 or jitter < 0 or scale < 1:
            raise ValueError(
                f"noise needs a shift and a jitter from 0, and a scale from 1, got {shift}, {jitter}, {scale}"
            )
        self.shift, self.scale, self.jitter = shift, scale, jitter

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        b, c = x.shape[:2]
        shift = x.new_empty((1, c, 1, 1)).uniform_(-self.shift, self.shift)
        shift = shift + x.new_empty((b, c, 1, 1)).uniform_(-self.jitter, self.jitter)
        scale = x.new_empty((1, c, 1, 1)).uniform_(1, self.scale)
        scale = scale + self.jitter * torch.randn_like(shift)
        return scale * x + shift

    def extra_repr(self) -> str:
        return f"shift={self.shift}, scale={self.scale}, jitter={self.jitter}"


def with_noise(model: nn.Module, **noise: float) -> nn.Module:
    """The model, changed in place, with noise behind each batch norm; without any, behind each convolution.

    ``ValueError`` for a model that has neither.
    """
    for kind in (nn.BatchNorm2d, nn.Conv2d):
        found = [name for name, module in model.named_modules() if isinstance(module, kind)]
        if found:
            break
    else:
        raise ValueError(f"{type(model).__name__} has no batch norm or convolution that noise could follow")
    for name in found:
        parent, _, own = name.rpartition(".")
        place = model.get_submodule(parent)
        setattr(place, own, nn.Sequential(getattr(place, own), ActivationNoise(**noise)))
    return model
