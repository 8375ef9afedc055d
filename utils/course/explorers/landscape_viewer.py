"""The landscape viewer: the loss over a plane through the weights, as a surface that can be turned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.course.arrays import as_array
from utils.course.explorers.base import Explorer

# grids: smaller ones have no surface, larger ones make the page heavy and the drawing slow
SIDES = (2, 61)
MOST_SURFACES = 6
MOST_STATES = 200  # of a path


def landscape_viewer(
    surfaces: Any,
    trajectory: Any = None,
    title: str = "What does the loss look like around the solution?",
    *,
    labels: tuple[str, str] = ("α", "β"),
    cap: float | None = None,
    log: bool = True,
) -> Explorer:
    """Surfaces that the reader turns by dragging, or by keyboard; a point on it is read out.

    surfaces: a two-dimensional ``LossSurface``, or label → ``LossSurface`` (at most 6, of 2 to 61 points a
    side), drawn on one common height scale unless the reader says otherwise. trajectory: ``[S, 2]``, a path
    on the surface (the first one, where there are several), or label → path. cap: losses above it are cut off
    there (default: the largest finite loss). log: show the logarithm first; the reader can change that.
    labels: of the two directions.
    """
    if not isinstance(surfaces, Mapping):
        surfaces = {"": surfaces}
    if not 1 <= len(surfaces) <= MOST_SURFACES:
        raise ValueError(f"surfaces must be 1 to {MOST_SURFACES}, got {len(surfaces)}")
    if trajectory is None:
        trajectory = {}
    elif not isinstance(trajectory, Mapping):
        trajectory = {next(iter(surfaces)): trajectory}
    unknown = [label for label in trajectory if label not in surfaces]
    if unknown:
        known = ", ".join(map(repr, surfaces))
        raise ValueError(f"there is a path for {unknown[0]!r}, and surfaces for {known}")
    entries = [_entry(label, surface, trajectory.get(label)) for label, surface in surfaces.items()]
    finite = [v for entry in entries for row in entry["loss"] for v in row if v is not None]
    if cap is None:
        cap = max(finite)
    lowest = min(finite)
    if not (np.isfinite(cap) and cap > lowest):
        raise ValueError(f"cap must be above the lowest loss, {lowest:.4g}, got {cap!r}")
    data = {
        "surfaces": entries,
        "labels": list(labels),
        "cap": _short(cap),
        "log": bool(log) and lowest > 0,
        "positive": lowest > 0,
    }
    ranges = []
    for label, surface in surfaces.items():
        heights = _finite(surface.loss)
        name = f"{label}: " if label else ""
        ranges.append(f"{name}from {np.nanmin(heights):.3g} to {np.nanmax(heights):.3g}")
    named = "; ".join(ranges)
    return Explorer("landscape_viewer", title, data, f"The loss over a plane through the weights, {named}.")


def _entry(label: str, surface: Any, path: Any) -> dict[str, Any]:
    low, high = SIDES
    if surface.betas is None or not all(low <= side <= high for side in surface.loss.shape):
        shape = tuple(surface.loss.shape)
        raise ValueError(
            f"surface {label!r} must be a plane of {low} to {high} points a side, got shape {shape}"
        )
    alphas, betas = as_array(surface.alphas), as_array(surface.betas)
    for name, places in (("alphas", alphas), ("betas", betas)):
        if not (np.diff(places) > 0).all():
            raise ValueError(f"{name} of surface {label!r} must ascend")
    if np.isnan(_finite(surface.loss)).all():
        raise ValueError(f"the loss of surface {label!r} is not finite anywhere")
    entry = {
        "label": label,
        "alphas": [_short(value) for value in alphas],
        "betas": [_short(value) for value in betas],
        "loss": [[_short(v) if np.isfinite(v) else None for v in row] for row in as_array(surface.loss)],
    }
    accuracy = as_array(surface.accuracy)
    if np.isfinite(accuracy).all():
        entry["accuracy"] = [[round(float(v), 3) for v in row] for row in accuracy]
    if path is not None:
        path = as_array(path).astype(np.float64)
        fits = path.ndim == 2 and path.shape[1] == 2 and 1 <= len(path) <= MOST_STATES
        if not fits or not np.isfinite(path).all():
            raise ValueError(
                f"a path must be [1 to {MOST_STATES} states, 2] of finite numbers, got shape {path.shape}"
            )
        entry["path"] = [[_short(a), _short(b)] for a, b in path]
    return entry


def _finite(loss: Any) -> np.ndarray:
    loss = as_array(loss)
    return np.where(np.isfinite(loss), loss, np.nan)


def _short(value: float) -> float:
    """Four significant digits, which is more than the picture shows."""
    return float(f"{value:.4g}")
