"""Fingerprints by content: a value made anew has the same one, in every process, and no other value has."""

import functools
import importlib
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils.data.augment import ColorJitter, Compose, Mixup, RandomCrop, RandomFlip
from utils.data.dataset import Split
from utils.data.views import simclr_views
from utils.training import losses, schedules
from utils.training.content import Incomparable, fingerprint
from utils.training.contrastive import ContrastiveLoss

ROOT = Path(__file__).resolve().parents[2]
FACTOR = 2.0


def helper(x):
    return x + 1


def weighted(weights):
    def loss(logits, y):
        return F.cross_entropy(logits, y, weight=weights)

    return loss


def other_closure(weights):
    def loss(logits, y):
        return F.cross_entropy(logits, y, weight=weights) + 1

    return loss


def with_default(scale=1.0):
    return lambda logits, y, scale=scale: scale * F.cross_entropy(logits, y)


def names(value):
    return value in {"adam", "sgd", "adamw", "rmsprop"}  # a set among the constants


def factorial(n):
    return n * factorial(n - 1) if n else 1


@functools.lru_cache
def remembered(n):
    return n + FACTOR


@dataclass(frozen=True)
class Scaled:
    factor: float = 1.0
    pair: tuple[int, ...] = (1, 2)

    def __call__(self, logits, y):
        return self.factor * F.cross_entropy(logits, y)

    def hits(self, logits, y):
        return (logits.argmax(1) == y).sum()


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Level(Enum):
    LOW = 1
    HIGH = 2


def seeded(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def data(change=0):
    images = torch.arange(40 * 16, dtype=torch.uint8).view(40, 1, 4, 4).clone()
    images[37, 0, 0, 0] ^= change
    return Split(images, torch.arange(40) % 2, (0.5,), (0.3,))


# each makes a value; all of them differ
MAKERS = {
    "one": lambda: 1,
    "one as a float": lambda: 1.0,
    "true": lambda: True,
    "text": lambda: "1",
    "none": lambda: None,
    "tuple": lambda: (1, 2),
    "list": lambda: [1, 2],
    "nested": lambda: [1, [2]],
    "dictionary": lambda: {"b": 1, "a": 2},
    "its values exchanged": lambda: {"b": 2, "a": 1},
    "set": lambda: {"adam", "sgd", "adamw"},
    "tensor": lambda: torch.tensor([1.0, 2.0]),
    "another shape": lambda: torch.tensor([[1.0, 2.0]]),
    "another dtype": lambda: torch.tensor([1, 2]),
    "bfloat16": lambda: torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
    "number in a tensor": lambda: torch.tensor(1.0),
    "array": lambda: np.array([1.0, 2.0]),
    "numpy's number": lambda: np.float64(1.0),
    "torch's function": lambda: F.cross_entropy,
    "another of torch's": lambda: F.nll_loss,
    "written in C": lambda: torch.relu,
    "another in C": lambda: torch.tanh,
    "numpy's": lambda: np.exp,
    "default smoothing": lambda: losses.cross_entropy(),
    "smoothed": lambda: losses.cross_entropy(0.1),
    "smoothed more": lambda: losses.cross_entropy(0.2),
    "module": lambda: nn.CrossEntropyLoss(),
    "module with smoothing": lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
    "module with weights": lambda: nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0])),
    "module with other weights": lambda: nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0])),
    "network": lambda: seeded(0),
    "network of other weights": lambda: seeded(1),
    "network in evaluation": lambda: seeded(0).eval(),
    "closure": lambda: weighted(torch.ones(2)),
    "closure of other values": lambda: weighted(torch.zeros(2)),
    "closure of nothing": lambda: weighted(None),
    "other closure of the same": lambda: other_closure(torch.ones(2)),
    "lambda": lambda: lambda logits, y: 2 * logits.sum(),
    "lambda of another constant": lambda: lambda logits, y: 3 * logits.sum(),
    "lambda of another function": lambda: lambda logits, y: 2 * logits.mean(),
    "default argument": lambda: with_default(1.0),
    "another default": lambda: with_default(2.0),
    "constants in a set": lambda: names,
    "calls itself": lambda: factorial,
    "remembers": lambda: remembered,
    "global value": lambda: lambda x: FACTOR * x,
    "global function": lambda: lambda x: helper(x),
    "object": lambda: Scaled(),
    "object of other state": lambda: Scaled(2.0),
    "bound method": lambda: Scaled().hits,
    "bound method of other state": lambda: Scaled(2.0).hits,
    "slots": lambda: Slotted(1),
    "other slots": lambda: Slotted(2),
    "member": lambda: Level.LOW,
    "other member": lambda: Level.HIGH,
    "class": lambda: Scaled,
    "contrastive": lambda: ContrastiveLoss(),
    "contrastive, warmer": lambda: ContrastiveLoss(0.5),
    "contrastive hits": lambda: ContrastiveLoss().hits,
    "flip": lambda: RandomFlip(),
    "flip more": lambda: RandomFlip(0.6),
    "compose": lambda: Compose([RandomFlip(), RandomCrop(2), Mixup(0.2)]),
    "compose in another order": lambda: Compose([RandomCrop(2), RandomFlip(), Mixup(0.2)]),
    "compose with a function": lambda: Compose([lambda x, generator: x]),
    "views": lambda: simclr_views(),
    "views, stronger": lambda: simclr_views(1.0),
    "jitter": lambda: ColorJitter(0.1),
    "schedule": lambda: schedules.cosine(10),
    "schedule, longer": lambda: schedules.cosine(11),
    "schedule in epochs": lambda: schedules.cosine(10, unit="epoch"),
    "schedule of one's own": lambda: schedules.Schedule("cosine", "batch", lambda t: 0.5, {"total": 10}),
    "split": lambda: data(),
    "split with one pixel changed": lambda: data(change=1),
    "split, shorter": lambda: data().subset(39),
    "split, normalized otherwise": lambda: Split(data().images, data().labels, (0.4,), (0.3,)),
    "split, labeled otherwise": lambda: data().with_labels(1 - data().labels),
}


