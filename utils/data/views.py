"""Several random views of each image, for contrastive learning, and the two augmentations that only it uses.

Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR), arXiv
2002.05709, section 3: a random part of the image at a random size, mirrored, with other colors, sometimes
gray.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from utils.data.augment import LUMA, Augmentation, ColorJitter, Compose, RandomFlip

ATTEMPTS = 10  # draws of a part that fits into the image, as torchvision's


@dataclass(frozen=True)
class RandomResizedCrop(Augmentation):
    """A random part of the image, resized to the size of the image (bilinear).

    Its area comes from ``scale`` (fractions of the image's), its ratio width / height from ``ratio``. As
    torchvision's: ten attempts to find a part that fits, else the whole image (torchvision then takes the
    middle with the nearest allowed ratio, which for square images and ratios about 1 is the same).
    Parameters: int64 ``[4, B]``: top, left, height, width.
    """

    scale: tuple[float, float] = (0.2, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not 0.0 < self.scale[0] <= self.scale[1] <= 1.0:
            raise ValueError(f"scale is a range of fractions in (0, 1], got {self.scale}")
        if not 0.0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio is a range of positive numbers, got {self.ratio}")

    def draw(self, x: Tensor, generator: Generator) -> Tensor:
        B, _, H, W = x.shape

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(ATTEMPTS, B, generator=generator, device=generator.device)

        area = H * W * uniform(*self.scale)
        ratio = torch.exp(uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
        width, height = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (width >= 1) & (width <= W) & (height >= 1) & (height <= H)
        first = fits.int().argmax(dim=0)  # [B], the first attempt that fits; 0 if none does
        whole = ~fits.any(dim=0)
        height = torch.where(whole, H, height.gather(0, first[None])[0])
        width = torch.where(whole, W, width.gather(0, first[None])[0])
        top = (uniform(0, 1)[0] * (H - height + 1)).floor()
        left = (uniform(0, 1)[0] * (W - width + 1)).floor()
        return torch.stack([top, left, height, width]).long().to(x.device)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        H, W = x.shape[2:]
        top, left, height, width = parameters
        grid = torch.stack(
            [
                _places(left, width, W)[:, None, :].expand(-1, H, -1),
                _places(top, height, H)[:, :, None].expand(-1, -1, W),
            ],
            dim=3,
        )  # [B, H, W, 2], x before y
        resized = F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
        return resized.round_().clamp_(0, 255).to(x.dtype)


def _places(start: Tensor, length: Tensor, n: int) -> Tensor:
    """Where n pixels of the result lie in the part, ``[B, n]``, in the units of ``grid_sample``.

    Not beyond the middle of its outermost pixels.
    """
    within = (torch.arange(n, device=start.device) + 0.5) * (length[:, None] / n) - 0.5
    within = torch.minimum(within.clamp_min(0), (length - 1)[:, None].float())
    return (2 * (start[:, None] + within) + 1) / n - 1


@dataclass(frozen=True)
class RandomGrayscale(Augmentation):
    """With probability ``p`` the brightness (ITU-R BT.601) in all three channels.

    Parameters: bool ``[B]``.
    """

    p: float = 0.2

    def __post_init__(self) -> None:
        if not 0.0 <= self.p <= 1.0:
            raise ValueError(f"p is a probability in [0, 1], got {self.p}")

    def draw(self, x: Tensor, generator: Generator) -> Tensor:
        return (torch.rand(len(x), generator=generator, device=generator.device) < self.p).to(x.device)

    def apply(self, x: Tensor, parameters: Tensor) -> Tensor:
        weights = torch.tensor(LUMA, device=x.device).view(1, 3, 1, 1)
        gray = (x.float() * weights).sum(dim=1, keepdim=True).floor_().to(x.dtype)
        return torch.where(parameters.view(-1, 1, 1, 1), gray, x)


@dataclass(frozen=True)
class Sometimes(Augmentation):
    """Another augmentation, with probability ``p`` for each image.

    Parameters: (bool ``[B]``, those of the other).
    """

    augmentation: Augmentation
    p: float

    def draw(self, x: Tensor, generator: Generator) -> tuple[Tensor, Any]:
        chosen = torch.rand(len(x), generator=generator, device=generator.device) < self.p
        return chosen.to(x.device), self.augmentation.draw(x, generator)

    def apply(self, x: Tensor, parameters: tuple[Tensor, Any]) -> Tensor:
        chosen, own = parameters
        return torch.where(chosen.view(-1, 1, 1, 1), self.augmentation.apply(x, own), x)


@dataclass(frozen=True)
class Views:
    """``number`` independent results of ``augmentation``, one after the other.

    ``[B, C, H, W]`` → ``[number · B, C, H, W]``. Labels are not repeated: view v of image i is in row
    ``v · B + i``.
    """

    augmentation: Augmentation
    number: int = 2

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"number of views must be at least 1, got {self.number}")

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        return torch.cat([self.augmentation(x, generator) for _ in range(self.number)])


def simclr_views(strength: float = 0.5) -> Views:
    """Two views as for CIFAR-10 in SimCLR (appendix B.9: no blur) with color jitter of ``strength``.

    The parts cut out have at least 20 % of the picture's area here; SimCLR's code takes 8 %.
    """
    jitter = ColorJitter(0.8 * strength, 0.8 * strength, 0.8 * strength, 0.2 * strength)
    return Views(Compose([RandomResizedCrop(), RandomFlip(), Sometimes(jitter, 0.8), RandomGrayscale(0.2)]))
