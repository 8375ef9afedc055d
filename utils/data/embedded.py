"""Data that need no file of their own: digits from scikit-learn's wheel, shapes made by code."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from utils.data.dataset import Provenance
from utils.data.pictures import resize_images
from utils.data.shapes import make_shapes
from utils.data.sources import Source

DIGITS_LEVELS = 16  # scikit-learn's digits are counts from 0 to 16
DIGITS_TEST = 360  # about a fifth; these data have no official split
DIGITS_SEED = 0
SHAPES_TRAIN, SHAPES_TEST = 10_000, 2_000
SHAPES_SEEDS = {"train": 0, "test": 1}


@dataclass(frozen=True)
class Arrays:
    """Images uint8 ``[N, C, H, W]`` and labels int64 ``[N]`` of both splits, with their provenance."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    provenance: Provenance


def load_digits(source: Source, size: int | None) -> Arrays:
    """1,437 training and 360 test digits, gray, ``[N, 1, size, size]``; 32 by default, which LeNet-5 takes.

    The originals are 8×8 counts from 0 to 16, scaled here to 0–255; 8 gives them as they are, other sizes
    bilinear enlargements. The test split is a fixed random fifth, equal for every seed.
    """
    from sklearn.datasets import load_digits as originals

    bunch = originals()
    images = np.round(bunch.images * (255 / DIGITS_LEVELS)).astype(np.uint8)[:, None]
    images = resize_images(images, size or source.default_size or images.shape[-1])
    labels = bunch.target.astype(np.int64)
    order = np.random.default_rng(DIGITS_SEED).permutation(len(labels))
    test, train = order[:DIGITS_TEST], order[DIGITS_TEST:]
    note = f"8×8 pixels enlarged to {images.shape[-1]}×{images.shape[-1]}" if images.shape[-1] != 8 else ""
    arrays = (images[train], labels[train], images[test], labels[test])
    return Arrays(
        *arrays,
        Provenance(source.title, "sklearn.datasets.load_digits", digest(*arrays), source.license, note),
    )


def load_shapes(source: Source, n_train: int | None, n_test: int | None) -> Arrays:
    """``n_train`` training (default 10,000) and ``n_test`` test (2,000) shapes ``[N, 3, 32, 32]``.

    They come from fixed, different seeds.
    """
    counts = {
        "train": SHAPES_TRAIN if n_train is None else n_train,
        "test": SHAPES_TEST if n_test is None else n_test,
    }
    made = {split: make_shapes(n, SHAPES_SEEDS[split]) for split, n in counts.items()}
    arrays = (*made["train"], *made["test"])
    return Arrays(
        *arrays, Provenance(source.title, "utils.data.shapes.make_shapes", digest(*arrays), source.license)
    )


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 over the bytes of arrays, one after the other: the digest of data that have no file."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
