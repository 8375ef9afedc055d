"""The effective receptive field: how much each input pixel counts for a unit, by the gradient.

Luo, Li, Urtasun, Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
NeurIPS 2016, arXiv 1701.04128: the gradient of one unit in the middle of a layer with respect to the input,
averaged over inputs. Of n stacked convolutions it is close to a Gaussian with a width that grows with √n,
where the theoretical field grows with n.

Deviations: the mean is taken of absolute values (or squares), over colors and several channels of the layer,
so that opposite signs do not cancel; the paper has one channel. Units around the middle one may be averaged
too, each shifted onto it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor, nn

from utils.analysis.modules import find_layer, frozen
from utils.analysis.receptive_field.layer_field import LayerField, PerAxis
from utils.analysis.receptive_field.theoretical import receptive_field

# what a normal distribution holds within two standard deviations of its mean; the paper's threshold
TWO_SIGMA = 0.9545


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """How the pixels of the input share in a unit of a layer, see :func:`effective_receptive_field`.

    - ``map``: ``[H, W]``, float64 on the CPU, sums to 1. ``center``: row and column of the middle of the
      unit's theoretical field in it, in pixels; fields of even size have it between two pixels.
    - ``theoretical_size``: of the theoretical field, unclipped. ``energy_inside``: the part of ``map`` in it.
    - ``sigma``: standard deviations of ``map`` down and across, in pixels, by its moments. ``sigma_fit``: of
      the round Gaussian that is nearest to ``map`` in least squares: it follows the peak, the moments follow
      the tails.
    - ``area_size``: root of the number of pixels above (1 − 0.9545) of the value at the center: the paper's
      size.
    - ``images``, ``units``, ``channels``: over how many the mean is.
    """

    layer: str
    map: Tensor
    center: tuple[float, float]
    theoretical_size: PerAxis
    energy_inside: float
    sigma: tuple[float, float]
    sigma_fit: float
    area_size: float
    images: int
    units: int
    channels: int


def effective_receptive_field(
    model: nn.Module,
    layer: str,
    data: Tensor | Iterable[Any],
    *,
    positions: int = 1,
    channels: int = 8,
    images: int = 32,
    squared: bool = False,
) -> EffectiveField:
    """The effective receptive field of the middle unit of ``layer`` (a module path), in evaluation mode.

    ``data`` are inputs ``[N, C, H, W]`` as the model gets them (normalized), or batches of them, or of (x,
    y); the first ``images`` are used. ``positions`` × ``positions`` units around the middle one are averaged
    (fewer where the map is smaller), and ``channels`` channels, evenly spread over those of the layer. A
    pass backwards is needed for each unit and channel. With ``squared`` the squares of the gradients are
    averaged.

    Training flags, ``requires_grad``, gradients and hooks of the model are as before afterwards.

    Raises ``ValueError`` for a layer that is not there (with the nearest names), that does not run or has no
    map ``[N, C, H, W]``, for data without images, and if all gradients are zero.
    """
    model = getattr(model, "_orig_mod", model)
    module = find_layer(model, layer)
    for name, value in {"positions": positions, "channels": channels, "images": images}.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    row: LayerField | None = None
    total = count = torch.zeros(())
    seen = 0
    with frozen(model), torch.enable_grad():
        for x in _batches(data, images, next(model.parameters(), torch.zeros(())).device):
            if row is None:
                row = _row_of(model, layer, tuple(x.shape[1:]))
                units = _units(row, positions, x.shape[2:])
                total = torch.zeros(tuple(x.shape[2:]), dtype=torch.float64)
                count = torch.zeros_like(total)
            x = x.detach().requires_grad_()
            output = _output(model, module, x)
            chosen = _spread(output.shape[1], channels)
            for unit, shift in units:
                for channel in chosen:
                    value = output[:, channel, unit[0], unit[1]].sum()
                    (gradient,) = torch.autograd.grad(value, x, retain_graph=True, allow_unused=True)
                    if gradient is None:
                        raise ValueError(f"{layer} does not depend on the input by a gradient")
                    share = (gradient.square() if squared else gradient.abs()).sum(dim=(0, 1)).double().cpu()
                    _add_shifted(total, count, share, shift)
            seen += len(x)
    if row is None:
        raise ValueError("there are no images in the data")
    # a pixel that shifting has pushed out is counted less often
    mean = torch.where(count > 0, total / count.clamp(min=1), torch.zeros_like(total))
    if not mean.sum() > 0 or not torch.isfinite(mean.sum()):
        raise ValueError(
            f"the gradients of {layer} with respect to the input are all zero or not finite: are its middle "
            "units dead? Take the layer before the activation, or more images, channels or positions"
        )
    return _described(layer, mean, row, seen, len(units), len(chosen))


def _row_of(model: nn.Module, layer: str, size: tuple[int, ...]) -> LayerField:
    if len(size) != 3:
        raise ValueError(f"data must be images [N, C, H, W], got {list(size)} for one")
    try:
        row = receptive_field(model, size)[layer]
    except KeyError as error:
        raise ValueError(f"{layer!r} does not run in evaluation mode") from error
    if len(row.output_size) not in (1, 3):
        raise ValueError(f"{layer} has the output {row.output_size}, which is no map (C, H, W)")
    return row


def _units(
    row: LayerField, positions: int, sides: tuple[int, int]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The middle unit and those around it, each with the pixels by which it lies off the middle one."""
    height, width = row.output_size[1:] if len(row.output_size) == 3 else (1, 1)
    along = []
    jumps = row.jump if isinstance(row.jump, tuple) else (row.jump, row.jump)
    for n, jump in zip((height, width), jumps, strict=True):
        middle = n // 2
        if n == 1 or math.isnan(jump):
            along.append([(middle, 0)])
            continue
        exact = Fraction(jump).limit_denominator(1000)
        apart = exact.denominator  # units whole pixels apart
        offsets = range(-((positions - 1) // 2) * apart, (positions // 2 + 1) * apart, apart)
        along.append([(middle + o, int(o * exact)) for o in offsets if 0 <= middle + o < n])
    return [((i, j), (down, right)) for (i, down), (j, right) in product(*along)]


def _spread(n: int, wanted: int) -> list[int]:
    """At most ``wanted`` of n channels, evenly spread."""
    wanted = min(n, wanted)
    return [(2 * i + 1) * n // (2 * wanted) for i in range(wanted)]


def _add_shifted(total: Tensor, count: Tensor, share: Tensor, shift: tuple[int, int]) -> None:
    """Add ``share`` to ``total``, moved by ``shift``; ``count`` says how often a pixel was hit."""
    here, there = [], []
    for n, offset in zip(total.shape, shift, strict=True):
        here.append(slice(max(0, -offset), min(n, n - offset)))
        there.append(slice(max(0, offset), min(n, n + offset)))
    total[tuple(here)] += share[tuple(there)]
    count[tuple(here)] += 1


class _Reached(Exception):
    """Ends a forward pass where it has got to the layer."""


def _output(model: nn.Module, module: nn.Module, x: Tensor) -> Tensor:
    """The output ``[N, C, H, W]`` of a module; what comes behind it does not run."""
    found: list[Tensor] = []

    def stop(module: nn.Module, args: Any, output: Any) -> None:
        found.append(output)
        raise _Reached

    handle = module.register_forward_hook(stop)
    try:
        model(x.clone())  # a copy, for networks that begin with an operation in place
    except _Reached:
        pass
    finally:
        handle.remove()
    output = found[0]
    return output[:, :, None, None] if output.ndim == 2 else output


def _batches(data: Tensor | Iterable[Any], images: int, device: torch.device) -> Iterator[Tensor]:
    """Batches ``[n, C, H, W]`` of the first images, on the device of the model."""
    parts = data.split(16) if isinstance(data, Tensor) else data
    left = images
    for part in parts:
        x = part[0] if isinstance(part, list | tuple) else part
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise ValueError(
                "data must be normalized images as floats, or batches of them (as from Batches), got "
                f"{x.dtype if isinstance(x, Tensor) else type(x).__name__}"
            )
        if left <= 0:
            return
        if len(x):
            yield x[:left].to(device)
        left -= len(x)


def _described(
    layer: str, mean: Tensor, row: LayerField, images: int, units: int, channels: int
) -> EffectiveField:
    middle = tuple(n // 2 for n in row.output_size[1:])
    regions = row.region(*middle, clipped=False)
    clipped = row.region(*middle)
    center = tuple(
        (n - 1) / 2 if math.isinf(low) else (low + high) / 2
        for (low, high), n in zip(regions, mean.shape, strict=True)
    )
    share = mean / mean.sum()
    outside = share.clone()
    outside[tuple(slice(int(low), int(high) + 1) for low, high in clipped)] = 0
    down = torch.arange(share.shape[0], dtype=torch.float64)
    right = torch.arange(share.shape[1], dtype=torch.float64)
    sigma = tuple(
        _deviation(marginal, places) for marginal, places in ((share.sum(1), down), (share.sum(0), right))
    )
    nearest = [sorted({math.floor(c), math.ceil(c)}) for c in center]
    nearest = [
        [min(max(i, 0), n - 1) for i in places] for places, n in zip(nearest, share.shape, strict=True)
    ]
    peak = torch.stack([share[i, j] for i, j in product(*nearest)]).mean()
    return EffectiveField(
        layer=layer,
        map=share,
        center=center,
        theoretical_size=row.size,
        energy_inside=1 - float(outside.sum()),
        sigma=sigma,
        sigma_fit=_fitted_sigma(share, center, sigma),
        area_size=math.sqrt(int((share > (1 - TWO_SIGMA) * peak).sum())),
        images=images,
        units=units,
        channels=channels,
    )


def _deviation(share: Tensor, places: Tensor) -> float:
    mean = (share * places).sum()
    return float((share * (places - mean).square()).sum().clamp(min=0).sqrt())


def _fitted_sigma(share: Tensor, center: tuple[float, float], sigma: tuple[float, float]) -> float:
    """σ of a·exp(−((i − i₀)² + (j − j₀)²) / 2σ²) by least squares over all pixels; a, i₀, j₀ are free."""
    rows = torch.arange(share.shape[0], dtype=torch.float64)[:, None].numpy()
    columns = torch.arange(share.shape[1], dtype=torch.float64)[None, :].numpy()
    scale = float(share.max())
    values = share.numpy() / scale

    def residuals(guess):
        height, i, j, log_sigma = guess
        exponent = -((rows - i) ** 2 + (columns - j) ** 2) / (2 * math.exp(2 * log_sigma))
        return (height * np.exp(exponent) - values).ravel()

    smallest = 0.1  # pixels: narrower than any pixel
    start = [1.0, *center, math.log(max(smallest, math.sqrt(sigma[0] * sigma[1])))]
    bounds = (
        [0, -np.inf, -np.inf, math.log(smallest)],
        [np.inf, np.inf, np.inf, math.log(4 * max(share.shape))],
    )
    start[3] = min(max(start[3], bounds[0][3] + 1e-6), bounds[1][3] - 1e-6)
    return math.exp(least_squares(residuals, start, bounds=bounds).x[3])
