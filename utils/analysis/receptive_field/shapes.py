"""Operations on fields that move units to other dimensions: reshaping, permuting, broadcasting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from utils.analysis.receptive_field.fields import (
    CONSTANT,
    KINDS,
    Factor,
    Field,
    Span,
    constant_along,
    full,
    is_within,
    put_dim,
    with_factor,
)


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
    return constant_along(joined(field, dim), dim, n)


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
    folded = is_within(field, dim)
    while len(field.dims[dim]) > 1:
        f = field.offset(dim)
        outer, inner = field.dims[dim][:2]
        if outer.n == 1 or inner.n == 1:
            gone = f if outer.n == 1 and (inner.n > 1 or inner.place) else f + 1
            spans = tuple(
                span.replace(gone, span.virtual.take(0, axis=1 + gone), span.real.take(0, axis=1 + gone))
                for span in field.spans
            )
            field = with_factor(field, gone, (), spans)
            continue
        spans = []
        for span in field.spans:
            virtual, real, step = span.virtual, span.real, 0
            if span.varies(f) or span.varies(f + 1):
                virtual, real = (full(span, kind, (f, outer.n), (f + 1, inner.n)) for kind in KINDS)
                step = None
            arrays = (a.reshape(*a.shape[: 1 + f], -1, *a.shape[3 + f :]) for a in (virtual, real))
            spans.append(Span(*arrays, (*span.steps[:f], step, *span.steps[f + 2 :])))
        places = [part for part in (outer, inner) if part.place]
        inside = folded or (bool(places) and all(part.inner for part in places))
        factor = Factor(outer.n * inner.n, bool(places), bool(places) and inside)
        field = Field(put_dim(field.dims, dim, (factor, *field.dims[dim][2:])), tuple(spans))
    return field


# --- factors


def _insert_factor(field: Field, f: int) -> Field:
    """With a factor of size 1 in front of factor ``f``; it joins some dimension, which reshape sorts out."""
    flat = Field(tuple((factor,) for factor in field.factors), field.spans)
    return insert(flat, f)


def _flattened(field: Field) -> Field:
    """All units in one dimension without regular order."""
    return joined(Field((field.factors,), field.spans), 0)


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
    place = factor.place
    if inner > 1 and all(_same_along(span, f + 1, inner) for span in spans):  # channels again, such as heads
        place = False
        spans = [
            span.replace(f + 1, span.virtual.take([0], axis=2 + f), span.real.take([0], axis=2 + f), 0)
            for span in spans
        ]
    new = (Factor(outer, factor.place, factor.inner), Factor(inner, place, place))
    return with_factor(field, f, new, tuple(spans))


def _same_along(span: Span, f: int, n: int) -> bool:
    """Whether all n units along a factor see the same."""
    if not span.varies(f):
        return True
    arrays = (span.virtual_at(f, np.arange(n)), span.real)
    return all((array == array.take([0], axis=1 + f)).all() for array in arrays)


def _coalesced(field: Field) -> Field:
    """With those neighboring factors of a dimension as one that together have a regular order."""
    for dim in range(field.ndim):
        part = 0
        while part + 1 < len(field.dims[dim]):
            f = field.offset(dim) + part
            outer, inner = field.dims[dim][part : part + 2]
            if outer.place == inner.place and all(_continues(span, f, inner.n) for span in field.spans):
                virtual = [span.virtual.squeeze(1 + f) for span in field.spans]
                steps = [span.steps[f + 1] for span in field.spans]
            elif _interleaves(field, dim, part) or _in_blocks(field, f):
                virtual, steps = [], []
                for span in field.spans:  # the period gets longer by the number of units in between
                    array = span.virtual
                    if span.varies(f) or span.varies(f + 1):
                        array = full(span, "virtual", (f + 1, inner.n))
                    virtual.append(array.reshape(*array.shape[: 1 + f], -1, *array.shape[3 + f :]))
                    steps.append(span.steps[f])
            else:
                part += 1
                continue
            spans = []
            for span, array, step in zip(field.spans, virtual, steps, strict=True):
                real = span.real
                if real.shape[1 + f] * real.shape[2 + f] > 1:
                    real = full(span, "real", (f, outer.n), (f + 1, inner.n))
                real = real.reshape(*real.shape[: 1 + f], -1, *real.shape[3 + f :])
                spans.append(Span(array, real, (*span.steps[:f], step, *span.steps[f + 2 :])))
            factors = field.dims[dim]
            joint = Factor(outer.n * inner.n, outer.place, outer.inner)
            field = Field(
                put_dim(field.dims, dim, (*factors[:part], joint, *factors[part + 2 :])), tuple(spans)
            )
    return field


def _interleaves(field: Field, dim: int, part: int) -> bool:
    """Whether former channels lie between the places of a dimension, as after a pixel shuffle."""
    factors = field.dims[dim]
    if [factor.place for factor in factors].count(True) != 1 or not factors[part].place:
        return False
    f = field.offset(dim) + part
    # a single place, flattened with its channels, is no place any more
    return factors[part].n > 1 and all(span.steps[f] is not None for span in field.spans)


def _in_blocks(field: Field, f: int) -> bool:
    """Whether blocks (factor f) follow each other regularly, and only the places in a block have no order."""
    regular = all(span.virtual.shape[1 + f] == 1 and span.steps[f] is not None for span in field.spans)
    if not (regular and field.factors[f].place and field.factors[f + 1].place):
        return False
    listed = [span.steps[f] != 0 and span.steps[f + 1] is None for span in field.spans]
    inner = field.factors[f + 1].n
    return any(listed) and all(
        is_listed or _continues(span, f, inner) for is_listed, span in zip(listed, field.spans, strict=True)
    )


def _continues(span: Span, f: int, inner: int) -> bool:
    """Whether factor f + 1, of size ``inner``, goes on regularly from one unit of factor f to the next."""
    outer_step, step, period = span.steps[f], span.steps[f + 1], span.virtual.shape[2 + f]
    if span.virtual.shape[1 + f] > 1 or outer_step is None or step is None or inner % period:
        return False
    return outer_step == step * (inner // period)
