"""Lab 16's checks: right answers pass, each common slip fails with a message that names it, stubs fail."""

import math

import torch
from torch.nn import functional as F

from tests.course.exercise_checks import goes_on_without, proofs
from utils.course.checks import lab_16 as check
from utils.models.vit import Attention

NAMES = ["attend", "patchify", "offset_head", "attention_distance", "resize_positions"]


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q, k, v, heads, root=None, dim=-1):
    q, k, v = (heads_of(x, heads) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) / (root or q.shape[-1] ** 0.5)
    return (torch.softmax(scores, dim=dim) @ v).transpose(1, 2).flatten(2)


def unsteady(q, k, v, heads):
    """The exponential of the scores as they are."""
    q, k, v = (heads_of(x, heads) for x in (q, k, v))
    powers = torch.exp(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5)
    return (powers / powers.sum(-1, keepdim=True) @ v).transpose(1, 2).flatten(2)


def unmerged(q, k, v, heads):
    return F.scaled_dot_product_attention(*(heads_of(x, heads) for x in (q, k, v))).reshape(q.shape)


def split_by_reshape(q, k, v, heads):
    parts = (x.reshape(x.shape[0], heads, x.shape[1], -1) for x in (q, k, v))
    return F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)


def patchify(images, p, order=(0, 2, 4, 1, 3, 5)):
    B, C, H, W = images.shape
    return images.reshape(B, C, H // p, p, W // p, p).permute(order).reshape(B, -1, C * p * p)


def offset_head(places, offset, alpha, *, root=None, sign=1, two=2, square=1):
    aim = places + sign * torch.tensor(offset, dtype=places.dtype)
    ones = torch.ones(len(places), 1, dtype=places.dtype)
    queries = alpha * (math.sqrt(3) if root is None else root) * torch.cat([ones, aim], dim=1)
    keys = torch.cat([-square * places.square().sum(dim=1, keepdim=True), two * places], dim=1)
    return queries, keys


def by_angles(places, offset, alpha):
    """Another length of queries and keys: the place beside eight zeros."""
    queries, keys = offset_head(places, offset, alpha, root=math.sqrt(11))
    return F.pad(queries, (0, 8)), F.pad(keys, (0, 8))


def attention_distance(weights, side, between=None):
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side)).to(weights.dtype)
    between = torch.cdist(places, places) if between is None else between(places)
    return (weights * between).sum(dim=-1).mean(dim=-1)


def resize_positions(positions, side, **options):
    old = math.isqrt(positions.shape[1] - 1)
    maps = positions[:, 1:].transpose(1, 2).unflatten(2, (old, old))
    options = {"mode": "bilinear", "align_corners": False} | options
    maps = F.interpolate(maps, size=(side, side), **options)
    return torch.cat([positions[:, :1], maps.flatten(2).transpose(1, 2)], dim=1)


def mixed(positions, side):
    old, D = math.isqrt(positions.shape[1] - 1), positions.shape[2]
    maps = positions[:, 1:].reshape(1, D, old, old)
    maps = F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)
    return torch.cat([positions[:, :1], maps.flatten(2).transpose(1, 2)], dim=1)


