"""Speed of the training loop: ``python tests/benchmarks/bench_training.py`` from the repository root; not
part of the test suite.

These take turns in one run, so that whatever else the machine does falls on all of them alike:

- *plain*: an epoch written in the usual way: PIL images, torchvision transforms, a DataLoader with 2 workers,
  the optimizer as it comes, ``.item()`` in every step;
- *float32*: an epoch of ``utils.training.fit`` with ``precision="float32"``;
- *fit*: an epoch of ``fit`` with its default settings: same data, batch size, model, optimizer and augmentation;
- *limit*: forward pass, backward pass and optimizer step, over and over on one fixed batch that is ready in
  memory, with the same settings as *fit*: the model's own compute limit, which no loop around it can exceed.

``ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16`` (or ``AVX512_CORE``, ``AVX2``) makes this processor a slower one.
Reported are the medians over the rounds of images per second, of the ratio fit / plain, of the fraction fit / limit,
and the share of the machine's fastest matrix product.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image
from torchvision import transforms

from utils.analysis.accounting import account
from utils.data.augment import Compose, RandomCrop, RandomFlip
from utils.data.batches import Batches
from utils.data.dataset import Split
from utils.models import build_model
from utils.training import Settings, choose_settings, fit
from utils.training.optimizers import build_optimizer
from utils.training.processor import bfloat16_unit, processor_name

BATCH_SIZE = 128
LR = 1e-3
CLASSES = 10


def named(name: str, **options: Any) -> Callable[[], nn.Module]:
    """How to build a network of the package for ten classes of 32×32 pictures."""
    return lambda: build_model(name, num_classes=CLASSES, **options)


@dataclass(frozen=True)
class Case:
    """A network, images per epoch (a few seconds each), and by how much ``fit`` has to be faster than the plain loop
    on a processor with each unit for bfloat16, and without one.
    """

    build: Callable[[], nn.Module]
    images: int
    aims: Mapping[str, float]


def aims(amx: float, avx512: float, neither: float = 1.0) -> dict[str, float]:
    return {"amx_bf16": amx, "avx512_bf16": avx512, "": neither}


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
    """Coloured noise with a class in it: the time of a step does not depend on what the pictures show."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, CLASSES, (n,), generator=generator)
    images = torch.randint(0, 160, (n, 3, 32, 32), generator=generator) + labels.view(-1, 1, 1, 1) * 9
    return Split(images.to(torch.uint8), labels, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@dataclass(frozen=True)
class Measured:
    """Images per second over the rounds: the plain loop, ``fit`` in float32, ``fit``, and its compute limit."""

    plain: list[float]
    exact: list[float]
    ours: list[float]
    limit: list[float]

    def ratio(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.plain, strict=True)]

    def share(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.limit, strict=True)]


def measure(case: Case, rounds: int) -> Measured:
    """All four take turns in each round; the limit is taken before and after ``fit``, and the two are averaged."""
    split = synthetic(case.images)
    torch.manual_seed(0)
    models = [case.build() for _ in range(4)]
    plain_optimizer = torch.optim.Adam(models[0].parameters(), lr=LR)
    settings = choose_settings("cpu")
    x, y = next(iter(Batches(split, BATCH_SIZE, shuffle=False)))
    few = split.subset(
        min(2 * BATCH_SIZE, len(split))
    )  # first steps are slow: kernels are chosen, memory is fetched
    steps = max(2, case.images // BATCH_SIZE // 2)
    plain_epoch(models[0], plain_optimizer, few)
    for precision, model in (("float32", models[1]), ("auto", models[2])):
        fit_epoch(model, few, precision)
    limit(models[3], settings, x, y, 2)
    found = Measured([], [], [], [])
    for _ in range(rounds):
        found.plain.append(plain_epoch(models[0], plain_optimizer, split))
        found.exact.append(fit_epoch(models[1], split, "float32"))
        before = limit(models[3], settings, x, y, steps)
        found.ours.append(fit_epoch(models[2], split, "auto"))
        found.limit.append(2 / (1 / before + 1 / limit(models[3], settings, x, y, steps)))
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


def tell(name: str, found: Measured, unit: str, peak: float) -> bool:
    """Print a line for one model, and say whether it meets the aims."""
    case = MODELS[name]
    macs = account(case.build(), (3, 32, 32)).total_macs
    plain, exact, ours, most, ratio, share = (
        statistics.median(c)
        for c in (found.plain, found.exact, found.ours, found.limit, found.ratio(), found.share())
    )
    used = (
        6 * macs * ours / 1e9 / peak
    )  # a multiply-add is two operations; the backward pass has twice as many
    aim = case.aims[unit]
    met = ratio >= aim and share >= LIMIT_FRACTION
    print(
        f"{name:14} {plain:8,.0f} {exact:8,.0f} {ours:8,.0f} {most:8,.0f} {ratio:7.2f} ({aim:.1f}) {share:7.0%} "
        f"{used:6.0%}  {'met' if met else 'NOT MET'}   rounds: "
        + " ".join(f"{r:.2f}/{f:.0%}" for r, f in zip(found.ratio(), found.share(), strict=True)),
        flush=True,
    )
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help=f"which of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(MODELS)
    if unknown or arguments.rounds < 1:
        parser.error(
            f"models are {', '.join(MODELS)}, rounds at least 1; got {arguments.models}, {arguments.rounds}"
        )
    unit = bfloat16_unit()
    peaks = {dtype: matrix_peak(dtype) for dtype in (torch.float32, torch.bfloat16)}
    print(
        f"{processor_name()} ({unit or 'no bfloat16 unit'}), {torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"matrix product {peaks[torch.float32]:,.0f} GFLOP/s in float32, {peaks[torch.bfloat16]:,.0f} in bfloat16"
    )
    print(
        f"images/s, medians of {arguments.rounds} rounds, batches of {BATCH_SIZE}\n"
        f"{'':14} {'plain':>8} {'float32':>8} {'fit':>8} {'limit':>8} {'fit/plain':>9}{'fit/limit':>12} {'of peak':>7}"
    )
    peak = peaks[torch.bfloat16 if unit else torch.float32]
    good = [
        tell(name, measure(MODELS[name], arguments.rounds), unit, peak) for name in arguments.models or MODELS
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
