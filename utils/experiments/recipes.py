"""Names for the parts of a training that are objects, so that a configuration stays plain data.

A configuration may say ``"schedule": "cosine"`` and ``"augment": "flip-crop"`` among its ``fit_options``;
here the names become what ``fit`` takes. Schedules depend on how many steps there are, which only the budget
decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from utils.analysis.landscape import DistanceProbe, GradientProbe
from utils.data.augment import ColorJitter, Compose, Cutout, RandomCrop, RandomFlip, RandomTranslate
from utils.data.views import simclr_views
from utils.training import schedules
from utils.training.schedules import Schedule

CIFAR10_MEAN = (125, 123, 114)  # of the training images, in gray levels

AUGMENTATIONS: dict[str, Callable[[], Any]] = {
    # He et al. 2016 (arXiv:1512.03385), section 4.2: mirrored, and cropped after padding by 4 (by reflection)
    "flip-crop": lambda: Compose([RandomFlip(), RandomCrop(4)]),
    # claims C1 to C5
    "flip-crop-jitter": lambda: Compose([RandomFlip(), RandomCrop(4), ColorJitter(0.2, 0.2, 0.2, 0.1)]),
    # claims C9 to C13: by up to 3 of 32 pixels
    "flip-translate": lambda: Compose([RandomFlip(), RandomTranslate(0.1)]),
    "flip-translate-cutout": lambda: Compose([RandomFlip(), RandomTranslate(0.1), Cutout(8)]),
    # DeVries and Taylor 2017 (arXiv:1708.04552) for CIFAR-10: a square of 16 pixels in the mean color, last
    "cutout-16": lambda: Compose([Cutout(16, CIFAR10_MEAN)]),
    "flip-crop-cutout-16": lambda: Compose([RandomFlip(), RandomCrop(4), Cutout(16, CIFAR10_MEAN)]),
    "simclr-views": simclr_views,
}


@dataclass(frozen=True)
class Span:
    """How long a training is: optimizer steps in all, and in an epoch."""

    steps: int
    per_epoch: int

    def part(self, share: float) -> int:
        """So many steps, at least one."""
        return max(1, round(share * self.steps))


# functions of the length of the training: a shorter one has the same curve, drawn together
SCHEDULES: dict[str, Callable[[Span], Schedule]] = {
    "cosine": lambda span: schedules.cosine(span.steps),
    # a twentieth of the training to come up to speed, for networks that diverge at their full rate when new
    "warmup-cosine": lambda span: schedules.warmup_cosine(max(1, span.steps // 20), max(2, span.steps)),
    # claims C1 to C5: 5 of 100 epochs up, at the top until epoch 25, then down to a tenth
    "warmup-hold-cosine": lambda span: schedules.warmup_hold_cosine(
        span.part(0.05), span.part(0.2), max(span.steps, 3), floor=0.1
    ),
    # Han et al. 2018 (arXiv:1804.06872): the full rate for 80 of 200 epochs, then to 0 (there along a line)
    "hold-cosine": lambda span: schedules.warmup_hold_cosine(0, span.part(0.4), max(span.steps, 2)),
    # claim C9: from 5e-5 to 3e-3 and back, twice in a training
    "triangular2": lambda span: schedules.triangular2(span.part(0.25), low=5e-5 / 3e-3),
    # claim C11 as printed, in epochs of 30: 5 of warm-up, then a cosine; every 10 a tenth of the rate before,
    # or a cosine from the full rate
    "sixth-warmup-cosine": lambda span: schedules.warmup_cosine(span.part(1 / 6), max(2, span.steps)),
    "step": lambda span: schedules.step(span.part(1 / 3), 0.1, unit="batch"),
    "restarts": lambda span: schedules.cosine_restarts(span.part(1 / 3)),
    # claim C11 as its code has it: the numbers that were meant in epochs are counted in batches
    "step-each-10-batches": lambda span: schedules.step(10, 0.1, unit="batch"),
    "restarts-each-10-batches": lambda span: schedules.cosine_restarts(10),
    # claim C19: 0.98 per epoch over 200 epochs
    "exponential": lambda span: schedules.exponential(0.98 ** (200 / span.steps), unit="batch"),
    # claim C23: halved after each quarter (50 of 200 epochs)
    "halving": lambda span: schedules.halving(span.part(0.25), unit="batch"),
}
# each has a ``read``, whose result goes into the record
PROBES: dict[str, Callable[..., Any]] = {"gradient": GradientProbe, "distances": DistanceProbe}


def resolve(fit_options: Mapping[str, Any], steps: int, per_epoch: int | None = None) -> dict[str, Any]:
    """The arguments of ``fit``: names of schedules, augmentations and probes replaced by what they name.

    ``steps`` is the number of optimizer steps of the whole training, ``per_epoch`` of an epoch. ``probes``
    are name → arguments. Raises ``ValueError`` for an unknown name.
    """
    options = dict(fit_options)
    if "augment" in options:
        options["augment"] = _named("augmentation", options["augment"], AUGMENTATIONS)()
    if "schedule" in options:
        options["schedule"] = _named("schedule", options["schedule"], SCHEDULES)(
            Span(steps, per_epoch or steps)
        )
    if "probes" in options:
        options["probes"] = [
            _named("probe", name, PROBES)(**chosen) for name, chosen in options["probes"].items()
        ]
    return options


def _named(kind: str, name: str, choices: Mapping[str, Any]) -> Any:
    if name not in choices:
        raise ValueError(f"unknown {kind} {name!r} in a configuration; there are {', '.join(choices)}")
    return choices[name]
