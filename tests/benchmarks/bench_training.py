"""Speed of the training loop: ``python tests/benchmarks/bench_training.py`` from the repository root; not
part of the test suite.

Three things take turns in one run, so that whatever else the machine does falls on all of them alike:

- *plain*: an epoch written in the usual way: PIL images, torchvision transforms, a DataLoader with 2 workers,
  the optimizer as it comes, ``.item()`` in every step;
- *fit*: an epoch of ``utils.training.fit`` with its default settings: same data, batch size, model, optimizer
  and augmentation;
- *limit*: forward pass, backward pass and optimizer step, over and over on one fixed batch that is ready in
  memory, with the fastest of all settings on this machine: the model's own compute limit, which no loop
  around it can exceed.

Reported are the medians over the rounds of images per second, of the ratio fit / plain and of the fraction
fit / limit.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image  # noqa: E402
from torchvision import transforms  # noqa: E402

from utils.data.augment import Compose, RandomCrop, RandomFlip  # noqa: E402
from utils.data.batches import Batches  # noqa: E402
from utils.data.dataset import Split  # noqa: E402
from utils.models import build_model  # noqa: E402
from utils.training import Settings, fit, measure_settings  # noqa: E402
from utils.training.optimizers import build_optimizer  # noqa: E402

BATCH_SIZE = 128
LR = 1e-3
CLASSES = 10


class Residual(nn.Module):
    """Two 3×3 convolutions with batch normalisation, and the input added; ``stride`` 2 halves the picture."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip
        same = stride == 1 and channels_in == channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def small_cnn() -> nn.Module:
    """Three 3×3 convolutions with ReLU and max pooling, then a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 4 * 4, CLASSES),
    )  # fmt: skip


def small_resnet() -> nn.Module:
    """Three residual blocks of 16, 32 and 64 channels behind a convolution."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Residual(16, 16), Residual(16, 32, 2), Residual(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES),
    )  # fmt: skip


# how to build each model, images per epoch (a few seconds each), and by how much fit has to be faster than
# the plain loop
MODELS: dict[str, tuple[Callable[[], nn.Module], int, float]] = {
    "LeNet": (lambda: build_model("lenet", num_classes=CLASSES, in_channels=3, input_size=32), 12_800, 4.0),
    "small CNN": (small_cnn, 5_120, 2.0),
    "small ResNet": (small_resnet, 2_560, 2.0),
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


def fit_epoch(model: nn.Module, split: Split) -> float:
    """Images per second of one epoch of ``fit``."""
    augment = Compose([RandomFlip(), RandomCrop(4)])
    history = fit(model, split, epochs=1, batch_size=BATCH_SIZE, lr=LR, augment=augment, progress=False)
    return history.images_per_second


def limit(model: nn.Module, settings: Settings, x: Tensor, y: Tensor, steps: int) -> float:
    """Images per second of forward, backward and step on one batch."""
    model = settings.prepare(model).train()
    x = x.contiguous(memory_format=torch.channels_last if settings.channels_last else torch.contiguous_format)
    optimizer = build_optimizer("adam", model, LR)
    start = time.perf_counter()
    for _ in range(steps):
        with settings.autocast():
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


def bench(name: str, rounds: int) -> bool:
    """Measure one model, print a line, and say whether it meets the aims."""
    build, n, aim = MODELS[name]
    split = synthetic(n)
    torch.manual_seed(0)
    plain_model, fit_model, limit_model = build(), build(), build()
    plain_optimizer = torch.optim.Adam(plain_model.parameters(), lr=LR)
    x, y = next(iter(Batches(split, BATCH_SIZE, shuffle=False)))
    fastest, _ = measure_settings(limit_model, x, y)
    few = split.subset(5 * BATCH_SIZE)  # first steps are slow: kernels are chosen, memory is fetched
    plain_epoch(plain_model, plain_optimizer, few)
    fit_epoch(fit_model, few)
    limit(limit_model, fastest, x, y, 5)
    figures = []
    for _ in range(rounds):
        plain = plain_epoch(plain_model, plain_optimizer, split)
        before = limit(limit_model, fastest, x, y, n // BATCH_SIZE // 2)
        ours = fit_epoch(fit_model, split)
        after = limit(limit_model, fastest, x, y, n // BATCH_SIZE // 2)
        most = 2 / (1 / before + 1 / after)
        figures.append((plain, ours, most, ours / plain, ours / most))
    plain, ours, most, ratio, fraction = (statistics.median(column) for column in zip(*figures, strict=True))
    met = ratio >= aim and fraction >= LIMIT_FRACTION
    print(
        f"{name:13} {plain:9,.0f} {ours:9,.0f} {most:9,.0f} "
        f"{ratio:8.2f}× (aim {aim:.0f}×) {fraction:8.1%} (aim {LIMIT_FRACTION:.0%})  "
        f"{'met' if met else 'NOT MET'}   limit with {fastest}",
        flush=True,
    )
    spread = [f"{f[3]:.2f}×/{f[4]:.0%}" for f in figures]
    print(f"{'':13} rounds: {', '.join(spread)}", flush=True)
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help=f"which of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(MODELS)
    if unknown or arguments.rounds < 1:
        parser.error(
            f"models are {', '.join(MODELS)}, rounds at least 1; got {arguments.models}, {arguments.rounds}"
        )
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{platform.processor() or platform.machine()}"
    )
    print(
        f"{'model':13} {'plain':>9} {'fit':>9} {'limit':>9} images/s; "
        f"medians of {arguments.rounds} rounds, batches of {BATCH_SIZE}"
    )
    return 0 if all([bench(name, arguments.rounds) for name in arguments.models or MODELS]) else 1


if __name__ == "__main__":
    sys.exit(main())
