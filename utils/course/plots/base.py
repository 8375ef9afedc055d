"""The book's figures: one style, one palette, and the few kinds of picture that many labs draw.

Each function makes its own figure and returns it: as the last expression of a cell it is shown once (no
``plt.show()``, and none of these figures is left open in pyplot). Functions that take ``ax`` draw into it
instead and return it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from utils.course.arrays import as_array
from utils.course.palette import PALETTE
from utils.course.plots.idioms import MINUS, epoch_ticks

__all__ = ["PALETTE", "SIGNED", "plot_curves", "plot_history", "show_images", "show_matrix", "use_style"]

# blue below zero, vermillion above, white at zero: the same in the explorers
SIGNED = LinearSegmentedColormap.from_list("signed", [PALETTE.blue, "#ffffff", PALETTE.vermillion])

# yellow cannot be seen on white
LINE_COLORS = [
    PALETTE.blue,
    PALETTE.orange,
    PALETTE.green,
    PALETTE.vermillion,
    PALETTE.purple,
    PALETTE.sky,
    PALETTE.black,
]

# a matrix with at most this many entries per side shows its values
PRINTED_SIDE = 16

STYLE = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "figure.dpi": 100,
    "figure.figsize": (7.0, 3.8),
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d9dde2",
    "grid.linewidth": 0.7,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "image.interpolation": "nearest",
    "image.cmap": "gray",
    "axes.prop_cycle": plt.cycler(color=LINE_COLORS),
}


def use_style() -> None:
    """Make the book's style the default of matplotlib; in a notebook, figures have double resolution."""
    plt.rcParams.update(STYLE)
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if hasattr(get_ipython(), "kernel"):
        set_matplotlib_formats("retina")


