"""What a field tells about a layer: size, jump, start, and the region of a unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from utils.analysis.receptive_field.fields import Field, Span, folded_dim, grid_dims


@dataclass(frozen=True)
class Extent:
    """What the units see along one axis of the input.

    ``size`` and ``clipped`` are of the largest unit in pixels, ``jump`` is from unit to unit, ``start`` the
    center of the first. A number that does not exist is ``None``.
    """

    size: float
    jump: Fraction | None
    start: float | None
    clipped: int


def measure(field: Field) -> tuple[Extent, ...]:
    """For each axis, what all channels together see."""
    extents = []
    grid = _grid_factors(field)
    for span in field.spans:
        low, high = _hull(span, "virtual", field, grid)
        real_low, real_high = _hull(span, "real", field, grid)
        with np.errstate(invalid="ignore"):
            size = max(0.0, float((high - low).max()) + 1)
            clipped = max(0.0, float((real_high - real_low).max()) + 1)
        jumps = [
            abs(Fraction(step, period))
            for f, (step, period) in enumerate(zip(span.steps, span.virtual.shape[1:], strict=True))
            if f in grid and step
        ]
        first_low, first_high = float(low.flat[0]), float(high.flat[0])
        start = (first_low + first_high) / 2 if math.isfinite(first_low) else None
        extents.append(Extent(size, min(jumps, default=None), start, int(clipped)))
    return tuple(extents)


def _grid_factors(field: Field) -> set[int]:
    """The factors along which the units lie; along all others a unit is everything together."""
    return {
        field.offset(dim) + part
        for dim in grid_dims(field)
        for part, factor in enumerate(field.dims[dim])
        if factor.place
    }


def _hull(span: Span, kind: str, field: Field, grid: set[int]) -> tuple[np.ndarray, np.ndarray]:
    """First and last pixel that the channels together see, for each place (or each of one period)."""
    for f, factor in enumerate(field.factors):
        if f not in grid and span.varies(f):
            at = np.arange(factor.n)
            pairs = (span.virtual_at(f, at), span.real_at(f, factor.n, at))
            span = span.replace(f, *(array.min(axis=1 + f, keepdims=True) for array in pairs), 0)
    array = getattr(span, kind)
    for f, factor in enumerate(field.factors):
        array = array.take(range(min(factor.n, array.shape[1 + f])), axis=1 + f)
    return array[0], -array[1]


def unit_dims(field: Field) -> list[int]:
    """The dimensions along which a unit has an index."""
    dims = grid_dims(field)
    if len(dims) < len(field.spans) and field.ndim == 2 + len(field.spans):
        channels = folded_dim(field) or 1
        return [dim for dim in range(1, field.ndim) if dim != channels]
    return dims


def region(field: Field, unit: Sequence[int], clipped: bool) -> tuple[tuple[float, float], ...]:
    """First and last pixel along each axis that a unit sees, all channels together.

    ``unit`` is its index along each dimension of the map: those that hold places, or after global pooling
    those behind the channels. Raises ``ValueError`` unless there is such a unit.
    """
    dims = unit_dims(field)
    sizes = [field.shape[dim] for dim in dims]
    if len(unit) != len(dims) or not all(0 <= u < n for u, n in zip(unit, sizes, strict=True)):
        raise ValueError(
            f"there is no unit {tuple(unit)} in a map of {'×'.join(map(str, sizes)) or 'no'} units"
        )
    places: dict[int, int] = {}  # of the factors of these dimensions
    for u, dim in zip(unit, dims, strict=True):
        first = field.offset(dim)
        for part in reversed(range(len(field.dims[dim]))):
            u, places[first + part] = divmod(u, field.dims[dim][part].n)
    intervals = []
    for span in field.spans:
        for f, factor in enumerate(field.factors):
            at = np.array([places[f]]) if f in places else np.arange(factor.n)
            virtual, real = span.virtual_at(f, at), span.real_at(f, factor.n, at)
            pairs = (array.min(axis=1 + f, keepdims=True) for array in (virtual, real))
            span = span.replace(f, *pairs, 0)
        low, high = (span.real if clipped else span.virtual).reshape(2)
        intervals.append((float(low), -float(high)))
    if any(low > high for low, high in intervals):  # nothing along one axis is nothing at all
        intervals = [(math.inf, -math.inf)] * len(intervals)
    return tuple(intervals)
