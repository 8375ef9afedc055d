"""What a dataset is here: three splits of uint8 images plus what is known about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Provenance:
    """Where the images came from.

    ``title`` is the name to print beside a result ("CIFAR-10 (JPEG copy)"), ``source`` the file, address or
    generator that was read, ``sha256`` the digest of that source (of the decoded arrays where there is no
    file), ``license`` its terms, ``note`` a sentence on how the copy differs from the original, empty if it
    does not.
    """

    title: str
    source: str
    sha256: str
    license: str
    note: str = ""


@dataclass(frozen=True)
class Split:
    """Images uint8 ``[N, C, H, W]``, labels int64 ``[N]``, and ``mean`` and ``std`` per channel on [0, 1]."""

    images: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(
                f"images must be uint8 [N, C, H, W], got {self.images.dtype} {tuple(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64 [{len(self.images)}], "
                f"got {self.labels.dtype} {tuple(self.labels.shape)}"
            )
        channels = self.images.shape[1]
        if len(self.mean) != channels or len(self.std) != channels:
            raise ValueError(f"mean and std need {channels} values each, got {self.mean} and {self.std}")

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, which: int | slice | Tensor) -> Split:
        """The first ``which`` examples, or those at given indices, with mean and std of the whole split."""
        if isinstance(which, int):
            if not 0 < which <= len(self):
                raise ValueError(f"a subset of {which} examples was asked of a split of {len(self)}")
            which = slice(which)
        return replace(self, images=self.images[which], labels=self.labels[which])

    def with_labels(self, labels: Tensor) -> Split:
        """The same images with other labels (label noise, relabeling)."""
        return replace(self, labels=labels)

    def of_classes(self, classes: Sequence[int]) -> Split:
        """The examples of these classes, with labels 0, 1, … in the order in which the classes are given."""
        present = [int(self.labels.max())] if len(self) else []
        new = torch.full((max([*present, *classes], default=-1) + 1,), -1, device=self.labels.device)
        new[list(classes)] = torch.arange(len(classes), device=self.labels.device)
        labels = new[self.labels]
        return replace(self, images=self.images[labels >= 0], labels=labels[labels >= 0])


@dataclass(frozen=True)
class Dataset:
    """Training, validation and test split, class names, channel statistics and provenance.

    ``mean`` and ``std`` are computed from the whole training split before the validation part is carved out.
    The test split is for one reading at the end; selection happens on ``valid``.
    """

    name: str
    train: Split
    valid: Split
    test: Split
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    provenance: Provenance

    def of_classes(self, classes: Sequence[int]) -> Dataset:
        """The same data with some of the classes, numbered anew in the order given; mean and std stay.

        ``ValueError`` for a class that is not there, or is named twice.
        """
        if len(set(classes)) != len(classes) or not set(classes) <= set(range(len(self.classes))):
            raise ValueError(
                f"classes of {self.name} are numbers from 0 to {len(self.classes) - 1}, each once, "
                f"got {list(classes)}"
            )
        splits = {name: getattr(self, name).of_classes(classes) for name in ("train", "valid", "test")}
        return replace(self, classes=tuple(self.classes[label] for label in classes), **splits)

    def __str__(self) -> str:
        channels, height, width = self.train.images.shape[1:]
        return (
            f"{self.provenance.title}: {len(self.train):,} training, {len(self.valid):,} validation and "
            f"{len(self.test):,} test images, {channels}×{height}×{width}, {len(self.classes)} classes"
        )
