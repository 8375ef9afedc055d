"""Accounts of random networks against the sum of a formula for each of their layers.

Random networks are tried by the dozen here; by the thousand, with those of ``test_receptive_field``, so:

    CNNLAB_EXAMPLES=2000 python -m pytest -n 0 tests/analysis -k random_networks --hypothesis-seed=1
"""

import math
import os

import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from utils.analysis.accounting import account

SIDE = 6  # of the map with which every network begins
sizes = st.integers(1, 5)
few = st.integers(1, 3)


def by_einsum(summed, macs):
    """The MACs of an einsum: torch computes a sum of one term element by element, which does not count."""
    return macs if summed > 1 else 0


class Layer(nn.Module):
    """Some computation on a map [1, C, H, W], the MACs it has by hand, and the weights it owns."""

    def __init__(self, text, function, macs, *parts, weights=()):
        super().__init__()
        self.text, self.function, self.macs = text, function, macs
        self.parts = nn.ModuleList(parts)
        self.weights = nn.ParameterList(nn.Parameter(torch.ones(shape)) for shape in weights)

    def extra_repr(self):
        return self.text

    def forward(self, x):
        return self.function(x, *self.parts, *self.weights)


class LooksAtValues(nn.Module):
    """Needs values, so that the whole network runs on the device of its weights."""

    macs = 0

    def forward(self, x):
        return x if x.sum().item() < math.inf else -x


# A step is a function of the channels, height and width before it: it returns a layer and those after it.