def test_values_differ_and_are_the_same_made_anew():
    first = {name: fingerprint(make()) for name, make in MAKERS.items()}
    kept = [make() for make in MAKERS.values()]  # so that nothing is made at the address of something before
    again = dict(zip(MAKERS, map(fingerprint, kept), strict=True))
    assert again == first
    by_content = {}
    for name, content in first.items():
        by_content.setdefault(content, []).append(name)
    assert [alike for alike in by_content.values() if len(alike) > 1] == []


def test_another_process_finds_the_same():
    program = (
        "from tests.training.test_content import MAKERS\nfrom utils.training.content import fingerprint\n"
        "print(*(fingerprint(make()) for make in MAKERS.values()))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "7")
    ]
    one, other = (process.communicate()[0].split() for process in processes)
    assert len(one) == len(MAKERS) and one == other


def function_of(source, name="f"):
    namespace = {"__name__": "notebook", "F": F}
    exec(compile(source, "a cell", "exec"), namespace)
    return namespace[name]


SCALED = "SCALE = 2.0\ndef scaled(x): return SCALE * x\ndef f(x, y): return scaled(F.cross_entropy(x, y))"


@pytest.mark.parametrize(
    "source",
    [
        SCALED.replace("2.0", "3.0"),  # a global value behind a global function
        SCALED.replace("SCALE * x", "SCALE + x"),  # the code of a global function
        SCALED.replace("F.cross_entropy", "F.nll_loss"),  # a name looked up in a module
        SCALED.replace("(x, y))", "(x, y), 1)"),
    ],
)
def test_what_a_function_of_a_notebook_rests_on_counts(source):
    assert source != SCALED and fingerprint(function_of(source)) != fingerprint(function_of(SCALED))


def test_what_only_an_inner_function_reads_counts():
    nested = "SCALE = 2.0\ndef f(x, y): return (lambda: SCALE * x)()"
    assert fingerprint(function_of(nested.replace("2.0", "3.0"))) != fingerprint(function_of(nested))


