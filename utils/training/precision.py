"""Numeric precision, memory layout and compilation, kept out of the training loop in one small object."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PRECISIONS = ("float32", "bfloat16")
# measured once per model and batch shape in a process; the choice must not flip between two runs in one
# notebook
_measured: dict[tuple, tuple[Settings, dict[Settings, float]]] = {}


@dataclass(frozen=True)
class Settings:
    """How a model is run: on which device, in which precision ("float32", or "bfloat16" by autocast) and
    memory layout.
    """

    device: str = "cpu"
    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, got {self.precision!r}")

    def autocast(self) -> AbstractContextManager:
        """The context in which the forward pass runs: nothing for float32, torch's autocast for bfloat16."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, torch.bfloat16)

    def prepare(self, model: nn.Module) -> nn.Module:
        """Move the model's own parameters to device and layout (in place); what comes back is the model to
        call.
        """
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        model.to(self.device)
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.ndim == 4:
                tensor.data = tensor.data.contiguous(memory_format=layout)
        return torch.compile(model) if self.compile else model

    def __str__(self) -> str:
        layout = "channels last" if self.channels_last else "channels first"
        return f"{self.device}, {self.precision}, {layout}{', compiled' if self.compile else ''}"


def choose_settings(
    device: str | torch.device,
    precision: str = "auto",
    channels_last: bool | str = "auto",
    compile: bool = False,
) -> Settings:
    """Fill in "auto" by a rule that depends on the device alone, so that the same call gives the same bits.

    The rule is what :func:`measure_settings` found for the models of this book: channels last on CPU and GPU;
    bfloat16 on a GPU that computes in it, float32 elsewhere (on CPUs with AVX-512 bfloat16 instructions,
    small networks were slower in it).
    """
    device = torch.device(device)
    if precision == "auto":
        on_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bfloat16" if on_gpu else "float32"
    if channels_last == "auto":
        channels_last = device.type in ("cpu", "cuda")
    if not isinstance(channels_last, bool):
        raise ValueError(f"channels_last is True, False or 'auto', got {channels_last!r}")
    return Settings(str(device), precision, channels_last, compile)


def measure_settings(
    model: nn.Module, x: Tensor, y: Tensor, *, repeats: int = 5, rounds: int = 3
) -> tuple[Settings, dict[Settings, float]]:
    """The fastest of float32 and bfloat16, channels first and last, for one training step of a copy of the
    model on this batch.

    ``x`` float [B, C, H, W] and ``y`` lie on the device to measure. Returns the fastest settings and the
    seconds per step of each: the minimum over ``rounds`` alternating rounds of the mean over ``repeats``
    steps. The answer is kept for the process, per class, number of parameters and shape of x. Timing decides,
    so two processes may choose differently: record the choice, and pass it to ``fit(precision=…,
    channels_last=…)`` where a run has to be repeated to the bit.
    """
    parameters = sum(p.numel() for p in model.parameters())
    key = (type(model).__qualname__, parameters, tuple(x.shape), str(x.device))
    if key not in _measured:
        device = str(x.device)
        candidates = [
            Settings(device, precision, layout) for precision in PRECISIONS for layout in (False, True)
        ]
        steps = {settings: _one_step(settings, model, x, y) for settings in candidates}
        seconds = dict.fromkeys(candidates, float("inf"))
        with quiet_generators(x.device), deterministic(x.device):
            for _ in range(rounds):
                for settings, step in steps.items():
                    step()  # warms the caches of this candidate
                    start = time.perf_counter()
                    for _ in range(repeats):
                        step()
                    _wait(x.device)
                    seconds[settings] = min(seconds[settings], (time.perf_counter() - start) / repeats)
        _measured[key] = (min(seconds, key=seconds.__getitem__), seconds)
    fastest, seconds = _measured[key]
    return replace(fastest), dict(seconds)


def _one_step(settings: Settings, model: nn.Module, x: Tensor, y: Tensor):
    """Forward, backward and optimizer step on a copy of the model, as a function without arguments."""
    twin = settings.prepare(copy.deepcopy(model)).train()
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    x = x.contiguous(memory_format=layout)
    optimizer = torch.optim.SGD(
        twin.parameters(), lr=0.0
    )  # a rate of 0: the copy stays where it is, whatever the loss

    def step() -> None:
        with settings.autocast():
            logits = twin(x)
        loss = F.cross_entropy(logits.float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def quiet_generators(device: str | torch.device) -> Iterator[None]:
    """Whatever is drawn inside leaves the caller's global generators (CPU and this device) as they were."""
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def deterministic(device: str | torch.device) -> Iterator[None]:
    """On a GPU: kernels that give the same bits on every run, where torch has them. The CPU's do already."""
    if torch.device(device).type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = (cudnn.deterministic, cudnn.benchmark)
    algorithms = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    filling = torch.utils.deterministic.fill_uninitialized_memory
    cudnn.deterministic, cudnn.benchmark = True, False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = (
        False  # a safeguard for wrong kernels that costs a pass over memory
    )
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
        torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])
        torch.utils.deterministic.fill_uninitialized_memory = filling
