"""The band scrubber: step through a training and read how far the runs lie apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

# more points than this cannot be told apart on a page, and only make it heavy
MOST_POINTS = 400
# so many bands, and runs in one of them, can still be told apart
MOST_BANDS, MOST_RUNS = 3, 12


def band_scrubber(
    bands: Mapping[str, Any],
    quantity: str = "training loss",
    title: str = "How far do the runs lie apart?",
    *,
    points: int = 300,
) -> Explorer:
    """Bands over training steps, with a cursor that the reader moves; the runs inside can be shown.

    bands: label → ``LossBands`` of the same steps, at most 3 of at most 12 runs. quantity: what was recorded,
    for the vertical axis. points: how many steps are drawn; where more were recorded, each point is the mean
    over as many steps as needed, of lower edge, upper edge and runs alike, which leaves the mean width what
    it is.
    """
    if not 1 <= len(bands) <= MOST_BANDS:
        raise ValueError(f"bands must be 1 to {MOST_BANDS}, got {len(bands)}")
    if isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= MOST_POINTS:
        raise ValueError(f"points must be from 2 to {MOST_POINTS}, got {points!r}")
    steps = as_array(next(iter(bands.values())).steps)
    for label, band in bands.items():
        if not np.array_equal(as_array(band.steps), steps):
            raise ValueError(
                f"{label!r} has {len(band.steps)} recorded steps that are not the {len(steps)} of the first; "
                "cut them to the same steps, as bands[:n]"
            )
        if len(band.labels) > MOST_RUNS:
            raise ValueError(f"{label!r} has {len(band.labels)} runs, more than {MOST_RUNS}")
    window = -(-len(steps) // points)
    data = {
        "quantity": quantity,
        "window": window,
        "steps": [int(step) for step in steps[::window]],
        "last": int(steps[-1]),
        "bands": [
            {
                "label": label,
                "lower": _short(_means(band.lower, window)),
                "upper": _short(_means(band.upper, window)),
                "mean": _short([band.mean_width])[0],
                "runs": [
                    {"label": name, "values": _short(_means(values, window))}
                    for name, values in zip(band.labels, as_array(band.values), strict=True)
                ],
            }
            for label, band in bands.items()
        ],
    }
    widths = "; ".join(f"{label}: {band.mean_width:.3g}" for label, band in bands.items())
    return Explorer("band_scrubber", title, data, f"Mean width of the band of {quantity}: {widths}.")


def _means(values: Any, window: int) -> np.ndarray:
    """Means over consecutive windows; a shorter rest at the end is a window of its own."""
    values = as_array(values).astype(np.float64)
    starts = np.arange(0, len(values), window)
    return np.add.reduceat(values, starts) / np.diff([*starts, len(values)])


def _short(values: Any) -> list[float]:
    """Four significant digits, which is more than the picture shows."""
    return [float(f"{value:.4g}") for value in values]
