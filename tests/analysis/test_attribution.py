"""Attributions: by hand on small networks, as captum computes them, and on every way to write a ReLU."""

import copy
import warnings

import pytest
import torch
from captum.attr import Deconvolution, GuidedBackprop, LayerGradCam, Occlusion, Saliency
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from utils.analysis.attribution import (
    deconvnet,
    feature_maps,
    grad_cam,
    gradient,
    guided_backprop,
    maximize_activation,
    occlusion,
)
from utils.models import build_model

BY_RULE = [deconvnet, guided_backprop]
METHODS = [gradient, *BY_RULE]
CAPTUM = {gradient: Saliency, deconvnet: Deconvolution, guided_backprop: GuidedBackprop}


def by_captum(method, model, x, target):
    options = {"abs": False} if method is gradient else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CAPTUM[method](model.eval()).attribute(x.clone().requires_grad_(), target=target, **options)


def net(inplace=False, seed=0, relu=nn.ReLU):
    torch.manual_seed(seed)
    options = {"inplace": True} if inplace else {}
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        relu(**options),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3, padding=1),
        relu(**options),
        nn.Flatten(),
        nn.Linear(5 * 16, 7),
        relu(**options),
        nn.Linear(7, 4),
    )


def images(n=3, seed=1, size=8):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def hooks(model):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)


def state(model):
    values = [*model.parameters(), *model.buffers()]
    return (
        [value.detach().clone() for value in values],
        [parameter.requires_grad for parameter in model.parameters()],
        [None if parameter.grad is None else parameter.grad.clone() for parameter in model.parameters()],
        [module.training for module in model.modules()],
        hooks(model),
    )


def same(a, b):
    equal = all(
        (u is None and v is None) or torch.equal(u, v)
        for i in (0, 2)
        for u, v in zip(a[i], b[i], strict=True)
    )
    return equal and all(a[i] == b[i] for i in (1, 3, 4))


class Pair(nn.Module):
    """score = a·relu(u·x) with two hidden units, for inputs [B, 1, 1, 2]."""

    def __init__(self, u, a):
        super().__init__()
        self.u, self.a = nn.Parameter(torch.tensor(u)), nn.Parameter(torch.tensor(a))
        self.relu = nn.ReLU()

    def forward(self, x):
        return (self.relu(x.flatten(1) @ self.u.T) @ self.a)[:, None]


def test_three_rules_by_hand():
    # hidden units (x1 + 2 x2, −3 x1 + x2, 4 x1) are (3, −2, 4) at x = (1, 1); gradients (2, 5, −1) arrive
    model = Pair([[1.0, 2.0], [-3.0, 1.0], [4.0, 0.0]], [2.0, 5.0, -1.0])
    x = torch.ones(1, 1, 1, 2)
    # first and third are on: 2·(1, 2) − (4, 0)
    assert gradient(model, x, 0).flatten().tolist() == [-2.0, 4.0]
    # first and second arrive positive: 2·(1, 2) + 5·(−3, 1)
    assert deconvnet(model, x, 0).flatten().tolist() == [-13.0, 9.0]
    # only the first is both
    assert guided_backprop(model, x, 0).flatten().tolist() == [2.0, 4.0]