@st.composite
def convolutions(draw):
    groups, wide, kernel = draw(few), draw(few), draw(st.tuples(few, few))
    stride, dilation, bias = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.booleans())
    spelling = draw(st.sampled_from(["module", "function", "padding by name"]))

    def step(c, h, w):
        split = math.gcd(c, groups)
        out = split * wide
        shape = (out, c // split, *kernel)
        if spelling == "padding by name":
            conv = nn.Conv2d(c, out, kernel, padding="same", dilation=dilation, groups=split, bias=bias)
            return Layer(f"conv {shape}", lambda x, m: m(x), h * w * math.prod(shape), conv), (out, h, w)
        sides = [
            (n + 2 * (k - 1) * dilation - dilation * (k - 1) - 1) // stride + 1
            for n, k in zip((h, w), kernel, strict=True)
        ]
        padding = tuple((k - 1) * dilation for k in kernel)
        macs = math.prod(sides) * math.prod(shape)
        if spelling == "function":
            layer = Layer(
                f"conv {shape}",
                lambda x, weight: F.conv2d(
                    input=x, weight=weight, stride=stride, padding=padding, dilation=dilation, groups=split
                ),
                macs,
                weights=[shape],
            )
        else:
            conv = nn.Conv2d(c, out, kernel, stride, padding, dilation, split, bias)
            layer = Layer(f"conv {shape}", lambda x, m: m(x), macs, conv)
        return layer, (out, *sides)

    return step


@st.composite
def transposed_convolutions(draw):
    out, kernel, stride, bias = draw(few), draw(few), draw(st.integers(1, 2)), draw(st.booleans())

    def step(c, h, w):
        conv = nn.ConvTranspose2d(c, out, kernel, stride, bias=bias)
        sides = [(n - 1) * stride + kernel for n in (h, w)]
        return Layer("transposed", lambda x, m: m(x), c * h * w * out * kernel**2, conv), (out, *sides)

    return step


@st.composite
def deformable_convolutions(draw):
    out, kernel, masked = draw(few), draw(few), draw(st.booleans())

    def step(c, h, w):
        def run(x, offset, conv):
            places = offset(x)
            return conv(x, places, places[:, : kernel**2].sigmoid() if masked else None)

        ends = h - kernel + 1, w - kernel + 1
        if min(ends) < 1:
            return None
        offset = nn.Conv2d(c, 2 * kernel**2, kernel)
        macs = math.prod(ends) * c * kernel**2 * (2 * kernel**2 + out)
        conv = torchvision.ops.DeformConv2d(c, out, kernel)
        return Layer("deformable", run, macs, offset, conv), (out, *ends)

    return step


@st.composite
def linear_layers(draw):
    out, spelling = (
        draw(sizes),
        draw(st.sampled_from(["module", "function", "@", "einsum", "matmul by name"])),
    )

    def step(c, h, w):
        last = {
            "function": lambda x, weight: F.linear(input=x, weight=weight),
            "@": lambda x, weight: x @ weight.t(),
            "einsum": lambda x, weight: torch.einsum("bhwc,dc->bhwd", x, weight),
            "matmul by name": lambda x, weight: torch.matmul(input=x, other=weight.mT),
        }
        if spelling == "module":
            layer = Layer(
                "linear", lambda x, m: m(x.movedim(1, 3)).movedim(3, 1), h * w * c * out, nn.Linear(c, out)
            )
        else:
            layer = Layer(
                f"linear by {spelling}",
                lambda x, weight: last[spelling](x.movedim(1, 3), weight).movedim(3, 1),
                by_einsum(c, h * w * c * out) if spelling == "einsum" else h * w * c * out,
                weights=[(out, c)],
            )
        return layer, (out, h, w)

    return step


@st.composite
def vectors(draw):
    """A product with a vector, which leaves one channel or one place, added to the map."""
    spelling = draw(st.sampled_from(["@", "mv", "vector first", "einsum", "dot", "addmv", "pooling query"]))

    def step(c, h, w):
        run, macs, length = {
            "@": (lambda x, v: x + (x.movedim(1, 3) @ v)[:, None], c * h * w, c),
            "mv": (lambda x, v: x + torch.mv(x[0].flatten(1), v)[:, None, None], c * h * w, h * w),
            "vector first": (lambda x, v: x + (v @ x[0].flatten(1)).view(h, w), c * h * w, c),
            "einsum": (
                lambda x, v: x + torch.einsum("bchw,c->bhw", x, v)[:, None],
                by_einsum(c, c * h * w),
                c,
            ),
            "dot": (lambda x, v: x + torch.dot(x[0, 0].flatten(), v), h * w, h * w),
            "addmv": (
                lambda x, v: x + torch.addmv(x[0, :, 0, 0], x[0].flatten(1), v)[:, None, None],
                c * h * w,
                h * w,
            ),
            "pooling query": (
                lambda x, v: (
                    x + ((x.flatten(2).mT @ v).softmax(1)[:, None] @ x.flatten(2).mT).mT.unflatten(2, (1, 1))
                ),
                2 * c * h * w,
                c,
            ),
        }[spelling]
        return Layer(f"vector by {spelling}", run, macs, weights=[(length,)]), (c, h, w)

    return step


@st.composite
def bilinear_layers(draw):
    out, module = draw(few), draw(st.booleans())

    def step(c, h, w):
        macs = h * w * c * c * out
        if module:
            layer = Layer(
                "bilinear",
                lambda x, m: m(x.movedim(1, 3), x.movedim(1, 3).flip(1)).movedim(3, 1),
                macs,
                nn.Bilinear(c, c, out),
            )
        else:
            layer = Layer(
                "bilinear by function",
                lambda x, weight: F.bilinear(input1=x.movedim(1, 3), input2=x.movedim(1, 3), weight=weight)
                .movedim(3, 1),
                macs,
                weights=[(out, c, c)],
            )  # fmt: skip
        return layer, (out, h, w)

    return step


@st.composite
def recurrent_layers(draw):
    kind, gates = draw(st.sampled_from([(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)]))
    hidden, layers, both, bias = draw(few), draw(st.integers(1, 2)), draw(st.booleans()), draw(st.booleans())
    projected = draw(st.booleans()) and kind is nn.LSTM and hidden > 1

    def step(c, h, w):
        options = {"proj_size": hidden - 1} if projected else {}
        cell = kind(c, hidden, layers, batch_first=True, bidirectional=both, bias=bias, **options)
        directions, seen = 1 + both, hidden - 1 if projected else hidden
        macs, width = 0, c
        for _ in range(layers):
            macs += directions * h * w * gates * hidden * (width + seen)
            macs += directions * h * w * hidden * seen if projected else 0
            width = directions * seen
        return (
            Layer(
                f"{kind.__name__} of {layers}",
                lambda x, m: m(x.flatten(2).mT)[0].mT.unflatten(2, (h, w)),
                macs,
                cell,
            ),
            (width, h, w),
        )

    return step


@st.composite
def attentions(draw):
    """Attention within windows of p rows and q columns, without the projections or with them."""
    p, q = draw(few), draw(few)
    spelling = draw(st.sampled_from(["matmul", "fused", "bmm", "einsum", "module", "without a softmax"]))

    def step(c, h, w):
        def windows(x):
            x = F.pad(x.movedim(1, 3), (0, 0, 0, -w % q, 0, -h % p))
            x = x.unflatten(2, (-1, q)).unflatten(1, (-1, p)).transpose(2, 3)
            return x.reshape(-1, p * q, c), x.shape

        def run(x, *parts):
            tokens, shape = windows(x)
            if spelling == "module":
                tokens = parts[0](tokens, tokens, tokens, need_weights=False)[0]
            elif spelling == "fused":
                tokens = F.scaled_dot_product_attention(tokens, tokens, tokens)
            elif spelling == "bmm":
                tokens = torch.bmm(torch.bmm(tokens, mat2=tokens.mT).softmax(2), tokens)
            elif spelling == "einsum":
                scores = torch.einsum("nic,njc->nij", tokens, tokens)
                tokens = torch.einsum("nij,njc->nic", scores.softmax(-1), tokens)
            elif spelling == "matmul":
                tokens = (tokens @ tokens.transpose(1, 2)).softmax(-1).matmul(tokens)
            else:
                tokens = tokens @ (tokens.mT @ tokens)
            x = tokens.reshape(shape).transpose(2, 3).flatten(3, 4).flatten(1, 2)
            return x[:, :h, :w].movedim(3, 1)

        count, length = math.ceil(h / p) * math.ceil(w / q), p * q
        macs = count * 2 * length * (c * c if spelling == "without a softmax" else length * c)
        if spelling == "einsum":  # one product sums over the channels, the other over the places
            macs = count * length * length * (by_einsum(c, c) + by_einsum(length, c))
        parts = []
        if spelling == "module":
            macs += count * length * 4 * c * c
            parts = [nn.MultiheadAttention(c, 1, batch_first=True)]
        return Layer(f"attention by {spelling}", run, macs, *parts), (c, h, w)

    return step


@st.composite
def products(draw):
    """Products of the map with itself or with a matrix."""
    spelling = draw(st.sampled_from(["gram", "rows", "baddbmm", "addmm", "tensordot", "outer", "kron"]))

    def step(c, h, w):
        run, macs, weights, shape = {
            "gram": (lambda x: x @ x.mT, c * h * h * w, [], (c, h, h)),
            "rows": (lambda x, a: a @ x, 2 * c * h * w, [(2, h)], (c, 2, w)),
            "baddbmm": (
                lambda x: torch.baddbmm(x[0], x[0] @ x[0].mT, x[0])[None], 2 * c * h * h * w, [], (c, h, w)
            ),
            "addmm": (
                lambda x, a: torch.addmm(x.flatten(2)[0], a, x.flatten(2)[0]).view(1, c, h, w),
                c * c * h * w, [(c, c)], (c, h, w),
            ),
            "tensordot": (
                lambda x, a: torch.tensordot(x, a, dims=([1], [0])).movedim(3, 1),
                3 * c * h * w, [(c, 3)], (3, h, w),
            ),
            # element by element, which does not count
            "outer": (lambda x: x[:, :, :1] * x[:, :, :, :1], 0, [], (c, h, w)),
            "kron": (lambda x: x * x.flip(2) + x.cumsum(3), 0, [], (c, h, w)),
        }[spelling]  # fmt: skip
        return Layer(f"product: {spelling}", run, macs, weights=weights), shape

    return step


@st.composite
def moves(draw):
    """What costs nothing: places into channels and back, slices, also empty ones, pools, normalization."""
    spelling = draw(
        st.sampled_from(["unshuffle", "focus", "shuffle", "empty", "pool", "norm", "scaled", "upsampled"])
    )

    def step(c, h, w):
        even, small = (slice(None), slice(None), slice(h // 2 * 2), slice(w // 2 * 2)), (h // 2, w // 2)
        if (min(small) < 1 and spelling in ("unshuffle", "focus", "pool")) or (
            c % 4 and spelling == "shuffle"
        ):
            return None
        run, parts, shape = {
            "unshuffle": (lambda x: F.pixel_unshuffle(x[even], 2), [], (4 * c, *small)),
            "focus": (
                lambda x: torch.cat([x[even][..., i::2, j::2] for i in (0, 1) for j in (0, 1)], 1),
                [], (4 * c, *small),
            ),
            "shuffle": (lambda x, m: m(x), [nn.PixelShuffle(2)], (c // 4, 2 * h, 2 * w)),
            "empty": (lambda x: torch.cat([x[:, :, :0], x, x[:, :, h:]], 2), [], (c, h, w)),
            "pool": (lambda x: F.avg_pool2d(input=x, kernel_size=2), [], (c, *small)),
            "norm": (lambda x, m: m(x), [nn.Sequential(nn.GroupNorm(1, c), nn.PReLU(c))], (c, h, w)),
            "scaled": (lambda x, m: m(x).relu(), [nn.BatchNorm2d(c)], (c, h, w)),
            "upsampled": (lambda x: F.interpolate(input=x, size=(h + 1, w)), [], (c, h + 1, w)),
        }[spelling]  # fmt: skip
        return Layer(spelling, run, 0, *parts), shape

    return step


steps = st.one_of(
    convolutions(),
    transposed_convolutions(),
    deformable_convolutions(),
    linear_layers(),
    vectors(),
    bilinear_layers(),
    recurrent_layers(),
    attentions(),
    products(),
    moves(),
)


@settings(max_examples=int(os.environ.get("CNNLAB_EXAMPLES", "50")), deadline=None)
@given(st.integers(1, 4), st.lists(steps, min_size=1, max_size=6), st.booleans())
def test_random_networks_cost_what_their_formulas_say(channels, chosen, needs_values):
    layers, shape = [LooksAtValues()] if needs_values else [], (channels, SIDE, SIDE)
    for step in chosen:
        made = step(*shape)
        if made is not None and math.prod(made[1]) < 3000:
            layers.append(made[0])
            shape = made[1]
    net = nn.Sequential(*layers)
    table = account(net, (channels, SIDE, SIDE))
    assert table.total_macs == sum(layer.macs for layer in layers) and table.not_counted == ()
    assert table.total_params == sum(parameter.numel() for parameter in net.parameters())
    for name, layer in net.named_children():
        assert not layer.macs or table.subtotal(name).macs == layer.macs, f"layer {name}: {layer.text}"
    output = net.eval()(torch.zeros(1, channels, SIDE, SIDE))
    assert output.shape[1:] == shape