def show_images(
    images: Any,
    titles: Sequence[Any] | None = None,
    columns: int | None = None,
    *,
    scale: float = 1.2,
    value_range: tuple[float, float] | str | None = None,
    colorbar: bool | None = None,
    title: str | None = None,
) -> Figure:
    """Pictures in a grid.

    images: [N, H, W], [N, 1 or 3, H, W], one [H, W], or a list of [H, W] and [1 or 3, H, W] (sizes may
    differ); uint8, bool or float. titles: one for each. columns: default as many as fit on a page. scale:
    inches per picture.
    value_range: (low, high), or "auto" for the smallest and largest value of all; the default is 0–255 for
    uint8, 0–1 for floats, and for gray values: symmetric about 0 in the signed color map where one is
    negative, 0–max where one is over 1. All pictures share one range, so that they can be compared. colorbar:
    default only for signed maps.
    A color picture with floats outside 0–1 and no ``value_range`` is a ``ValueError`` (is it normalized?).
    """
    pictures = _pictures(images)
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"{len(titles)} titles for {len(pictures)} pictures")
    low, high, signed = _value_range(pictures, value_range)
    fitting = max(1, int(9.6 / scale))
    columns = columns or min(len(pictures), fitting)
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    rows = -(-len(pictures) // columns)
    room = 0.26 if titles is not None else 0.04
    figure = Figure(
        figsize=(columns * scale + 0.2, rows * (scale + room) + (0.35 if title else 0.1)),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
    axes = figure.subplots(rows, columns, squeeze=False)
    shown = None
    for index, ax in enumerate(axes.flat):
        ax.set_axis_off()
        if index >= len(pictures):
            continue
        picture = pictures[index]
        if picture.ndim == 3:
            ax.imshow(np.clip((picture.transpose(1, 2, 0) - low) / (high - low), 0, 1))
        else:
            shown = ax.imshow(picture, cmap=SIGNED if signed else "gray", vmin=low, vmax=high)
        if titles is not None:
            ax.set_title(str(titles[index]), fontsize=min(11, 7 + 2.5 * scale))
    if shown is not None and (signed if colorbar is None else colorbar):
        figure.colorbar(shown, ax=axes, shrink=0.8, aspect=18, pad=0.02)
    if title:
        figure.suptitle(title)
    return figure


def _pictures(images: Any) -> list[np.ndarray]:
    """A list of [H, W] and [3, H, W]."""
    stack = images if isinstance(images, list | tuple) else as_array(images)
    if isinstance(stack, np.ndarray):
        if stack.ndim not in (2, 3, 4):
            raise ValueError(f"images must be [N, C, H, W], [N, H, W] or [H, W], got shape {stack.shape}")
        stack = [stack] if stack.ndim == 2 else list(stack)
    pictures = [as_array(picture) for picture in stack]
    if not pictures:
        raise ValueError("no images to show")
    for picture in pictures:
        if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[0] not in (1, 3)):
            raise ValueError(f"a picture must be [H, W], [1, H, W] or [3, H, W], got shape {picture.shape}")
    return [picture[0] if picture.ndim == 3 and picture.shape[0] == 1 else picture for picture in pictures]


def _value_range(
    pictures: list[np.ndarray], wanted: tuple[float, float] | str | None
) -> tuple[float, float, bool]:
    """(low, high, whether the signed color map is used)."""
    smallest = float(min(np.nanmin(picture) for picture in pictures))
    largest = float(max(np.nanmax(picture) for picture in pictures))
    if isinstance(wanted, str):
        if wanted != "auto":
            raise ValueError(f"value_range must be (low, high) or 'auto', got {wanted!r}")
        return smallest, largest if largest > smallest else smallest + 1.0, False
    if wanted is not None:
        low, high = wanted
        if not low < high:
            raise ValueError(f"value_range must be (low, high) with low < high, got {wanted!r}")
        return float(low), float(high), low == -high
    if all(picture.dtype == np.uint8 for picture in pictures):
        return 0.0, 255.0, False
    slack = 1e-3  # rounding of a resize may leave [0, 1] by this much
    if any(picture.ndim == 3 for picture in pictures) and (smallest < -slack or largest > 1 + slack):
        raise ValueError(
            f"color pictures hold values from {smallest:.3g} to {largest:.3g}, not 0 to 1; "
            "are they normalized? Undo that, or say value_range=(low, high) or value_range='auto'"
        )
    if smallest < 0 and not any(picture.ndim == 3 for picture in pictures):
        reach = max(-smallest, largest)
        return -reach, reach, True
    return 0.0, max(1.0, largest), False


def show_matrix(
    matrix: Any,
    ax: Axes | None = None,
    *,
    row_labels: Sequence[Any] | None = None,
    column_labels: Sequence[Any] | None = None,
    values: bool | None = None,
    decimals: int = 2,
    blocks: tuple[int, int] | None = None,
    xlabel: str = "column",
    ylabel: str = "row",
    title: str | None = None,
    colorbar: bool | None = None,
    cell: float = 0.42,
) -> Figure | Axes:
    """A matrix [rows, columns] (dense or torch sparse) as a picture in colors that are symmetric about 0.

    values: print the entries; default where neither side has more than 16. decimals: of the printed values;
    zeros stay empty.
    blocks: (height, width) of the blocks of a block matrix, drawn with lines. colorbar: default where no
    values are printed.
    cell: inches per entry of a small matrix; a large one is fitted to the page.
    """
    entries = as_array(matrix).astype(np.float64)
    if entries.ndim != 2 or 0 in entries.shape:
        raise ValueError(f"matrix must be [rows, columns] with at least one entry, got shape {entries.shape}")
    rows, columns = entries.shape
    for name, labels, length in (("row_labels", row_labels, rows), ("column_labels", column_labels, columns)):
        if labels is not None and len(labels) != length:
            raise ValueError(f"{len(labels)} {name} for a {rows}×{columns} matrix")
    printed = max(rows, columns) <= PRINTED_SIDE if values is None else values
    with_bar = not printed if colorbar is None else colorbar
    figure = None
    if ax is None:
        size = min(cell, 7.0 / columns, 6.0 / rows) if not printed else cell
        extra = 2.0 if with_bar else 1.1  # inches for labels and the color bar
        figure = Figure(
            figsize=(max(2.2, columns * size + extra), max(1.4, rows * size + 0.9)), layout="constrained"
        )
        ax = figure.subplots()
    reach = float(np.nanmax(np.abs(entries))) or 1.0
    drawn = ax.imshow(entries, cmap=SIGNED, vmin=-reach, vmax=reach, aspect="equal")
    ax.grid(False)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title or "")
    ax.spines[:].set_visible(True)
    for axis, labels, length in ((ax.xaxis, column_labels, columns), (ax.yaxis, row_labels, rows)):
        if labels is not None:
            axis.set_ticks(range(length), [str(label) for label in labels])
        elif printed:
            axis.set_ticks(range(length))
        else:
            axis.set_major_locator(MaxNLocator(integer=True))
    if printed:
        ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        ax.grid(True, which="minor", color="#c9d1da", linewidth=0.8)
        ax.tick_params(which="minor", length=0)
        _print_entries(ax, entries, reach, decimals)
    if blocks is not None:
        height, width = blocks
        if rows % height or columns % width:
            raise ValueError(f"blocks of {height}×{width} do not divide a {rows}×{columns} matrix")
        for edge in range(height, rows, height):
            ax.axhline(edge - 0.5, color="black", linewidth=1.0)
        for edge in range(width, columns, width):
            ax.axvline(edge - 0.5, color="black", linewidth=1.0)
    if with_bar:
        ax.figure.colorbar(drawn, ax=ax, shrink=0.85, label="value")
    return figure if figure is not None else ax


