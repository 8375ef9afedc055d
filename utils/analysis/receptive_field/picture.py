"""The receptive field of a unit as a picture over the input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils.analysis.receptive_field.extent import unit_dims
from utils.analysis.receptive_field.layer_field import LayerField

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_DOTS = 32  # units along a side of which each has a dot
BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "#b8bfc7"


def draw_field(
    row: LayerField, model: str, input_size: tuple[int, ...], unit: Sequence[int] | None
) -> Figure:
    """The field of a unit of ``row`` (the middle one, if None) over an input ``(C, H, W)`` or ``(C, L)``."""
    from matplotlib.figure import Figure

    sides = input_size[1:]
    if len(sides) > 2:
        raise ValueError(f"a picture has two dimensions at most, the input has {len(sides)}: {sides}")
    counts = [row.field.shape[dim] for dim in unit_dims(row.field)]
    place = tuple(n // 2 for n in counts) if unit is None else tuple(unit)
    seen, reach = row.region(*place), row.region(*place, clipped=False)
    if len(sides) == 1:  # a strip of one row
        seen, reach, sides = (((0, 0)), *seen), (((0, 0)), *reach), (1, *sides)
    height, width = sides
    figure = Figure(figsize=(5.0, max(1.8, min(6.0, 0.8 + 4.4 * height / width))), layout="constrained")
    ax = figure.subplots()
    _frame(ax, ((0, height - 1), (0, width - 1)), facecolor="#f2f4f6", edgecolor=GRAY)
    if seen[0][0] <= seen[0][1]:
        _frame(ax, seen, facecolor=BLUE, alpha=0.35, edgecolor="none", label="sees")
    if all(math.isfinite(end) for ends in reach for end in ends):
        _frame(ax, reach, facecolor="none", edgecolor=BLUE, linestyle="--", label="field, unclipped")
        limits = [
            (min(0, low) - 1, max(n - 1, high) + 1) for (low, high), n in zip(reach, sides, strict=True)
        ]
    else:
        limits = [(-1, n) for n in sides]
    _centers(ax, row, counts, len(input_size) - 1)
    (top, bottom), (left, right) = limits
    ax.set(xlim=(left - 0.5, right + 0.5), ylim=(bottom + 0.5, top - 0.5), aspect="equal")
    ax.set(xlabel="input column", ylabel="input row" if len(input_size) > 2 else "")
    if len(input_size) == 2:
        ax.set_yticks([])
    size = row.size if isinstance(row.size, tuple) else (row.size,)
    text = " × ".join("∞" if math.isinf(n) else f"{n:g}" for n in size)
    which = f"unit {place if len(place) > 1 else place[0]}, " if place else ""
    ax.set_title(f"{model}, {row.name}: {which}size {text}", fontsize=10)
    return figure


def _frame(ax: Axes, ends: Sequence[tuple[float, float]], **style: object) -> None:
    """A rectangle around the pixels from the first to the last row and column."""
    from matplotlib.patches import Rectangle

    (top, bottom), (left, right) = ends
    ax.add_patch(Rectangle((left - 0.5, top - 0.5), right - left + 1, bottom - top + 1, **style))


def _centers(ax: Axes, row: LayerField, counts: Sequence[int], axes: int) -> None:
    """Dots at the centers of the fields of all units, where these lie on a grid and are not too many."""
    jumps = row.jump if isinstance(row.jump, tuple) else (row.jump,) * axes
    starts = row.start if isinstance(row.start, tuple) else (row.start,) * axes
    if len(counts) != axes or max(counts) > MOST_DOTS or any(math.isnan(n) for n in (*jumps, *starts)):
        return
    lines = [
        [start + jump * i for i in range(n)] for start, jump, n in zip(starts, jumps, counts, strict=True)
    ]
    rows, columns = lines if axes == 2 else ([0.0], lines[0])
    ax.scatter([x for _ in rows for x in columns], [y for y in rows for _ in columns], s=4, color=ORANGE)