def test_where_a_function_stands_does_not_count():
    moved = "\n\n# a comment\n" + SCALED.replace("def f(x, y):", "def f(x, y):  # the loss\n   ")
    assert fingerprint(function_of(moved)) == fingerprint(function_of(SCALED))
    renamed = SCALED.replace("def f", "def loss")
    assert fingerprint(function_of(renamed, "loss")) == fingerprint(function_of(SCALED))


CLASS = """class Loss:
    k = 2
    def __init__(self, t): self.t = t
    def __call__(self, x, y): return self.t * x
"""


@pytest.mark.parametrize(
    "change, other",
    [
        ("k = 2", "k = 3"),
        ("self.t * x", "self.t + x"),
        ("class Loss", "class Loss(dict)"),
        ("Loss:", "Lost:"),
    ],
)
def test_what_a_class_of_a_notebook_does_counts(change, other):
    def made(source, name="Loss"):
        return fingerprint(function_of(source, name)(1))

    changed = CLASS.replace(change, other)
    assert changed != CLASS
    assert made(changed, "Lost" if "Lost" in changed else "Loss") != made(CLASS) == made(CLASS)


def test_a_module_of_ones_own_counts_by_its_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "my_own_losses.py"
    seen = []
    for text in ("def loss(x, y): return x", "def loss(x, y): return y"):
        file.write_text(text)
        sys.modules.pop("my_own_losses", None)
        seen.append(
            fingerprint(function_of("import my_own_losses\ndef f(x, y): return my_own_losses.loss(x, y)"))
        )
    sys.modules.pop("my_own_losses", None)
    assert seen[0] != seen[1]


def holding(value):
    return lambda logits, y: (value, logits)


@pytest.mark.parametrize(
    "value",
    [
        threading.Lock(),
        torch.Generator(),
        np.random.default_rng(0),
        (number for number in ()),
        torch.empty(2, device="meta"),
        torch.eye(2).to_sparse(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_content_is_named_with_its_place(value):
    with pytest.raises(
        Incomparable, match=r"holding.<locals>.<lambda> → value is a .*, which has no content"
    ):
        fingerprint(holding(value))


def test_known_objects_are_not_looked_into():
    model = seeded(0)
    known = {id(model): "the model"}
    before = fingerprint(holding(model), known), fingerprint(model.forward, known)
    with torch.no_grad():
        model[0].weight.zero_()
    assert (fingerprint(holding(model), known), fingerprint(model.forward, known)) == before
    assert fingerprint(holding(model), {id(model): "another"}) != before[0]


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (lambda own: setattr(own, "FACTOR", 3.0), True),
        (lambda own: setattr(own, "helper", lambda x: x + 2), True),
        (lambda own: setattr(own.Deep, "weight", 5.0), True),
        (lambda own: setattr(own.inner, "SHIFT", 1), True),
        (lambda own: setattr(own, "UNUSED", 4), False),
    ],
    ids=["value", "function", "class", "module within", "not read"],
)
def test_what_was_changed_in_a_module_of_ones_own_counts(tmp_path, monkeypatch, change, noticed):
    (tmp_path / "own_settings.py").write_text(
        "import own_inner as inner\nFACTOR = 2.0\nUNUSED = 3\ndef helper(x):\n    return x\n"
        "class Deep:\n    weight = 1.0\n"
    )
    (tmp_path / "own_inner.py").write_text("SHIFT = 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("own_settings", "own_inner"):
        sys.modules.pop(name, None)
    own = importlib.import_module("own_settings")

    def loss(logits, y):
        return own.FACTOR * own.helper(logits).sum() * own.Deep.weight + own.inner.SHIFT

    before = fingerprint(loss)
    assert fingerprint(loss) == before
    change(own)
    assert (fingerprint(loss) != before) == noticed


def test_what_was_compiled_is_known_by_what_it_was_made_of():
    def made(scale):
        return torch.compile(lambda logits, y: scale * logits.sum(), backend="eager")

    assert fingerprint(made(1)) == fingerprint(made(1)) != fingerprint(made(2))
    plain = nn.CrossEntropyLoss(label_smoothing=0.1)
    compiled = [torch.compile(module, backend="eager") for module in (plain, plain, nn.CrossEntropyLoss())]
    first, again, other = map(fingerprint, compiled)
    assert first == again != other and first != fingerprint(plain)
