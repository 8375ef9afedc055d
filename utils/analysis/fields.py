"""Which pixels of the input each unit of a tensor can see: the arithmetic behind ``receptive_field``.

A :class:`Field` belongs to a tensor of the network and holds, for every unit, the smallest box of input
pixels that contains all it depends on: one interval [lo, hi] along each spatial axis of the input. All the
operations of a network act on intervals in two ways only: a unit sees what other units see (a window, a
slice, a permutation: *taking*), or it sees what several see together (*union*). Neither needs weights.

Each interval exists twice:

- ``virtual`` counts as if the input went on for ever: padding sees what a unit there would see. Units a period
  apart see the same, shifted by ``step`` pixels, so that one period of units describes all of them. Ordinary
  layers have the period 1; transposed convolutions and interpolation have more.
- ``real`` counts the pixels that are there: padding sees nothing. It is kept for every unit.

To make unions a minimum, an interval is stored as the pair (lo, −hi). Then nothing at all is (inf, inf), and
the whole of an endless input is (−inf, −inf).

A dimension of a tensor may hold several of the original dimensions, one after the other, as after
``flatten``: its *factors*. They are kept apart so that the dimension can be taken apart again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

import numpy as np

EMPTY = np.inf
WHOLE = -np.inf
KINDS = ("virtual", "real")

# output places [n] -> the input places that each of them takes [n, taps], and which of those count (None: all)
Taps = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


class MisalignedPaths(ValueError):
    """Two paths meet, and a step from unit to unit is not the same number of input pixels on both."""


@dataclass(frozen=True)
class Factor:
    """A dimension of size ``n``, or a part of one; ``place`` if its units lie at different places."""

    n: int
    place: bool = False


CONSTANT = Factor(1)


@dataclass(frozen=True)
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
            return _keep(taken, 1 + f, (places >= 0) & (places < period))
        return taken + _shift(taken.ndim, 1 + f, places // period * step) if step else taken

    def real_at(self, f: int, n: int, places: np.ndarray) -> np.ndarray:
        """The real intervals at ``places`` of factor ``f`` of size ``n``; outside is nothing to see."""
        if self.real.shape[1 + f] == 1 and n > 1:
            return np.repeat(self.real, len(places), axis=1 + f)
        return _keep(self.real.take(places.clip(0, n - 1), axis=1 + f), 1 + f, (places >= 0) & (places < n))

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


@dataclass(frozen=True)
class Field:
    """What the units of a tensor see. ``dims`` has the factors of each dimension, ``spans`` one span for each
    axis of the input.
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


# --- taking