WRONG = [
    ("attend", lambda q, k, v, h: attend(q, k, v, h, root=q.shape[-1] ** 0.5), "not of all, D"),
    ("attend", lambda q, k, v, h: attend(q, k, v, 1), "this is one head"),
    ("attend", unmerged, "bring the heads back"),
    ("attend", split_by_reshape, "mixes tokens"),
    ("attend", lambda q, k, v, h: attend(q, k, v, h, root=1.0), "have to be divided by √d"),
    ("attend", lambda q, k, v, h: attend(q, k, v, h, root=q.shape[-1] / h), "not by d"),
    ("attend", lambda q, k, v, h: attend(q, k, v, h, dim=-2), "runs over the queries"),
    ("attend", lambda q, k, v, h: attend(k, q, v, h), "changed places"),
    ("attend", unsteady, "take the largest score out"),
    ("attend", lambda q, k, v, h: 1.0, "a tensor of shape (2, 5, 8)"),
    (
        "patchify",
        lambda images, p: images.reshape(len(images), -1, images.shape[1] * p * p),
        "never moves a number",
    ),
    ("patchify", lambda images, p: patchify(images, p, (0, 2, 4, 3, 5, 1)), "the channel comes last"),
    ("patchify", lambda images, p: patchify(images, p, (0, 4, 2, 1, 3, 5)), "column by column"),
    ("patchify", lambda images, p: patchify(images, p, (0, 2, 4, 1, 5, 3)), "rows before columns"),
    ("patchify", lambda images, p: F.unfold(images, p, stride=p), "changed places"),
    ("patchify", lambda images, p: images.tolist(), "list of length 2"),
    ("offset_head", lambda *given: offset_head(*given, root=1.0), "multiplied by it"),
    ("offset_head", lambda *given: offset_head(*given, root=3.0), "not by e"),
    ("offset_head", lambda *given: offset_head(*given, sign=-1), "sign of the offset"),
    ("offset_head", lambda *given: offset_head(*given, sign=0), "the offset: it is missing"),
    ("offset_head", lambda p, o, a: offset_head(p, o, 1.0), "alpha: it is missing"),
    ("offset_head", lambda p, o, a: offset_head(p, o, a * a), "twice"),
    ("offset_head", lambda p, o, a: offset_head(p, o, -a), "must get the largest"),
    ("offset_head", lambda *given: offset_head(*given, square=0), "may not be left out"),
    ("offset_head", lambda *given: offset_head(*given, two=1), "factor 2"),
    ("offset_head", lambda *given: offset_head(*given)[::-1], "changed places"),
    ("offset_head", lambda *given: offset_head(*given)[0], "two tensors"),
    ("offset_head", lambda p, o, a: (offset_head(p, o, a)[0], p), "one length"),
    ("offset_head", lambda p, o, a: (p.T, p.T), "expected shape"),
    ("attention_distance", lambda w, s: attention_distance(w, s) + 1, "sum of weight times"),
    ("attention_distance", lambda w, s: attention_distance(w, s) * s**2, "this is the sum"),
    ("attention_distance", lambda w, s: attention_distance(w, s) / s**2, "add up to 1 already"),
    ("attention_distance", lambda w, s: attention_distance(w.transpose(-2, -1), s)[..., None], "shape"),
    (
        "attention_distance",
        lambda w, s: attention_distance(w, s, lambda p: torch.cdist(p, p).square()),
        "square root",
    ),
    (
        "attention_distance",
        lambda w, s: attention_distance(w, s, lambda p: torch.cdist(p, p, p=1)),
        "straight line",
    ),
    (
        "attention_distance",
        lambda w, s: attention_distance(torch.full_like(w, 1 / s**2), s),
        "count alike",
    ),
    ("attention_distance", lambda w, s: 1.0, "expected"),
    ("resize_positions", lambda p, s: resize_positions(p, s)[:, 1:], "keeps its vector"),
    (
        "resize_positions",
        lambda p, s: resize_positions(p, s).roll(-1, dims=1),
        "in front of the others",
    ),
    ("resize_positions", mixed, "mixes features and places"),
    (
        "resize_positions",
        lambda p, s: resize_positions(p, s, mode="nearest", align_corners=None),
        "not the nearest",
    ),
    ("resize_positions", lambda p, s: resize_positions(p, s, align_corners=True), "align_corners"),
    ("resize_positions", lambda p, s: p, "expected shape"),
]


(
    test_a_right_answer_passes_and_says_so,
    test_a_common_slip_is_named,
    test_the_stub_fails_and_is_called_unwritten,
) = proofs(check, {name: globals()[name] for name in NAMES}, WRONG)


test_the_page_goes_on_with_another_way_until_an_exercise_is_written = goes_on_without(
    check, {name: globals()[name] for name in NAMES}
)


def test_queries_and_keys_of_any_length_are_taken():
    check.offset_head(by_angles)


def test_a_head_with_equal_weights_has_the_mean_distance_of_all_pairs():
    weights = torch.full((5, 16, 16), 1 / 16)
    places = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0))
    mean = torch.cdist(places, places).mean()
    assert torch.allclose(attention_distance(weights, 4), mean.expand(5))
    assert torch.equal(attention_distance(torch.eye(16), 4), torch.tensor(0.0))


def test_the_expected_attention_is_that_of_the_library():
    torch.manual_seed(0)
    layer, x = Attention(12, heads=3), torch.randn(2, 5, 12)
    q, k, v = layer.query_key_value(x).chunk(3, dim=-1)
    assert torch.allclose(layer.out(attend(q, k, v, 3)), layer(x), atol=1e-6)