def _print_entries(ax: Axes, entries: np.ndarray, reach: float, decimals: int) -> None:
    for (row, column), value in np.ndenumerate(entries):
        text = f"{round(value, decimals):g}".replace("-", MINUS)
        if text in ("0", f"{MINUS}0"):
            continue
        red, green, blue, _ = SIGNED((value / reach + 1) / 2)
        # black or white, whichever has the better contrast on the cell (luminance by the sRGB coefficients,
        # gamma taken as 2.2)
        ink = "black" if 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.179 else "white"
        ax.text(column, row, text, ha="center", va="center", color=ink, fontsize=9 if len(text) < 5 else 7)


def plot_curves(
    curves: Mapping[str, Any],
    x: Sequence[float] | None = None,
    ax: Axes | None = None,
    *,
    xlabel: str,
    ylabel: str,
    title: str | None = None,
    log_x: bool = False,
    log_y: bool = False,
    legend: bool = True,
) -> Figure | Axes:
    """Lines by label, different in color and in dashes.

    A curve is [points], or [runs, points]: then its mean, with a band of ± one standard deviation (by n − 1).
    x: the places of the points (default 0, 1, 2 …).
    """
    if not curves:
        raise ValueError("no curves to plot")
    figure = None
    if ax is None:
        figure = Figure(figsize=plt.rcParams["figure.figsize"], layout="constrained")
        ax = figure.subplots()
    dashes = ["-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5))]
    for index, (label, values) in enumerate(curves.items()):
        _draw_curve(
            ax,
            label,
            as_array(values),
            x,
            color=LINE_COLORS[index % len(LINE_COLORS)],
            linestyle=dashes[index % len(dashes)],
        )
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title or "")
    if log_x:
        ax.set_xscale("log")
    if log_y:
        ax.set_yscale("log")
    if legend and len(curves) > 1:
        ax.legend()
    return figure if figure is not None else ax


def _draw_curve(
    ax: Axes, label: str | None, values: np.ndarray, x: Sequence[float] | None, **look: Any
) -> None:
    if values.ndim not in (1, 2):
        raise ValueError(f"curve {label!r} must be [points] or [runs, points], got shape {values.shape}")
    runs = np.atleast_2d(values).astype(np.float64)
    places = np.arange(runs.shape[1]) if x is None else as_array(x)
    if len(places) != runs.shape[1]:
        raise ValueError(f"curve {label!r} has {runs.shape[1]} points, x has {len(places)}")
    mean = runs.mean(axis=0)
    marker = "o" if runs.shape[1] == 1 else None
    ax.plot(places, mean, label=label, marker=marker, **look)
    if len(runs) > 1:
        spread = runs.std(axis=0, ddof=1)
        ax.fill_between(places, mean - spread, mean + spread, color=look["color"], alpha=0.2, linewidth=0)


def plot_history(
    histories: Any, metrics: Sequence[str] = ("loss", "accuracy"), *, title: str | None = None
) -> Figure:
    """Training (dashed) and validation (solid) curves over epochs, one panel for each metric.

    histories: one History, or label -> History, or label -> list of Histories (one for each seed: the mean,
    with a band of ± one standard deviation; runs that stopped early cut the others to the shortest). A
    History has the lists ``train_<metric>`` and ``valid_<metric>``, of which one may be empty. Accuracies are
    shown in percent.
    """
    runs = dict(histories) if isinstance(histories, Mapping) else {"": histories}
    if not runs:
        raise ValueError("no histories to plot")
    figure = Figure(figsize=(3.9 * len(metrics), 3.3), layout="constrained")
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for ax, metric in zip(axes, metrics, strict=True):
        for index, (label, group) in enumerate(runs.items()):
            group = group if isinstance(group, list | tuple) else [group]
            color = LINE_COLORS[index % len(LINE_COLORS)]
            for part, name, dash in (("train", "training", (0, (4, 1.5))), ("valid", "validation", "-")):
                lists = [list(getattr(history, f"{part}_{metric}")) for history in group]
                length = min(map(len, lists))
                if length == 0:
                    continue
                values = np.array([values[:length] for values in lists], dtype=np.float64)
                text = f"{label}, {name}" if label else name
                _draw_curve(ax, text, values, range(1, length + 1), color=color, linestyle=dash)
        epoch_ticks(ax)
        ax.set_ylabel(metric.replace("_", " "))
        if metric == "accuracy":
            ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    if not any(ax.lines for ax in axes):
        raise ValueError(f"the histories hold no values of {', '.join(metrics)}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(4 if len(runs) == 1 else 2, len(labels))
    )
    if title:
        figure.suptitle(title)
    return figure