def resample(
    field: Field,
    dim: int,
    n: int,
    taps: Taps,
    slope: Fraction | int | None = 1,
    real_places: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Field:
    """``n`` units along ``dim``, of which unit o sees what the units ``taps(o)`` see together.

    ``slope`` is by how much the taps move on from one output to the next, on average; ``None`` if they move
    irregularly. ``real_places`` maps taps outside to the places that they copy (reflection and the like);
    by default they see nothing.
    """
    dim = field.position(dim)
    field = joined(field, dim)
    f, (factor,) = field.offset(dim), field.dims[dim]
    places, counts = taps(np.arange(n))
    sources = real_places(places) if real_places else places
    there = (sources >= 0) & (sources < factor.n)
    something = (there if counts is None else there & counts).any(axis=1)  # outputs that see anything
    spans = []
    for span in field.spans:
        virtual, real, step = span.virtual, span.real, span.steps[f]
        if virtual.shape[1 + f] > 1 or step != 0:
            period, new_step = n, None
            if step is not None and slope is not None:
                slope = Fraction(slope)
                moved = virtual.shape[1 + f] * slope.denominator
                period = moved // math.gcd(moved, slope.numerator)
                new_step = step * (slope.numerator // math.gcd(moved, slope.numerator))
            virtual_places, virtual_counts = taps(np.arange(period))
            taken = span.virtual_at(f, virtual_places.reshape(-1))
            virtual, step = _union(taken, 1 + f, virtual_places.shape, virtual_counts), new_step
        elif not (factor.place or something.all()):
            virtual, step = _keep(np.repeat(virtual, n, axis=1 + f), 1 + f, something), None
        if real.shape[1 + f] > 1:
            taken = span.real_at(f, factor.n, sources.reshape(-1))
            real = _union(taken, 1 + f, places.shape, counts)
        elif not something.all():
            real = _keep(np.repeat(real, n, axis=1 + f), 1 + f, something)
        spans.append(span.replace(f, virtual, real, step))
    return Field(_put(field.dims, dim, (Factor(n, factor.place),)), tuple(spans))


def window(
    field: Field, dim: int, n: int, kernel: int, stride: int, padding: int, dilation: int = 1, **options
) -> Field:
    """A sliding window along ``dim``: convolution or pooling. ``padding`` counts in front."""
    offsets = np.arange(kernel) * dilation - padding
    return resample(field, dim, n, lambda o: (o[:, None] * stride + offsets, None), stride, **options)


def spread(
    field: Field, dim: int, n: int, kernel: int, stride: int, padding: int, dilation: int = 1
) -> Field:
    """A transposed window: input i reaches the outputs i·stride − padding + tap·dilation."""

    def taps(o: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        distance = o[:, None] + padding - np.arange(kernel) * dilation
        return distance // stride, distance % stride == 0

    return resample(field, dim, n, taps, Fraction(1, stride))


def take(field: Field, dim: int, places: Sequence[int] | np.ndarray, slope: int | None = None) -> Field:
    """The units at ``places`` along ``dim``; ``slope`` is their distance where it is regular."""
    places = np.asarray(places, dtype=np.int64)
    if slope is None:
        return resample(field, dim, len(places), lambda o: (places[o][:, None], None), None)
    first = int(places[0]) if len(places) else 0
    return resample(field, dim, len(places), lambda o: (first + o[:, None] * slope, None), slope)


# --- union


def merge(fields: Sequence[Field]) -> Field:
    """Element by element, with broadcasting: each unit sees what its operands see together.

    Raises :class:`MisalignedPaths` if the operands move on by different numbers of pixels.
    """
    if len(fields) == 1:
        return fields[0]
    dims, spans = _align(fields)
    merged = []
    for parts in spans:
        virtual = _minimum([part.virtual for part in parts])
        merged.append(Span(virtual, _minimum([part.real for part in parts]), parts[0].steps))
    return Field(dims, tuple(merged))


def concatenate(fields: Sequence[Field | None], sizes: Sequence[int], dim: int) -> Field:
    """One after the other along ``dim``; ``None`` stands for a tensor that does not depend on the input."""
    known = [field for field in fields if field is not None]
    dim, total = known[0].position(dim), sum(sizes)
    known = [joined(field, dim) for field in known]
    if len(known) < len(fields) or any(field.dims[dim][0].place for field in known):
        starts = [start for field, start in zip(fields, [0, *accumulate(sizes)], strict=False) if field]
        return merge(
            [
                resample(_listed(field, dim), dim, total, lambda o, start=start: (o[:, None] - start, None), None)
                for field, start in zip(known, starts, strict=True)
            ]
        )
    if _same_along(known, dim):
        return _constant(known[0], dim, total)
    dims, aligned = _align([_listed(field, dim) for field in known], skip=dim)
    f = sum(len(factors) for factors in dims[:dim])
    spans = []
    for parts in aligned:
        virtual = np.concatenate(_broadcast([part.virtual for part in parts], skip=1 + f), axis=1 + f)
        real = np.concatenate(_broadcast([part.real for part in parts], skip=1 + f), axis=1 + f)
        spans.append(Span(virtual, real, parts[0].steps))
    return Field(_put(dims, dim, (Factor(total),)), tuple(spans))


def reduce(field: Field, dims: Sequence[int], keepdim: bool, mixes_one: bool = True) -> Field:
    """Every unit along ``dims`` sees what all of them see: the whole axis, if they lie along one.

    With ``mixes_one=False`` a dimension with a single unit mixes nothing (a linear layer on a 1×1 map).
    """
    wanted = sorted({field.position(dim) for dim in dims}, reverse=True)
    for dim in wanted:
        first = field.offset(dim)
        for f in range(first, first + len(field.dims[dim])):
            field = _reduce_factor(field, f, mixes_one)
        spans = field.spans
        for f in reversed(range(first, first + len(field.dims[dim]))):
            spans = tuple(
                span.replace(f, span.virtual.squeeze(1 + f), span.real.squeeze(1 + f)) for span in spans
            )
        field = Field((*field.dims[:dim], *field.dims[dim + 1 :]), spans)
        if keepdim:
            field = insert(field, dim)
    return field


def everything(fields: Sequence[Field], shape: Sequence[int]) -> Field:
    """A tensor of ``shape`` of which each unit sees all that any unit of ``fields`` sees: the whole input."""
    spans = []
    for axis in range(len(fields[0].spans)):
        reals = [field.spans[axis].real.reshape(2, -1).min(axis=1) for field in fields]
        real = np.minimum.reduce(reals).reshape([2] + [1] * len(shape))
        spans.append(Span(np.full_like(real, WHOLE), real, (0,) * len(shape)))
    return Field(tuple((Factor(n),) for n in shape), tuple(spans))


def all_of(field: Field, dims: Sequence[int]) -> Field:
    """The same shape, but every unit sees what all units along ``dims`` see: a normalisation over them."""
    return merge([field, reduce(field, dims, keepdim=True, mixes_one=False)])


def mix(field: Field, dim: int, n: int, groups: int = 1) -> Field:
    """``n`` new units along ``dim``, each of which sees all the old ones of its group."""
    dim = field.position(dim)
    old = field.shape[dim]
    if groups == 1:
        return expand_dim(reduce(field, [dim], keepdim=True, mixes_one=False), dim, n)
    field = joined(field, dim)
    f, place = field.offset(dim), field.dims[dim][0].place
    if not any(span.varies(f) for span in field.spans):
        return _constant(field, dim, n)
    if groups == old == n:
        return field
    field = _listed(field, dim)
    spans = []
    for span in field.spans:
        arrays = []
        for array in (span.virtual, span.real):
            shape = array.shape
            grouped = array.reshape(*shape[: 1 + f], groups, shape[1 + f] // groups, *shape[2 + f :])
            arrays.append(np.repeat(grouped.min(axis=2 + f), n // groups, axis=1 + f))
        spans.append(span.replace(f, *arrays, None))
    return Field(_put(field.dims, dim, (Factor(n, place),)), tuple(spans))


# --- shape


def insert(field: Field, dim: int) -> Field:
    """With a new dimension of size 1 in front of dimension ``dim``."""
    f = field.offset(dim)
    spans = tuple(
        Span(
            np.expand_dims(span.virtual, 1 + f),
            np.expand_dims(span.real, 1 + f),
            (*span.steps[:f], 0, *span.steps[f:]),
        )
        for span in field.spans
    )
    return Field((*field.dims[:dim], (CONSTANT,), *field.dims[dim:]), spans)


def permute(field: Field, order: Sequence[int]) -> Field:
    """The dimensions in another order."""
    order = [field.position(dim) for dim in order]
    factors = [field.offset(dim) + part for dim in order for part in range(len(field.dims[dim]))]
    axes = [0, *(1 + f for f in factors)]
    spans = tuple(
        Span(span.virtual.transpose(axes), span.real.transpose(axes), tuple(span.steps[f] for f in factors))
        for span in field.spans
    )
    return Field(tuple(field.dims[dim] for dim in order), spans)


def expand(field: Field, shape: Sequence[int]) -> Field:
    """Broadcast to ``shape``."""
    while field.ndim < len(shape):
        field = insert(field, 0)
    for dim, n in enumerate(shape):
        if n != field.shape[dim]:
            field = expand_dim(field, dim, n)
    return field


def expand_dim(field: Field, dim: int, n: int) -> Field:
    """The single unit along ``dim``, ``n`` times."""
    return _constant(joined(field, dim), dim, n)


def reshape(field: Field, shape: Sequence[int]) -> Field:
    """The same units in row-major order in another shape."""
    if tuple(shape) == field.shape:
        return field
    if not shape:
        field = _flattened(field)
        return Field((), tuple(Span(s.virtual[:, 0], s.real[:, 0], ()) for s in field.spans))
    counts = []  # how many factors each new dimension has
    done = 0
    for n in shape:
        start, rest = done, n
        while rest > 1 or done == start:
            factor = field.factors[done] if done < len(field.factors) else None
            if n == 1 and (factor is None or factor.n != 1):
                field = _insert_factor(field, done)
            elif rest % factor.n:
                if factor.n % rest:
                    return reshape(_flattened(field), shape)
                field = _split(field, done, rest)
            rest //= field.factors[done].n
            done += 1
        counts.append(done - start)
    counts[-1] += len(field.factors) - done  # what is left has size 1
    ends = list(accumulate(counts))
    dims = tuple(field.factors[end - count : end] for end, count in zip(ends, counts, strict=True))
    return _coalesced(Field(dims, field.spans))


def joined(field: Field, dim: int) -> Field:
    """With a single factor along ``dim``; several become one without regular order."""
    dim = field.position(dim)
    while len(field.dims[dim]) > 1:
        f = field.offset(dim)
        outer, inner = field.dims[dim][:2]
        if outer.n == 1 or inner.n == 1:
            gone = f if outer.n == 1 and (inner.n > 1 or inner.place) else f + 1
            spans = tuple(
                span.replace(gone, span.virtual.take(0, axis=1 + gone), span.real.take(0, axis=1 + gone))
                for span in field.spans
            )
            field = _with_factor(field, gone, (), spans)
            continue
        spans = []
        for span in field.spans:
            virtual, real, step = span.virtual, span.real, 0
            if span.varies(f) or span.varies(f + 1):
                virtual, real = (_full(span, kind, (f, outer.n), (f + 1, inner.n)) for kind in KINDS)
                step = None
            arrays = (a.reshape(*a.shape[: 1 + f], -1, *a.shape[3 + f :]) for a in (virtual, real))
            spans.append(Span(*arrays, (*span.steps[:f], step, *span.steps[f + 2 :])))
        factor = Factor(outer.n * inner.n, outer.place or inner.place)
        field = Field(_put(field.dims, dim, (factor, *field.dims[dim][2:])), tuple(spans))
    return field


# --- helpers: arrays


def _keep(array: np.ndarray, axis: int, inside: np.ndarray) -> np.ndarray:
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


def _union(taken: np.ndarray, axis: int, shape: tuple[int, int], counts: np.ndarray | None) -> np.ndarray:
    """From [.., outputs·taps, ..] to [.., outputs, ..]."""
    if counts is not None:
        taken = _keep(taken, axis, counts.reshape(-1))
    return taken.reshape(*taken.shape[:axis], *shape, *taken.shape[axis + 1 :]).min(axis=axis + 1)


def _minimum(arrays: Sequence[np.ndarray]) -> np.ndarray:
    result = arrays[0]
    for array in arrays[1:]:
        result = np.minimum(result, array)
    return result


def _broadcast(arrays: Sequence[np.ndarray], skip: int) -> list[np.ndarray]:
    """All of one shape, but for axis ``skip``."""
    shape = list(np.broadcast_shapes(*(np.delete(array.shape, skip) for array in arrays)))
    return [
        np.broadcast_to(array, [*shape[:skip], array.shape[skip], *shape[skip:]]) for array in arrays
    ]


# --- helpers: factors


def _put(dims: tuple, dim: int, factors: tuple[Factor, ...]) -> tuple:
    return (*dims[:dim], factors, *dims[dim + 1 :])


def _constant(field: Field, dim: int, n: int) -> Field:
    """Dimension ``dim`` with ``n`` units that all see what its first unit sees; it is no place any more."""
    f = field.offset(dim)
    spans = []
    for span in field.spans:
        virtual, real = span.virtual.take([0], axis=1 + f), span.real.take([0], axis=1 + f)
        spans.append(span.replace(f, virtual, real, 0))
    return Field(_put(field.dims, dim, (Factor(n),)), tuple(spans))


def _full(span: Span, kind: str, *factors: tuple[int, int]) -> np.ndarray:
    """The array of a span with an entry for each unit of the given (factor, size)."""
    for f, n in factors:
        if kind == "virtual":
            virtual = span.virtual_at(f, np.arange(n))
            span = span.replace(f, virtual, span.real, None)
        elif span.real.shape[1 + f] != n:
            real = np.repeat(span.real, n, axis=1 + f)
            span = span.replace(f, span.virtual, real, span.steps[f])
    return getattr(span, kind)


def _listed(field: Field, dim: int) -> Field:
    """With an entry for each unit along ``dim``, which has one factor, and no regular order."""
    f, (factor,) = field.offset(dim), field.dims[dim]
    spans = tuple(
        span.replace(f, _full(span, "virtual", (f, factor.n)), _full(span, "real", (f, factor.n)), None)
        for span in field.spans
    )
    return Field(field.dims, spans)


def _same_along(parts: Sequence[Field], dim: int) -> bool:
    """Whether all parts see the same, all along ``dim``."""
    f = parts[0].offset(dim)
    ones = [_constant(part, dim, 1) for part in parts]
    return not any(span.varies(f) for part in parts for span in part.spans) and all(
        same_fields(one, ones[0]) for one in ones
    )


def _reduce_factor(field: Field, f: int, mixes_one: bool) -> Field:
    """One unit along factor ``f`` that sees what all its units see."""
    factor = field.factors[f]
    spans = []
    for span in field.spans:
        real = span.real.min(axis=1 + f, keepdims=True)
        if factor.place and (factor.n > 1 or mixes_one) and span.varies(f) and not _is_inner(field, span, f):
            virtual = np.full_like(span.virtual.take([0], axis=1 + f), WHOLE)
        else:
            virtual = span.virtual_at(f, np.arange(factor.n)).min(axis=1 + f, keepdims=True)
        spans.append(span.replace(f, virtual, real, 0))
    return _with_factor(field, f, (CONSTANT,), tuple(spans))


def _is_inner(field: Field, span: Span, f: int) -> bool:
    """Whether factor ``f`` holds the places within a block, and another the blocks (after a reshape)."""
    jumps = [
        _jump(span, other) or 0 for other, factor in enumerate(field.factors) if factor.place and other != f
    ]
    jump = _jump(span, f)
    return jump is not None and abs(jump) < max(map(abs, jumps), default=0)


def _with_factor(field: Field, f: int, new: tuple[Factor, ...], spans: tuple[Span, ...]) -> Field:
    """The field with other factors in place of factor ``f``, in the same dimension."""
    dims, start = [], 0
    for dim in field.dims:
        at = f - start
        dims.append((*dim[:at], *new, *dim[at + 1 :]) if 0 <= at < len(dim) else dim)
        start += len(dim)
    return Field(tuple(dims), spans)


def _insert_factor(field: Field, f: int) -> Field:
    """With a factor of size 1 in front of factor ``f``; it joins some dimension, which reshape sorts out."""
    flat = Field(tuple((factor,) for factor in field.factors), field.spans)
    return insert(flat, f)


def _split(field: Field, f: int, outer: int) -> Field:
    """Factor ``f`` as ``outer`` times the rest."""
    factor = field.factors[f]
    inner = factor.n // outer
    spans = []
    for span in field.spans:
        virtual, real, step = span.virtual, span.real, span.steps[f]
        period = virtual.shape[1 + f]
        if step is None:
            new_steps: tuple[int | None, ...] = (None, None)
            shape = (outer, inner)
        elif inner % period == 0:
            new_steps, shape = (step * (inner // period), step), (1, period)
        else:  # the inner part holds a piece of the period: its units have no regular order
            joint = math.lcm(period, inner)
            virtual = span.virtual_at(f, np.arange(joint))
            new_steps, shape = (step * (joint // period), None), (joint // inner, inner)
        virtual = virtual.reshape(*virtual.shape[: 1 + f], *shape, *virtual.shape[2 + f :])
        sizes = (1, 1) if real.shape[1 + f] == 1 else (outer, inner)
        real = real.reshape(*real.shape[: 1 + f], *sizes, *real.shape[2 + f :])
        spans.append(span.replace(f, virtual, real, *new_steps))
    new = (Factor(outer, factor.place), Factor(inner, factor.place))
    return _with_factor(field, f, new, tuple(spans))


def _flattened(field: Field) -> Field:
    """All units in one dimension without regular order."""
    return joined(Field((field.factors,), field.spans), 0)


def _coalesced(field: Field) -> Field:
    """With those neighbouring factors of a dimension as one that together have a regular order."""
    for dim in range(field.ndim):
        part = 0
        while part + 1 < len(field.dims[dim]):
            f = field.offset(dim) + part
            outer, inner = field.dims[dim][part : part + 2]
            if outer.place == inner.place and all(_continues(span, f, inner.n) for span in field.spans):
                virtual = [span.virtual.squeeze(1 + f) for span in field.spans]
                steps = [span.steps[f + 1] for span in field.spans]
            elif _interleaves(field, dim, part):
                virtual, steps = [], []
                for span in field.spans:  # the period gets longer by the number of units in between
                    array = span.virtual
                    if span.varies(f) or span.varies(f + 1):
                        array = _full(span, "virtual", (f + 1, inner.n))
                    virtual.append(array.reshape(*array.shape[: 1 + f], -1, *array.shape[3 + f :]))
                    steps.append(span.steps[f])
            else:
                part += 1
                continue
            spans = []
            for span, array, step in zip(field.spans, virtual, steps, strict=True):
                real = span.real
                if real.shape[1 + f] * real.shape[2 + f] > 1:
                    real = _full(span, "real", (f, outer.n), (f + 1, inner.n))
                real = real.reshape(*real.shape[: 1 + f], -1, *real.shape[3 + f :])
                spans.append(Span(array, real, (*span.steps[:f], step, *span.steps[f + 2 :])))
            factors = field.dims[dim]
            joint = Factor(outer.n * inner.n, outer.place)
            field = Field(_put(field.dims, dim, (*factors[:part], joint, *factors[part + 2 :])), tuple(spans))
    return field


def _interleaves(field: Field, dim: int, part: int) -> bool:
    """Whether former channels lie between the places of a dimension, as after a pixel shuffle."""
    factors = field.dims[dim]
    if [factor.place for factor in factors].count(True) != 1 or not factors[part].place:
        return False
    f = field.offset(dim) + part
    return factors[part].n > 1 and all(span.steps[f] is not None for span in field.spans)


def _continues(span: Span, f: int, inner: int) -> bool:
    """Whether factor f + 1, of size ``inner``, goes on regularly from one unit of factor f to the next."""
    outer_step, step, period = span.steps[f], span.steps[f + 1], span.virtual.shape[2 + f]
    if span.virtual.shape[1 + f] > 1 or outer_step is None or step is None or inner % period:
        return False
    return outer_step == step * (inner // period)


# --- helpers: several fields together


def _align(
    fields: Sequence[Field], skip: int | None = None
) -> tuple[tuple[tuple[Factor, ...], ...], list[list[Span]]]:
    """Common dimensions, and for each axis the spans of all fields with common periods and steps.

    Dimensions of size 1 stand for any size. Dimension ``skip`` may differ in size; it has one factor.
    """
    ndim = max(field.ndim for field in fields)
    padded = []
    for field in fields:
        while field.ndim < ndim:
            field = insert(field, 0)
        padded.append(field)
    for dim in range(ndim):
        if dim != skip:
            padded = _same_factors(padded, dim)
    dims = []
    for dim in range(ndim):
        longest = max((field.dims[dim] for field in padded), key=lambda dim: math.prod(f.n for f in dim))
        columns = zip(*(field.dims[dim] for field in padded), strict=True)
        dims.append(
            tuple(
                Factor(factor.n, any(other.place for other in column))
                for factor, column in zip(longest, columns, strict=True)
            )
        )
    common = Field(tuple(dims), padded[0].spans)
    skipped = None if skip is None else common.offset(skip)
    spans = []
    for axis in range(len(fields[0].spans)):
        parts = [field.spans[axis] for field in padded]
        for f, factor in enumerate(common.factors):
            if f != skipped:
                present = [field.factors[f].n == factor.n for field in padded]
                parts = _same_steps(parts, f, factor.n, present)
        spans.append(parts)
    return tuple(dims), spans


def _same_factors(fields: list[Field], dim: int) -> list[Field]:
    """The fields with the same sizes of factors along ``dim``; only those that are 1 all over may differ."""
    size = max(field.shape[dim] for field in fields)
    sizes = {
        tuple(factor.n for factor in field.dims[dim]) for field in fields if field.shape[dim] == size
    }
    if size == 1 or len(sizes) > 1:
        fields, pattern = [joined(field, dim) for field in fields], (size,)
    else:
        (pattern,) = sizes
    result = []
    for field in fields:
        if field.shape[dim] != size:  # one unit for all: as many factors of size 1
            field = joined(field, dim)
            for _ in pattern[1:]:
                f = field.offset(dim)
                flat = insert(field, dim)
                merged = (*flat.dims[dim], *flat.dims[dim + 1])
                field = Field((*flat.dims[:dim], merged, *flat.dims[dim + 2 :]), flat.spans)
        result.append(field)
    return result


def _same_steps(parts: list[Span], f: int, n: int, present: list[bool]) -> list[Span]:
    """The spans with the same period and step along factor ``f`` of size ``n``.

    Those that are not ``present`` have a single unit there, which stands for all. Where the whole input is
    seen, it does not matter how the units move on.
    """
    deciding = [i for i, part in enumerate(parts) if present[i] and not part.whole]
    deciding = deciding or [i for i in range(len(parts)) if present[i]][:1]
    if n == 1:
        deciding = [i for i in deciding if parts[i].steps[f] != 0] or deciding
    jumps = {_jump(parts[i], f) for i in deciding}
    if n > 1 and len(jumps - {None}) > 1:
        moves = " and ".join(str(jump) for jump in sorted(jumps - {None}))
        raise MisalignedPaths(
            f"paths meet that move on by {moves} input pixels from one unit to the next, so that their units do "
            "not belong together; look at their strides, or choose an input size that the strides divide"
        )
    fixed = any(not present[i] and not part.whole for i, part in enumerate(parts))
    if len(jumps) > 1 or None in jumps or (fixed and jumps != {0}):
        period, step = n, None
    else:
        (jump,) = jumps
        period = math.lcm(*(parts[i].virtual.shape[1 + f] for i in deciding))
        step = int(jump * period)
    result = []
    for i, part in enumerate(parts):
        virtual = part.virtual
        if i not in deciding:
            virtual = virtual.take([0], axis=1 + f)
        elif virtual.shape[1 + f] != period or part.steps[f] != step:
            virtual = part.virtual_at(f, np.arange(period))
        result.append(part.replace(f, virtual, part.real, step))
    return result


def _jump(span: Span, f: int) -> Fraction | None:
    step = span.steps[f]
    return None if step is None else Fraction(step, span.virtual.shape[1 + f])


# --- what a field tells


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
    along each dimension of the map: those that hold places, or after global pooling those behind the channels.

    Raises ``ValueError`` unless there is such a unit.
    """
    dims = [i for i, dim in enumerate(field.dims) if any(factor.place for factor in dim)]
    axes = len(field.spans)
    if len(dims) < axes and field.ndim == 2 + axes:
        dims = list(range(2, field.ndim))
    sizes = [field.shape[dim] for dim in dims]
    if len(unit) != len(dims) or not all(0 <= u < n for u, n in zip(unit, sizes, strict=True)):
        raise ValueError(f"there is no unit {tuple(unit)} in a map of {'×'.join(map(str, sizes)) or 'no'} units")
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
