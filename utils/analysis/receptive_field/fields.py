"""Which pixels of the input each unit of a tensor can see: the arithmetic behind ``receptive_field``.

A :class:`Field` belongs to a tensor of the network and holds, for every unit, the smallest box of input
pixels that contains all it depends on: one interval [lo, hi] along each spatial axis of the input. All the
operations of a network act on intervals in two ways only: a unit sees what other units see (a window, a
slice, a permutation: *taking*), or it sees what several see together (*union*). Neither needs weights.

Each interval exists twice:

- ``virtual`` counts as if the input went on for ever: padding sees what a unit there would see. Units a
  period apart see the same, shifted by ``step`` pixels, so that one period of units describes all of them.
  Ordinary layers have the period 1; transposed convolutions and interpolation have more.
- ``real`` counts the pixels that are there: padding sees nothing. It is kept for every unit.

To make unions a minimum, an interval is stored as the pair (lo, −hi). Then nothing at all is (inf, inf), and
the whole of an endless input is (−inf, −inf).

A dimension of a tensor may hold several of the original dimensions, one after the other, as after
``flatten``: its *factors*. They are kept apart so that the dimension can be taken apart again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

EMPTY = np.inf
WHOLE = -np.inf
KINDS = ("virtual", "real")


class MisalignedPaths(ValueError):
    """Two paths meet, and a step from unit to unit is not the same number of input pixels on both."""

    def __init__(self, message: str, jumps: Sequence[Fraction] = ()):
        super().__init__(message)
        self.jumps = tuple(jumps)


@dataclass(frozen=True)
class Factor:
    """A dimension of size ``n``, or a part of one.

    ``place`` if its units lie at different places; ``inner`` if these are the places within a block, where a
    dimension was split into blocks and what is in them.
    """

    n: int
    place: bool = False
    inner: bool = False


CONSTANT = Factor(1)


@dataclass(frozen=True, eq=False)
class Span:
    """The intervals along one axis of the input.

    ``virtual`` is ``[2, period of each factor]``, ``real`` is ``[2, n or 1 of each factor]`` (1: the same for
    all). ``steps`` says by how many pixels the virtual interval moves from one period to the next; ``None``
    if the units have no regular order, and then there is an entry for each of them.
    """

    virtual: np.ndarray
    real: np.ndarray
    steps: tuple[int | None, ...]

    def virtual_at(self, f: int, places: np.ndarray) -> np.ndarray:
        """The virtual intervals at ``places`` of factor ``f``, which may lie outside 0 to n − 1."""
        period, step = self.virtual.shape[1 + f], self.steps[f]
        taken = self.virtual.take(places % period, axis=1 + f)
        if step is None:
            return keep_only(taken, 1 + f, (places >= 0) & (places < period))
        return taken + _shift(taken.ndim, 1 + f, places // period * step) if step else taken

    def real_at(self, f: int, n: int, places: np.ndarray) -> np.ndarray:
        """The real intervals at ``places`` of factor ``f`` of size ``n``; outside is nothing to see."""
        if self.real.shape[1 + f] == 1 and n > 1:
            return np.repeat(self.real, len(places), axis=1 + f)
        return keep_only(
            self.real.take(places.clip(0, n - 1), axis=1 + f), 1 + f, (places >= 0) & (places < n)
        )

    def varies(self, f: int) -> bool:
        """Whether the interval depends on where along factor ``f`` a unit lies."""
        return self.steps[f] != 0 or self.virtual.shape[1 + f] > 1 or self.real.shape[1 + f] > 1

    @property
    def whole(self) -> bool:
        """Whether every unit sees the whole axis."""
        return bool((self.virtual == WHOLE).all())

    def replace(self, f: int, virtual: np.ndarray, real: np.ndarray, *steps: int | None) -> Span:
        """With other arrays, in which the steps of factor ``f`` are ``steps`` (none: it is gone)."""
        return Span(virtual, real, (*self.steps[:f], *steps, *self.steps[f + 1 :]))


@dataclass(frozen=True, eq=False)
class Field:
    """What the units of a tensor see.

    ``dims`` has the factors of each dimension, ``spans`` one span for each axis of the input.
    """

    dims: tuple[tuple[Factor, ...], ...]
    spans: tuple[Span, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(math.prod(factor.n for factor in dim) for dim in self.dims)

    @property
    def ndim(self) -> int:
        return len(self.dims)

    @property
    def factors(self) -> tuple[Factor, ...]:
        return tuple(factor for dim in self.dims for factor in dim)

    def offset(self, dim: int) -> int:
        """Index of the first factor of a dimension."""
        return sum(len(factors) for factors in self.dims[:dim])

    def position(self, dim: int) -> int:
        """A dimension counted from the front."""
        return dim % self.ndim


def input_field(size: Sequence[int]) -> Field:
    """The field of the input ``[1, *size]``, size = (C, H, W): each unit sees its own pixel."""
    channels, *sides = size
    ndim = 2 + len(sides)
    spans = []
    for f, n in enumerate(sides, start=2):
        pixels = np.arange(n, dtype=np.float64)
        real = np.stack([pixels, -pixels]).reshape(2, *(n if other == f else 1 for other in range(ndim)))
        spans.append(Span(np.zeros([2] + [1] * ndim), real, tuple(int(other == f) for other in range(ndim))))
    places = tuple((Factor(n, place=True),) for n in sides)
    return Field(((CONSTANT,), (Factor(channels),), *places), tuple(spans))


def same_fields(one: Field | None, other: Field | None) -> bool:
    """Whether the units of two tensors see the same."""
    if one is other or one is None or other is None:
        return one is other
    pairs = list(zip(one.spans, other.spans, strict=True))
    return one.dims == other.dims and all(
        a.steps == b.steps and np.array_equal(a.virtual, b.virtual) and np.array_equal(a.real, b.real)
        for a, b in pairs
    )


# --- parts of operations


def keep_only(array: np.ndarray, axis: int, inside: np.ndarray) -> np.ndarray:
    """The array with nothing to see where ``inside`` (along ``axis``) is false."""
    if inside.all():
        return array
    shape = [1] * array.ndim
    shape[axis] = len(inside)
    return np.where(inside.reshape(shape), array, EMPTY)


def _shift(ndim: int, axis: int, pixels: np.ndarray) -> np.ndarray:
    """What to add to pairs (lo, −hi) to move them by ``pixels`` along ``axis``."""
    shape = [1] * ndim
    shape[axis] = len(pixels)
    signs = np.array([1.0, -1.0]).reshape([2] + [1] * (ndim - 1))
    return signs * pixels.reshape(shape)


def full(span: Span, kind: str, *factors: tuple[int, int]) -> np.ndarray:
    """The array of a span with an entry for each unit of the given (factor, size)."""
    for f, n in factors:
        if kind == "virtual":
            virtual = span.virtual_at(f, np.arange(n))
            span = span.replace(f, virtual, span.real, None)
        elif span.real.shape[1 + f] != n:
            real = np.repeat(span.real, n, axis=1 + f)
            span = span.replace(f, span.virtual, real, span.steps[f])
    return getattr(span, kind)


def put_dim(dims: tuple, dim: int, factors: tuple[Factor, ...]) -> tuple:
    return (*dims[:dim], factors, *dims[dim + 1 :])


def with_factor(field: Field, f: int, new: tuple[Factor, ...], spans: tuple[Span, ...]) -> Field:
    """The field with other factors in place of factor ``f``, in the same dimension."""
    dims, start = [], 0
    for dim in field.dims:
        at = f - start
        dims.append((*dim[:at], *new, *dim[at + 1 :]) if 0 <= at < len(dim) else dim)
        start += len(dim)
    return Field(tuple(dims), spans)


def constant_along(field: Field, dim: int, n: int) -> Field:
    """Dimension ``dim`` with ``n`` units that all see what its first unit sees; it is no place any more."""
    f = field.offset(dim)
    spans = []
    for span in field.spans:
        virtual, real = span.virtual.take([0], axis=1 + f), span.real.take([0], axis=1 + f)
        spans.append(span.replace(f, virtual, real, 0))
    return Field(put_dim(field.dims, dim, (Factor(n),)), tuple(spans))


def listed(field: Field, dim: int) -> Field:
    """With an entry for each unit along ``dim``, which has one factor, and no regular order."""
    f, (factor,) = field.offset(dim), field.dims[dim]
    spans = tuple(
        span.replace(f, full(span, "virtual", (f, factor.n)), full(span, "real", (f, factor.n)), None)
        for span in field.spans
    )
    return Field(field.dims, spans)


def jump_of(span: Span, f: int) -> Fraction | None:
    step = span.steps[f]
    return None if step is None else Fraction(step, span.virtual.shape[1 + f])


def pace(span: Span, f: int, n: int) -> float:
    """By how many pixels the units along factor ``f`` of size ``n`` move on, on average."""
    jump = jump_of(span, f)
    if jump is not None:
        return float(abs(jump))
    at = span.virtual_at(f, np.arange(n))
    with np.errstate(invalid="ignore"):
        middles = (at[0] - at[1]) / 2
    known = np.isfinite(middles)
    last, first = (np.where(known, middles, -EMPTY).max(axis=f), np.where(known, middles, EMPTY).min(axis=f))
    ranges = (last - first)[np.isfinite(last - first)]
    return float(ranges.max()) / (n - 1) if n > 1 and ranges.size else 0.0


def grid_dims(field: Field) -> list[int]:
    """The dimensions along which the units lie that one asks for: those that hold places.

    But where places within a block are folded into the channels, as by a pixel unshuffle, the blocks are the
    units, and a unit has all the channels.
    """
    return [dim for dim in _place_dims(field) if dim != folded_dim(field)]


def folded_dim(field: Field) -> int | None:
    """The dimension of the channels, if there are places folded into it."""
    dims, axes = _place_dims(field), len(field.spans)
    image = axes > 1 and field.ndim == 2 + axes
    if image and 1 in dims and all(n == 1 for n in field.shape[2:]):
        return 1  # the whole map is in the channels of its one unit
    rest = [field.shape[dim] for dim in range(1, field.ndim) if dim not in dims]
    inner = [dim for dim in dims if dim > 0 and is_within(field, dim)]
    mixed = [dim for dim in inner if _is_mixed(field, dim)]
    if not inner and image and set(rest) == {1}:  # one column of blocks in which all see the same
        runs = [dim for dim in dims if _holds_runs(field, dim)]
        both = [dim for dim in dims if _is_mixed(field, dim) or runs == [dim] == [1]]
        alone = [dim for dim in both if is_within(field, dim, surely=False)]
        mixed = alone if len(alone) == 1 < len(dims) else []
    if mixed or not rest or (image and set(rest) == {1}):  # otherwise another dimension has the channels
        return next(iter(mixed or inner), None)
    return None


def _is_mixed(field: Field, dim: int) -> bool:
    """Whether a dimension holds both several places and several channels."""
    return {factor.place for factor in field.dims[dim] if factor.n > 1} == {True, False}


def _holds_runs(field: Field, dim: int) -> bool:
    """Whether the units along a dimension are runs of some that see the same, as channels at a place do."""
    start = field.offset(dim)
    for f in range(start, start + len(field.dims[dim])):
        for span in field.spans:
            period = span.virtual.shape[1 + f]
            if span.steps[f] and 1 < period < field.factors[f].n:
                return bool((span.virtual == span.virtual.take([0], axis=1 + f)).all())
    return False


def _place_dims(field: Field) -> list[int]:
    return [i for i, dim in enumerate(field.dims) if any(factor.place for factor in dim)]


def is_within(field: Field, dim: int, surely: bool = True) -> bool:
    """Whether a dimension holds places within blocks, and no others but the whole of an axis.

    Unless ``surely``, the whole of an axis is enough.
    """
    start = field.offset(dim)
    own = [start + part for part, factor in enumerate(field.dims[dim]) if factor.place and factor.n > 1]
    others = [
        f
        for f, factor in enumerate(field.factors)
        if factor.place and factor.n > 1 and not start <= f < start + len(field.dims[dim])
    ]
    outer = [f for f in own if not field.factors[f].inner]
    alone = not any(
        span.varies(f) and any(span.varies(other) for other in others) for span in field.spans for f in outer
    )
    return alone and (len(outer) < len(own) or not surely)
