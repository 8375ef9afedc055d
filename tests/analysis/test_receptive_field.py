"""Receptive fields against the support of gradients, against published figures, and by hand.

Random networks are tried by the dozen here; by the thousand, with those of ``test_random_accounts``, so:

    CNNLAB_EXAMPLES=2000 python -m pytest -n 0 tests/analysis -k random_networks --hypothesis-seed=1
"""

import math
import os
from fractions import Fraction

import pytest
import torch
import torchvision
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from utils.analysis.receptive_field import effective_receptive_field, field_rule, receptive_field
from utils.analysis.receptive_field.extent import measure
from utils.analysis.receptive_field.fields import input_field
from utils.analysis.receptive_field.shapes import reshape
from utils.models import build_model

# --- an independent answer: where the gradient of a unit is not zero


class SmoothPool(nn.Module):
    """Averages over the windows of a maximum pooling, whose gradient would only reach the largest input."""

    def __init__(self, pool):
        super().__init__()
        names = ("kernel_size", "stride", "padding", "ceil_mode")
        self.options = {name: getattr(pool, name) for name in names}

    def forward(self, x):
        return F.avg_pool2d(x, **self.options)


def smooth(model):
    """The same network with nothing in it that cuts gradients off."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU | nn.ReLU6 | nn.Hardswish | nn.Hardsigmoid):
                setattr(module, name, nn.Softplus())
            elif isinstance(child, nn.MaxPool2d):
                setattr(module, name, SmoothPool(child))
    return model.double().eval()


def support(output, x, unit):
    """First and last row and column of x [1, C, H, W] on which the unit of output [1, C', H', W'] depends."""
    seen = output[(0, slice(None), *unit)]
    # with different weights for the channels: their plain sum is constant after a layer normalization
    weights = torch.linspace(1, 2, len(seen), dtype=seen.dtype)
    (gradient,) = torch.autograd.grad((seen * weights).sum(), x, retain_graph=True, allow_unused=True)
    reached = gradient[0].abs().sum(0) > 0
    if not reached.any():
        return ((math.inf, -math.inf),) * 2
    rows, columns = reached.any(1).nonzero().flatten(), reached.any(0).nonzero().flatten()
    return tuple((int(places[0]), int(places[-1])) for places in (rows, columns))


def some_units(shape):
    """The corners of a map and its middle."""
    height, width = shape[-2:]
    return {(0, 0), (height // 2, width // 2), (height - 1, width - 1), (0, width - 1)}


def outputs_of(model, x, names):
    kept = {}
    handles = [
        model.get_submodule(name).register_forward_hook(
            lambda module, args, output, name=name: kept.__setitem__(name, output)
        )
        for name in names
    ]
    model(x)
    for handle in handles:
        handle.remove()
    return kept


TORCHVISION = {
    "alexnet": (96, ["features.0", "features.2", "features.5", "features.10", "features.12"]),
    "vgg11_bn": (48, ["features.0", "features.7", "features.14", "features.18"]),
    "resnet18": (96, ["maxpool", "layer1.0", "layer1", "layer2.0", "layer3.0.conv1", "layer4"]),
    "resnet50": (64, ["layer1.0", "layer2.0", "layer2.1.bn3"]),
    "googlenet": (96, ["conv3", "maxpool2", "inception3a", "inception3b", "inception4a"]),
    "inception_v3": (91, ["Conv2d_2b_3x3", "Mixed_5b", "Mixed_6a", "Mixed_6b", "Mixed_7a"]),
    "mobilenet_v2": (64, ["features.1", "features.3", "features.5", "features.9"]),
    "densenet121": (
        64,
        ["features.pool0", "features.denseblock1", "features.transition1.pool", "features.transition2"],
    ),
    "squeezenet1_1": (75, ["features.2", "features.4", "features.6", "features.9"]),
    "shufflenet_v2_x0_5": (64, ["maxpool", "stage2.0", "stage2.1", "stage2", "stage3.0"]),
    "efficientnet_b0": (48, ["features.0", "features.1.0.block.0", "features.1", "features.3"]),
    "convnext_tiny": (64, ["features.0", "features.1.0", "features.1", "features.2", "features.3.0"]),
    "regnet_x_400mf": (
        64,
        ["trunk_output.block1", "trunk_output.block2.block2-0", "trunk_output.block3.block3-0"],
    ),
}


def torchvision_model(name):
    """With few weights in the fully connected layers, which nothing looks at here."""
    if name in ("alexnet", "vgg11_bn"):
        with torch.device("meta"):
            model = getattr(torchvision.models, name)()
        model.classifier = nn.Identity()
        model.to_empty(device="cpu")
        for layer in model.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        return model
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return getattr(torchvision.models, name)(**options)


@pytest.mark.parametrize("name", TORCHVISION)
def test_regions_are_the_support_of_gradients_on_torchvision_models(name, monkeypatch):
    size, layers = TORCHVISION[name]
    model = torchvision_model(name)
    fields = receptive_field(model, (3, size, size))
    monkeypatch.setattr(F, "relu", lambda x, inplace=False: F.softplus(x))
    monkeypatch.setattr(
        F,
        "max_pool2d",
        lambda x, kernel_size, stride, padding=0: F.avg_pool2d(x, kernel_size, stride, padding),
    )
    x = torch.randn(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    outputs = outputs_of(smooth(model), x, layers)
    for layer in layers:
        row, output = fields[layer], outputs[layer]
        if row.output_size != tuple(output.shape[1:]):
            output = output.permute(0, 3, 1, 2)
        for unit in some_units(output.shape):
            assert row.region(*unit) == support(output, x, unit), f"{layer}, unit {unit}"


# --- random networks


class Residual(nn.Module):
    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return x + self.branch(x)


class Concatenation(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class Coupling(nn.Module):
    """Half of the channels pass a layer; with ``swap`` the halves change places."""

    def __init__(self, layer, swap):
        super().__init__()
        self.layer, self.swap = layer, swap

    def forward(self, x):
        a, b = x.chunk(2, dim=1)
        return torch.cat([b, self.layer(a)] if self.swap else [self.layer(a), b], 1)


class Function(nn.Module):
    def __init__(self, name, function, stride=(1, 1)):
        super().__init__()
        self.name, self.function, self.stride = name, function, stride

    def extra_repr(self):
        return self.name

    def forward(self, x):
        return self.function(x)


def block_means(x):
    """Means of two rows, by way of the shape."""
    return x[:, :, : x.shape[2] // 2 * 2].unflatten(2, (-1, 2)).mean(dim=3)


def unshuffle_by_view(x, p=2, q=2):
    b, c, h, w = x.shape
    x = x.view(b, c, h // p, p, w // q, q).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(b, c * p * q, h // p, w // q)


def unshuffle_as_einops(x, p=2, q=2):
    """What rearrange(x, "b c (h p) (w q) -> b (p q c) h w") does."""
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // p, p, w // q, q).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(b, p * q * c, h // p, w // q)


def unshuffle_channels_last(x, p=2, q=2):
    """As the merging of patches in a transformer: "b (h p) (w q) c -> b h w (p q c)"."""
    b, c, h, w = x.shape
    x = x.permute(0, 2, 3, 1).reshape(b, h // p, p, w // q, q, c)
    return x.transpose(2, 3).reshape(b, h // p, w // q, p * q * c).permute(0, 3, 1, 2)


def unshuffle_in_two_steps(x, p=2, q=2):
    b, c, h, w = x.shape
    x = x.unflatten(3, (w // q, q)).movedim(4, 2).flatten(1, 2)
    return x.unflatten(2, (h // p, p)).transpose(2, 3).reshape(b, c, q * p, h // p, w // q).flatten(1, 2)


def unshuffle_by_einsum(x, p=2, q=2):
    x = x.unflatten(3, (-1, q)).unflatten(2, (-1, p))
    return torch.einsum("bchpwq->bqcphw", x).flatten(1, 3)


def merge_patches(x, p=2, q=2):
    """Slices of a map with its channels last, as a Swin transformer merges patches."""
    x = x.permute(0, 2, 3, 1)
    parts = [x[:, i::p, j::q, :] for j in range(q) for i in range(p)]
    return torch.cat(parts, -1).permute(0, 3, 1, 2).contiguous()


def places_in(p, q):
    return [(i, j) for i in range(p) for j in range(q)]


UNSHUFFLES = {
    "module": nn.PixelUnshuffle(2),
    "view and permute": unshuffle_by_view,
    "einops": unshuffle_as_einops,
    "channels last": unshuffle_channels_last,
    "slices": lambda x, p=2, q=2: torch.cat([x[:, :, i::p, j::q] for i, j in places_in(p, q)], 1),
    "stacked slices": lambda x, p=2, q=2: torch.stack(
        [x[..., i::p, j::q] for i, j in reversed(places_in(p, q))], 2
    ).flatten(1, 2),
    "rows, then columns": lambda x, p=2, q=2: torch.cat(
        [y[..., j::q] for y in [torch.cat([x[:, :, i::p] for i in range(p)], dim=1)] for j in range(q)], dim=1
    ),
    "two steps": unshuffle_in_two_steps,
    "einsum": unshuffle_by_einsum,
    "patches merged": merge_patches,
    "beside another path": lambda x: torch.cat([F.pixel_unshuffle(x, 2), F.avg_pool2d(x, 2)], 1),
}
ANY_BLOCK = sorted(set(UNSHUFFLES) - {"module", "beside another path"})


class SpaceToDepth(nn.Module):
    """Blocks as channels, in some spelling, and a layer on them."""

    def __init__(self, spelling, then, block=(2, 2)):
        super().__init__()
        self.spelling, self.then, self.stride = spelling, then, block

    def extra_repr(self):
        return f"{self.spelling}, {self.stride}"

    def forward(self, x):
        p, q = self.stride
        whole = x[:, :, : x.shape[2] // p * p, : x.shape[3] // q * q]
        unshuffle = UNSHUFFLES[self.spelling]
        return self.then(unshuffle(whole, p, q) if self.spelling in ANY_BLOCK else unshuffle(whole))


def attend_by_matmul(q, k, v):
    return F.softmax(q @ k.transpose(-2, -1), dim=-1) @ v


def attend_by_einsum(q, k, v):
    weights = torch.einsum("bhid,bhjd->bhij", q, k).softmax(-1)
    return torch.einsum("b h i j, ... j d -> bhid", weights, v) if len(q) == 1 else weights.matmul(v)


def attend_by_bmm(q, k, v):
    q3, k3, v3 = (t.flatten(0, 1) for t in (q, k, v))
    return torch.bmm(torch.bmm(q3, k3.mT).softmax(2), mat2=v3).unflatten(0, q.shape[:2])


def attend_linearly(q, k, v):
    """Without a softmax, keys and values first."""
    return q @ (k.mT @ v)


def attend_by_module(q, k, v):
    def one_head(t):
        return t.transpose(1, 2).flatten(2)

    width = q.shape[1] * q.shape[3]
    eye = torch.eye(width, dtype=q.dtype)
    out, _ = F.multi_head_attention_forward(
        *(one_head(t).transpose(0, 1) for t in (q, k, v)), width, q.shape[1], eye.repeat(3, 1) * 0.5, None,
        None, None, False, 0.0, eye, None, training=False, need_weights=False,
    )  # fmt: skip
    return out.transpose(0, 1).unflatten(2, (q.shape[1], -1)).transpose(1, 2)


ATTENTIONS = {
    "matmul": attend_by_matmul,
    "einsum": attend_by_einsum,
    "bmm": attend_by_bmm,
    "linear": attend_linearly,
    "fused": F.scaled_dot_product_attention,
    "module": attend_by_module,
}


class WindowAttention(nn.Module):
    """Attention in windows of some rows and columns, with two heads, shifted as in a Swin transformer."""

    def __init__(self, spelling, window, shift):
        super().__init__()
        self.spelling, self.window, self.shift = spelling, window, shift
        self.qkv = nn.Linear(CHANNELS, 3 * CHANNELS)

    def extra_repr(self):
        return f"{self.spelling}, {self.window}, {self.shift}"

    def forward(self, x):
        (h, w), (m, n) = x.shape[2:], self.window
        x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, -w % n, 0, -h % m))
        if any(self.shift):
            x = x.roll((-self.shift[0], -self.shift[1]), dims=(1, 2))
        b, height, width, c = x.shape
        x = x.view(b, height // m, m, width // n, n, c).transpose(2, 3).reshape(-1, m * n, c)
        q, k, v = self.qkv(x).reshape(len(x), m * n, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        x = ATTENTIONS[self.spelling](q, k, v).transpose(1, 2).reshape(-1, m * n, c)
        x = x.view(b, height // m, width // n, m, n, c).transpose(2, 3).reshape(b, height, width, c)
        if any(self.shift):
            x = x.roll(self.shift, (1, 2))
        return x[:, :h, :w].permute(0, 3, 1, 2)


class Products(nn.Module):
    """Products of a map with another or with a matrix, each of which mixes rows or columns."""

    def __init__(self, spelling):
        super().__init__()
        self.spelling = spelling
        self.beside = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def extra_repr(self):
        return self.spelling

    def forward(self, x):
        x = x + 1  # a product with the zeros of padding has no gradient
        y = self.beside(x)
        h, w = x.shape[2:]
        rows = torch.linspace(1, 2, h * h, dtype=x.dtype).sin().view(h, h)
        columns = torch.linspace(1, 2, w * w, dtype=x.dtype).cos().view(w, w)
        return {
            "rows with rows": lambda: x @ y.transpose(2, 3),
            "columns with columns": lambda: torch.einsum("nchi,nchj->ncij", x, y),
            "channels": lambda: torch.einsum("nihw,njhw->nij", x, y).mean(2)[..., None, None] * x,
            "rows of a matrix": lambda: rows @ x,
            "columns of a matrix": lambda: torch.matmul(input=y, other=columns),
            "per place": lambda: (x.flatten(2).mT[:, :, None] @ y.flatten(2).mT[..., None])
            .flatten(2).mT.unflatten(2, (h, w)).expand(-1, CHANNELS, -1, -1),
            "with a vector": lambda: (x.permute(0, 2, 3, 1) @ columns.new_ones(CHANNELS))[:, None]
            .expand(-1, CHANNELS, -1, -1) + x,
            "broadcast": lambda: x[:, :1] @ y.mT @ y,
        }[self.spelling]()  # fmt: skip


PRODUCTS = [
    "rows with rows", "columns with columns", "channels", "rows of a matrix", "columns of a matrix",
    "per place", "with a vector", "broadcast",
]  # fmt: skip

CHANNELS = 4
odd = st.sampled_from([1, 3, 5])


def same_conv(kernel, dilation=1, channels=CHANNELS, groups=1):
    padding = tuple(dilation * (k - 1) // 2 for k in kernel)
    return nn.Conv2d(channels, channels, kernel, padding=padding, dilation=dilation, groups=groups)


same_convs = st.builds(same_conv, st.tuples(odd, odd), st.integers(1, 2), groups=st.sampled_from([1, 2, 4]))
half_convs = st.builds(same_conv, st.tuples(odd, odd), channels=st.just(CHANNELS // 2))


@st.composite
def strided(draw):
    """Convolutions and poolings of any kind."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))
    padding = draw(st.tuples(st.integers(0, kernel[0] // 2), st.integers(0, kernel[1] // 2)))
    kind = draw(st.sampled_from(["convolution", "pooling"]))
    if kind == "pooling":
        return nn.AvgPool2d(kernel, stride, padding, ceil_mode=draw(st.booleans()))
    dilation = draw(st.integers(1, 2))
    return nn.Conv2d(
        CHANNELS, CHANNELS, kernel, stride, padding, dilation, groups=draw(st.sampled_from([1, 2]))
    )


@st.composite
def slices(draw):
    first, step = draw(st.integers(0, 2)), draw(st.integers(1, 2))
    return Function(f"rows {first}::{step}", lambda x: x[:, :, first::step, ::step], (step, step))


@st.composite
def pads(draw):
    sides = draw(st.tuples(*[st.integers(-1, 2)] * 4))
    return Function(f"pad {sides}", lambda x: F.pad(x, sides))


@st.composite
def transposed(draw):
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, (k - 1) // 2)) for k in kernel)
    extra = tuple(draw(st.integers(0, s - 1)) for s in stride)
    return nn.ConvTranspose2d(CHANNELS, CHANNELS, kernel, stride, padding, extra)


def after_unshuffle(spelling, kernel, block=(2, 2)):
    channels = 5 * CHANNELS if spelling == "beside another path" else math.prod(block) * CHANNELS
    return SpaceToDepth(spelling, nn.Conv2d(channels, CHANNELS, kernel, padding=kernel // 2), block)


WEIGHT = torch.linspace(1, 2, CHANNELS * CHANNELS * 9, dtype=torch.float64).sin().view(4, 4, 3, 3)
# everything by name, the first argument too: what it does and its stride
NAMED = {
    "conv2d": (lambda x: F.conv2d(input=x, weight=WEIGHT, padding=1, stride=(2, 1)), (2, 1)),
    "avg_pool2d": (lambda x: F.avg_pool2d(input=x, kernel_size=(1, 2)), (1, 2)),
    "flatten": (lambda x: torch.flatten(input=x, start_dim=2).unflatten(2, x.shape[2:]), (1, 1)),
    "permute": (lambda x: torch.permute(input=x, dims=(0, 1, 3, 2)).transpose(2, 3), (1, 1)),
    "softmax": (lambda x: F.softmax(input=x, dim=1), (1, 1)),
    "chunk": (lambda x: torch.cat(tensors=torch.chunk(input=x, chunks=2, dim=3), dim=3), None),
    "pad": (lambda x: F.pad(input=x, pad=(1, 0, 2, 1)), (1, 1)),
    "narrow": (lambda x: torch.narrow(input=x, dim=2, start=1, length=x.shape[2] - 1), (1, 1)),
    "layer_norm": (
        lambda x: F.layer_norm(input=x.movedim(1, 3), normalized_shape=(CHANNELS,)).movedim(3, 1), (1, 1)
    ),
    "interpolate": (lambda x: F.interpolate(input=x, scale_factor=2), (Fraction(1, 2),) * 2),
    "linear": (lambda x: F.linear(input=x.mT, weight=x.new_ones(3, x.shape[2])).mT, None),
    "matmul": (lambda x: torch.matmul(input=x, other=x.new_ones(x.shape[3], 2)), None),
    "mean": (lambda x: x + torch.mean(input=x, dim=3, keepdim=True), None),
    "roll": (lambda x: torch.roll(input=x, shifts=1, dims=3), None),
}  # fmt: skip
EMPTY_SLICES = {
    "rows": lambda x: torch.cat([x[:, :, :0], x], 2),
    "channels": lambda x: torch.cat([x[:, CHANNELS:], x, x.narrow(1, 0, 0)], 1),
    "columns of a split": lambda x: torch.cat(x.split([0, x.shape[3]], 3), 3),
    "a sum of none": lambda x: x + x[:, :0].sum(1, keepdim=True),
    "of tokens": lambda x: torch.cat([x.flatten(2)[..., 1:1], x.flatten(2)], 2).unflatten(2, x.shape[2:]),
}


class PairOfLayers(nn.Module):
    """A bilinear layer on a map and what a convolution makes of it, place by place."""

    def __init__(self):
        super().__init__()
        self.beside, self.both = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.Bilinear(4, 4, 4)

    def forward(self, x):
        x = x + 1
        return self.both(x.movedim(1, 3), self.beside(x).movedim(1, 3)).movedim(3, 1)


windows = st.tuples(st.integers(1, 4), st.integers(1, 3))
window_attention = st.builds(
    lambda spelling, window, shifted: WindowAttention(
        spelling, window, tuple(n // 2 for n in window) if shifted else (0, 0)
    ),
    st.sampled_from(sorted(ATTENTIONS)),
    windows,
    st.booleans(),
)
blocks = st.tuples(st.integers(1, 3), st.integers(1, 3))
space_to_depth = st.one_of(
    st.builds(after_unshuffle, st.sampled_from(sorted(UNSHUFFLES)), odd),
    st.builds(after_unshuffle, st.sampled_from(ANY_BLOCK), odd, blocks),
)
named = {
    True: [Function(f"{name} by name", f, stride) for name, (f, stride) in NAMED.items() if stride],
    False: [Function(f"{name} by name", f) for name, (f, stride) in NAMED.items() if not stride],
}
empty_slices = [Function(f"empty: {name}", f) for name, f in EMPTY_SLICES.items()]
# as the last layer, so that the units themselves are asked for
last_layers = st.one_of(
    st.builds(lambda spelling: SpaceToDepth(spelling, nn.Identity()), st.sampled_from(sorted(UNSHUFFLES))),
    st.builds(
        lambda spelling, block: SpaceToDepth(spelling, nn.Identity(), block),
        st.sampled_from(ANY_BLOCK),
        blocks,
    ),
    st.builds(Products, st.sampled_from(PRODUCTS)),
)
shape_preserving = st.one_of(
    same_convs,
    st.builds(Residual, same_convs),
    st.builds(Coupling, half_convs, st.booleans()),
    st.builds(
        lambda a, b: nn.Sequential(Concatenation(a, b), nn.Conv2d(2 * CHANNELS, CHANNELS, 1)),
        same_convs,
        same_convs,
    ),
    st.just(nn.ChannelShuffle(2)),
    st.just(
        Function(
            "flatten and back",
            lambda x: x.transpose(2, 3).flatten(2).unflatten(2, x.shape[:1:-1]).transpose(2, 3),
        )
    ),
    st.just(
        Function("softmax over channels", lambda x: F.softmax(x.permute(0, 2, 3, 1), -1).permute(0, 3, 1, 2))
    ),
)
regular = st.one_of(
    shape_preserving,
    strided(),
    transposed(),
    slices(),
    pads(),
    st.just(Function("block means", block_means, (2, 1))),
    st.just(nn.Upsample(scale_factor=2)),
    st.just(nn.Upsample(scale_factor=2, mode="bilinear")),
    st.just(nn.Upsample(scale_factor=3, mode="bicubic")),
    st.just(nn.Sequential(nn.Conv2d(CHANNELS, 4 * CHANNELS, 3, padding=1), nn.PixelShuffle(2))),
    space_to_depth,
    st.sampled_from(named[True]),
    st.sampled_from(empty_slices),
)
irregular = st.one_of(
    st.builds(lambda size: nn.AdaptiveAvgPool2d(size), st.tuples(st.integers(1, 6), st.integers(1, 6))),
    st.builds(
        lambda size: nn.Upsample(size=size, mode="bilinear", align_corners=True),
        st.tuples(st.integers(2, 9), st.integers(2, 9)),
    ),
    st.just(nn.Upsample(scale_factor=1.5)),
    st.just(nn.GroupNorm(2, CHANNELS)),
    st.just(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, padding_mode="reflect")),
    st.just(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, padding_mode="circular")),
    window_attention,
    st.builds(Residual, window_attention),
    st.sampled_from(named[False]),
    st.builds(PairOfLayers),
)
EXAMPLES = int(os.environ.get("CNNLAB_EXAMPLES", "50"))


def output_of(net, size):
    x = torch.randn(1, CHANNELS, *size, dtype=torch.float64, requires_grad=True)
    return x, net.double().eval()(x)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.one_of(regular, irregular), min_size=0, max_size=5),
    st.one_of(regular, irregular, last_layers),
    st.tuples(st.integers(6, 13), st.integers(6, 13)),
)
def test_random_networks_see_what_their_gradients_reach(layers, last, size):
    net = nn.Sequential(*layers, last)
    try:
        x, output = output_of(net, size)
    except RuntimeError:
        assume(False)  # the map got too small for a kernel
    assume(0 < output.shape[2] * output.shape[3] < 2000)
    fields = receptive_field(net, (CHANNELS, *size))
    for unit in some_units(output.shape):
        seen = support(output, x, unit)
        if "(model)" in fields.modules:
            assert fields["(model)"].region(*unit) == seen, f"unit {unit}"
        else:  # somewhere the map had no units left
            assert seen == ((math.inf, -math.inf),) * 2


def rows_and_columns_in_twos(x):
    return x[:, :, ::2, ::2]


@pytest.mark.parametrize(
    ("layers", "size"),
    [
        # one column of blocks, so that all columns are in the channels
        ([nn.AvgPool2d(1, (1, 2)), SpaceToDepth("channels last", nn.Identity())], (6, 6)),
        (
            [
                nn.Upsample(scale_factor=2, mode="bilinear"),
                SpaceToDepth("beside another path", nn.Identity()),
            ],
            (6, 6),
        ),
        # a map of one column beside its channels, and windows and heads in one dimension
        (
            [
                Function("every second", rows_and_columns_in_twos),
                after_unshuffle("module", 1),
                Residual(WindowAttention("bmm", (1, 1), (0, 0))),
            ],
            (7, 6),
        ),
        ([nn.AvgPool2d((1, 7)), nn.Conv2d(4, 16, 1), nn.PixelShuffle(2)], (6, 7)),
        (
            [nn.AdaptiveAvgPool2d((2, 4)), SpaceToDepth("beside another path", nn.Identity())],
            (6, 6),
        ),
        # places in blocks that are as far from each other as the blocks
        (
            [
                nn.Upsample(scale_factor=4),
                nn.Conv2d(CHANNELS, CHANNELS, (1, 3), padding=(0, 1)),
                SpaceToDepth("channels last", nn.Identity()),
            ],
            (6, 6),
        ),
        (
            [
                WindowAttention("bmm", (1, 2), (0, 0)),
                nn.Upsample(scale_factor=1.5),
                SpaceToDepth("channels last", nn.Identity()),
            ],
            (6, 11),
        ),
        # one column of blocks, without blocks of rows beside it
        ([after_unshuffle("slices", 1), SpaceToDepth("channels last", nn.Identity(), (1, 2))], (6, 6)),
        # blocks of which all places see the same window
        (
            [
                after_unshuffle("beside another path", 1),
                WindowAttention("bmm", (2, 2), (0, 0)),
                SpaceToDepth("beside another path", nn.Identity()),
            ],
            (6, 6),
        ),
        (
            [
                after_unshuffle("beside another path", 1),
                WindowAttention("bmm", (2, 1), (0, 0)),
                SpaceToDepth("channels last", nn.Identity()),
            ],
            (8, 6),
        ),
    ],
)
def test_maps_in_which_little_tells_places_from_channels(layers, size):
    net = nn.Sequential(*layers)
    x, output = output_of(net, size)
    row = receptive_field(net, (CHANNELS, *size))["(model)"]
    for unit in some_units(output.shape):
        assert row.region(*unit) == support(output, x, unit)


def strides(layer):
    """Input units per output unit, downwards and to the right."""
    if isinstance(layer, nn.Sequential):  # the one with a pixel shuffle by 2
        return (Fraction(1, 2),) * 2 if isinstance(layer[-1], nn.PixelShuffle) else (Fraction(1),) * 2
    if isinstance(layer, nn.Upsample):
        return (Fraction(1, int(layer.scale_factor)),) * 2
    if isinstance(layer, nn.ConvTranspose2d):
        return tuple(Fraction(1, s) for s in layer.stride)
    return tuple(Fraction(s) for s in getattr(layer, "stride", (1, 1)))


@settings(max_examples=EXAMPLES * 3 // 5, deadline=None)
@given(st.lists(regular, min_size=1, max_size=4), st.tuples(st.integers(5, 9), st.integers(5, 9)))
def test_random_networks_unclipped_see_what_they_see_in_a_larger_input(layers, size):
    """Around the input lies a margin so wide that its end is out of reach, as many pixels as move all
    units."""
    net = nn.Sequential(*layers)
    jumps = [math.prod(column) for column in zip(*map(strides, layers), strict=True)]
    steps = [math.prod(max(1, s) for s in column) for column in zip(*map(strides, layers), strict=True)]
    margins = [int(step) * math.ceil(20 / step) for step in steps]
    try:
        assume(output_of(net, size)[1].numel())
    except RuntimeError:
        assume(False)
    row = receptive_field(net, (CHANNELS, *size))["(model)"]
    largest = row.size if isinstance(row.size, tuple) else (row.size,) * 2
    assume(max(largest) < 16)
    x, output = output_of(net, [n + 2 * margin for n, margin in zip(size, margins, strict=True)])
    regions = []
    for unit in some_units(row.output_size):
        moved = [int(u + margin / jump) for u, margin, jump in zip(unit, margins, jumps, strict=True)]
        seen = support(output, x, moved)
        expected = tuple((a - margin, b - margin) for (a, b), margin in zip(seen, margins, strict=True))
        assert row.region(*unit, clipped=False) == expected, f"unit {unit}"
        regions.append(expected)
    for axis, (size, jump) in enumerate(zip(largest, jumps, strict=True)):
        assert size >= max(0, *(high - low + 1 for low, high in (region[axis] for region in regions)))
        assert (row.jump if isinstance(row.jump, int | float) else row.jump[axis]) == pytest.approx(
            float(jump)
        )


# --- published and hand-computed figures


def on_meta(name, **options):
    """A model without weights, which are not needed."""
    with torch.device("meta"):
        return build_model(name, **options)


def sizes_of(name, input_size, *layers, ignore_gates=False, **options):
    fields = receptive_field(on_meta(name, **options), input_size, ignore_gates=ignore_gates)
    return [fields[layer].size for layer in layers]


IMAGENET, CIFAR = (3, 224, 224), (3, 32, 32)


def stages(prefix, *numbers):
    return [f"{prefix}{number}" for number in numbers]


PUBLISHED = [
    ("lenet-5", (1, 32, 32), ["c1", "s2", "c3", "s4", "c5"], [5, 6, 14, 16, 32]),
    (
        "alexnet",
        IMAGENET,
        stages("features.", "conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5"),
        [11, 19, 51, 67, 99, 131, 163, 195],
    ),
    (
        "vgg-a",
        IMAGENET,
        stages("features.conv", "1_1", "2_1", "3_1", "3_2", "4_1", "4_2", "5_1", "5_2"),
        [3, 8, 18, 26, 46, 62, 102, 134],
    ),
    ("vgg-a", IMAGENET, stages("features.pool", 1, 2, 3, 4, 5), [4, 10, 30, 70, 150]),
    (
        "vgg-d",
        IMAGENET,
        stages(
            "features.conv",
            "1_1",
            "1_2",
            "2_1",
            "2_2",
            "3_1",
            "3_2",
            "3_3",
            "4_1",
            "4_2",
            "4_3",
            "5_1",
            "5_2",
            "5_3",
        ),
        [3, 5, 10, 14, 24, 32, 40, 60, 76, 92, 132, 164, 196],
    ),
    ("vgg-d", IMAGENET, stages("features.pool", 1, 2, 3, 4, 5), [6, 16, 44, 100, 212]),
    ("resnet-18", IMAGENET, ["conv1", "maxpool", *stages("stage", 1, 2, 3, 4)], [7, 11, 43, 99, 211, 435]),
    ("resnet-34", IMAGENET, stages("stage", 1, 2, 3, 4), [59, 179, 547, 899]),
    ("resnet-50", IMAGENET, stages("stage", 1, 2, 3, 4), [35, 99, 291, 483]),
    ("resnet-101", IMAGENET, ["stage4"], [1027]),
    ("resnet-152", IMAGENET, ["stage4"], [1507]),
    (
        "googlenet",
        IMAGENET,
        ["stem.conv1", "stem.pool1", "stem.conv2", "stem.pool2", *stages("inception", "3a", "3b")],
        [7, 11, 19, 27, 59, 91],
    ),
    (
        "googlenet",
        IMAGENET,
        stages("inception", "4a", "4b", "4c", "4d", "4e", "5a", "5b"),
        [171, 235, 299, 363, 427, 587, 715],
    ),
    (
        "googlenet",
        IMAGENET,
        ["inception4a.branch1.conv", "inception5a.branch1.conv"],
        [107, 459],
    ),  # the pools
    (
        "factorised-cnn",
        CIFAR,
        stages("features.", "block1", "block2", "sub1", "block3", "block4", "sub2"),
        [5, 9, 11, 19, 27, 31],
    ),
    (
        "model-c",
        CIFAR,
        stages("features.", "conv1", "conv2", "pool1", "conv3", "conv4", "pool2", "conv5"),
        [3, 5, 7, 11, 15, 19, 27],
    ),
    ("strided-cnn-c", CIFAR, stages("features.conv", 1, 2, 3, 4, 5), [3, 5, 9, 13, 21]),
    (
        "convpool-cnn-c",
        CIFAR,
        stages("features.", "conv1", "conv2", "conv3", "pool1", "conv4", "conv5", "conv6", "pool2", "conv7"),
        [3, 5, 7, 9, 13, 17, 21, 25, 33],
    ),
    ("all-cnn-c", CIFAR, stages("features.conv", 1, 2, 3, 4, 5, 6, 7), [3, 5, 7, 11, 15, 19, 27]),
    ("mobilenet-v2-cifar", CIFAR, ["head"], [127]),
    ("resnet-18-cifar", CIFAR, ["stage4"], [109]),
    ("patchify-vgg", CIFAR, ["block3.pool"], [72]),
    ("cleanlab-cnn", CIFAR, stages("features.c", 1, 3, 6, 9), [3, 7, 20, 46]),
]


@pytest.mark.parametrize(
    ("name", "input_size", "layers", "sizes"), PUBLISHED, ids=[f"{row[0]}-{row[2][0]}" for row in PUBLISHED]
)
def test_the_figures_of_the_models(name, input_size, layers, sizes):
    assert sizes_of(name, input_size, *layers) == sizes


def test_a_fully_connected_layer_would_see_this_much_as_a_convolution():
    fields = receptive_field(on_meta("alexnet"), IMAGENET)
    pool = fields["features.pool5"]
    assert (pool.jump, pool.size + (6 - 1) * pool.jump) == (32, 355)
    pool = receptive_field(on_meta("vgg-d"), IMAGENET)["features.pool5"]
    assert pool.size + (7 - 1) * pool.jump == 404


def test_the_stride_in_the_middle_of_a_bottleneck_narrows_the_field():
    layers = stages("stage", 1, 2, 3, 4)
    assert sizes_of("resnet-50", IMAGENET, *layers, stride_in="3x3") == [35, 91, 267, 427]


def test_squeeze_and_excitation_sees_everything_unless_its_gates_are_ignored():
    layers = stages("stage", 1, 2, 3)
    assert sizes_of("se-residual", CIFAR, *layers) == [math.inf] * 3
    assert sizes_of("se-residual", CIFAR, *layers, ignore_gates=True) == [35, 97, 221]
    assert sizes_of("se-resnet-18-cifar", CIFAR, "stage4", ignore_gates=True) == [109]


def test_a_chain_by_hand():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2),  # centers 2, 4, 6 ...
        nn.MaxPool2d(2),  # between 2 and 4
        nn.Conv2d(8, 8, 3, padding=2, dilation=2),  # 4·(3 − 1)·2 more; padding takes the first one back to 3
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )
    fields = receptive_field(net, (3, 40, 40))
    numbers = [(row.name, row.output_size, row.size, row.jump, row.start, row.clipped) for row in fields[:4]]
    assert numbers[:3] == [
        ("0", (8, 18, 18), 5, 2, 2, 5),
        ("1", (8, 9, 9), 7, 4, 3, 7),
        ("2", (8, 9, 9), 23, 4, 3, 23),
    ]
    assert numbers[3][2] == math.inf and math.isnan(numbers[3][3]) and numbers[3][4:] == (19.5, 39)
    assert fields[-1].size == math.inf and fields[-1].clipped == 39  # the last column is never used
    assert fields["2"].region(0, 8) == ((0, 14), (24, 38))
    assert fields["2"].region(0, 8, clipped=False) == ((-8, 14), (24, 46))


def test_height_and_width_are_told_apart():
    row = receptive_field(nn.Conv2d(1, 1, (1, 5), stride=(2, 1), padding=(0, 2)), (1, 9, 9))[0]
    assert (row.size, row.jump, row.start) == ((1, 5), (2, 1), 0)


def test_one_and_three_dimensions():
    assert receptive_field(nn.Conv1d(1, 1, 4, stride=2), (1, 9))[0].size == 4
    assert receptive_field(nn.Conv3d(1, 1, (1, 2, 3)), (1, 5, 5, 5))[0].size == (1, 2, 3)


def test_a_transposed_convolution_has_units_that_see_more_than_others():
    row = receptive_field(nn.ConvTranspose2d(1, 1, 3, stride=2), (1, 4, 4))[0]
    assert (row.size, row.jump) == (2, 0.5)  # every second unit sees one pixel, the others two
    assert [row.region(i, 0)[0] for i in range(9)] == [
        (0, 0), (0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 3)
    ]  # fmt: skip


def test_branches_that_are_shifted_against_each_other_see_the_hull_of_both():
    class Shifted(nn.Module):
        def forward(self, x):
            return torch.cat([x[:, :, 3:], x[:, :, :-3]], dim=1)

    row = receptive_field(Shifted(), (1, 9, 9))[0]
    assert (row.size, row.start) == ((4, 1), (1.5, 0))


def test_normalization_by_the_statistics_of_the_map_sees_all_of_it():
    for norm, size in [
        (nn.BatchNorm2d(4), 3),
        (nn.BatchNorm2d(4, track_running_stats=False), math.inf),
        (nn.GroupNorm(2, 4), math.inf),
        (nn.InstanceNorm2d(4), math.inf),
        (nn.LayerNorm([4, 8, 8]), math.inf),
        (nn.LocalResponseNorm(3), 3),
    ]:
        assert receptive_field(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), norm), (4, 8, 8))[-1].size == size


def test_attention_sees_its_window_and_keeps_the_grid():
    with torch.device("meta"):
        net = torchvision.models.swin_t()
    fields = receptive_field(net, (3, 64, 64))
    assert fields["features.0"].size == 4 and fields["features.1.0"].size == 28
    assert fields["features.7"].size == math.inf  # where a single window is the whole map
    assert (fields["features.7"].jump, fields["features.7"].clipped) == (32, 64)


def test_swin_grows_as_its_gradients_do():
    net = torchvision.models.swin_t().double().eval()
    fields = receptive_field(net, (3, 224, 224))
    layers = ["features.1.0", "features.1.1", "features.2", "features.3.0", "features.3.1", "features.5.0"]
    # windows of 7 places, 4, 8 and 16 pixels apart; shifted ones take in the windows on both sides
    assert [fields[layer].size for layer in layers] == [28, 56, 84, 112, 168, 280]
    assert fields["features.1.0"].region(0, 0) == ((0, 27), (0, 27))
    x = torch.randn(1, 3, 224, 224, dtype=torch.float64, requires_grad=True)
    outputs = outputs_of(net, x, layers[:3])
    for layer, output in outputs.items():
        output = output.permute(0, 3, 1, 2)
        for unit in [(0, 0), (3, 5), (output.shape[2] // 2, output.shape[3] // 2)]:
            assert fields[layer].region(*unit) == support(output, x, unit), f"{layer}, unit {unit}"


@pytest.mark.parametrize("spelling", UNSHUFFLES)
def test_space_to_depth_has_blocks_as_units(spelling):
    net = nn.Sequential(SpaceToDepth(spelling, nn.Identity()), nn.LazyConv2d(8, 3, padding=1)).eval()
    net(torch.zeros(1, CHANNELS, 16, 16))
    fields = receptive_field(net, (CHANNELS, 16, 16))
    folded, conv = fields["0"], fields["1"]
    assert (folded.size, folded.jump, folded.start, folded.clipped) == (2, 2, 0.5, 2)
    assert folded.region(0, 0) == ((0, 1), (0, 1)) and folded.region(3, 7) == ((6, 7), (14, 15))
    assert (conv.size, conv.jump, conv.start) == (6, 2, 0.5)


def test_patches_as_tokens_are_units_too():
    def patches(x):
        """rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)")"""
        b, c, h, w = x.shape
        x = x.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1)
        return x.reshape(b, h * w // 16, 16 * c)

    for channels in (1, 3):
        row = receptive_field(Function("patches", patches), (channels, 8, 12))[0]
        assert (row.size, row.jump, row.start) == (4, 4, 1.5) and row.region(4) == ((4, 7), (4, 7))


def test_an_effective_field_of_space_to_depth():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.PixelUnshuffle(2))
    found = effective_receptive_field(net, "1", torch.randn(2, 1, 12, 12))
    assert found.theoretical_size == 4 and found.energy_inside == pytest.approx(1)
    assert found.center == (6.5, 6.5)


@pytest.mark.parametrize("spelling", PRODUCTS)
def test_products_of_maps(spelling):
    net = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), Products(spelling))
    x, output = output_of(net, (7, 9))
    row = receptive_field(net, (CHANNELS, 7, 9))["(model)"]
    for unit in some_units(output.shape):
        assert row.region(*unit) == support(output, x, unit)


@pytest.mark.parametrize("spelling", ATTENTIONS)
@pytest.mark.parametrize("shift", [(0, 0), (2, 1)])
def test_attention_in_windows(spelling, shift):
    net = WindowAttention(spelling, (4, 3), shift)
    x, output = output_of(net, (9, 13))
    row = receptive_field(net, (CHANNELS, 9, 13))["(model)"]
    assert (row.size, row.jump) == ((4, 3), 1)
    for unit in some_units(output.shape):
        assert row.region(*unit) == support(output, x, unit)


KEYWORDS = {
    "avg_pool2d": lambda x: F.avg_pool2d(input=x, kernel_size=2),
    "max_pool2d": lambda x: F.max_pool2d(input=x, kernel_size=3, stride=1),
    "conv2d": lambda x: F.conv2d(input=x, weight=torch.ones(1, 3, 3, 3), padding=1),
    "flatten": lambda x: torch.flatten(input=x, start_dim=2).unflatten(2, x.shape[2:]),
    "mean": lambda x: torch.mean(input=x, dim=1, keepdim=True),
    "permute": lambda x: torch.permute(input=x, dims=(0, 1, 3, 2)),
    "softmax": lambda x: F.softmax(input=x, dim=1),
    "matmul": lambda x: torch.matmul(input=x, other=x.new_ones(8, 8)),
    "chunk": lambda x: torch.chunk(input=x, chunks=2, dim=3)[1],
    "pad": lambda x: F.pad(input=x, pad=(1, 1)),
    "interpolate": lambda x: F.interpolate(input=x, scale_factor=2),
    "max": lambda x: torch.max(input=x, other=F.avg_pool2d(x, 3, 1, 1)),
    "roll": lambda x: torch.roll(input=x, shifts=1, dims=3),
    "narrow": lambda x: torch.narrow(input=x, dim=2, start=1, length=4),
    "unsqueeze": lambda x: torch.unsqueeze(input=x, dim=0).squeeze(0),
    "layer_norm": lambda x: F.layer_norm(input=x, normalized_shape=(8,)),
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_the_first_argument_may_be_a_keyword(name):
    net = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), Function(name, KEYWORDS[name])).double()
    row = receptive_field(net, (3, 8, 8))["(model)"]
    x = torch.randn(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    plain = {"max_pool2d": lambda x: F.avg_pool2d(x, 3, 1), "conv2d": lambda x: F.avg_pool2d(x, 3, 1, 1)}
    plain["max"] = lambda x: x + F.avg_pool2d(x, 3, 1, 1)
    output = plain.get(name, KEYWORDS[name])(net[0](x))
    for unit in some_units(output.shape):
        assert row.region(*unit) == support(output, x, unit)


def test_nothing_is_part_of_everything():
    for function in (
        lambda x: torch.cat([x[:, :, :0], x], 2),
        lambda x: torch.cat([x[:, 3:], x, x.narrow(1, 0, 0)], 1),
        lambda x: torch.cat(x.split([0, 8], 3), 3) + x[:, :0].sum(1, keepdim=True),
    ):
        row = receptive_field(
            nn.Sequential(nn.Conv2d(3, 3, 3), nn.ZeroPad2d(1), Function("", function)), (3, 8, 8)
        )[-1]
        assert (row.size, row.jump, row.start) == (3, 1, 0)


def test_aligned_corners_are_named_as_the_reason():
    def skip(x, corners=True):
        low = F.max_pool2d(x, 2)
        return x + F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=corners)

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.UpsamplingBilinear2d(scale_factor=4)

        def forward(self, x):
            return torch.cat([self.up(F.avg_pool2d(x, 4)), x], 1)

    for net in (Function("skip", skip), UNet()):
        with pytest.raises(
            ValueError, match="interpolation with align_corners=True .* only align_corners=False"
        ):
            receptive_field(net, (1, 16, 16))
    assert receptive_field(Function("skip", lambda x: skip(x, False)), (1, 16, 16))[0].jump == 1
    with pytest.raises(ValueError, match="that the strides divide"):  # not their fault
        receptive_field(Function("", lambda x: skip(x[:, :, ::2], False) + x[:, :, :8]), (1, 16, 16))


@torch.jit.script
def scripted_swish(x):
    return x * torch.sigmoid(x)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_scripted_functions_are_refused_and_compiled_parts_followed():
    with pytest.raises(ValueError, match=r"at 1 \(Function\): a function under torch.jit.script"):
        receptive_field(nn.Sequential(nn.Conv2d(1, 1, 3), Function("", scripted_swish)), (1, 8, 8))
    net = nn.Sequential(torch.compile(nn.Sequential(nn.Conv2d(1, 1, 3))), nn.Conv2d(1, 1, 3))
    assert [(row.name, row.size) for row in receptive_field(net, (1, 8, 8))] == [("0.0", 3), ("1", 5)]


def test_a_field_can_be_drawn_over_the_input():
    net = nn.Sequential(nn.Conv2d(1, 2, 5, stride=2, padding=2), nn.AdaptiveAvgPool2d(1))
    fields = receptive_field(net, (1, 12, 16))
    whole, seen, field = fields.plot("0", (0, 1)).axes[0].patches
    corners = [(p.get_x(), p.get_y(), p.get_width(), p.get_height()) for p in (whole, seen, field)]
    # unit (0, 1) has its center at row 0, column 2
    assert corners == [(-0.5, -0.5, 16, 12), (-0.5, -0.5, 5, 3), (-0.5, -2.5, 5, 5)]
    dots = fields.plot("0").axes[0].collections[0].get_offsets()
    assert len(dots) == 6 * 8 and tuple(dots[-1]) == (14, 10)
    assert len(fields.plot("1").axes[0].patches) == 2  # without a frame around what is endless
    strip = receptive_field(nn.Conv1d(1, 1, 3), (1, 9)).plot("(model)", [2]).axes[0]
    assert strip.patches[1].get_x() == 1.5 and strip.patches[1].get_width() == 3
    with pytest.raises(ValueError, match="no unit"):
        fields.plot("0", (6, 0))
    with pytest.raises(KeyError, match="no layer named 'conv'"):
        fields.plot("conv")
    with pytest.raises(ValueError, match="two dimensions at most"):
        receptive_field(nn.Conv3d(1, 1, 1), (1, 4, 4, 4)).plot("(model)")


def test_blocks_made_by_reshaping_are_a_pooling():
    class BlockMeans(nn.Module):
        def forward(self, x):
            b, c, h, w = x.shape
            return x.view(b, c, h // 4, 4, w // 2, 2).mean(dim=(3, 5))

    row = receptive_field(BlockMeans(), (3, 8, 8))[0]
    assert (row.size, row.jump, row.start) == ((4, 2), (4, 2), (1.5, 0.5))


def test_split_dimensions_can_be_put_together_again():
    field = input_field((3, 6, 8))
    apart = reshape(field, (1, 3, 2, 3, 8))
    flat = reshape(apart, (1, 3, 48))
    assert measure(reshape(flat, (1, 3, 6, 8))) == measure(field)
    assert reshape(reshape(flat, (1, 144)), (1, 3, 6, 8)).dims == field.dims


def test_a_module_used_twice_keeps_its_weights_and_has_two_rows():
    layer = nn.Conv2d(1, 1, 3, padding=1)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    weight = layer.weight
    assert [row.size for row in receptive_field(net, (1, 9, 9))] == [3, 3, 5]
    assert layer.weight is weight and weight.device.type == "cpu"


def test_nothing_is_left_behind():
    net = torchvision.models.squeezenet1_1().train()
    net.features[0].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    receptive_field(net, (3, 64, 64))
    assert net.training and not net.features[0].training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_traced_network_is_a_network():
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.Conv2d(1, 1, 3, stride=2))
    assert [row.size for row in receptive_field(torch.fx.symbolic_trace(net), (1, 9, 9))] == [3, 3, 5]


class Wrapped(nn.Module):
    """A convolution, and then some function of its input and output."""

    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, stride=2, padding=1)
        self.function = function

    def forward(self, x):
        return self.function(self.conv(x), x)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda y, x: y if y.sum() > 0 else x, "looks at values.*torch.where"),
        (lambda y, x: y * y.max().item(), "looks at values"),
        (lambda y, x: torch.fft.fft2(y), "no rule for fft_fft2: give it one with field_rule"),
        (lambda y, x: y + x[:, :, 2:6, 2:6], "move on by 1 and 2 input pixels"),
        (lambda y, x: y[:, 0].add_(F.max_pool2d(y, 3, 1, 1)[:, 1]) + y, "in place"),
        (lambda y, x: F.conv2d(y, y), "weights that are computed from the input"),
        (lambda y, x: y + torch.ones(3), "Wrapped failed on an input of 1×8×8, at Wrapped, in add"),
    ],
)
def test_what_cannot_be_followed_is_an_error_that_says_where(function, message):
    with pytest.raises(ValueError, match=message):
        receptive_field(Wrapped(function), (1, 8, 8))


def test_writing_into_a_part_is_an_error():
    def write(y, x):
        y[:, :1] = 0
        return y

    with pytest.raises(ValueError, match="torch.cat or F.pad"):
        receptive_field(Wrapped(write), (1, 8, 8))


def test_wrong_inputs_are_refused():
    with pytest.raises(ValueError, match=r"at 0 \(Conv2d\).*received \[1, 3, 8, 8\]"):
        receptive_field(nn.Sequential(nn.Conv2d(1, 1, 3)), (3, 8, 8))
    for size in [(3,), 32, (3, 0, 8), (3, 8.0, 8)]:
        with pytest.raises(ValueError, match="input_size must be"):
            receptive_field(nn.Conv2d(1, 1, 3), size)
    with pytest.raises(ValueError, match="leave out the 1 in front"):
        receptive_field(nn.Conv2d(3, 1, 3), (1, 3, 8, 8))
    with pytest.raises(KeyError, match="no layer named 'features.conv9'; did you mean 'features.conv"):
        receptive_field(on_meta("alexnet"), IMAGENET)["features.conv9"]
    with pytest.raises(ValueError, match="no unit"):
        receptive_field(nn.Conv2d(1, 1, 3), (1, 8, 8))[0].region(6, 0)


def test_a_rule_can_be_added_for_a_module():
    class Opaque(nn.Module):
        def forward(self, x):
            return torch.fft.ifft2(torch.fft.fft2(x)).real

    @field_rule(Opaque)
    def _(call, x):
        assert call.shape == x.shape
        return x

    net = nn.Sequential(nn.Conv2d(1, 1, 3), Opaque(), nn.Conv2d(1, 1, 3))
    assert [row.size for row in receptive_field(net, (1, 9, 9))] == [3, 3, 5]
    with pytest.raises(ValueError, match="already a rule"):
        field_rule("relu")


def test_the_table_can_be_read():
    fields = receptive_field(nn.Sequential(nn.Conv2d(1, 1, (1, 3)), nn.AdaptiveAvgPool2d(1)), (1, 8, 8))
    assert isinstance(fields, list) and isinstance(fields[:1], list)
    assert str(fields[1:]).split("\n")[3].startswith("1") and fields[:1]["0"] is fields[0]
    lines = str(fields).split("\n")
    assert lines[0] == "receptive fields of Sequential on an input of 1×8×8, in input pixels"
    assert lines[3].split("  ")[0] == "0" and "1 × 3" in lines[3] and "∞" in lines[4] and "–" in lines[4]
    assert fields._repr_html_().count("<tr>") == 3
    assert list(fields.to_frame()["size"]) == [(1, 3), math.inf]
