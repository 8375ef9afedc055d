"""Pictures of attributions: the maps of several methods side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from utils.course.arrays import as_array
from utils.course.plots.base import SIGNED

HEAT = "inferno"  # for maps without negative values


def plot_attributions(
    images: Any,
    maps: Mapping[str, Any],
    labels: Sequence[Any] | None = None,
    *,
    percentile: float = 99.0,
    scale: float = 1.4,
) -> Figure:
    """A row for each image: the image, then its map by each method.

    images: [N, 1 or 3, H, W], uint8 or 0–1 floats. maps: name of the method -> [N, h, w] or [N, C, h, w]; of
    several channels the value that is largest by magnitude is shown, with its sign. labels: for the rows.
    Each map has its own range, since methods have no common unit: its ``percentile`` of magnitudes, so
    that single pixels don't darken the rest. Blue is negative, white 0, vermillion positive; a method
    without any negative value is shown from black (0) to yellow.
    """
    pictures = _pictures(images)
    if not maps:
        raise ValueError("no maps to plot")
    if labels is not None and len(labels) != len(pictures):
        raise ValueError(f"{len(labels)} labels for {len(pictures)} images")
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile must be above 0 and at most 100, got {percentile!r}")
    figure, axes = _grid(len(pictures), 1 + len(maps), scale)
    for row, picture in enumerate(pictures):
        shown = picture.transpose(1, 2, 0)
        white = 255 if picture.dtype == np.uint8 else 1
        axes[row, 0].imshow(shown[..., 0] if shown.shape[-1] == 1 else shown, cmap="gray", vmin=0, vmax=white)
        if labels is not None:
            axes[row, 0].text(
                -0.06,
                0.5,
                str(labels[row]),
                transform=axes[row, 0].transAxes,
                ha="right",
                va="center",
                rotation=90,
                fontsize=10,
            )
    axes[0, 0].set_title("image", fontsize=10)
    for column, (name, values) in enumerate(maps.items(), start=1):
        flat = _one_channel(name, as_array(values).astype(np.float64), len(pictures))
        signed = bool((flat < 0).any())
        for row, values in enumerate(flat):
            reach = float(np.percentile(np.abs(values), percentile)) or float(np.abs(values).max()) or 1.0
            low, cmap = (-reach, SIGNED) if signed else (0.0, HEAT)
            axes[row, column].imshow(values, cmap=cmap, vmin=low, vmax=reach)
        axes[0, column].set_title(name, fontsize=10)
    return figure


def _grid(rows: int, columns: int, scale: float) -> tuple[Figure, np.ndarray]:
    """Pictures without axes, with room for titles."""
    figure = Figure(figsize=(columns * scale + 0.2, rows * (scale + 0.06) + 0.3), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    return figure, axes


def _pictures(images: Any) -> np.ndarray:
    """``[N, 1 or 3, H, W]``, bytes or numbers from 0 to 1; ``ValueError`` for anything else."""
    pictures = as_array(images)
    if pictures.ndim != 4 or pictures.shape[1] not in (1, 3) or len(pictures) == 0:
        raise ValueError(f"images must be [N, 1 or 3, H, W], got shape {pictures.shape}")
    slack = 1e-3  # rounding of a resize may leave [0, 1] by this much
    if pictures.dtype != np.uint8 and (pictures.min() < -slack or pictures.max() > 1 + slack):
        raise ValueError(
            f"images hold values from {pictures.min():.3g} to {pictures.max():.3g}, not 0 to 1: are they "
            "normalized? Show the pixels as they were before"
        )
    return pictures


def _one_channel(name: str, values: np.ndarray, images: int) -> np.ndarray:
    """The maps as ``[N, h, w]``: of several channels the value that is largest by magnitude."""
    if values.ndim not in (3, 4) or len(values) != images:
        raise ValueError(f"maps of {name!r} must be [{images}, (C,) h, w], got shape {values.shape}")
    if values.ndim == 3:
        return values
    largest = np.abs(values).argmax(axis=1)[:, None]
    return np.take_along_axis(values, largest, axis=1)[:, 0]
