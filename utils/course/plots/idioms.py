"""What many figures have in common: dots of runs, the line of chance, axes of epochs and rates, signs.

Each of them draws into an ``ax`` that is there already, but for :func:`signed`, which returns text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from utils.course.palette import PALETTE

MINUS = "\N{MINUS SIGN}"
HALF_BAR = 0.25  # of the distance from label to label


def dots_of_runs(
    ax: Axes,
    by_label: Mapping[str, Sequence[float]],
    *,
    shift: float = 0.0,
    marker: str = "o",
    color: str = PALETTE.blue,
    legend: str | None = None,
) -> None:
    """A column for each label, with a dot for each run and a bar at their mean.

    A label without runs keeps its place. shift: to the side, −0.5 to 0.5, where columns of several groups
    stand beside each other. legend: what the dots are called there.
    """
    if not by_label:
        raise ValueError("no labels to draw")
    if not -0.5 <= shift <= 0.5:
        raise ValueError(f"shift must be −0.5 to 0.5, got {shift!r}")
    for place, values in enumerate(by_label.values()):
        if len(values) == 0:
            continue
        at = place + shift
        ax.plot([at] * len(values), values, ls="", marker=marker, color=color, alpha=0.7, label=legend)
        legend = None  # one entry for all columns
        ax.hlines(np.mean(values), at - HALF_BAR, at + HALF_BAR, color=PALETTE.vermillion)
    ax.set_xticks(range(len(by_label)), list(by_label))


def chance_line(ax: Axes, classes: int, *, percent: bool = True) -> None:
    """A dotted line, named "chance", at the accuracy of guessing among ``classes`` classes.

    percent: whether the axis counts in percent (0 to 100) or in shares (0 to 1).
    """
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 2:
        raise ValueError(f"chance needs at least 2 classes, got {classes!r}")
    height = (100 if percent else 1) / classes
    ax.axhline(height, color="0.4", ls=":", lw=1, label="chance")


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
