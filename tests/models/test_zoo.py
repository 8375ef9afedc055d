"""What holds for every network of the registry: total, shapes, gradients, what it says of wrong images.

Most of it runs on torch's meta device, where tensors have shapes and no values, so that VGG-E costs no more
than LeNet. Networks that are small enough also run with values.
"""

import inspect
import re
from functools import cache
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, fx, nn

from utils.models import build_model, list_models, registry


class Net(NamedTuple):
    """What is expected of a name; ``fixed_size``: images of another size are refused."""

    total: int
    channels: int
    size: int
    fixed_size: bool
    classes: int


def small(total, *, fixed_size=False, channels=3, size=32, classes=10):
    return Net(total, channels, size, fixed_size, classes)


def large(total, *, fixed_size=False, size=224, classes=1000):
    return Net(total, 3, size, fixed_size, classes)


# The totals of the papers' layers, each derived where the family is tested
ZOO = {
    "alexnet": large(61_100_840, fixed_size=True),
    "alexnet-cifar": small(4_816_714, fixed_size=True),
    "all-cnn-c": small(1_369_738, fixed_size=True),
    "cleanlab-cnn": small(4_434_570, fixed_size=True),
    "convnext-t": large(28_589_128),
    "convnext-t-cifar": small(27_825_802),
    "convpool-cnn-c": small(1_369_738, fixed_size=True),
    "densenet": small(1_019_722),
    "densenet-bc": small(769_162),
    "factorised-cnn": small(549_156, fixed_size=True, classes=100),
    "googlenet": large(13_378_280, fixed_size=True),  # 6,998,552 and the two auxiliary heads
    "googlenet-cifar": small(5_976_122, fixed_size=True),
    "highway": small(509_194),
    "lenet": small(61_706, fixed_size=True, channels=1, size=28),
    "lenet-5": small(60_000, fixed_size=True, channels=1),
    "linear": small(7_850, fixed_size=True, channels=1, size=28),
    "mlp": small(266_610, fixed_size=True, channels=1, size=28),
    "mobilenet-v2": large(3_504_872),
    "mobilenet-v2-cifar": small(2_598_074),
    "model-c": small(954_730, fixed_size=True),
    "patchify-vgg": small(1_315_786, fixed_size=True),
    "resnet-18": large(11_689_512),
    "resnet-34": large(21_797_672),
    "resnet-50": large(25_557_032),
    "resnet-101": large(44_549_160),
    "resnet-152": large(60_192_808),
    "resnet-18-cifar": small(11_173_962),
    "resnet-34-cifar": small(21_282_122),
    "resnet-50-cifar": small(23_520_842),
    "resnet-101-cifar": small(42_512_970),
    "resnet-152-cifar": small(58_156_618),
    "resnet-20": small(269_722),
    "resnet-32": small(464_154),
    "resnet-44": small(658_586),
    "resnet-56": small(853_018),
    "resnet-110": small(1_727_962),
    "se-residual": small(773_842),
    "se-resnet-18-cifar": small(11_263_042),
    "strided-cnn-c": small(954_730, fixed_size=True),
    "vgg-a": large(132_863_336, fixed_size=True),
    "vgg-a-bn": large(132_868_840, fixed_size=True),
    "vgg-a-bn-cifar": small(9_756_426, fixed_size=True),
    "vgg-a-cifar": small(9_750_922, fixed_size=True),
    "vgg-a-lrn": large(132_863_336, fixed_size=True),
    "vgg-b": large(133_047_848, fixed_size=True),
    "vgg-c": large(133_638_952, fixed_size=True),
    "vgg-d": large(138_357_544, fixed_size=True),
    "vgg-e": large(143_667_240, fixed_size=True),
    "vit-cifar": small(4_771_082, fixed_size=True),
    "zfnet": large(62_357_608, fixed_size=True),
    "zfnet-cifar": small(6_080_394, fixed_size=True),
}
NAMES = sorted(ZOO)
# small enough to compute with: at most some 10⁹ multiply-adds for two images
COMPUTED = [name for name in NAMES if ZOO[name].size <= 32 and ZOO[name].total < 12_000_000]
# a layer of one unit with ReLU, as in se-residual's first stage, has no gradient where that unit is off
COMPUTED_WITH = {"se-residual": {"reduction": 2}}
DIFFERENT_WHILE_TRAINING = ["googlenet", "googlenet-cifar", "convnext-t", "convnext-t-cifar", "cleanlab-cnn"]


@cache  # no test changes the network but for its mode, which each sets
def on_meta(name):
    with torch.device("meta"):
        return build_model(name)


