"""What a field tells about a layer: size, jump, start, and the region of a unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from utils.analysis.receptive_field.fields import Field


@dataclass(frozen=True)
class Extent:
    """Along one axis of the input: ``size`` and ``clipped`` of the largest unit in pixels, ``jump`` from unit
    to unit, ``start``, the centre of the first. A number that does not exist is ``None``.
    """

    size: float
    jump: Fraction | None
    start: float | None
    clipped: int


def measure(field: Field) -> tuple[Extent, ...]:
    """For each axis, what all channels together see."""
    extents = []
    for span in field.spans:
        low, high = _hull(field, span.virtual)
        real_low, real_high = _hull(field, span.real)
        with np.errstate(invalid="ignore"):
            size = max(0.0, float((high - low).max()) + 1)
            clipped = max(0.0, float((real_high - real_low).max()) + 1)
        jumps = [
            abs(Fraction(step, period))
            for step, period, factor in zip(span.steps, span.virtual.shape[1:], field.factors, strict=True)
            if factor.place and step
        ]
        first_low, first_high = float(low.flat[0]), float(high.flat[0])
        start = (first_low + first_high) / 2 if math.isfinite(first_low) else None
        extents.append(Extent(size, min(jumps, default=None), start, int(clipped)))
    return tuple(extents)


def _hull(field: Field, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last pixel that the channels together see, for each place (or each of one period)."""
    for f, factor in enumerate(field.factors):
        array = array.take(range(min(factor.n, array.shape[1 + f])), axis=1 + f)
        if not factor.place:
            array = array.min(axis=1 + f, keepdims=True)
    return array[0], -array[1]


def region(field: Field, unit: Sequence[int], clipped: bool) -> tuple[tuple[float, float], ...]:
    """First and last pixel along each axis that a unit sees, all channels together. ``unit`` is its index
    along each dimension of the map: those that hold places, or after global pooling those behind the
    channels.

    Raises ``ValueError`` unless there is such a unit.
    """
    dims = [i for i, dim in enumerate(field.dims) if any(factor.place for factor in dim)]
    axes = len(field.spans)
    if len(dims) < axes and field.ndim == 2 + axes:
        dims = list(range(2, field.ndim))
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
