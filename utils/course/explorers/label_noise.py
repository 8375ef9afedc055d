"""The noise explorer: losses of true and wrong labels during a training, and what a threshold leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

# more examples or epochs only make the page heavy; more sources cannot be told apart
MOST_EXAMPLES, MOST_EPOCHS, MOST_SOURCES = 600, 60, 4
# a loss is sent as one of 36² levels, two characters each: 200 to a power of ten, from 10⁻⁴ on
LOWEST, PER_DECADE, LEVELS = -4, 200, 36**2
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def noise_explorer(
    losses: Mapping[str, Any],
    wrong: Any,
    title: str = "Which labels would you leave out?",
    *,
    share: float = 0.3,
) -> Explorer:
    """Histograms of all losses, epoch by epoch, and precision and recall of leaving out the largest.

    losses: where they come from (say "ordinary training") → [epochs, examples], finite and not negative, in
    nats; at most 4 tables of one shape. wrong: bool [examples], true where the label is wrong; both kinds
    must be there. share: what is left out at first, a fraction up to 0.8. Of N examples the
    (1 − share) · N of smallest loss are kept, rounded down, as in co-teaching; of equal losses the first
    ones go first. A loss is rounded to 1.2 %, and below 0.0001 to that.
    """
    if not 1 <= len(losses) <= MOST_SOURCES:
        raise ValueError(f"losses must be 1 to {MOST_SOURCES} tables, got {len(losses)}")
    if not 0 <= share <= 0.8:
        raise ValueError(f"share must be from 0 to 0.8, got {share}")
    flags = as_array(wrong).astype(bool)
    if flags.ndim != 1 or flags.all() or not flags.any():
        raise ValueError(
            f"wrong must be [examples] with both kinds, got shape {flags.shape}, "
            f"{int(flags.sum())} of them wrong"
        )
    tables = {label: as_array(table).astype(np.float64) for label, table in losses.items()}
    shape = next(iter(tables.values())).shape
    for label, table in tables.items():
        if table.ndim != 2 or table.shape != shape or table.shape[1] != len(flags):
            raise ValueError(
                f"losses of {label!r} must be [epochs, {len(flags)}] as the others, got {table.shape}"
            )
        if not np.isfinite(table).all() or table.min() < 0:
            raise ValueError(f"losses of {label!r} must be finite and not negative")
    epochs, examples = shape
    if not 1 <= epochs <= MOST_EPOCHS or examples > MOST_EXAMPLES:
        raise ValueError(
            f"at most {MOST_EPOCHS} epochs and {MOST_EXAMPLES} examples, got {epochs} and {examples}"
        )
    data = {
        "epochs": epochs,
        "wrong": np.flatnonzero(flags).tolist(),
        "examples": examples,
        "share": round(100 * share),
        "lowest": LOWEST,
        "perDecade": PER_DECADE,
        "sources": [
            {"label": label, "losses": [_packed(row) for row in levels(table)]}
            for label, table in tables.items()
        ],
    }
    summary = (
        f"Losses of {examples} examples, {int(flags.sum())} of them with a wrong label, "
        f"after each of {epochs} epochs: {', '.join(tables)}."
    )
    return Explorer("label_noise", title, data, summary)


def levels(losses: np.ndarray) -> np.ndarray:
    """The level of each loss, 0 to 36² − 1, on a logarithmic scale."""
    powers = np.log10(np.maximum(losses, 10.0**LOWEST))
    return np.clip(np.round(PER_DECADE * (powers - LOWEST)), 0, LEVELS - 1).astype(int)


def _packed(row: np.ndarray) -> str:
    """Levels as two digits each to the base of 36."""
    return "".join(DIGITS[level // 36] + DIGITS[level % 36] for level in row.tolist())
