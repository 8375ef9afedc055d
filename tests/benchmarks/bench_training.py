"""Speed of the training loop: ``make bench``, or ``python tests/benchmarks/bench_training.py``.

These take turns in one run, so that whatever else the machine does falls on all of them alike:

- *plain*: an epoch written in the usual way: PIL images, torchvision transforms, a DataLoader with 2 workers,
  the optimizer as it comes, ``.item()`` in every step;
- *float32*: an epoch of ``utils.training.fit`` with ``precision="float32"``;
- *bfloat16*: the same in torch's bfloat16, without our own layers;
- *fit*: an epoch of ``fit`` as it is by default; data, batches, model, optimizer and augmentation as before;
- *limit*: forward pass, backward pass and optimizer step, over and over on one fixed batch that is ready in
  memory, with the same settings as *fit*: the model's own compute limit, which no loop around it can exceed.

Reported are medians over the rounds: images per second, the ratio fit / plain, the fraction fit / limit, and
the share of the machine's fastest matrix product. Where another column than *fit* is the fastest of its row,
the rule of :func:`utils.training.precision.choose_settings` is not the best for that model on this machine.
``ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16`` (or ``AVX512_CORE``, ``AVX2``) makes the processor a slower one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image
from torchvision import transforms

from tests.benchmarks.how_fast import COLUMNS, PAGE, Machine, row, write_section
from utils.analysis.accounting import account
from utils.data.augment import Compose, RandomCrop, RandomFlip
from utils.data.batches import Batches
from utils.data.dataset import Split
from utils.models import build_model
from utils.training import Settings, choose_settings, fit
from utils.training.optimizers import build_optimizer
from utils.training.processor import processor_name, processor_unit

BATCH_SIZE = 128
LR = 1e-3
CLASSES = 10


def named(name: str, **options: Any) -> Callable[[], nn.Module]:
    """How to build a network of the package for ten classes of 32×32 pictures."""
    return lambda: build_model(name, num_classes=CLASSES, **options)


@dataclass(frozen=True)
class Case:
    """A network, images per epoch, and by how much ``fit`` has to be faster than the plain loop.

    ``aims``: for a processor with each unit for bfloat16, and without one.
    """

    build: Callable[[], nn.Module]
    images: int
    aims: Mapping[str, float]


def aims(amx: float, avx512: float, neither: float = 1.0) -> dict[str, float]:
    return {"amx_bf16": amx, "avx512_bf16": avx512, "avx512": neither, "": neither}


MODELS = {
    "LeNet": Case(named("lenet", in_channels=3, input_size=32), 12_800, aims(5, 3, 2.5)),
    "SE-residual": Case(named("se-residual"), 1_280, aims(2.5, 2.3)),
    "VGG-A": Case(named("vgg-a-cifar"), 1_280, aims(4, 2.4)),
    "VGG-A with BN": Case(named("vgg-a-bn-cifar"), 1_280, aims(3.5, 2.5)),
    "ResNet-20": Case(named("resnet-20"), 2_560, aims(3, 2.9)),
    "ResNet-18": Case(named("resnet-18-cifar"), 640, aims(3, 2.4)),
    "MobileNetV2": Case(named("mobilenet-v2-cifar"), 640, aims(1.4, 2.2)),
    "patchify VGG": Case(named("patchify-vgg"), 3_840, aims(1, 1)),
    "ResNet-56": Case(named("resnet-56"), 1_280, aims(1, 1)),
}
LIMIT_FRACTION = 0.9


class Pictures(Dataset):
    """The split as PIL images with torchvision transforms, one at a time, as torchvision's own CIFAR-10 does
    it.
    """

    def __init__(self, split: Split) -> None:
        self.arrays = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = split.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
                transforms.ToTensor(),
                transforms.Normalize(split.mean, split.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[index])), self.labels[index]


def plain_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, split: Split) -> float:
    """Images per second of the usual loop."""
    loader = DataLoader(Pictures(split), batch_size=BATCH_SIZE, shuffle=True, num_workers=2)
    start = time.perf_counter()
    model.train()
    total, correct = 0.0, 0
    for x, y in loader:
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        correct += (logits.argmax(1) == y).sum().item()
    return len(split) / (time.perf_counter() - start)


def fit_epoch(model: nn.Module, split: Split, precision: str) -> float:
    """Images per second of one epoch of ``fit``."""
    augment = Compose([RandomFlip(), RandomCrop(4)])
    history = fit(
        model,
        split,
        epochs=1,
        batch_size=BATCH_SIZE,
        lr=LR,
        augment=augment,
        precision=precision,
        progress=False,
    )
    return history.images_per_second


def limit(model: nn.Module, settings: Settings, x: Tensor, y: Tensor, steps: int) -> float:
    """Images per second of forward, backward and step on one batch."""
    model = settings.prepare(model).train()
    x = x.contiguous(memory_format=torch.channels_last if settings.channels_last else torch.contiguous_format)
    optimizer = build_optimizer("adam", model, LR)
    start = time.perf_counter()
    for _ in range(steps):
        with settings.running():
            logits = model(x)
        loss = F.cross_entropy(logits.float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return steps * len(y) / (time.perf_counter() - start)


def synthetic(n: int) -> Split:
    """Colored noise with a class in it: the time of a step does not depend on what the pictures show."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, CLASSES, (n,), generator=generator)
    images = torch.randint(0, 160, (n, 3, 32, 32), generator=generator) + labels.view(-1, 1, 1, 1) * 9
    return Split(images.to(torch.uint8), labels, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@dataclass(frozen=True)
class Measured:
    """Images per second in each round, from the plain loop to ``fit``, and the compute limit of ``fit``."""

    plain: list[float] = field(default_factory=list)
    float32: list[float] = field(default_factory=list)
    bfloat16: list[float] = field(default_factory=list)
    fit: list[float] = field(default_factory=list)
    limit: list[float] = field(default_factory=list)

    def median(self, name: str) -> float:
        return statistics.median(getattr(self, name))

    def ratios(self, name: str, other: str) -> list[float]:
        """Round by round, so that what else the machine did falls on both."""
        return [a / b for a, b in zip(getattr(self, name), getattr(self, other), strict=True)]


def measure(case: Case, rounds: int) -> Measured:
    """All take turns in each round; the limit is the mean of one before and one after ``fit``."""
    split = synthetic(case.images)
    torch.manual_seed(0)
    models = [case.build() for _ in range(5)]
    plain_optimizer = torch.optim.Adam(models[0].parameters(), lr=LR)
    settings = choose_settings("cpu")
    x, y = next(iter(Batches(split, BATCH_SIZE, shuffle=False)))
    # first steps are slow: kernels are chosen, memory is fetched
    few = split.subset(min(2 * BATCH_SIZE, len(split)))
    steps = max(2, case.images // BATCH_SIZE // 2)

    def by_torch_alone(model: nn.Module, part: Split) -> float:
        with mock.patch("utils.training.precision.processor_unit", return_value=""):
            return fit_epoch(model, part, "bfloat16")

    ways = {
        "plain": lambda part: plain_epoch(models[0], plain_optimizer, part),
        "float32": lambda part: fit_epoch(models[1], part, "float32"),
        "bfloat16": lambda part: by_torch_alone(models[2], part),
        "fit": lambda part: fit_epoch(models[3], part, "auto"),
    }
    for way in ways.values():
        way(few)
    found = Measured()
    for _ in range(rounds):
        before = limit(models[4], settings, x, y, steps)
        for name in reversed(ways):
            getattr(found, name).append(ways[name](split))
            if name == "fit":
                found.limit.append(2 / (1 / before + 1 / limit(models[4], settings, x, y, steps)))
    return found


def matrix_peak(dtype: torch.dtype, n: int = 2048) -> float:
    """GFLOP/s of the product of two n × n matrices, the best of five."""
    a, b = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
    a @ b
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds) / 1e9


def share_of_peak(case: Case, images_per_second: float, peak: float) -> float:
    """The share of the machine's fastest matrix product."""
    # a multiply-add is two operations, and the backward pass has twice as many as the forward pass
    return 6 * account(case.build(), (3, 32, 32)).total_macs * images_per_second / 1e9 / peak


def met(case: Case, found: Measured, unit: str) -> bool:
    """Whether the model meets its aims."""
    ratio, share = (statistics.median(found.ratios("fit", other)) for other in ("plain", "limit"))
    return ratio >= case.aims[unit] and share >= LIMIT_FRACTION


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help=f"which of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--write", action="store_true", help=f"also write this machine's table into {PAGE.name}"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(MODELS)
    if unknown or arguments.rounds < 1:
        parser.error(
            f"models are {', '.join(MODELS)}, rounds at least 1; got {arguments.models}, {arguments.rounds}"
        )
    machine = Machine(
        processor_name(), processor_unit(), torch.get_num_threads(), torch.__version__,
        matrix_peak(torch.float32), matrix_peak(torch.bfloat16), arguments.rounds,
    )  # fmt: skip
    print(f"{machine.describe()}\nimages/s, medians of {arguments.rounds} rounds, batches of {BATCH_SIZE}")
    print("".join(f"{title:>14}" for title in COLUMNS), flush=True)
    rows, good = {}, True
    for name in arguments.models or MODELS:
        case, found = MODELS[name], measure(MODELS[name], arguments.rounds)
        rows[name] = row(name, found, share_of_peak(case, found.median("fit"), machine.peak))
        success = met(case, found, machine.unit)
        told = " ".join(f"{ratio:.2f}" for ratio in found.ratios("fit", "plain"))
        aim = f"aim {case.aims[machine.unit]:g}: {'met' if success else 'NOT MET'} (rounds: {told})"
        print("".join(f"{cell:>14}" for cell in rows[name]), f"  {aim}", flush=True)
        good = good and success
    if arguments.write:
        write_section(machine, list(rows.values()))
        print(f"written: {PAGE}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
