"""Receptive fields against the support of gradients, against published figures, and by hand."""

import math
from fractions import Fraction

import pytest
import torch
import torchvision
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from utils.analysis.fields import input_field, measure, reshape
from utils.analysis.receptive_field import field_rule, receptive_field
from utils.models import build_model

# --- an independent answer: where the gradient of a unit is not zero


class SmoothPool(nn.Module):
    """Averages over the windows of a maximum pooling, whose gradient would only reach the largest input."""

    def __init__(self, pool):
        super().__init__()
        self.options = dict(
            kernel_size=pool.kernel_size, stride=pool.stride, padding=pool.padding, ceil_mode=pool.ceil_mode
        )

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
    # with different weights for the channels: their plain sum is constant after a layer normalisation
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
    "vgg11_bn": (64, ["features.0", "features.7", "features.14", "features.18"]),
    "resnet18": (96, ["maxpool", "layer1.0", "layer1", "layer2.0", "layer3.0.conv1", "layer4"]),
    "resnet50": (64, ["layer1.0", "layer2.0", "layer2.1.bn3"]),
    "googlenet": (96, ["conv3", "maxpool2", "inception3a", "inception3b", "inception4a"]),
    "inception_v3": (107, ["Conv2d_2b_3x3", "Mixed_5b", "Mixed_6a", "Mixed_6b", "Mixed_7a"]),
    "mobilenet_v2": (64, ["features.1", "features.3", "features.5", "features.9"]),
    "densenet121": (64, ["features.pool0", "features.denseblock1", "features.transition1.pool", "features.transition2"]),
    "squeezenet1_1": (75, ["features.2", "features.4", "features.6", "features.9"]),
    "shufflenet_v2_x0_5": (64, ["maxpool", "stage2.0", "stage2.1", "stage2", "stage3.0"]),
    "efficientnet_b0": (48, ["features.0", "features.1.0.block.0", "features.1", "features.3"]),
    "convnext_tiny": (64, ["features.0", "features.1.0", "features.1", "features.2", "features.3.0"]),
    "regnet_x_400mf": (64, ["trunk_output.block1", "trunk_output.block2.block2-0", "trunk_output.block3.block3-0"]),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_regions_are_the_support_of_gradients_on_torchvision_models(name, monkeypatch):
    size, layers = TORCHVISION[name]
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = getattr(torchvision.models, name)(weights=None, **options)
    fields = receptive_field(model, (3, size, size))
    monkeypatch.setattr(F, "relu", lambda x, inplace=False: F.softplus(x))
    monkeypatch.setattr(
        F, "max_pool2d", lambda x, kernel_size, stride, padding=0: F.avg_pool2d(x, kernel_size, stride, padding)
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
    """x + branch(x), cut to the smaller of the two."""

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
    def __init__(self, name, function):
        super().__init__()
        self.name, self.function = name, function

    def extra_repr(self):
        return self.name

    def forward(self, x):
        return self.function(x)


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
    return nn.Conv2d(CHANNELS, CHANNELS, kernel, stride, padding, dilation, groups=draw(st.sampled_from([1, 2])))


@st.composite
def slices(draw):
    first, step = draw(st.integers(0, 2)), draw(st.integers(1, 2))
    return Function(f"rows {first}::{step}", lambda x: x[:, :, first::step, ::step])


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


shape_preserving = st.one_of(
    same_convs,
    st.builds(Residual, same_convs),
    st.builds(Coupling, half_convs, st.booleans()),
    st.builds(lambda a, b: nn.Sequential(Concatenation(a, b), nn.Conv2d(2 * CHANNELS, CHANNELS, 1)), same_convs, same_convs),
    st.just(nn.ChannelShuffle(2)),
    st.just(Function("flatten and back", lambda x: x.transpose(2, 3).flatten(2).unflatten(2, x.shape[:1:-1]).transpose(2, 3))),
    st.just(Function("softmax over channels", lambda x: F.softmax(x.permute(0, 2, 3, 1), -1).permute(0, 3, 1, 2))),
)
regular = st.one_of(
    shape_preserving,
    strided(),
    transposed(),
    slices(),
    pads(),
    st.just(nn.Upsample(scale_factor=2)),
    st.just(nn.Upsample(scale_factor=2, mode="bilinear")),
    st.just(nn.Upsample(scale_factor=3, mode="bicubic")),
    st.just(nn.Sequential(nn.Conv2d(CHANNELS, 4 * CHANNELS, 3, padding=1), nn.PixelShuffle(2))),
)
irregular = st.one_of(
    st.builds(lambda size: nn.AdaptiveAvgPool2d(size), st.tuples(st.integers(1, 6), st.integers(1, 6))),
    st.builds(lambda size: nn.Upsample(size=size, mode="bilinear", align_corners=True), st.tuples(st.integers(2, 9), st.integers(2, 9))),
    st.just(nn.Upsample(scale_factor=1.5)),
    st.just(nn.GroupNorm(2, CHANNELS)),
    st.just(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, padding_mode="reflect")),
    st.just(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, padding_mode="circular")),
)


def output_of(net, size):
    x = torch.randn(1, CHANNELS, *size, dtype=torch.float64, requires_grad=True)
    return x, net.double().eval()(x)


@settings(deadline=None)
@given(st.lists(st.one_of(regular, irregular), min_size=1, max_size=5), st.tuples(st.integers(6, 13), st.integers(6, 13)))
def test_random_networks_see_what_their_gradients_reach(layers, size):
    net = nn.Sequential(*layers)
    try:
        x, output = output_of(net, size)
    except RuntimeError:
        assume(False)  # the map got too small for a kernel
    assume(0 < output.shape[2] * output.shape[3] < 2000)
    (row,) = {row for name, row in receptive_field(net, (CHANNELS, *size)).modules.items() if name == "(model)"}
    for unit in some_units(output.shape):
        assert row.region(*unit) == support(output, x, unit), f"unit {unit}"
