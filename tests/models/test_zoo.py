"""What holds for every network of the registry: total, shapes, gradients, what it says of wrong images.

Most of it runs on torch's meta device, where tensors have shapes and no values, so that VGG-E costs no more
than LeNet. Networks that are small enough also run with values.
"""

import inspect
import re
from functools import cache

import pytest
import torch
from torch import Tensor, fx, nn

from tests.models import zoo
from utils.models import build_model, registry

# The totals of the papers' layers, each derived where the family is tested
ZOO = zoo.gathered()
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


@pytest.mark.parametrize("family", sorted(zoo.families()))
def test_every_family_has_a_test_file_with_a_row_for_each_of_its_names(family):
    names, file = zoo.families()[family], f"tests/models/test_{family}.py"
    assert (zoo.HERE / f"test_{family}.py").exists(), (
        f"{file} is missing: the tests of utils/models/{family}.py"
    )
    missing = sorted(set(names) - set(zoo.rows(family)))
    assert not missing, f"add {missing} to ZOO in {file}: total, image and classes of each new network"
    gone = sorted(set(zoo.rows(family)) - set(names))
    assert not gone, f"utils/models/{family}.py does not register {gone}: take them out of ZOO in {file}"


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
