"""One place chooses the device; Apple's GPU only where it can do all that the labs ask."""

import ast
import re
from pathlib import Path

import pytest
import torch

from utils.course.lab import start_lab
from utils.experiments import provenance, run
from utils.experiments.catalogue import EXPERIMENTS
from utils.training import devices, precision
from utils.training.devices import OPERATIONS, best_device, can, device_name, lacking

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def machine(monkeypatch):
    """A function that simulates a machine: with CUDA, with Apple's GPU, or with neither."""

    def simulate(cuda=False, apple=False, lacks=()):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)
        monkeypatch.setattr(devices, "can", lambda name, device: device == "mps" and name not in lacks)
        lacking.cache_clear()

    yield simulate
    lacking.cache_clear()


@pytest.mark.parametrize(
    ("cuda", "apple", "lacks", "chosen"),
    [
        (False, False, (), "cpu"),
        (True, False, (), "cuda"),
        (True, True, (), "cuda"),
        (False, True, (), "mps"),
        (False, True, ("float64",), "cpu"),
        (False, True, ("rotation", "average pooling to any size"), "cpu"),
    ],
)
def test_the_device_of_a_machine(machine, cuda, apple, lacks, chosen):
    machine(cuda, apple, lacks)
    assert best_device() == provenance._device(None) == torch.device(chosen)
    if apple and not cuda:
        assert lacking("mps") == tuple(name for name in OPERATIONS if name in lacks)


def test_an_experiment_runs_on_that_device_unless_one_is_named(machine, monkeypatch, tmp_path):
    machine(cuda=True)
    used = []
    monkeypatch.setattr(run, "_run_and_record", lambda *given: used.append(given[5]))
    for named in (None, "cpu"):
        run.run(EXPERIMENTS["lenet-cifar10"], "smoke", seeds=(0,), device=named, results=tmp_path)
    middle = len(used) // 2
    assert set(used[:middle]) == {"cuda"} and set(used[middle:]) == {"cpu"}


def test_a_lab_begins_on_that_device_and_its_badge_names_it(machine, monkeypatch):
    machine(apple=True)
    monkeypatch.setattr(devices, "processor_name", lambda: "Apple M9")
    lab = start_lab("01_convolution_toeplitz")
    assert lab.device == torch.device("mps") and lab.badge.device == "GPU of Apple M9"
    machine(apple=True, lacks=("float64",))
    lab = start_lab("01_convolution_toeplitz")
    assert lab.device == torch.device("cpu") and lab.badge.device.startswith("CPU, ")


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_cpu_can_do_each_operation_and_a_gradient_comes_of_it(name):
    assert can(name, "cpu")
    output, gradient = devices._result(name, torch.device("cpu"))
    assert output.isfinite().all() and gradient.isfinite().all() and gradient.abs().max() > 1e-3


@pytest.mark.parametrize("error", [RuntimeError, NotImplementedError, TypeError, AssertionError])
def test_an_operation_that_raises_is_lacking(monkeypatch, error):
    def refused(x):
        raise error("not on this device")

    monkeypatch.setitem(OPERATIONS, "sorting", refused)
    assert not can("sorting", "cpu")


@pytest.mark.parametrize("wrong", ["output", "gradient"])
def test_an_operation_that_gives_something_else_than_the_cpu_is_lacking(monkeypatch, wrong):
    right, calls = devices._result, []

    def result(name, device):
        calls.append(device)
        output, gradient = right(name, torch.device("cpu"))
        if len(calls) > 1:
            return output, gradient
        return (output + 0.01, gradient) if wrong == "output" else (output, gradient + 0.01)

    monkeypatch.setattr(devices, "_result", result)
    assert not can("attention", "mps") and [each.type for each in calls] == ["mps", "cpu"]


def test_a_gpu_that_is_not_there_can_do_nothing():
    assert set(lacking.__wrapped__("meta")) == set(OPERATIONS)


def test_the_name_of_a_device(monkeypatch):
    monkeypatch.setattr(devices, "processor_name", lambda: "Some Processor 9000")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Some GPU {device}")
    assert device_name("cpu") == "Some Processor 9000"
    assert device_name("mps") == "GPU of Some Processor 9000"
    assert device_name("cuda:1") == "Some GPU cuda:1"


def test_the_generator_of_apples_gpu_is_left_as_it_was(monkeypatch):
    kept = []
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: "its state")
    monkeypatch.setattr(torch.mps, "set_rng_state", kept.append)
    with pytest.raises(KeyError), precision.quiet_generators("mps"):
        raise KeyError
    assert kept == ["its state"]
    with precision.quiet_generators("cpu"):
        pass
    assert kept == ["its state"]


def test_no_other_code_asks_which_devices_there_are():
    asks = re.compile(r"\.(?:cuda|mps|xpu|accelerator)\.(?:is_available|current_accelerator)$")
    found = set()
    for path in (ROOT / "utils").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and asks.search(ast.unparse(node.func)):
                found.add(path.relative_to(ROOT).as_posix())
    # the latter asks whether a device that somebody has named is in this machine
    assert found == {"utils/training/devices.py", "utils/experiments/queue/speeds.py"}
