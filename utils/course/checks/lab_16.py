"""Checks of the exercises of lab 16, vision transformers."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    expect_close,
    expect_shape,
    fail,
    hint_for,
    parts_of,
    passed,
)


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "attend": (attend, _attend),
            "patchify": (patchify, _patchify),
            "offset_head": (offset_head, _offset_head),
            "attention_distance": (attention_distance, _distance),
            "resize_positions": (resize_positions, _resized),
        },
    )


def attend(function: Callable) -> None:
    """``function(q, k, v, heads)`` is multi-head attention, steady for large scores."""
    generator = torch.Generator().manual_seed(15)
    for B, N, D, heads in ((2, 5, 8, 2), (1, 3, 6, 1), (3, 4, 4, 4), (2, 6, 6, 3), (2, 4, 4, 2)):
        q, k, v = (torch.randn(B, N, D, generator=generator) for _ in range(3))
        got = call(function, q, k, v, heads)
        look_at = "softmax(q kᵀ / √d) v for each head, then the heads side by side again."
        look_at = hint_for(got, _attend_slips(q, k, v, heads), look_at)
        what = f"attend for {B} images, {N} tokens, {D} features, {heads} heads"
        expect_close(got, _attend(q, k, v, heads), what=what, look_at=look_at)
    q, k, v = (scale * torch.randn(1, 6, 8, generator=generator) for scale in (40, 40, 1))
    look_at = "the exponential: take the largest score out of each row first; torch.softmax does."
    got = call(function, q, k, v, 2)
    expect_close(
        got, _attend(q, k, v, 2), what="attend for scores in the thousands", look_at=look_at, atol=1e-4
    )
    passed("attend", "five sizes with 1 to 4 heads, and scores in the thousands")


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    return _merged(*(_split(x, heads) for x in (q, k, v)))


def _merged(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """[B, heads, N, d] each -> [B, N, D]."""
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _attend_slips(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Slips:
    D, (a, b, c) = q.shape[-1], (_split(x, heads) for x in (q, k, v))
    scores, d = a @ b.transpose(-2, -1), D // heads

    def merge(weights: Tensor) -> Tensor:
        return (weights @ c).transpose(1, 2).flatten(2)

    weights = torch.softmax(scores / d**0.5, dim=-1)
    if heads > 1:
        yield (
            "the root: of the features of one head, d, not of all, D.",
            merge(torch.softmax(scores / D**0.5, dim=-1)),
        )
        yield "the heads: they have to be split, this is one head.", _attend(q, k, v, 1)
        yield (
            "the end: bring the heads back with transpose(1, 2) before they are flattened.",
            (weights @ c).reshape(q.shape),
        )
        wrong = (x.reshape(x.shape[0], heads, x.shape[1], -1) for x in (q, k, v))
        yield (
            "the split: unflatten the features first, then transpose; "
            "a reshape to [B, heads, N, d] mixes tokens.",
            _merged(*wrong),
        )
        wrong = (x.unflatten(-1, (-1, heads)).permute(0, 3, 1, 2) for x in (q, k, v))
        yield (
            "the split: the features of a head stand side by side, (heads, d) and not (d, heads).",
            _merged(*wrong),
        )
    if d > 1:
        yield "the root: the scores have to be divided by √d.", merge(torch.softmax(scores, dim=-1))
        yield "the root: the scores are divided by √d, not by d.", merge(torch.softmax(scores / d, dim=-1))
    yield (
        "the softmax: over the keys, the last dimension; here it runs over the queries.",
        merge(torch.softmax(scores / d**0.5, dim=-2)),
    )
    yield "the weights: softmax is missing.", merge(scores / d**0.5)
    yield (
        "queries and keys: they have changed places.",
        merge(torch.softmax(scores.transpose(-2, -1) / d**0.5, dim=-1)),
    )


def patchify(function: Callable) -> None:
    """``function(images, p)`` cuts images into patches, a row each, as a convolution of stride p does."""
    generator = torch.Generator().manual_seed(15)
    sizes = ((2, 3, 8, 8, 4), (1, 1, 4, 6, 2), (3, 2, 6, 3, 3), (2, 3, 4, 4, 1), (2, 4, 16, 16, 4))
    for B, C, H, W, p in sizes:
        images = torch.randn(B, C, H, W, generator=generator)
        got = call(function, images, p)
        look_at = "split H and W by reshape, then the order B, row, column, C, p, p by permute."
        look_at = hint_for(got, _patch_slips(images, p), look_at)
        expect_close(
            got,
            _patchify(images, p),
            what=f"patchify for images {[B, C, H, W]}, p = {p}",
            look_at=look_at,
        )
    passed("patchify", f"{len(sizes)} sizes: a convolution of stride p reads the same rows")


def _patchify(images: Tensor, p: int) -> Tensor:
    return F.unfold(images, p, stride=p).transpose(1, 2)


def _patch_slips(images: Tensor, p: int) -> Slips:
    B, C, H, W = images.shape
    blocks = images.reshape(B, C, H // p, p, W // p, p)
    yield "the order: a reshape alone never moves a number.", images.reshape(B, -1, C * p * p)
    yield (
        "the order inside a patch: channel, row, column; here the channel comes last.",
        blocks.permute(0, 2, 4, 3, 5, 1).reshape(B, -1, C * p * p),
    )
    yield (
        "the order of the patches: reading order, row by row; here column by column.",
        blocks.permute(0, 4, 2, 1, 3, 5).reshape(B, -1, C * p * p),
    )
    yield (
        "the order inside a patch: rows before columns.",
        blocks.permute(0, 2, 4, 1, 5, 3).reshape(B, -1, C * p * p),
    )
    yield (
        "the shape: [B, N, C·p·p], the two last dimensions have changed places.",
        F.unfold(images, p, stride=p),
    )
    if H % (H // p) == 0 and W % (W // p) == 0:
        spread = images.reshape(B, C, p, H // p, p, W // p)
        yield (
            "the split: H is (H/p, p), the patches before the rows inside them.",
            spread.permute(0, 3, 5, 1, 2, 4).reshape(B, -1, C * p * p),
        )


def offset_head(function: Callable) -> None:
    """``function(places, offset, alpha)`` gives queries and keys of a head with weights at one offset."""
    generator = torch.Generator().manual_seed(16)
    grid = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0))
    cases = [
        (grid, (0, 1), 30.0),
        (grid, (-1, 0), 2.0),
        (grid, (0, 0), 0.5),
        (torch.cartesian_prod(torch.arange(2.0), torch.arange(5.0)), (1, -1), 1.0),
        (3 * torch.rand(7, 2, generator=generator), (1, -2), 0.3),
    ]
    for places, offset, alpha in cases:
        places = places.double()
        what = f"offset_head of {len(places)} places for the offset {offset}, alpha = {alpha}"
        got = call(function, places, offset, alpha)
        queries, keys = parts_of(got, ("queries", "keys"), what, of="tensors")
        for name, one in (("queries", queries), ("keys", keys)):
            if not isinstance(one, Tensor) or one.ndim != 2 or len(one) != len(places):
                expect_shape(
                    one, (len(places), 3), what=f"{what}, {name}", look_at="a row of numbers for each place."
                )
        if queries.shape != keys.shape:
            fail(
                what,
                "queries and keys of one length",
                f"{queries.shape[1]} and {keys.shape[1]}",
                "their dot product: both have e numbers.",
            )
        weights = _weights_of(queries.double(), keys.double())
        hint = "the score of place j: −α times the squared distance of p_j from p_i + Δ, up to a constant."
        hint = hint_for(weights, _offset_slips(places, offset, alpha, queries.shape[1]), hint)
        expect_close(
            weights,
            torch.softmax(-alpha * _squares(places, offset), dim=-1),
            what=f"{what}, weights",
            look_at=hint,
        )
    passed("offset_head", f"{len(cases)} heads: the weights of attention are those of the formula")


def _weights_of(queries: Tensor, keys: Tensor) -> Tensor:
    return torch.softmax(queries @ keys.T / queries.shape[1] ** 0.5, dim=-1)


def _squares(places: Tensor, offset: tuple[int, int]) -> Tensor:
    """[N, N]: squared distance of the place of a key from that of a query + ``offset``."""
    aim = places + torch.tensor(offset, dtype=places.dtype)
    return (aim[:, None] - places[None]).square().sum(dim=-1)


def _offset_head(places: Tensor, offset: tuple[int, int], alpha: float) -> tuple[Tensor, Tensor]:
    """All three terms of the square: α·2·(2p_j·a − |a|² − |p_j|²) over √4, with a = p_i + Δ."""
    aim = places + torch.tensor(offset, dtype=places.dtype)
    ones = torch.ones(len(places), 1, dtype=places.dtype)
    queries = torch.cat([2 * aim, -aim.square().sum(dim=1, keepdim=True), -ones], dim=1)
    keys = torch.cat([places, ones, places.square().sum(dim=1, keepdim=True)], dim=1)
    return 2 * alpha * queries, keys


def _offset_slips(places: Tensor, offset: tuple[int, int], alpha: float, e: int) -> Slips:
    squares = _squares(places, offset)
    root = e**0.5
    yield (
        "the root: attention divides the scores by √e, so the queries have to be multiplied by it.",
        torch.softmax(-alpha * squares / root, dim=-1),
    )
    yield (
        "the root: the queries have to be multiplied by √e, the number of entries of a query, not by e.",
        torch.softmax(-alpha * squares * root, dim=-1),
    )
    yield (
        "the sign of the offset: the query aims at p_i + Δ, not at p_i − Δ.",
        torch.softmax(-alpha * _squares(places, (-offset[0], -offset[1])), dim=-1),
    )
    yield "the offset: it is missing.", torch.softmax(-alpha * _squares(places, (0, 0)), dim=-1)
    yield "alpha: it is missing.", torch.softmax(-squares, dim=-1)
    yield "alpha: it is there twice, in queries and keys.", torch.softmax(-(alpha**2) * squares, dim=-1)
    yield (
        "the sign of the score: the nearest place must get the largest.",
        torch.softmax(alpha * squares, dim=-1),
    )
    aim = places + torch.tensor(offset, dtype=places.dtype)
    product = aim @ places.T
    yield (
        "the square of p_j: it is not the same for all j, so it may not be left out.",
        torch.softmax(2 * alpha * product, dim=-1),
    )
    norms = places.square().sum(dim=1)
    yield (
        "the factor 2 of the product p_j · (p_i + Δ).",
        torch.softmax(alpha * (product - norms), dim=-1),
    )
    yield (
        "queries and keys: they have changed places, the offset belongs to the queries.",
        torch.softmax(2 * alpha * (places @ places.T), dim=-1),
    )


def attention_distance(function: Callable) -> None:
    """``function(weights, side)`` is the mean distance between a patch and those it attends to."""
    generator = torch.Generator().manual_seed(17)
    cases: list[tuple[tuple[int, ...], int]] = [((), 3), ((3,), 4), ((2, 4), 2), ((2, 3, 2), 3)]
    for leading, side in cases:
        N = side**2
        weights = torch.softmax(2 * torch.randn(*leading, N, N, generator=generator), dim=-1)
        want = _distance(weights, side)
        got = call(function, weights, side)
        if isinstance(got, float) and not leading:
            got = torch.tensor(got)
        what = f"attention_distance for weights {[*weights.shape]}"
        hint = (
            "for each query the sum of weight times distance over the keys, then the mean over the queries."
        )
        hint = hint_for(got, _distance_slips(weights, side), hint)
        expect_close(got, want, what=what, look_at=hint)
    passed("attention_distance", f"{len(cases)} sizes, with and without heads and images in front")


def _grid(side: int) -> Tensor:
    return torch.tensor([[row, column] for row in range(side) for column in range(side)]).float()


def _distance(weights: Tensor, side: int) -> Tensor:
    between = torch.tensor(
        [[((a - b) ** 2).sum().sqrt().item() for b in _grid(side)] for a in _grid(side)], dtype=weights.dtype
    )
    return torch.einsum("...ij,ij->...", weights, between) / side**2


def _distance_slips(weights: Tensor, side: int) -> Slips:
    places = _grid(side)
    apart = places[:, None] - places[None]
    between = torch.cdist(places, places).to(weights.dtype)
    each = weights * between
    yield "the mean over the queries: this is the sum.", each.sum(dim=(-2, -1))
    yield "the sum over the keys: their weights add up to 1 already.", each.mean(dim=(-2, -1))
    yield (
        "the mean over the queries: it is missing, there is one number for each query.",
        each.sum(dim=-1),
    )
    yield "the mean over the queries: rows of the weights are queries, columns keys.", each.sum(dim=-2)
    yield (
        "the distance: its square root is missing.",
        (weights * apart.square().sum(dim=-1)).sum(dim=-1).mean(dim=-1),
    )
    yield (
        "the distance: that of a straight line, not rows plus columns.",
        (weights * apart.abs().sum(dim=-1)).sum(dim=-1).mean(dim=-1),
    )
    yield (
        "the distance: of two places in the image, not of two numbers in reading order.",
        (weights * (torch.arange(side**2)[:, None] - torch.arange(side**2)).abs()).sum(dim=-1).mean(dim=-1),
    )
    yield "the weights: all keys count alike here.", between.mean().expand(weights.shape[:-2])


def resize_positions(function: Callable) -> None:
    """``function(positions, side)`` gives position embeddings for an image of side × side patches."""
    generator = torch.Generator().manual_seed(18)
    cases = [(2, 4, 3), (4, 4, 5), (4, 6, 8), (8, 5, 4), (3, 7, 1)]
    for old, side, D in cases:
        positions = torch.randn(1, 1 + old**2, D, generator=generator)
        got = call(function, positions, side)
        what = f"resize_positions of {old}×{old} to {side}×{side} patches, D = {D}"
        hint = "the class token's vector as it is, then the others as D maps of S × S, enlarged."
        hint = hint_for(got, _resize_slips(positions, side), hint)
        expect_close(got, _resized(positions, side), what=what, look_at=hint)
    passed("resize_positions", f"{len(cases)} sizes, larger and smaller")


def _resized(positions: Tensor, side: int) -> Tensor:
    """Bilinear by a matrix for rows and columns: the share of each old place in each new one."""
    old = isqrt(positions.shape[1] - 1)
    at = ((torch.arange(side) + 0.5) * old / side - 0.5).clamp(0, old - 1)
    share = (1 - (at[:, None] - torch.arange(old)).abs()).clamp_min(0).to(positions.dtype)
    grid = positions[:, 1:].unflatten(1, (old, old))
    grid = torch.einsum("ir,jc,brcd->bijd", share, share, grid)
    return torch.cat([positions[:, :1], grid.flatten(1, 2)], dim=1)


def _resize_slips(positions: Tensor, side: int) -> Slips:
    first, rest = positions[:, :1], positions[:, 1:]
    old, D = isqrt(rest.shape[1]), rest.shape[2]

    def enlarged(maps: Tensor, **options) -> Tensor:
        return F.interpolate(maps, size=(side, side), **options).flatten(2).transpose(1, 2)

    maps = rest.transpose(1, 2).unflatten(2, (old, old))
    bilinear = {"mode": "bilinear", "align_corners": False}
    right = enlarged(maps, **bilinear)
    yield "the class token: it keeps its vector, in front of the others.", right
    yield "the class token: it stands in front of the others.", torch.cat([right, first], dim=1)
    yield (
        "the order: a reshape to [1, D, S, S] mixes features and places; transpose first.",
        torch.cat([first, enlarged(rest.reshape(1, D, old, old), **bilinear)], dim=1),
    )
    yield (
        "rows and columns: they have changed places.",
        torch.cat([first, enlarged(maps.transpose(2, 3), **bilinear)], dim=1),
    )
    yield "the mode: bilinear, not the nearest.", torch.cat([first, enlarged(maps)], dim=1)
    yield (
        "align_corners: False, as for patches, which have an area.",
        torch.cat([first, enlarged(maps, mode="bilinear", align_corners=True)], dim=1),
    )
    line = F.interpolate(rest.transpose(1, 2), size=side**2, mode="linear", align_corners=False)
    yield (
        "the grid: the patches lie in rows and columns, not on a line.",
        torch.cat([first, line.transpose(1, 2)], dim=1),
    )
