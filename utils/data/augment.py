"""Augmentation of a whole batch at once, on the device where the images live.

Every augmentation is a small frozen dataclass with three methods:

``draw(x, generator)``
    the random parameters for the batch ``x`` (only its shape and device are read), one set per image unless
    stated otherwise;
``apply(x, parameters)``
    the same images with those parameters applied: deterministic, so that a test can repeat it image by image;
``__call__(x, generator)``
    both in a row.

Images are uint8 ``[B, C, H, W]`` on the scale 0…255 and stay so; :class:`Mixup` alone works on normalized
floats and labels. The parameters are drawn on the generator's device (the CPU in
:class:`utils.data.batches.Batches`) and then moved, so a batch is augmented in the same way on every device.
The operations follow ``torchvision.transforms.v2``, which takes one image at a time.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from utils.data.windows import Window

# luma weights of ITU-R BT.601, to the digits that torchvision uses
LUMA = (0.2989, 0.587, 0.114)
WHITE = 255.0


class Augmentation:
    """What all augmentations share: calling one draws parameters and applies them."""

    def draw(self, x: Tensor, generator: Generator) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no draw method")

    def apply(self, x: Tensor, parameters: Any) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no apply method")

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        return self.apply(x, self.draw(x, generator))


class Rearrangement(Augmentation):
    """An augmentation that only moves pixels; :class:`Compose` merges neighbors of this kind where it can."""

    def window(self, x: Tensor, parameters: Tensor) -> Window:
        """What the images [B, C, H, W] are seen through."""
        raise NotImplementedError(f"{type(self).__name__} has no window method")

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        return self.window(x, parameters).look(x)


@dataclass(frozen=True)
class RandomFlip(Rearrangement):
    """Mirror left and right with probability ``p``.

    Parameters: bool ``[B]``.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.p <= 1.0:
            raise ValueError(f"p is a probability in [0, 1], got {self.p}")

    def draw(self, x: Tensor, generator: Generator) -> Tensor:
        return _uniform(len(x), 0.0, 1.0, generator).lt(self.p).to(x.device)

    def window(self, x: Tensor, parameters: Tensor) -> Window:
        still = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return Window(still, still, parameters)


@dataclass(frozen=True)
class RandomCrop(Rearrangement):
    """Pad by ``padding`` pixels on each side, then cut out a window of the old size at a random place.

    ``mode`` says what the border is filled with: "reflect" (mirrored at the edge pixel, which is not
    repeated) or "zeros". Parameters: int64 ``[2, B]``, top and left of the window in the padded image, each
    in 0…2·padding.
    """

    padding: int = 4
    mode: str = "reflect"

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ValueError(f"padding must not be negative, got {self.padding}")
        if self.mode not in ("reflect", "zeros"):
            raise ValueError(f"mode is 'reflect' or 'zeros', got {self.mode!r}")

    def draw(self, x: Tensor, generator: Generator) -> Tensor:
        shape = (2, len(x))
        return torch.randint(2 * self.padding + 1, shape, generator=generator, device=generator.device).to(
            x.device
        )

    def window(self, x: Tensor, parameters: Tensor) -> Window:
        if self.mode == "reflect" and self.padding >= min(x.shape[2:]):
            raise ValueError(
                f"reflection by {self.padding} pixels needs larger images than {tuple(x.shape[2:])}"
            )
        top, left = parameters - self.padding
        return Window(top, left, None, (self.padding, self.padding), self.mode)


@dataclass(frozen=True)
class RandomTranslate(Rearrangement):
    """Shift by whole pixels, up to ``fraction`` of the height and of the width; what comes in is black.

    Parameters: int64 ``[2, B]``, the shift downwards and to the right.
    """

    fraction: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.fraction <= 1.0:
            raise ValueError(f"fraction of the image size in [0, 1], got {self.fraction}")

    def draw(self, x: Tensor, generator: Generator) -> Tensor:
        shifts = [
            _uniform(len(x), -size * self.fraction, size * self.fraction, generator) for size in x.shape[2:]
        ]
        return torch.stack(shifts).round().long().to(x.device)

    def window(self, x: Tensor, parameters: Tensor) -> Window:
        H, W = x.shape[2:]
        top, left = -parameters
        return Window(top, left, None, (round(H * self.fraction), round(W * self.fraction)), "zeros")


