"""Pictures of loss landscapes: bands over training steps, lines, contours and surfaces.

As in :mod:`utils.course.plots`, each function makes and returns its own figure, or draws into ``ax`` and
returns it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from utils.course.arrays import as_array
from utils.course.palette import PALETTE
from utils.course.plots.base import LINE_COLORS

BAND_HATCHES = ["", "////", "....", "\\\\\\\\"]  # bands overlap, and colors are not all that everyone sees
HEIGHT_COLORS = "viridis"  # ordered in lightness, so that every kind of color vision can read it
SMALLEST_SHARE = 1e-6  # of the largest loss: on a log scale a loss of 0 is drawn here


def plot_bands(
    bands: Mapping[str, Any],
    ax: Axes | None = None,
    *,
    ylabel: str = "training loss",
    title: str | None = None,
    log_y: bool = False,
    window: int = 1,
) -> Figure | Axes:
    """One band for each label, between its lowest and its highest run; the mean width stands in the legend.

    bands: label → ``LossBands``. window: lower and upper edge are drawn as means over so many recorded steps
    (the mean width is that of all steps, and does not change).
    """
    if not bands:
        raise ValueError("no bands to plot")
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise ValueError(f"window must be a whole number of at least 1, got {window!r}")
    figure, ax = _axes(ax)
    for place, (label, band) in enumerate(bands.items()):
        steps, lower, upper = (
            window_means(values, window) for values in (band.steps, band.lower, band.upper)
        )
        color = LINE_COLORS[place % len(LINE_COLORS)]
        ax.fill_between(
            steps, lower, upper, facecolor=color, alpha=0.3, hatch=BAND_HATCHES[place % len(BAND_HATCHES)],
            edgecolor=color, linewidth=0,
            label=f"{label}: {len(band.labels)} runs, mean width {band.mean_width:.3g}",
        )  # fmt: skip
        for edge in (lower, upper):
            ax.plot(steps, edge, color=color, linewidth=1.1)
    ax.set(xlabel="training step", ylabel=ylabel, title=title or "")
    if log_y:
        ax.set_yscale("log")
    ax.legend()
    return figure if figure is not None else ax


def window_means(values: Any, window: int) -> np.ndarray:
    """Means over consecutive windows; a shorter rest at the end is a window of its own."""
    values = as_array(values).astype(np.float64)
    starts = np.arange(0, len(values), window)
    return np.add.reduceat(values, starts) / np.diff([*starts, len(values)])


def plot_contours(
    surface: Any,
    ax: Axes | None = None,
    *,
    trajectory: Any = None,
    limits: tuple[float, float] | None = None,
    levels: int = 14,
    log: bool = True,
    labels: tuple[str, str] = ("first direction", "second direction"),
    title: str | None = None,
    colorbar: bool = True,
) -> Figure | Axes:
    """Contour lines of the loss over a plane, on a log scale or not, and on request a path on it.

    surface: two-dimensional ``LossSurface``. trajectory: ``[S, 2]`` coordinates, from a circle at the first
    state to a star at the last. limits: lowest and highest contour, so that pictures can be compared
    (default: those of this surface). Where the loss is above the highest, or not finite, the plane has the
    color of the highest.
    """
    heights, (low, high) = _heights(surface, limits, log)
    figure, ax = _axes(ax, (5.4, 4.4))
    scale = np.geomspace(low, high, levels) if log else np.linspace(low, high, levels)
    norm = LogNorm(low, high) if log else Normalize(low, high)
    ax.set_facecolor(plt.get_cmap(HEIGHT_COLORS)(1.0))
    clipped = np.clip(heights, low, None)
    ax.contourf(surface.alphas, surface.betas, clipped, scale, cmap=HEIGHT_COLORS, norm=norm)
    ax.contour(surface.alphas, surface.betas, clipped, scale, colors="white", linewidths=0.6)
    if trajectory is not None:
        path = _path(trajectory)
        ax.plot(*path.T, color="black", linewidth=3.2)
        ax.plot(*path.T, color=PALETTE.orange, linewidth=1.8, marker=".", markersize=5)
        for place, marker, size in ((0, "o", 8), (-1, "*", 14)):
            ax.plot(*path[place], marker, markersize=size, color=PALETTE.orange, markeredgecolor="black")
    else:
        ax.plot(0, 0, "*", markersize=12, color=PALETTE.orange, markeredgecolor="black")
    ax.set(xlabel=labels[0], ylabel=labels[1], title=title or "")
    _few_ticks(ax)
    ax.grid(False)
    if colorbar:
        bar = ax.figure.colorbar(ScalarMappable(norm, HEIGHT_COLORS), ax=ax, shrink=0.9)
        bar.set_label("loss (log scale)" if log else "loss")
    return figure if figure is not None else ax


def plot_surface(
    surface: Any,
    *,
    limits: tuple[float, float] | None = None,
    log: bool = True,
    view: tuple[float, float] = (32.0, -60.0),
    labels: tuple[str, str] = ("first direction", "second direction"),
    title: str | None = None,
) -> Figure:
    """The loss over a plane as a surface in space, cut off at the upper limit.

    surface: two-dimensional ``LossSurface``. limits: as in :func:`plot_contours`. view: elevation and azimuth
    in degrees.
    """
    heights, (low, high) = _heights(surface, limits, log)
    heights = np.clip(np.nan_to_num(heights, nan=high, posinf=high), low, high)
    drawn = np.log10(heights) if log else heights
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    ax = figure.add_subplot(projection="3d")
    alphas, betas = np.meshgrid(surface.alphas, surface.betas)
    ends = np.log10([low, high]) if log else (low, high)
    ax.plot_surface(
        alphas, betas, drawn, cmap=HEIGHT_COLORS, vmin=ends[0], vmax=ends[1], rstride=1, cstride=1,
        linewidth=0.2, edgecolor="white",
    )  # fmt: skip
    ax.view_init(*view)
    ax.set_zlim(*ends)
    _few_ticks(ax)
    ax.set(xlabel=labels[0], ylabel=labels[1], title=title or "")
    ax.set_zlabel("log₁₀ of the loss" if log else "loss")
    return figure


def _axes(ax: Axes | None, size: tuple[float, float] | None = None) -> tuple[Figure | None, Axes]:
    if ax is not None:
        return None, ax
    figure = Figure(figsize=size or plt.rcParams["figure.figsize"], layout="constrained")
    return figure, figure.subplots()


def _few_ticks(ax: Axes) -> None:
    """So that the numbers do not run into each other on a small picture."""
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_locator(MaxNLocator(4))


def _heights(
    surface: Any, limits: tuple[float, float] | None, log: bool
) -> tuple[np.ndarray, tuple[float, float]]:
    """The loss [B, A], nan where it is not finite, and the lowest and highest that are drawn."""
    if surface.betas is None:
        raise ValueError("the surface is a line: draw its losses with ax.plot")
    if min(surface.loss.shape) < 2:
        raise ValueError(f"a plane needs at least 2 × 2 points, got {surface.loss.shape}")
    heights = np.where(np.isfinite(surface.loss), surface.loss, np.nan)
    if limits is None:
        if np.isnan(heights).all():
            raise ValueError("the loss is not finite anywhere on the plane")
        low, high = float(np.nanmin(heights)), float(np.nanmax(heights))
        if log:
            low = max(low, SMALLEST_SHARE * high)
        high = high if high > low else low + 1.0
    else:
        low, high = limits
    if not low < high or (log and low <= 0):
        rule = "ascend and be positive on a log scale" if log else "ascend"
        raise ValueError(f"limits must {rule}, got {(low, high)}")
    return heights, (low, high)


def _path(trajectory: Any) -> np.ndarray:
    path = as_array(trajectory).astype(np.float64)
    if path.ndim != 2 or path.shape[1] != 2 or not len(path):
        raise ValueError(f"trajectory must be [states, 2], got shape {path.shape}")
    return path
