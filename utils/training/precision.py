"""Numeric precision, memory layout, fast convolutions and compilation, and the rule that chooses them.

They are kept out of the training loop in one small object.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import nn

from utils.training.fast_convolutions import ALL_PASSES, Passes, Shapes
from utils.training.fast_layers import FastLayers
from utils.training.processor import BFLOAT16_UNITS, UNITS, processor_unit

PRECISIONS = ("float32", "bfloat16")


def other_passes(unit: str, shapes: Shapes) -> Passes:
    """Which passes of a convolution are faster done otherwise, on a processor with this unit.

    Measured in milliseconds (torch's convolution, then ours; batches of 128, 3×3 kernels, two threads):

    - ``avx512_bf16`` (AMD Zen 4), 512 channels: gradient of the weights on 2×2 as a product 18.3, 7.0; with a
      stride of 2 on 4×4 46.4, 27.1; elsewhere, and in the other passes, torch's is as fast or faster;
    - ``amx_bf16`` (Intel), 512 channels on 2×2: output 10.2, 2.8; gradient of the weights 32.4, 1.5;
    - both, one channel in a group, stride 2: gradient of the input, spread, on 4×4 with 576 channels 198, 2;
      on 16×16 with 144 channels 184, 8 (in bfloat16 oneDNN has no fast kernel for it; in float32 17);
    - ``avx512`` (Intel, float32, one thread), output of 512 channels on 2×2 47.1, 16.1, on 3×3 70.5, 38.2,
      on 4×4 88.0, 74.4, but of 256 channels there a little slower; gradient of the weights on 2×2 54.6, 14.6.
    """
    if not unit:
        return Passes()
    if shapes.groups > 1:
        return Passes(spread=unit in BFLOAT16_UNITS and max(shapes.stride) > 1)
    if max(shapes.kernel) == 1:  # a product already
        return Passes()
    pixels = max(shapes.output)
    if unit == "avx512":
        return ALL_PASSES if pixels <= 3 else Passes()
    if unit == "amx_bf16":
        return ALL_PASSES if pixels <= 4 else Passes(weight=pixels <= 8)
    return Passes(weight=pixels <= (2 if shapes.stride == (1, 1) else 4))


@dataclass(frozen=True)
class Settings:
    """How a model is run.

    On which device, in which precision ("float32", or "bfloat16" by autocast) and memory layout. ``unit``
    names the processor's unit whose rule says which convolutions are matrix products, see
    :func:`other_passes`; "" is for none.
    """

    device: str = "cpu"
    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is 'auto' or one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.unit not in UNITS:
            raise ValueError(f"unit is one of {UNITS}, got {self.unit!r}")

    @contextmanager
    def running(self) -> Iterator[None]:
        """The context in which the model is called.

        For bfloat16 it is torch's autocast, and with a unit the convolutions that its rule has chosen.
        """
        with ExitStack() as stack:
            if self.precision == "bfloat16":
                stack.enter_context(torch.autocast(torch.device(self.device).type, torch.bfloat16))
            if self.unit:
                stack.enter_context(FastLayers(lambda shapes: other_passes(self.unit, shapes)))
            yield

    def prepare(self, model: nn.Module) -> nn.Module:
        """Move the model's own parameters to device and layout (in place), and return the model to call."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        model.to(self.device)
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.ndim == 4:
                tensor.data = tensor.data.contiguous(memory_format=layout)
        return cast(nn.Module, torch.compile(model)) if self.compile else model

    def exact(self) -> Settings:
        """The same in float32, for what is measured."""
        return replace(self, precision="float32", unit="")

    def __str__(self) -> str:
        layout = "channels last" if self.channels_last else "channels first"
        products = f", small maps as matrix products ({self.unit})" if self.unit else ""
        return f"{self.device}, {self.precision}, {layout}{products}{', compiled' if self.compile else ''}"


def choose_settings(
    device: str | torch.device,
    precision: str = "auto",
    channels_last: bool | str = "auto",
    compile: bool = False,
    unit: str | None = None,
) -> Settings:
    """Fill in "auto" by a rule over what the device can do.

    The same call gives the same bits on the same kind of machine. bfloat16 on a GPU that computes in it and
    on a CPU that has a ``unit`` for it (default: what :func:`utils.training.processor.processor_unit` finds),
    float32 elsewhere; channels last on CPU and GPU. On a CPU some convolutions are matrix products
    (:func:`other_passes`), unless the model is compiled or ``precision="float32"`` is asked for, which is
    torch's own to the last bit. `make bench` shows where the rule is not the fastest.
    """
    device = torch.device(device)
    unit = (processor_unit() if unit is None else unit) if device.type == "cpu" else ""
    asked = precision
    if precision == "auto":
        on_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bfloat16" if on_gpu or unit in BFLOAT16_UNITS else "float32"
    if channels_last == "auto":
        channels_last = device.type in ("cpu", "cuda")
    if not isinstance(channels_last, bool):
        raise ValueError(f"channels_last is True, False or 'auto', got {channels_last!r}")
    follows = unit in BFLOAT16_UNITS if precision == "bfloat16" else asked == "auto"
    products = follows and channels_last and not compile
    return Settings(str(device), precision, channels_last, compile, unit if products else "")


def seed_generators(seed: int, device: str | torch.device) -> None:
    """Seed what layers draw from on this device: the CPU's generator and its own, and no other GPU's."""
    device = torch.device(device)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def quiet_generators(device: str | torch.device) -> Iterator[None]:
    """Whatever is drawn inside leaves the caller's global generators (CPU and this device) as they were."""
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    apples = torch.mps.get_rng_state() if device.type == "mps" else None
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            if apples is not None:
                torch.mps.set_rng_state(apples)


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
    memory: Any = torch.utils.deterministic  # its type does not tell of this switch
    filling = memory.fill_uninitialized_memory
    cudnn.deterministic, cudnn.benchmark = True, False
    torch.use_deterministic_algorithms(True, warn_only=True)
    # a safeguard for wrong kernels that costs a pass over memory
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
        torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])
        memory.fill_uninitialized_memory = filling
