"""What many figures have in common: axes of epochs and rates, signs.

Each of them draws into an ``ax`` that is there already, but for :func:`signed`, which returns text.
"""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

MINUS = "\N{MINUS SIGN}"


def epoch_ticks(ax: Axes) -> None:
    """Name the horizontal axis "epoch" and put its ticks at whole numbers only."""
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def log_rate_axis(ax: Axes, rates: Iterable[float]) -> None:
    """Make the horizontal axis logarithmic, with ticks at the rates that were tried and nowhere else."""
    ticks = sorted(set(rates))
    if not ticks or ticks[0] <= 0:
        raise ValueError(f"rates must be positive, and at least one, got {ticks}")
    ax.set_xscale("log")
    ax.set_xticks(ticks, [f"{rate:g}".replace("e-0", "e-").replace("-", MINUS) for rate in ticks])
    ax.minorticks_off()


def signed(x: float, digits: int = 1) -> str:
    """``x`` with its sign, a minus as wide as a plus and none before a zero: "+1.5", "−0.3", "0.0"."""
    text = f"{x:+.{digits}f}"
    if float(text) == 0:
        return text[1:]
    return text.replace("-", MINUS)
