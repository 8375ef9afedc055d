"""Points per second of a loss surface: ``python tests/benchmarks/bench_landscape.py`` from the repository
root; not part of the test suite.

Three things take turns in one run, so that whatever else the machine does falls on all of them alike:

- *plain*: the usual loop: for each point ``load_state_dict`` with the moved weights, then a pass over a
  DataLoader with 2 workers (PIL images, torchvision's ToTensor and Normalize, batches of 128), ``.item()``
  per batch;
- *surface*: ``loss_surface`` with its default settings on the same images and points;
- *limit*: forward passes alone, over batches that are ready in memory and with weights that stay: the model's
  own compute limit for points that are evaluated one by one.

Reported are the medians over the rounds of points per second, of the ratio surface / plain and of the
fraction surface / limit, and the largest difference between the losses that the two find. The aim is the
ratio; where a network is so large that its own forward pass takes most of the plain loop's time, which on a
CPU is so for the ResNet and the VGG, no loop can reach it, and the fraction says how much is left.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image
from torchvision import transforms

from utils.analysis.landscape import filter_normalized_directions, loss_surface
from utils.analysis.landscape.surface import BATCH_SIZE
from utils.data.batches import Batches
from utils.data.dataset import Split
from utils.models import build_model

PLAIN_BATCH = 128
WORKERS = 2
REACH = 0.2  # of the grid, in units of the filters' norms
AIM = 5.0

MODELS: dict[str, Callable[[], nn.Module]] = {
    "lenet": lambda: build_model("lenet", num_classes=10, in_channels=3, input_size=32),
    "resnet-20": lambda: build_model("resnet-20", num_classes=10),
    "vgg-a-bn-cifar": lambda: build_model("vgg-a-bn-cifar", num_classes=10),
}


class Pictures(Dataset):
    """The split as PIL images with torchvision transforms, one at a time."""

    def __init__(self, split: Split) -> None:
        self.arrays = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = split.labels.tolist()
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(split.mean, split.std)]
        )

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[index])), self.labels[index]


def plain(
    model: nn.Module,
    split: Split,
    directions: Sequence[Mapping[str, Tensor]],
    alphas: np.ndarray,
    betas: np.ndarray,
) -> np.ndarray:
    """The losses [B, A] by the usual loop; the model ends with its own weights."""
    device = next(model.parameters()).device
    loader = DataLoader(Pictures(split), batch_size=PLAIN_BATCH, num_workers=WORKERS)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.eval()
    losses = []
    for beta in betas:
        for alpha in alphas:
            moved = dict(start)
            for coordinate, direction in ((alpha, directions[0]), (beta, directions[1])):
                for name, tensor in direction.items():
                    moved[name] = moved[name] + float(coordinate) * tensor
            model.load_state_dict(moved)
            total = 0.0
            with torch.no_grad():
                for x, y in loader:
                    x, y = x.to(device), y.to(device)
                    total += F.cross_entropy(model(x), y, reduction="sum").item()
            losses.append(total / len(split))
    model.load_state_dict(start)
    return np.array(losses).reshape(len(betas), len(alphas))


@torch.inference_mode()
def limit(model: nn.Module, split: Split, points: int) -> float:
    """Points per second of forward passes and nothing else."""
    device = next(model.parameters()).device
    model = copy.deepcopy(model).eval().to(memory_format=torch.channels_last)
    batches = [x for x, _ in Batches(split, BATCH_SIZE, shuffle=False, device=device, channels_last=True)]
    start = time.perf_counter()
    for _ in range(points):
        for x in batches:
            model(x)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return points / (time.perf_counter() - start)


def synthetic(n: int) -> Split:
    """Noise with a class in it: the time of a pass does not depend on what the pictures show."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (n,), generator=generator)
    images = torch.randint(0, 160, (n, 3, 32, 32), generator=generator) + labels.view(-1, 1, 1, 1) * 9
    return Split(images.to(torch.uint8), labels, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def bench(name: str, images: int, side: int, rounds: int, device: str) -> bool:
    """Measure one model on a grid of side × side points, print a line, and say whether it meets the aim."""
    torch.manual_seed(0)
    model, split = MODELS[name]().to(device), synthetic(images)
    directions = filter_normalized_directions(model)
    grid = np.linspace(-REACH, REACH, side)
    plain(model, split.subset(PLAIN_BATCH), directions, grid[:1], grid[:1])  # first calls are slow
    loss_surface(model, split, directions, grid[:2], grid[:1], progress=False)
    limit(model, split, 1)
    figures, difference = [], 0.0
    for _ in range(rounds):
        start = time.perf_counter()
        expected = plain(model, split, directions, grid, grid)
        middle = time.perf_counter()
        surface = loss_surface(model, split, directions, grid, grid, progress=False)
        end = time.perf_counter()
        most = limit(model, split, side**2)
        slow, fast = side**2 / (middle - start), side**2 / (end - middle)
        figures.append((slow, fast, most, fast / slow, fast / most))
        difference = max(difference, float(np.max(np.abs(surface.loss - expected) / np.abs(expected))))
    slow, fast, most, ratio, fraction = (statistics.median(column) for column in zip(*figures, strict=True))
    print(
        f"{name:15} {slow:9.2f} {fast:9.2f} {most:9.2f} "
        f"{ratio:8.2f}× (aim {AIM:.0f}×) {fraction:6.0%} of the limit  "
        f"{'met' if ratio >= AIM else 'NOT MET'}   {surface.settings['points_at_once']} at once, "
        f"losses differ by at most {difference:.1e} of their size",
        flush=True,
    )
    print(f"{'':15} rounds: {', '.join(f'{f[3]:.2f}×/{f[4]:.0%}' for f in figures)}", flush=True)
    return ratio >= AIM


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help=f"which of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--side", type=int, default=5, help="points along each axis of the grid")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(MODELS)
    if unknown or min(arguments.images, arguments.side, arguments.rounds) < 1:
        parser.error(f"models are {', '.join(MODELS)}, numbers at least 1; got {vars(arguments)}")
    cpu = platform.processor() or platform.machine()
    hardware = torch.cuda.get_device_name(0) if arguments.device == "cuda" else cpu
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {hardware}")
    print(
        f"{'model':15} {'plain':>9} {'surface':>9} {'limit':>9} points/s; "
        f"medians of {arguments.rounds} rounds, "
        f"{arguments.side}×{arguments.side} points on {arguments.images} images"
    )
    met = [
        bench(name, arguments.images, arguments.side, arguments.rounds, arguments.device)
        for name in arguments.models or MODELS
    ]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
