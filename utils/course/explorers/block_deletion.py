"""The explorer of deleted blocks: what is left of a trained network without one block, or without two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

MOST_BLOCKS = 20  # per side of the table, whose cells can still be told apart on a phone


def block_deletion_explorer(
    networks: Mapping[str, tuple[float, Any]], title: str = "Delete two blocks", *, first: tuple = (1, 2)
) -> Explorer:
    """Networks to choose from, and two sliders for the blocks to delete.

    networks: name → (accuracy of the whole network in %, table ``[N, N]`` of accuracies in %). The table has
    the accuracy without block i on its diagonal, and without i and j elsewhere; it is symmetric, and nan
    where a block cannot be deleted. ``first``: the two blocks that are deleted at first, counted from 0.
    """
    if not networks:
        raise ValueError("no networks to show")
    shown, blocks = [], None
    for name, (whole, table) in networks.items():
        values = as_array(table).astype(np.float64)
        if values.ndim != 2 or values.shape[0] != values.shape[1] or not 2 <= len(values) <= MOST_BLOCKS:
            raise ValueError(
                f"{name!r} needs a square table of 2 to {MOST_BLOCKS} blocks, got shape {values.shape}"
            )
        if blocks not in (None, len(values)):
            raise ValueError(f"all networks must have as many blocks, got {blocks} and {len(values)}")
        blocks = len(values)
        known = values[np.isfinite(values)]
        if not np.array_equal(values, values.T, equal_nan=True):
            raise ValueError(f"the table of {name!r} must be symmetric")
        if not known.size or min(known.min(), whole) < 0 or max(known.max(), whole) > 100:
            raise ValueError(f"the accuracies of {name!r} must be percentages from 0 to 100")
        cells = [[None if np.isnan(v) else round(float(v), 1) for v in row] for row in values]
        shown.append({"label": name, "whole": round(float(whole), 1), "left": cells})
    if len(first) != 2 or not all(isinstance(b, int) and 0 <= b < (blocks or 0) for b in first):
        raise ValueError(f"first must be two blocks from 0 to {(blocks or 1) - 1}, got {first}")
    data = {"networks": shown, "first": list(first)}
    summary = (
        f"The accuracy of {' and '.join(networks)} without any one or two of the {blocks} blocks, as a table."
    )
    return Explorer("block_deletion", title, data, summary)
