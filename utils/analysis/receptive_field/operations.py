"""Operations on fields that change what a unit sees: taking other units, and the union of several."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate

import numpy as np

from utils.analysis.receptive_field.fields import (
    CONSTANT,
    WHOLE,
    Factor,
    Field,
    MisalignedPaths,
    Span,
    constant_along,
    jump_of,
    keep_only,
    listed,
    pace,
    put_dim,
    same_fields,
    with_factor,
)
from utils.analysis.receptive_field.shapes import expand_dim, insert, joined

# output places [n] -> the input places that each of them takes [n, taps], and which of those count (None:
# all)
Taps = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]

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
            virtual, step = keep_only(np.repeat(virtual, n, axis=1 + f), 1 + f, something), None
        if real.shape[1 + f] > 1:
            taken = span.real_at(f, factor.n, sources.reshape(-1))
            real = _union(taken, 1 + f, places.shape, counts)
        elif not something.all():
            real = keep_only(np.repeat(real, n, axis=1 + f), 1 + f, something)
        spans.append(span.replace(f, virtual, real, step))
    return Field(put_dim(field.dims, dim, (Factor(n, factor.place, factor.inner),)), tuple(spans))


def window(
    field: Field, dim: int, n: int, kernel: int, stride: int, padding: int, dilation: int = 1, **options
) -> Field:
    """A sliding window along ``dim``: convolution or pooling. ``padding`` counts in front."""
    offsets = np.arange(kernel) * dilation - padding
    return resample(field, dim, n, lambda o: (o[:, None] * stride + offsets, None), stride, **options)


def transposed_window(
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


def _union(taken: np.ndarray, axis: int, shape: tuple[int, int], counts: np.ndarray | None) -> np.ndarray:
    """From [.., outputs·taps, ..] to [.., outputs, ..]."""
    if counts is not None:
        taken = keep_only(taken, axis, counts.reshape(-1))
    return taken.reshape(*taken.shape[:axis], *shape, *taken.shape[axis + 1 :]).min(axis=axis + 1)


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
                resample(
                    listed(field, dim), dim, total, lambda o, start=start: (o[:, None] - start, None), None
                )
                for field, start in zip(known, starts, strict=True)
            ]
        )
    if _same_along(known, dim):
        return constant_along(known[0], dim, total)
    dims, aligned = _align([listed(field, dim) for field in known], skip=dim)
    f = sum(len(factors) for factors in dims[:dim])
    spans = []
    for parts in aligned:
        virtual = np.concatenate(_broadcast([part.virtual for part in parts], skip=1 + f), axis=1 + f)
        real = np.concatenate(_broadcast([part.real for part in parts], skip=1 + f), axis=1 + f)
        spans.append(Span(virtual, real, parts[0].steps))
    return Field(put_dim(dims, dim, (Factor(total),)), tuple(spans))


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
    """The same shape, but every unit sees what all units along ``dims`` see: a normalization over them."""
    return merge([field, reduce(field, dims, keepdim=True, mixes_one=False)])


def mix(field: Field, dim: int, n: int, groups: int = 1) -> Field:
    """``n`` new units along ``dim``, each of which sees all the old ones of its group."""
    dim = field.position(dim)
    old = field.shape[dim]
    if groups == 1:
        return expand_dim(reduce(field, [dim], keepdim=True, mixes_one=False), dim, n)
    field = joined(field, dim)
    f, (factor,) = field.offset(dim), field.dims[dim]
    if not any(span.varies(f) for span in field.spans):
        return constant_along(field, dim, n)
    if groups == old == n:
        return field
    field = listed(field, dim)
    spans = []
    for span in field.spans:
        arrays = []
        for array in (span.virtual, span.real):
            shape = array.shape
            grouped = array.reshape(*shape[: 1 + f], groups, shape[1 + f] // groups, *shape[2 + f :])
            arrays.append(np.repeat(grouped.min(axis=2 + f), n // groups, axis=1 + f))
        spans.append(span.replace(f, *arrays, None))
    return Field(put_dim(field.dims, dim, (Factor(n, factor.place, factor.inner),)), tuple(spans))


def _minimum(arrays: Sequence[np.ndarray]) -> np.ndarray:
    result = arrays[0]
    for array in arrays[1:]:
        result = np.minimum(result, array)
    return result


def _broadcast(arrays: Sequence[np.ndarray], skip: int) -> list[np.ndarray]:
    """All of one shape, but for axis ``skip``."""
    shape = list(np.broadcast_shapes(*(np.delete(array.shape, skip) for array in arrays)))
    return [np.broadcast_to(array, [*shape[:skip], array.shape[skip], *shape[skip:]]) for array in arrays]


def _same_along(parts: Sequence[Field], dim: int) -> bool:
    """Whether all parts see the same, all along ``dim``."""
    f = parts[0].offset(dim)
    ones = [constant_along(part, dim, 1) for part in parts]
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
    return with_factor(field, f, (CONSTANT,), tuple(spans))


def _is_inner(field: Field, span: Span, f: int) -> bool:
    """Whether factor ``f`` holds the places within a block, and another the blocks (after a reshape)."""
    others = [
        pace(span, other, factor.n)
        for other, factor in enumerate(field.factors)
        if factor.place and other != f
    ]
    return field.factors[f].inner or pace(span, f, field.factors[f].n) < max(others, default=0)


# --- several fields with the same factors, periods and steps


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
                Factor(
                    factor.n,
                    any(other.place for other in column),
                    any(other.place for other in column)
                    and all(other.inner for other in column if other.place and other.n == factor.n),
                )
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
    sizes = {tuple(factor.n for factor in field.dims[dim]) for field in fields if field.shape[dim] == size}
    if size == 1 or len(sizes) > 1:
        fields, pattern = [joined(field, dim) for field in fields], (size,)
    else:
        (pattern,) = sizes
    result = []
    for field in fields:
        if field.shape[dim] != size:  # one unit for all: as many factors of size 1
            field = joined(field, dim)
            for _ in pattern[1:]:
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
    jumps = {jump_of(parts[i], f) for i in deciding}
    if n > 1 and len(jumps - {None}) > 1:
        moves = " and ".join(str(jump) for jump in sorted(jumps - {None}))
        raise MisalignedPaths(
            f"paths meet that move on by {moves} input pixels from one unit to the next, so that their units "
            "do not belong together; look at their strides, or choose an input size that the strides divide",
            sorted(jumps - {None}),
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
