"""What a decoder hands over: labels and names at once, pictures block by block to need little memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Block = tuple[str, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Decoding:
    """A dataset on its way from its files into arrays.

    ``labels`` has one int64 array ``[N]`` for "train" and one for "test". ``blocks`` yields ``(split, places,
    images)``: ``images`` uint8 ``[B, C, H, W]`` belong to the ``places`` (int64 ``[B]``) of that split; every
    place comes exactly once. ``title`` and ``note`` go into the provenance.
    """

    classes: tuple[str, ...]
    labels: dict[str, np.ndarray]
    blocks: Iterator[Block]
    title: str
    note: str = ""

    @property
    def total(self) -> int:
        """Number of pictures in both splits."""
        return sum(len(labels) for labels in self.labels.values())


def array_blocks(images: dict[str, np.ndarray], block: int = 1000) -> Iterator[Block]:
    """Blocks of arrays that are in memory already."""
    for split, array in images.items():
        for start in range(0, len(array), block):
            part = array[start : start + block]
            yield split, np.arange(start, start + len(part)), part
