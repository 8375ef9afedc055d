"""Counting and tracing leave a network as it was, whatever its forward pass keeps, and wherever."""

import functools
import random

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from utils.analysis.accounting import account
from utils.analysis.receptive_field import effective_receptive_field, receptive_field
from utils.analysis.snapshot import unchanged

SIZE = (3, 8, 8)
GRIDS = {}


class Kept(nn.Module):
    """Makes a tensor on the device of the input at the first call, and keeps it."""

    shared = None

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.start()

    def start(self):
        self.kept = None

    def grid(self, x):
        return torch.linspace(-1, 1, x.shape[-1], device=x.device)

    def keep(self, x):
        if self.kept is None:
            self.kept = self.grid(x)
        return self.kept

    def forward(self, x):
        return self.conv(x + self.keep(x))


class InAList(Kept):
    def start(self):
        self.kept = []

    def keep(self, x):
        if not self.kept:
            self.kept.append(self.grid(x))
        return self.kept[0]


class InADictionary(Kept):
    def start(self):
        self.kept = {"levels": {}}

    def keep(self, x):
        return self.kept["levels"].setdefault(x.shape[-1], self.grid(x))


class InAnObject(Kept):
    class Store:
        __slots__ = ("value",)

    def start(self):
        self.store = self.Store()
        self.store.value = None

    def keep(self, x):
        if self.store.value is None:
            self.store.value = self.grid(x)
        return self.store.value


class InTheClass(Kept):
    def keep(self, x):
        if type(self).shared is None:
            type(self).shared = self.grid(x)
        return self.shared


class InAGlobal(Kept):
    def keep(self, x):
        if x.shape not in GRIDS:
            GRIDS[x.shape] = self.grid(x)
        return GRIDS[x.shape]


class InAClosure(Kept):
    def start(self):
        kept = None

        def keep(x):
            nonlocal kept
            if kept is None:
                kept = self.grid(x)
            return kept

        self.function = keep

    def keep(self, x):
        return self.function(x)


class AsANewBuffer(Kept):
    def keep(self, x):
        if "late" not in self._buffers:
            self.register_buffer("late", self.grid(x))
        return self.late


class InACachedMethod(Kept):
    @functools.lru_cache  # noqa: B019
    def of_size(self, n):
        return torch.linspace(-1, 1, n, device=self.conv.weight.device)

    def keep(self, x):
        return self.of_size(x.shape[-1])


KINDS = [
    Kept, InAList, InADictionary, InAnObject, InTheClass, InAGlobal, InAClosure, AsANewBuffer, InACachedMethod
]  # fmt: skip


@pytest.mark.parametrize("tool", [account, receptive_field])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_of_the_first_call_is_not_kept(kind, tool):
    model = kind()
    table = tool(model, SIZE)
    assert [row.name for row in table] == ["conv"]
    x = torch.randn(1, *SIZE)
    expected = model.conv(x + torch.linspace(-1, 1, 8))
    assert torch.equal(model(x), expected)
    tool(model, SIZE)  # now with a tensor that has values
    assert torch.equal(model(x), expected)


class Counts(nn.Module):
    """Keeps account of what passes by in numbers, tensors and arrays, and needs values."""

    def __init__(self, values):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.values = values
        self.calls, self.seen, self.total = 0, [], torch.zeros(2)
        self.array, self.generator = np.zeros(3), torch.Generator()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x):
        self.calls += 1
        self.total += 1
        self.array[self.calls % 3] = 7
        self.seen.append(tuple(x.shape))
        self.mean.mul_(0.9).add_(x.mean(0))
        with torch.no_grad():
            self.linear.weight.data.clamp_(-0.01, 0.01)
        torch.rand(1, generator=self.generator), random.random(), np.random.rand()
        if self.values and x.sum().item() > 1e9:
            raise RuntimeError("much too large")
        return self.linear(x)


@pytest.mark.parametrize("values", [False, True])
def test_counters_histories_weights_and_generators_are_as_before(values):
    model = Counts(values)
    weight, array, seen = model.linear.weight.clone(), model.array, model.seen
    state = model.generator.get_state(), random.getstate(), np.random.get_state()[1].copy()
    assert account(model, (4,)).total_macs == 16
    assert model.calls == 0 and model.seen is seen == [] and model.total.tolist() == [0, 0]
    assert model.array is array and not array.any() and not model.mean.any()
    assert torch.equal(model.linear.weight, weight) and weight.abs().max() > 0.01
    assert torch.equal(model.generator.get_state(), state[0]) and random.getstate() == state[1]
    assert np.array_equal(np.random.get_state()[1], state[2])


def test_what_hooks_of_the_user_write_down_is_as_before():
    model, shapes, recorded = nn.Sequential(nn.Linear(4, 4)), [], {}

    def recorder(module, args, output):
        shapes.append(output.shape)
        recorded["output"] = output

    model[0].register_forward_hook(recorder)
    x = torch.randn(2, 4)
    y = model(x)
    account(model, (4,))
    assert len(shapes) == 1 and recorded["output"] is y


def test_what_a_run_that_fails_has_kept_is_gone():
    model = Kept()
    for tool in (account, receptive_field):
        with pytest.raises(ValueError, match="at conv"):
            tool(model, (5, 8, 8))
        assert model.kept is None


def test_an_effective_field_leaves_nothing_without_values():
    model = Kept()
    effective_receptive_field(model, "conv", torch.randn(2, *SIZE))
    assert model(torch.randn(1, *SIZE)).shape == (1, 4, 6, 6)


def test_a_detector_is_counted_and_runs_before_and_afterwards():
    model = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3
    ).eval()
    images = [torch.rand(3, 64, 64)]
    with torch.no_grad():
        before = model(images)
        table = account(model, input_data=images)
        assert table.total_macs > 3e8 and table.total_params == sum(p.numel() for p in model.parameters())
        after = model(images)
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])


def test_faster_rcnn_keeps_its_anchors():
    model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=3
    ).eval()
    images = [torch.rand(3, 64, 64)]
    with torch.no_grad():
        model(images)
        assert account(model, (3, 64, 64)).total_macs > 1e8
        model(images)
        with pytest.raises(ValueError, match="FasterRCNN failed|looks at values|no rule"):
            receptive_field(model, (3, 64, 64))
        model(images)


def test_what_was_there_keeps_its_identity():
    model = InADictionary()
    inner = model.kept["levels"]
    with unchanged(model):
        model.kept["levels"] = {1: 2}
        inner["new"] = torch.zeros(1)
        model.conv = None
        model.extra = 5
    assert model.kept["levels"] is inner and inner == {}
    assert isinstance(model.conv, nn.Conv2d) and not hasattr(model, "extra")
