"""Mini-batches cut from one tensor that lies on the training device."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Generator, Tensor

from utils.data.augment import Compose, Mixup, check_step
from utils.data.dataset import Dataset, Split

# the streams of random numbers that one (seed, epoch) pair is split into
ORDER, AUGMENTATION = 0, 1


def derive_seed(*key: int) -> int:
    """A seed of 63 bits that is a pure function of the key, such as (seed, epoch, stream).

    Neighboring keys are unrelated.
    """
    if any(part < 0 for part in key):
        raise ValueError(f"seeds and epochs must not be negative, got {key}")
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


class Batches:
    """Iterates over a split in mini-batches ``(x, y)``.

    ``x`` is ``dtype`` (float32) ``[B, C, H, W]``, normalized with ``split.mean`` and ``split.std``; ``y`` is
    int64 ``[B]``, or soft float32 ``[B, K]`` after :class:`~utils.data.augment.Mixup`. The last batch is
    smaller unless ``drop_last``.

    ``augment`` is an augmentation of :mod:`utils.data.augment`, or any function of (x uint8 ``[B, C, H, W]``,
    generator) that returns images of the same dtype. The order and the augmentation are a pure function of
    (``seed``, epoch): the first pass is epoch 0, each pass moves on by one, and ``set_epoch(e)`` makes the
    next pass epoch e.

    ``device`` is where the images are kept and the batches made (default: where the split lies);
    ``channels_last`` gives x that memory layout, in which convolutions are often faster; ``num_classes`` K is
    used by Mixup (default: largest label + 1).
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        augment: Callable | None = None,
        shuffle: bool = True,
        seed: int = 0,
        device: str | torch.device | None = None,
        drop_last: bool = False,
        *,
        channels_last: bool = False,
        dtype: torch.dtype = torch.float32,
        num_classes: int | None = None,
    ) -> None:
        if not isinstance(split, Split):
            hint = "; give one of its splits, such as dataset.train" if isinstance(split, Dataset) else ""
            raise ValueError(f"batches are cut from a Split, got a {type(split).__name__}{hint}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if len(split) == 0:
            raise ValueError("the split is empty: there is nothing to iterate over")
        if drop_last and batch_size > len(split):
            raise ValueError(
                f"drop_last with batch_size {batch_size} leaves nothing of {len(split)} examples"
            )
        still = [channel for channel, spread in enumerate(split.std) if not spread > 0]
        if still:
            raise ValueError(
                f"channel {still[0]} cannot be normalized: it is constant, std {split.std[still[0]]:g} (mean "
                f"{split.mean[still[0]]:g}); leave it out, or give it a std of 1 with dataclasses.replace"
                "(split, std=…)"
            )
        device = split.images.device if device is None else torch.device(device)
        self.images, self.labels = split.images.to(device), split.labels.to(device)
        if channels_last:  # pixel by pixel, and so that whole images are chosen in one piece
            self.images = self.images.permute(0, 2, 3, 1).contiguous()
        self.batch_size, self.shuffle, self.seed, self.drop_last = batch_size, shuffle, seed, drop_last
        self.dtype, self.channels_last = dtype, channels_last
        self.augment, self.mixup = _separate(augment)
        self.num_classes = int(split.labels.max()) + 1 if num_classes is None else num_classes
        # (p / 255 - mean) / std as one multiplication and one addition
        mean, std = torch.tensor(split.mean, device=device), torch.tensor(split.std, device=device)
        self.scale = (1 / (255 * std)).to(dtype).view(1, -1, 1, 1)
        self.shift = (-mean / std).to(dtype).view(1, -1, 1, 1)
        self.set_epoch(0)
        derive_seed(seed)

    def __len__(self) -> int:
        """Number of batches per pass."""
        n = len(self.images)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass that of ``epoch``, counted from 0."""
        if epoch < 0:
            raise ValueError(f"epoch must not be negative, got {epoch}")
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch = self.epoch
        self.set_epoch(epoch + 1)
        return self._pass(epoch)

    def _pass(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = None
        if self.shuffle:
            generator = Generator().manual_seed(derive_seed(self.seed, epoch, ORDER))
            order = torch.randperm(len(self.images), generator=generator).to(self.images.device)
        generator = Generator().manual_seed(derive_seed(self.seed, epoch, AUGMENTATION))
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            part = slice(start, start + self.batch_size)
            if order is None:
                x, y = self.images[part], self.labels[part]
            else:
                chosen = order[part]
                x, y = self.images.index_select(0, chosen), self.labels.index_select(0, chosen)
            if self.channels_last:
                x = x.permute(0, 3, 1, 2)
            if self.augment is not None:
                if order is None:
                    x = x.clone()  # a view of the split, and an augmentation may write into what it is given
                x = _checked(self.augment(x, generator), x, self.augment)
            x = self.normalize(x)
            if self.mixup is not None:
                x, y = self.mixup(x, y, generator, self.num_classes)
            yield x, y

    def normalize(self, x: Tensor) -> Tensor:
        """Bring uint8 ``[B, C, H, W]`` to the split's zero mean and unit variance, in the batches' dtype."""
        B, C, H, W = x.shape
        if not self.channels_last or C == 1:
            return x.to(self.dtype, copy=True).mul_(self.scale).add_(self.shift)
        x = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
        # whole rows are faster than a factor per channel
        scale, shift = (
            row.view(1, 1, 1, C).expand(1, 1, W, C).reshape(1, 1, W * C) for row in (self.scale, self.shift)
        )
        out = x.to(self.dtype, copy=True).view(B, H, W * C).mul_(scale).add_(shift)
        return out.view(B, H, W, C).permute(0, 3, 1, 2)


def _separate(augment: Callable | None) -> tuple[Callable | None, Mixup | None]:
    """The part of an augmentation that acts on uint8 images, and the Mixup that acts after normalization."""
    if isinstance(augment, Mixup):
        return None, augment
    if isinstance(augment, Compose):
        return (augment if augment.steps else None), augment.mixup
    if augment is not None:
        check_step(augment)
    return augment, None


def _checked(result: object, x: Tensor, augment: Callable) -> Tensor:
    """What an augmentation made of ``x``; ``ValueError`` where it would be trained on as something else."""
    if not isinstance(result, Tensor):
        got = f"a {type(result).__name__}"
    elif result.dtype != x.dtype:
        got = f"{result.dtype}, which would be taken for gray levels 0 to 255"
    elif result.ndim != x.ndim or result.shape[1] != x.shape[1]:
        got = f"the shape {list(result.shape)}"
    else:
        return result
    raise ValueError(
        f"augment must return images of {x.dtype} [B, {x.shape[1]}, H, W] as it was given, but {augment!r} "
        f"returned {got}"
    )
