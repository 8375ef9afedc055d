"""The colors of the book: the palette of Okabe and Ito, which every kind of color vision can tell apart.

Source: M. Okabe, K. Ito, "Color Universal Design" (2008), https://jfly.uni-koeln.de/color/.
"""

from __future__ import annotations

from typing import NamedTuple


class Palette(NamedTuple):
    """Eight colors as ``#rrggbb``, by name (``PALETTE.blue``) or by place (``PALETTE[0]``)."""

    blue: str = "#0072B2"
    orange: str = "#E69F00"
    green: str = "#009E73"
    vermillion: str = "#D55E00"
    purple: str = "#CC79A7"
    sky: str = "#56B4E9"
    yellow: str = "#F0E442"
    black: str = "#000000"


PALETTE = Palette()