@dataclass(frozen=True)
class RandomRotation(Augmentation):
    """Rotate about the center by an angle from ±``degrees``; corners that come in are black.

    ``interpolation`` is "nearest" (torchvision's default) or "bilinear". Parameters: degrees,
    counter-clockwise, float32 ``[B]``.
    """

    degrees: float
    interpolation: str = "nearest"

    def __post_init__(self) -> None:
        if not 0.0 <= self.degrees <= 180.0:
            raise ValueError(f"degrees in [0, 180], got {self.degrees}")
        if self.interpolation not in ("nearest", "bilinear"):
            raise ValueError(f"interpolation is 'nearest' or 'bilinear', got {self.interpolation!r}")

    def draw(self, x: Tensor, generator: Generator) -> Tensor:
        return _uniform(len(x), -self.degrees, self.degrees, generator).to(x.device)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        H, W = x.shape[2:]
        angle = torch.deg2rad(parameters)
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        # where each output pixel comes from, in grid_sample's coordinates: [-1, 1] from the left edge to the
        # right edge, so that a rotation of an oblong image needs the ratio of the sides
        to_source = torch.stack([cos, -sin * H / W, zero, sin * W / H, cos, zero], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(to_source, list(x.shape), align_corners=False)
        turned = F.grid_sample(
            x.float(), grid, mode=self.interpolation, padding_mode="zeros", align_corners=False
        )
        return turned.round_().to(x.dtype)


@dataclass(frozen=True)
class Cutout(Augmentation):
    """Cover a square of ``size`` × ``size`` pixels, centered anywhere in the image, with ``fill``.

    DeVries and Taylor 2017 (arXiv:1708.04552), who cover *after* normalization with 0, that is, with the mean
    color; ``fill`` is in gray levels 0…255, one number or one per channel: ``tuple(round(255 * m) for m in
    split.mean)`` gives their variant. Parameters: int64 ``[2, B]``, row and column of the center; the square
    spans ``center - size // 2`` up to ``+ size``.
    """

    size: int
    fill: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size of the square must be at least 1 pixel, got {self.size}")
        levels = self.fill if isinstance(self.fill, tuple) else (self.fill,)
        if any(not 0 <= level <= WHITE for level in levels):
            raise ValueError(f"fill is in gray levels 0 to 255, got {self.fill}")

    def draw(self, x: Tensor, generator: Generator) -> Tensor:
        B, device = len(x), generator.device
        centers = [torch.randint(size, (B,), generator=generator, device=device) for size in x.shape[2:]]
        return torch.stack(centers).to(x.device)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        H, W = x.shape[2:]
        top, left = parameters[:, :, None] - self.size // 2
        rows, columns = torch.arange(H, device=x.device), torch.arange(W, device=x.device)
        in_rows = (rows >= top) & (rows < top + self.size)  # [B, H]
        in_columns = (columns >= left) & (columns < left + self.size)  # [B, W]
        covered = in_rows[:, None, :, None] & in_columns[:, None, None, :]
        fill = torch.tensor(self.fill, dtype=x.dtype, device=x.device).view(1, -1, 1, 1)
        return torch.where(covered, fill, x)


@dataclass(frozen=True)
class ColorJitter(Augmentation):
    """Random brightness, contrast, saturation and hue, in random order.

    Brightness, contrast and saturation factors come from ``[max(0, 1 - s), 1 + s]`` where s is the argument;
    the hue is turned by a part of the color circle from ``[-hue, hue]``, hue ≤ 0.5. The factors are drawn
    per image. The order of the four operations is drawn once per *batch*, where torchvision draws it per
    image: that keeps each operation one pass over the batch. Results are cut off to whole gray levels after
    each operation, as torchvision's are. Parameters: the order (list of names) and a dictionary of factors
    ``[B]``; an operation whose strength is 0 is left out.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0.0 <= self.hue <= 0.5:
            raise ValueError(f"hue in [0, 0.5] of the color circle, got {self.hue}")

    def draw(self, x: Tensor, generator: Generator) -> tuple[list[str], dict[str, Tensor]]:
        _need_rgb(x)
        factors = {}
        for name in ("brightness", "contrast", "saturation"):
            strength = getattr(self, name)
            if strength > 0:
                factors[name] = _uniform(len(x), max(0.0, 1.0 - strength), 1.0 + strength, generator).to(
                    x.device
                )
        if self.hue > 0:
            factors["hue"] = _uniform(len(x), -self.hue, self.hue, generator).to(x.device)
        names = list(factors)
        order = torch.randperm(len(names), generator=generator, device=generator.device).tolist()
        return [names[i] for i in order], factors

    def apply(self, x: Tensor, parameters: tuple[list[str], dict[str, Tensor]]) -> Tensor:
        _need_rgb(x)
        operations: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "brightness": _adjust_brightness,
            "contrast": _adjust_contrast,
            "saturation": _adjust_saturation,
            "hue": _adjust_hue,
        }
        order, factors = parameters
        pixels = x.float()
        for name in order:
            pixels = operations[name](pixels, factors[name].view(-1, 1, 1, 1)).clamp_(0.0, WHITE).floor_()
        return pixels.to(x.dtype)


@dataclass(frozen=True)
class Mixup:
    """Blend each example with another one of the batch, as Zhang and others (2018, arXiv:1710.09412) do.

    Works on normalized float images ``[B, C, H, W]`` and labels, int64 ``[B]`` or soft ``[B, K]``; both are
    blended with the same share λ ~ Beta(``alpha``, ``alpha``), drawn once per batch as in the authors' code.
    Parameters: (λ, partner int64 ``[B]``).
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"alpha must be positive, got {self.alpha}")

    def draw(self, x: Tensor, generator: Generator) -> tuple[float, Tensor]:
        # torch samples the Beta distribution from the global generator only, so numpy draws it, seeded from
        # ours
        seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
        share = float(np.random.default_rng(seed).beta(self.alpha, self.alpha))
        return share, torch.randperm(len(x), generator=generator, device=generator.device).to(x.device)

    def apply(
        self, x: Tensor, y: Tensor, parameters: tuple[float, Tensor], num_classes: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Blended images and soft labels float32 ``[B, K]``; labels that are whole numbers need K."""
        share, partner = parameters
        if y.ndim == 1:
            if num_classes is None:
                raise ValueError("labels that are whole numbers need num_classes to become soft labels")
            y = F.one_hot(y, num_classes).float()
        return torch.lerp(x[partner], x, share), torch.lerp(y[partner], y, share)

    def __call__(
        self, x: Tensor, y: Tensor, generator: Generator, num_classes: int | None = None
    ) -> tuple[Tensor, Tensor]:
        return self.apply(x, y, self.draw(x, generator), num_classes)


class Compose(Augmentation):
    """Several augmentations one after the other.

    Parameters: a list, one entry per step.

    A :class:`Mixup` may stand at the end only: it acts after normalization, so it is not among ``steps`` but
    in ``mixup``, and :class:`utils.data.batches.Batches` applies it there.
    """

    def __init__(self, steps: Sequence[Augmentation | Mixup | Callable[[Tensor, Generator], Tensor]]) -> None:
        steps = list(steps)
        last = steps[-1] if steps else None
        if isinstance(last, Compose):  # its Mixup is the last step of all
            last_steps = [*last.steps, *([last.mixup] if last.mixup else [])]
            steps = [*steps[:-1], *last_steps]
            last = steps[-1] if steps else None
        self.mixup: Mixup | None = last if isinstance(last, Mixup) else None
        steps = steps if self.mixup is None else steps[:-1]
        if any(isinstance(step, Mixup) for step in steps):
            raise ValueError(f"Mixup acts after normalization and must be the last step, got {steps}")
        for step in steps:
            check_step(step)
        self.steps: tuple[Any, ...] = tuple(steps)

    def draw(self, x: Tensor, generator: Generator) -> list[Any]:
        return [step.draw(x, generator) for step in self.steps]

    def apply(self, x: Tensor, parameters: list[Any]) -> Tensor:
        window = None  # moves that wait to be carried out as one
        for step, step_parameters in zip(self.steps, parameters, strict=True):
            if isinstance(step, Rearrangement):
                x, window = _move(x, window, step.window(x, step_parameters))
            else:
                x, window = step.apply(_carry_out(x, window), step_parameters), None
        return _carry_out(x, window)

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        window = None
        for step in self.steps:
            if isinstance(step, Rearrangement):
                x, window = _move(x, window, step.window(x, step.draw(x, generator)))
            else:
                x, window = step(_carry_out(x, window), generator), None
        return _carry_out(x, window)

    def __repr__(self) -> str:
        steps = [*self.steps, self.mixup] if self.mixup else list(self.steps)
        return f"Compose({steps})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Compose) and (self.steps, self.mixup) == (other.steps, other.mixup)

    def __hash__(self) -> int:
        return hash((self.steps, self.mixup))


def check_step(step: object) -> None:
    """Raise ``ValueError`` unless ``step`` can be called with images and a generator."""
    if type(step).__module__.split(".")[0] == "torchvision":
        raise ValueError(
            f"{step!r} is a transform of torchvision, which takes no generator; use RandomFlip, RandomCrop … "
            "of utils.data.augment, or a function of (images, generator)"
        )
    inner = step
    while inner is not None:  # Views and Sometimes hold one
        if isinstance(inner, Mixup) or getattr(inner, "mixup", None) is not None:
            raise ValueError(f"Mixup acts after normalization and must be the last step, got {step!r}")
        inner = getattr(inner, "augmentation", None)
    if not callable(step):
        raise ValueError(f"an augmentation is called with (images, generator), {step!r} cannot be called")
    try:
        signature = inspect.signature(step)
    except (TypeError, ValueError):  # some functions written in C do not tell
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise ValueError(f"an augmentation is called with (images, generator), {step!r}: {error}") from error


def _move(x: Tensor, waiting: Window | None, window: Window) -> tuple[Tensor, Window]:
    """Put a window behind the one that waits; if the two are not one, carry out the one that waits."""
    if waiting is None:
        return x, window
    merged = waiting.then(window)
    return (x, merged) if merged is not None else (waiting.look(x), window)


def _carry_out(x: Tensor, window: Window | None) -> Tensor:
    return x if window is None else window.look(x)


def _uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.empty(n, device=generator.device).uniform_(low, high, generator=generator)


def _need_rgb(x: Tensor) -> None:
    if x.shape[1] != 3:
        raise ValueError(f"ColorJitter needs images with 3 channels, got {x.shape[1]}")


def _gray(pixels: Tensor) -> Tensor:
    """Luma [B, 1, H, W] in whole gray levels."""
    red, green, blue = pixels.split(1, dim=1)
    return (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]).floor_()


def _adjust_brightness(pixels: Tensor, factor: Tensor) -> Tensor:
    return pixels * factor


def _adjust_contrast(pixels: Tensor, factor: Tensor) -> Tensor:
    mean = _gray(pixels).mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, pixels, factor)


def _adjust_saturation(pixels: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(_gray(pixels), pixels, factor)


def _adjust_hue(pixels: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue by a part of the color circle, keeping HSV's value and saturation."""
    red, green, blue = pixels.split(1, dim=1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    # position on the color circle in sixths: red at 0, green at 2, blue at 4; grays have no hue and no
    # chroma, so any will do
    per_chroma = 1 / chroma.clamp(min=1)  # gray levels are whole numbers: a chroma below 1 is 0
    sixths = torch.where(
        value == red,
        (green - blue) * per_chroma,
        torch.where(value == green, (blue - red) * per_chroma + 2, (red - green) * per_chroma + 4),
    )
    # a channel loses the whole chroma at the far side of the circle, none within one sixth of its own color
    own = torch.tensor([5.0, 3.0, 1.0], device=pixels.device).view(1, 3, 1, 1)
    distance = own + (sixths + 6 * turn)
    distance -= 6 * (distance / 6).floor_()  # modulo 6; torch.remainder is several times slower
    turned = value - chroma * torch.minimum(distance, 4 - distance).clamp_(0.0, 1.0)
    # torchvision turns HSV on [0, 1] back into gray levels with a factor just under 256, so that 1.0 still
    # becomes 255
    return turned * (256 - 1e-3) / WHITE
