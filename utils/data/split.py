"""Carving a validation part out of a training split, and drawing a few examples of each class."""

from __future__ import annotations

import numpy as np

DEFAULT_VALID = 5000
DEFAULT_SHARE = 10  # a tenth, where that is less


def valid_size(valid: int | None, n: int) -> int:
    """The number of validation examples that ``valid`` asks of ``n``; ``ValueError`` unless 0 ≤ valid < n."""
    if valid is None:
        return min(DEFAULT_VALID, n // DEFAULT_SHARE)
    if isinstance(valid, bool) or not isinstance(valid, int | np.integer) or not 0 <= valid < max(n, 1):
        raise ValueError(
            f"valid must be a whole number from 0 to {n - 1} (the training split has {n}), got {valid!r}"
        )
    return int(valid)


def carve(labels: np.ndarray, valid: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices ``(train, valid)`` that partition ``labels``: ``valid`` at random, each class in proportion.

    Shares are rounded down, and the classes with the largest remainders get one more. Both index arrays
    ascend.
    """
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * valid / len(labels)
    shares = np.floor(exact).astype(int)
    missing = valid - shares.sum()
    shares[np.argsort(shares - exact, kind="stable")[:missing]] += 1
    chosen = [
        rng.permutation(np.flatnonzero(labels == label))[:share]
        for label, share in zip(classes, shares, strict=True)
    ]
    picked = np.zeros(len(labels), bool)
    picked[np.concatenate(chosen).astype(int)] = True
    return np.flatnonzero(~picked), np.flatnonzero(picked)


def balanced(labels: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Indices of ``n`` examples drawn with a seed, in rounds of one example of each class.

    A smaller draw with the same seed is the beginning of a larger one. ``ValueError`` where a class has too
    few examples.
    """
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    rounds = -(-n // len(classes))
    if not 0 < rounds <= counts.min():
        raise ValueError(
            f"{n} examples in rounds of {len(classes)} classes need {rounds} of each; "
            f"the smallest class has {counts.min()}"
        )
    drawn = [rng.permutation(np.flatnonzero(labels == label))[:rounds] for label in classes]
    return np.stack(drawn, axis=1).reshape(-1)[:n]
