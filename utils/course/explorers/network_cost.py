"""The explorer of a network's cost: parameters and multiply-adds by layer, for other images and widths."""

from __future__ import annotations

from typing import Any

from utils.course.explorers.base import Explorer
from utils.models import alexnet, vgg
from utils.models.googlenet import MODULES

# sides of the image in pixels, factors on the numbers of channels and hidden units
SIDES = (96, 128, 160, 192, 224, 256, 320, 384, 448)
WIDTHS = (0.5, 1.0, 2.0)
HIDDEN, CLASSES = 4096, 1000

Step = dict[str, Any]


def _conv(name: str, c: int, k: int, s: int = 1, p: int = 0, groups: int = 1) -> Step:
    """A convolution to c channels: kernel k, stride s, padding p."""
    return {"kind": "conv", "name": name, "c": c, "k": k, "s": s, "p": p, "groups": groups}


def _pool(k: int, s: int = 2, ceil: bool = True) -> Step:
    return {"kind": "pool", "k": k, "s": s, "p": 0, "ceil": ceil}


def _alexnet() -> list[Step]:
    one, two, three, four, five = alexnet.CHANNELS[2]
    return [
        _conv("conv1", one, 11, s=4, p=2), _pool(3),
        _conv("conv2", two, 5, p=2, groups=2), _pool(3),
        _conv("conv3", three, 3, p=1),
        _conv("conv4", four, 3, p=1, groups=2),
        _conv("conv5", five, 3, p=1, groups=2), _pool(3),
    ]  # fmt: skip


def _vgg(name: str) -> list[Step]:
    steps: list[Step] = []
    for block, (number, wide) in enumerate(zip(vgg.CONVOLUTIONS[name], vgg.CHANNELS, strict=True), start=1):
        steps += [_conv(f"conv{block}_{place}", wide, 3, p=1) for place in range(1, number + 1)]
        steps.append(_pool(2, ceil=False))
    return steps


def _googlenet() -> list[Step]:
    steps: list[Step] = [
        _conv("conv1", 64, 7, s=2, p=3), _pool(3),
        _conv("reduce2", 64, 1), _conv("conv2", 192, 3, p=1), _pool(3),
    ]  # fmt: skip
    for name, row in MODULES.items():
        steps.append({"kind": "module", "name": name, "row": list(row)})
        if name in ("3b", "4e"):
            steps.append(_pool(3))
    return steps


# name -> layers up to the head, and whether the published head is an average
NETWORKS: dict[str, tuple[list[Step], bool]] = {
    "AlexNet": (_alexnet(), False),
    "VGG-A": (_vgg("A"), False),
    "VGG-D": (_vgg("D"), False),
    "GoogLeNet": (_googlenet(), True),
}


def network_cost_explorer(
    network: str = "VGG-A", title: str = "Where are the parameters and the multiply-adds?"
) -> Explorer:
    """Four networks of ImageNet, their cost by layer, and what image, width, head and reductions change.

    network: the one shown first, a key of ``NETWORKS``. The browser counts: weights and biases of every
    layer, and as multiply-adds its weights times the positions of its output.
    """
    if network not in NETWORKS:
        raise ValueError(f"unknown network {network!r}; choose one of {', '.join(NETWORKS)}")
    data = {
        "networks": [
            {"name": name, "steps": steps, "average": average} for name, (steps, average) in NETWORKS.items()
        ],
        "first": list(NETWORKS).index(network),
        "sides": list(SIDES),
        "widths": list(WIDTHS),
        "hidden": HIDDEN,
        "classes": CLASSES,
    }
    summary = (
        f"Parameters and multiply-adds of {', '.join(NETWORKS)} by layer, for images of {SIDES[0]} to "
        f"{SIDES[-1]} pixels a side."
    )
    return Explorer("network_cost", title, data, summary)