def test_grad_cam_by_hand():
    class Two(nn.Module):
        """Two maps, x and −2x, of which the scores are weighted means."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1, bias=False)
            self.fc = nn.Linear(2, 2, bias=False)
            self.conv.weight.data = torch.tensor([1.0, -2.0]).view(2, 1, 1, 1)
            self.fc.weight.data = torch.tensor([[3.0, 1.0], [-1.0, -1.0]])

        def forward(self, x):
            return self.fc(self.conv(x).mean(dim=(2, 3)))

    x = torch.tensor([[1.0, -1.0], [0.0, 2.0]]).view(1, 1, 2, 2)
    # the gradient of a mean over 4 places: α = (3, 1) / 4; L = ReLU(3x/4 − 2x/4) = ReLU(x / 4)
    expected = torch.tensor([[[0.25, 0.0], [0.0, 0.5]]])
    torch.testing.assert_close(grad_cam(Two(), x, 0, "conv"), expected)
    # α = (−1, −1) / 4; L = ReLU(−x/4 + x/2): the same
    torch.testing.assert_close(grad_cam(Two(), x, 1, "conv"), expected)
    # upsampled 2×2 -> 4×4: corners keep their values, the first row between them has weights ¾ and ¼
    model = nn.Sequential(Two())
    large = torch.zeros(1, 1, 4, 4)
    large[..., ::2, ::2] = x
    model.insert(0, nn.MaxPool2d(1, stride=2))
    cam = grad_cam(model, large, 0, "1.conv", upsample=True)
    assert cam.shape == (1, 4, 4)
    torch.testing.assert_close(cam[0, 0], torch.tensor([0.25, 0.1875, 0.0625, 0.0]))


def test_occlusion_by_hand():
    class Sum(nn.Module):
        def forward(self, x):
            return x.sum(dim=(1, 2, 3), keepdim=False)[:, None]

    x = torch.arange(16.0).view(1, 1, 4, 4)
    tiles = x[0, 0].unfold(0, 2, 2).unfold(1, 2, 2).sum(dim=(2, 3))
    torch.testing.assert_close(
        occlusion(Sum(), x, 0, window=2, stride=2)[0],
        tiles.repeat_interleave(2, 0).repeat_interleave(2, 1),
    )
    # a fill of 1 in place of 0 leaves 4 more in the score
    torch.testing.assert_close(occlusion(Sum(), x, 0, window=2, stride=2, fill=1.0)[0, 0, 0], tiles[0, 0] - 4)


@settings(deadline=None, max_examples=3)
@given(
    seed=st.integers(0, 10**6),
    targets=st.one_of(st.integers(0, 3), st.lists(st.integers(0, 3), min_size=3, max_size=3)),
)
def test_agreement_with_captum_on_plain_relu_networks(seed, targets):
    model, x = net(seed=seed), images(seed=seed)
    for method in METHODS:
        torch.testing.assert_close(method(model, x, targets), by_captum(method, model, x, targets))
    # in place changes nothing; captum is asked about the network without
    for method in METHODS:
        torch.testing.assert_close(
            method(net(inplace=True, seed=seed), x, targets), by_captum(method, model, x, targets)
        )
    for layer in ("0", "4", "5"):
        expected = LayerGradCam(model, model.get_submodule(layer)).attribute(
            x, targets, relu_attributions=True
        )
        torch.testing.assert_close(grad_cam(model, x, targets, layer), expected[:, 0])
        torch.testing.assert_close(grad_cam(net(inplace=True, seed=seed), x, targets, layer), expected[:, 0])
    large = F.interpolate(expected, size=(8, 8), mode="bilinear")
    torch.testing.assert_close(grad_cam(model, x, targets, "5", upsample=True), large[:, 0])


@pytest.mark.parametrize(("window", "stride"), [(4, 4), (4, 3), (3, 1), (8, 8)])
def test_occlusion_is_captums_and_that_of_a_loop(window, stride):
    model, x = net().eval(), images(2)
    found = occlusion(model, x, [1, 3], window=window, stride=stride, batch_size=5)
    with torch.no_grad():
        expected = Occlusion(model).attribute(
            x, (3, window, window), strides=(3, stride, stride), target=[1, 3]
        )
        torch.testing.assert_close(found[:, None].expand_as(expected), expected)
        total, count = torch.zeros(2, 8, 8), torch.zeros(8, 8)
        # squares from the upper left on until the far edge is reached
        starts = [i * stride for i in range(-(-(8 - window) // stride) + 1)]
        for i in starts:
            for j in starts:
                covered = x.clone()
                covered[:, :, i : i + window, j : j + window] = 0
                drop = (model(x) - model(covered))[[0, 1], [1, 3]]
                total[:, i : i + window, j : j + window] += drop[:, None, None]
                count[i : i + window, j : j + window] += 1
    torch.testing.assert_close(found, total / count, atol=1e-5, rtol=1e-4)


class Written(nn.Module):
    """One network, with its ReLUs written in different ways."""

    def __init__(self, first, second):
        super().__init__()
        torch.manual_seed(5)
        self.conv1, self.conv2 = nn.Conv2d(3, 5, 3), nn.Conv2d(5, 4, 3)
        self.fc = nn.Linear(4 * 16, 3)
        self.relu = nn.ReLU()
        self.relu_in_place = nn.ReLU(inplace=True)
        self.first, self.second = first, second

    def forward(self, x):
        x = self.conv1(x)
        x = self.first(self, x)
        x = self.conv2(x)
        # what is activated here is a view of the convolution's output
        x = self.second(self, x.flatten(1))
        return self.fc(x)


WAYS = {
    "a module": lambda net, x: net.relu(x),
    "a module in place": lambda net, x: net.relu_in_place(x),
    "F.relu": lambda net, x: F.relu(x),
    "F.relu in place": lambda net, x: F.relu(x, inplace=True),
    "F.relu in place by position": lambda net, x: F.relu(x, True),
    "F.relu_": lambda net, x: F.relu_(x),
    "torch.relu": lambda net, x: torch.relu(x),
    "torch.relu_": lambda net, x: torch.relu_(x),
    "x.relu()": lambda net, x: x.relu(),
    "x.relu_()": lambda net, x: x.relu_(),
    "result dropped": lambda net, x: (x.relu_(), x)[1],
    "in place on a part": lambda net, x: (x[:, :2].relu_(), net.relu(x))[1],
    "in a hook": lambda net, x: net.relu(x),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_write_a_relu_works(way):
    model = Written(WAYS[way], WAYS[way])
    x = images()
    layers = [copy.deepcopy(part) for part in (model.conv1, model.conv2, model.fc)]
    conv1, conv2, fc = layers
    plain = nn.Sequential(conv1, nn.ReLU(), conv2, nn.Flatten(), nn.ReLU(), fc)
    if way == "in a hook":
        model.relu.register_full_backward_hook(lambda module, inner, outer: None)
    for method in METHODS:
        torch.testing.assert_close(method(model, x, 1), by_captum(method, plain, x, 1))
    # the rules differ here, so the three have not all been the gradient
    assert not torch.allclose(gradient(model, x, 1), guided_backprop(model, x, 1))
    assert not torch.allclose(deconvnet(model, x, 1), guided_backprop(model, x, 1))


def test_a_scripted_network_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Sequential(net(), torch.jit.script(nn.ReLU()))
    for method in METHODS:
        with pytest.raises(ValueError, match=r"TorchScript \(1\) runs no hooks"):
            method(model, images(), 2)


def test_first_operation_in_place_leaves_the_input_alone():
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(192, 2))
    x = images()
    before = x.clone()
    for method in METHODS:
        method(model, x, 0)
    occlusion(model, x, 0, window=4)
    feature_maps(model, x, ["0"])
    maximize_activation(model, x, 0, steps=2)
    assert torch.equal(x, before) and not x.requires_grad


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        (nn.LeakyReLU(), r"a leaky ReLU in 1 \(LeakyReLU\)"),
        (nn.LeakyReLU(0.1, inplace=True), r"a leaky ReLU in 1 \(LeakyReLU\)"),
        (nn.PReLU(), "a PReLU in 1"),
        (nn.RReLU(), "a randomized leaky ReLU in 1"),
        (nn.ELU(), "an ELU or SELU in 1"),
        (nn.SELU(), "an ELU or SELU in 1"),
        (nn.CELU(), "a CELU in 1"),
        (nn.GELU(), r"a GELU in 1 \(GELU\)"),
        (nn.SiLU(), "a SiLU in 1"),
        (nn.Mish(), "a Mish in 1"),
        (nn.Hardswish(), "a hard swish in 1"),
        (nn.ReLU6(), r"a ReLU6 or hard tanh in 1 \(ReLU6\)"),
        (nn.Softplus(), "a softplus in 1"),
        (nn.Threshold(0.0, 0.0), "a threshold in 1"),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, nn.Module) else "",
)
@pytest.mark.parametrize("method", BY_RULE)
def test_other_rectifiers_are_refused_with_their_place(method, activation, message):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), activation, nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    with pytest.raises(ValueError, match=f"is a rule for ReLU, and there is {message}"):
        method(model, images(), 0)
    assert hooks(model) == 0
    # the rule is not asked for what lies behind the layer
    method(model, images(), 0, "0")


class OwnBackward(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(context, g):
        return g


class Block(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.relu, self.function = nn.ReLU(), function

    def forward(self, x):
        # in place: the output of the module before it must not be blamed
        return self.relu(self.function(x) + 1)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: F.gelu(x), "a GELU in 1.0"),
        (lambda x: F.leaky_relu_(x), "a leaky ReLU in 1.0"),
        (lambda x: x.clamp(min=0), r"a clamp at 0 \(if it is meant as a ReLU, write torch.relu\) in 1.0"),
        (lambda x: x.clamp_min(0.0), "a clamp at 0 .* in 1.0"),
        (OwnBackward.apply, r"a backward pass of its own \(OwnBackward\) in 1.0"),
    ],
)
def test_functions_are_refused_with_the_module_that_calls_them(function, message):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(Block(function)), nn.Flatten(), nn.Linear(144, 2))
    with pytest.raises(ValueError, match=rf"guided backpropagation is a rule .*{message} \(Block\)"):
        guided_backprop(model, images(), 0)
    alone = Block(lambda x: function(x).flatten(1))
    with pytest.raises(ValueError, match="in the forward of Block"):
        guided_backprop(alone, images().clone(), 0)


def test_gates_and_other_clamps_keep_their_derivative():
    class Gated(nn.Module):
        def forward(self, x):
            y = x.flatten(1)
            return F.relu(y) * torch.sigmoid(y.mean()) / y.norm(dim=1, keepdim=True).clamp(min=1e-6)

    for method in METHODS:
        assert method(Gated(), images().abs(), 3).abs().sum() > 0


def test_a_network_without_relu_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 2))
    for method in BY_RULE:
        with pytest.raises(ValueError, match="there is none in this network"):
            method(model, images(), 0)
    # before the first ReLU of a network the rule has nothing to change
    torch.testing.assert_close(guided_backprop(net(), images(), 2, "0"), gradient(net(), images(), 2, "0"))


def test_layer_targets_are_channels_units_and_strongest_units():
    model, x = net().eval(), images()
    with torch.no_grad():
        maps = model[:5](x)
    channel = maps[:, 3].flatten(1)
    for image in range(3):
        row, column = divmod(int(channel[image].argmax()), 4)
        one = x[image : image + 1]
        torch.testing.assert_close(
            guided_backprop(model, x, 3, "4")[image], guided_backprop(model, one, (3, row, column), "4")[0]
        )
    # a unit of the first convolution sees 3×3 pixels, with the filter's weights as its gradient
    found = gradient(model, x, (2, 4, 5), "0")
    expected = torch.zeros_like(x)
    expected[:, :, 3:6, 4:7] = model[0].weight[2].detach()
    torch.testing.assert_close(found, expected)
    drop = occlusion(model, x, [0, 3, 1], "4", window=8, stride=8)
    with torch.no_grad():
        covered = model[:5](torch.zeros(1, 3, 8, 8)).flatten(2).amax(dim=2)[0]
    expected = maps.flatten(2).amax(dim=2)[[0, 1, 2], [0, 3, 1]] - covered[[0, 3, 1]]
    torch.testing.assert_close(drop, expected[:, None, None].expand(3, 8, 8))


CALLS = {
    "gradient": lambda model, x: gradient(model, x, 0),
    "deconvnet": lambda model, x: deconvnet(model, x, 0),
    "guided_backprop": lambda model, x: guided_backprop(model, x, 0),
    "grad_cam": lambda model, x: grad_cam(model, x, 0, "4"),
    "occlusion": lambda model, x: occlusion(model, x, 0, window=4),
    "feature_maps": lambda model, x: feature_maps(model, x, ["0", "4"]),
    "maximize_activation": lambda model, x: maximize_activation(model, x, 0, steps=2),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_network_and_the_input_stay_as_they_were(name):
    model, x = net(inplace=True), images()
    model(x).sum().backward()  # gradients to keep
    model.train()
    model[1].eval()
    model[0].bias.requires_grad_(False)
    own = model[2].register_forward_hook(lambda module, args, output: None)
    before, copy_of_x = state(model), x.clone()
    for around in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with around():
            result = CALLS[name](model, x)
        assert same(before, state(model)) and torch.equal(x, copy_of_x) and x.grad is None
        parts = {"feature_maps": lambda of: of["4"], "maximize_activation": lambda of: of.images}
        tensor = parts.get(name, lambda of: of)(result)
        assert not tensor.requires_grad and torch.isfinite(tensor).all()
    own.remove()

    class Fails(nn.Module):
        def forward(self, x):
            raise RuntimeError("no way through")

    model.insert(6, Fails())
    before = state(model)
    with pytest.raises(RuntimeError, match="no way through"):
        CALLS[name](model, x)
    assert same(before, state(model)) and torch.equal(x, copy_of_x)


def test_dropout_is_off_and_images_do_not_mix():
    model = nn.Sequential(nn.Dropout(0.5), *net(), nn.Dropout(0.5))
    x = images()
    for method in METHODS:
        alone = torch.cat([method(model, one, 1) for one in x.split(1)])
        torch.testing.assert_close(method(model, x, 1), alone)


@pytest.mark.parametrize("method", [gradient, guided_backprop, grad_cam, occlusion])
def test_bad_input_is_refused(method):
    model, x = net(), images()
    layer = {"layer": "4"} if method is grad_cam else {}
    for wrong, message in [
        (x[0], r"B, C, H, W.*got shape \[3, 8, 8\]"),
        (x[:0], r"B at least 1, got shape \[0, 3, 8, 8\]"),
        (x.to(torch.uint8), "floats, got torch.uint8"),
        (x.numpy(), "tensor .* got ndarray"),
    ]:
        with pytest.raises(ValueError, match=message):
            method(model, wrong, 0, **layer)
    for target, message in [
        (4, "target 4 is out of range: the network has 4 classes"),
        (-1, "target -1 is out of range"),
        ([0, 1], "2 values for 3 images"),
        ([0, 9, 1], "target 9 is out of range"),
        (1.5, "whole number, .* got 1.5"),
        (True, "got True"),
        (None, "got None"),
        ((1, 2, 3), r"got \(1, 2, 3\) for the network with the output \[.*, 4\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            method(model, x, target, **layer)
    with pytest.raises(ValueError, match="Sequential has no layer '44'"):
        method(model, x, 0, "44")
    assert hooks(model) == 0


def test_layers_are_checked():
    x = images()
    model = build_model("resnet-20", width=0.25)
    with pytest.raises(ValueError, match=r"no layer 'stage3.3'; did you mean .*'stage3.2'"):
        grad_cam(model, images(size=32), 0, "stage3.3")
    with pytest.raises(ValueError, match="needs a layer with maps; its last convolution is 'stage3.2.conv2'"):
        grad_cam(model, images(size=32), 0)
    with pytest.raises(ValueError, match=r"output of 7 has the shape \[3, 7\]; its last convolution is '4'"):
        grad_cam(net(), x, 0, "7")
    shared = nn.ReLU()
    twice = nn.Sequential(
        nn.Conv2d(3, 4, 3), shared, nn.Conv2d(4, 4, 3), shared, nn.Flatten(), nn.Linear(64, 2)
    )
    for call in (grad_cam, gradient):
        with pytest.raises(ValueError, match=r"1 \(ReLU\) runs 2 times in a forward pass"):
            call(twice, x, 0, "1")
    unused = nn.Sequential(net())
    unused.register_module("aside", nn.Conv2d(3, 3, 1))
    unused.forward = lambda x: unused[0](x)
    with pytest.raises(ValueError, match=r"aside \(Conv2d\) does not run"):
        grad_cam(unused, x, 0, "aside")

    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.conv(x).detach().mean(dim=(2, 3))

    for call in (lambda: grad_cam(Detached(), x, 0, "conv"), lambda: gradient(Detached(), x, 0)):
        with pytest.raises(ValueError, match="does not depend on"):
            call()
    with pytest.raises(ValueError, match=r"unit \(3, 9, 0\) is out of range: 4 has \[5, 4, 4\]"):
        gradient(net(), x, (3, 9, 0), "4")
    with pytest.raises(ValueError, match="target 5 is out of range: 4 has 5 channels"):
        gradient(net(), x, 5, "4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 9}, "window must be a whole number from 1 to 8, got 9"),
        ({"window": 0}, "window .* got 0"),
        ({"window": 2, "stride": 3}, "stride must be a whole number from 1 to 2, got 3"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_windows_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        occlusion(net(), images(), 0, **options)


ZOO = {
    "resnet-20": ({}, "stage3.2", (8, 8)),
    "vgg-a-bn-cifar": ({"width": 0.25}, "features.relu4_2", (4, 4)),
    "all-cnn-c": ({"width": 0.25}, "features.relu7", (6, 6)),
    "se-residual": ({"blocks": 1}, "stage3.0", (8, 8)),
}


@pytest.mark.parametrize("name", ZOO)
def test_networks_of_the_course(name):
    torch.manual_seed(0)
    options, layer, size = ZOO[name]
    model, x = build_model(name, **options), images(2, size=32)
    before = state(model)
    for method in METHODS:
        found = method(model, x, [3, 7])
        assert same(before, state(model)) and found.abs().sum() > 0
        expected = by_captum(method, copy.deepcopy(model), x, [3, 7])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    cam = grad_cam(model, x, 3, layer)
    assert cam.shape == (2, *size) and (cam >= 0).all()
    assert grad_cam(model, x, 3, layer, upsample=True).shape == (2, 32, 32)
    assert same(before, state(model))
