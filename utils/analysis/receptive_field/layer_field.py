"""What is known of the receptive field of one layer: a row of the table of receptive fields."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from utils.analysis.receptive_field.extent import region
from utils.analysis.receptive_field.fields import Field

Number = float | int
PerAxis = Number | tuple[Number, ...]
Interval = tuple[Number, Number]


@dataclass(frozen=True)
class LayerField:
    """The receptive field of one call of one layer.

    Numbers are one for all axes if they agree, otherwise one for each (height, width).

    - ``name``: module path, "(model)" for the network itself. A function that changes the field and is called
      beside other things has a row too, as ``path.function()``.
    - ``output_size``: shape of the output without the batch dimension, as ``(C, H, W)``.
    - ``size``: input pixels that a unit sees, unclipped; the largest of all units. ``inf``: the whole input.
    - ``jump``: input pixels from one unit to the next; ``nan`` where there is no grid of units any more.
    - ``start``: input coordinate of the center of the first unit's field (the first pixel's center is 0); the
      middle of the input where all of it is seen.
    - ``clipped``: as ``size``, of what lies inside the input.
    """

    name: str
    type: str
    output_size: tuple[int, ...]
    size: PerAxis
    jump: PerAxis
    start: PerAxis
    clipped: PerAxis
    field: Field = field(repr=False, compare=False)

    def region(self, *unit: int, clipped: bool = True) -> tuple[Interval, ...]:
        """First and last input pixel along each axis that the unit at a place of the map (row, column) sees.

        Pixels outside the input have numbers below 0 or beyond its last; they are left out if ``clipped``. An
        infinite field unclipped reaches from −inf to inf. A unit that sees nothing has (inf, −inf).
        Raises ``ValueError`` unless there is one number for each dimension of the map, and inside it.
        """
        return tuple((tidy(low), tidy(high)) for low, high in region(self.field, unit, clipped))


def tidy(value: float) -> Number:
    """Whole numbers as ``int``."""
    if math.isnan(value):
        return math.nan
    return int(value) if float(value).is_integer() else float(value)
