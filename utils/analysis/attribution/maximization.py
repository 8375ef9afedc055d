"""Pictures that a unit answers to most strongly, by gradient ascent on the input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Generator, Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from utils.analysis.attribution.running import Target, checked_images, plain, run_to, score
from utils.analysis.modules import frozen

START_STD = 0.1  # of the noise that the ascent starts from, in units of the normalized input
BLUR_REACH = 3  # standard deviations on either side at which the blur's kernel ends


@dataclass(frozen=True)
class Regularization:
    """What keeps the picture smooth; all off by default: gradient ascent as Erhan et al. did first.

    - ``l2``: subtracts l2 · Σ x² from the score (Simonyan et al., arXiv 1312.6034, equation 1).
    - ``total_variation``: subtracts this times the sum of the absolute differences of neighboring pixels
      (Mahendran, Vedaldi, arXiv 1412.0035, there of squares to a power; as here in Olah et al.).
    - ``jitter``: before each step the picture is moved by up to so many pixels down and across, round the
      edges, and back after it (Olah, Mordvintsev, Schubert, "Feature Visualization", Distill 2017, under
      transformation robustness).
    - ``blur``: standard deviation in pixels of a Gaussian blur after every ``blur_every``-th step
      (Yosinski et al., arXiv 1506.06579, section 3).
    """

    l2: float = 0.0
    total_variation: float = 0.0
    jitter: int = 0
    blur: float = 0.0
    blur_every: int = 4

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value >= 0 or not math.isfinite(value):
                raise ValueError(f"{field.name} must not be negative, got {value!r}")
        if not isinstance(self.jitter, int):
            raise ValueError(f"jitter must be a whole number of pixels, got {self.jitter!r}")
        if not isinstance(self.blur_every, int) or self.blur_every < 1:
            raise ValueError(f"blur_every must be a whole number of at least 1, got {self.blur_every!r}")


@dataclass(frozen=True, eq=False)
class MaximizedActivation:
    """Images that were made to excite a unit, and how they came about.

    ``images``: ``[B, C, H, W]``, in the network's units. ``activations``: ``[steps + 1, B]``, the score
    without penalties before each step (of the moved picture, with jitter) and at the end.
    """

    images: Tensor
    activations: Tensor


def maximize_activation(
    model: nn.Module,
    x: Tensor | Sequence[int],
    target: Target,
    layer: str | None = None,
    *,
    steps: int = 128,
    lr: float = 0.1,
    regularization: Regularization | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int = 0,
) -> MaximizedActivation:
    """Change ``x`` so that the score that ``target`` chooses grows.

    ``x`` are the pictures to start from, ``[B, C, H, W]``, or only that shape: then noise around 0 by
    ``seed``, which also draws the jitter. ``target`` as everywhere, but a channel of a layer with maps stands
    for the mean of its map (the "channel objective" of Olah et al.).

    A step is x ← x + η g / rms(g), with g the gradient of score − penalties for one picture, rms its root
    mean square, and η falling linearly from ``lr`` to 0: a step moves pixels by about η, in units of the
    normalized input, whatever the scale of the unit. (The papers take plain steps.) Where g is 0 nothing
    happens, as for a dead unit. ``mean`` and ``std``, as a ``Split`` has them, keep the pixels within the 0
    to 1 that an image can have.

    Erhan, Bengio, Courville, Vincent, "Visualizing Higher-Layer Features of a Deep Network", technical
    report 1341, Université de Montréal, 2009; Simonyan et al., arXiv 1312.6034, for class scores, which
    should be logits.

    Raises ``ValueError`` as :func:`~utils.analysis.attribution.gradient`, and for options out of range.
    """
    model = plain(model)
    options = Regularization() if regularization is None else regularization
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps must be a whole number of at least 1, got {steps!r}")
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr!r}")
    generator = Generator().manual_seed(seed)
    picture = _start(model, x, generator)
    limits = _limits(mean, std, picture)
    history = []
    with frozen(model), torch.enable_grad():
        for step in range(steps):
            shift = torch.randint(-options.jitter, options.jitter + 1, (2,), generator=generator).tolist()
            moved = picture.roll(shift, dims=(2, 3)).requires_grad_()
            value, _ = run_to(model, moved, layer)
            scores = score(value, target, layer, over_map="mean")
            if not scores.requires_grad:
                raise ValueError("the target does not depend on the input by a gradient")
            objective = scores - _penalties(moved, options)
            (slope,) = torch.autograd.grad(objective.sum(), moved)
            history.append(scores.detach())
            size = slope.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
            slope = slope / size.clamp(min=torch.finfo(slope.dtype).tiny)
            moved = moved.detach() + lr * (1 - step / steps) * slope
            picture = moved.roll([-amount for amount in shift], dims=(2, 3))
            if options.blur and (step + 1) % options.blur_every == 0:
                picture = _blurred(picture, options.blur)
            if limits is not None:
                picture = picture.clamp(*limits)
        with torch.no_grad():
            value, _ = run_to(model, picture, layer)
            history.append(score(value, target, layer, over_map="mean"))
    return MaximizedActivation(picture, torch.stack(history))


def _start(model: nn.Module, x: Tensor | Sequence[int], generator: Generator) -> Tensor:
    if isinstance(x, Tensor):
        return checked_images(x).detach().clone()
    shape = tuple(x)
    if len(shape) != 4 or any(not isinstance(n, int) or n < 1 for n in shape):
        raise ValueError(f"x must be images [B, C, H, W] or that shape, got {x!r}")
    like = next(model.parameters(), torch.zeros(()))
    return (START_STD * torch.randn(shape, generator=generator)).to(like)


def _limits(
    mean: Sequence[float] | None, std: Sequence[float] | None, picture: Tensor
) -> tuple[Tensor, Tensor] | None:
    """What black and white are for the network, ``[C, 1, 1]`` each."""
    if mean is None and std is None:
        return None
    channels = picture.shape[1]
    if mean is None or std is None or len(mean) != channels or len(std) != channels:
        raise ValueError(f"mean and std need {channels} values each, got {mean} and {std}")
    middle, spread = (torch.as_tensor(v).to(picture).view(-1, 1, 1) for v in (mean, std))
    return (0 - middle) / spread, (1 - middle) / spread


def _penalties(x: Tensor, options: Regularization) -> Tensor:
    """What is taken off the score of each image, ``[B]``."""
    total = x.new_zeros(len(x))
    if options.l2:
        total = total + options.l2 * x.square().sum(dim=(1, 2, 3))
    if options.total_variation:
        down, across = x.diff(dim=2).abs(), x.diff(dim=3).abs()
        total = total + options.total_variation * (down.sum(dim=(1, 2, 3)) + across.sum(dim=(1, 2, 3)))
    return total


def _blurred(x: Tensor, sigma: float) -> Tensor:
    # the edges are mirrored, so the kernel must not reach further than the picture
    reach = min(math.ceil(BLUR_REACH * sigma), x.shape[2] - 1, x.shape[3] - 1)
    return gaussian_blur(x, [2 * reach + 1] * 2, [sigma, sigma]) if reach else x