def images(name, batch=2, device="meta", **changes):
    net = ZOO[name]._replace(**changes)
    return torch.randn(batch, net.channels, net.size, net.size, device=device)


def outputs_of(result) -> tuple[Tensor, ...]:
    """The logits; GoogLeNet gives three while it trains."""
    return result if isinstance(result, tuple) else (result,)


def leaves_behind(outputs):
    """The ids of the parameters to which autograd would hand gradients of the outputs."""
    waiting, seen, leaves = [output.grad_fn for output in outputs], set(), set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        waiting += [following for following, _ in node.next_functions]
    return leaves


def test_every_registered_name_is_tested_here():
    new, gone = set(list_models()) - set(ZOO), set(ZOO) - set(list_models())
    assert not new, f"add {sorted(new)} to ZOO in {__file__}: total, image and classes of each new network"
    assert not gone, f"not registered: {sorted(gone)}; take them out of ZOO or import their families"


@pytest.mark.parametrize("name", NAMES)
def test_total_shape_and_a_path_from_the_output_to_every_parameter(name):
    model, net = on_meta(name).train(), ZOO[name]
    trainable = {key: parameter for key, parameter in model.named_parameters() if parameter.requires_grad}
    assert sum(parameter.numel() for parameter in trainable.values()) == net.total
    outputs = outputs_of(model(images(name)))
    assert {tuple(logits.shape) for logits in outputs} == {(2, net.classes)}
    reached = leaves_behind(outputs)
    assert [key for key, parameter in trainable.items() if id(parameter) not in reached] == []


@pytest.mark.parametrize("name", COMPUTED)
def test_gradients_of_every_parameter_are_finite_and_not_zero(name):
    torch.manual_seed(0)
    # without dropout, and with batch norms that leave the biases their effect
    model = build_model(name, **COMPUTED_WITH.get(name, {})).eval()
    logits = model(images(name, device="cpu"))
    nn.functional.cross_entropy(logits, torch.arange(2)).backward()
    assert logits.isfinite().all()
    for key, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), key


@pytest.mark.parametrize(
    ("name", "training"),
    [(name, False) for name in NAMES] + [(name, True) for name in DIFFERENT_WHILE_TRAINING],
)
def test_torch_fx_traces_it_for_any_number_of_classes_and_channels(name, training):
    with torch.device("meta"):
        model = build_model(name, num_classes=7, in_channels=2).train(training)
    outputs = outputs_of(fx.symbolic_trace(model)(images(name, channels=2)))
    assert {tuple(logits.shape) for logits in outputs} == {(2, 7)}


@pytest.mark.parametrize(
    "name", ["resnet-56", "densenet", "googlenet-cifar", "convnext-t-cifar", "vit-cifar"]
)
def test_the_traced_network_computes_the_same(name):
    torch.manual_seed(0)
    model, x = build_model(name).eval(), images(name, device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(fx.symbolic_trace(model)(x), model(x))


@pytest.mark.parametrize("name", NAMES)
def test_images_with_other_channels_are_refused(name):
    channels = ZOO[name].channels
    with pytest.raises(ValueError, match=rf"\[B, {channels}, .*, got \[2, {channels + 1}, "):
        on_meta(name)(images(name, channels=channels + 1))
    with pytest.raises(ValueError, match=rf"\[B, {channels}, .*, got \[{channels}, "):
        on_meta(name)(images(name)[0])


@pytest.mark.parametrize("name", NAMES)
def test_images_of_another_size_are_refused_or_taken(name):
    net = ZOO[name]
    model, other = on_meta(name).eval(), images(name, size=net.size + 8)
    if net.fixed_size:
        with pytest.raises(ValueError, match=rf"\[B, {net.channels}, {net.size}, {net.size}\], got "):
            model(other)
    else:
        assert tuple(model(other).shape) == (2, net.classes)


@pytest.mark.parametrize("name", NAMES)
def test_paper_and_deviations_are_stated(name):
    family = inspect.getmodule(registry._factories[name]).__doc__
    assert re.search(r"arXiv\s\d{4}\.\d{4,5}|Proc\. IEEE|no arXiv id", family), f"{name} names no paper"
    assert re.search(r"eviation|leaves open|mended here", family), f"{name} does not state its deviations"


@pytest.mark.parametrize("name", NAMES)
def test_options_are_keywords_with_defaults(name):
    parameters = inspect.signature(registry._factories[name]).parameters
    assert list(parameters)[:2] == ["num_classes", "in_channels"]
    for parameter in list(parameters.values())[2:]:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter
    assert all(parameter.default is not inspect.Parameter.empty for parameter in parameters.values())
