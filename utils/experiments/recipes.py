"""Names for the parts of a training that are objects, so that a configuration stays plain data.

A configuration may say ``"schedule": "cosine"`` and ``"augment": "flip-crop"`` among its ``fit_options``; here the
names become what ``fit`` takes. Schedules depend on how many steps there are, which only the budget decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from utils.analysis.landscape import GradientProbe
from utils.data.augment import Compose, RandomCrop, RandomFlip
from utils.training import schedules
from utils.training.schedules import Schedule

AUGMENTATIONS: dict[str, Callable[[], Any]] = {
    # He et al. 2016 (arXiv:1512.03385), section 4.2: mirrored, and cropped after padding by 4 (here by reflection)
    "flip-crop": lambda: Compose([RandomFlip(), RandomCrop(4)]),
}
# functions of the number of steps in the whole training
SCHEDULES: dict[str, Callable[[int], Schedule]] = {
    "cosine": lambda steps: schedules.cosine(steps),
    # a twentieth of the training to come up to speed, for networks that diverge at their full rate when new
    "warmup-cosine": lambda steps: schedules.warmup_cosine(max(1, steps // 20), max(2, steps)),
}
# each has a ``read``, whose result goes into the record
PROBES: dict[str, Callable[..., Any]] = {"gradient": GradientProbe}


def resolve(fit_options: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The arguments of ``fit``: names of schedules, augmentations and probes replaced by what they name.

    ``steps`` is the number of optimizer steps of the whole training. ``probes`` are name → arguments. Raises ``ValueError`` for an
    unknown name.
    """
    options = dict(fit_options)
    if "augment" in options:
        options["augment"] = _named("augmentation", options["augment"], AUGMENTATIONS)()
    if "schedule" in options:
        options["schedule"] = _named("schedule", options["schedule"], SCHEDULES)(steps)
    if "probes" in options:
        options["probes"] = [_named("probe", name, PROBES)(**chosen) for name, chosen in options["probes"].items()]
    return options


def _named(kind: str, name: str, choices: Mapping[str, Any]) -> Any:
    if name not in choices:
        raise ValueError(f"unknown {kind} {name!r} in a configuration; there are {', '.join(choices)}")
    return choices[name]
