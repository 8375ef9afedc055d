"""How long a run takes on this machine: speeds that were measured, and what follows from them.

A run is a sequence of *stages*, each a training of its own (all methods but the contrastive one have one).
The speed of a stage is the seconds per training image, and per validation image; its number of epochs is a
share of those of the run.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from utils.experiments.catalogue.order import Run
from utils.experiments.configuration import Budget
from utils.training.history import History

STARTING = 10.0  # seconds to bring in torch and the data, and to count the network's costs
LATEST = 5  # epochs that a corrected speed is the median of
# how much slower than timed a run may have been for its speed to count for other runs: beyond this, the
# machine was busy with other things, and will not always be
SLOWEST = 1.5
# names of ``fit_options`` that decide how long a step takes; the others (rates, decays, schedules) do not
COUNTED = (
    "batch_size",
    "optimizer",
    "augment",
    "precision",
    "channels_last",
    "compile",
    "clip_norm",
    "probes",
)


@dataclass(frozen=True)
class Stage:
    """One training: its epochs as a share of the run's, and seconds per image of both passes."""

    share: float
    train: float
    valid: float


@dataclass(frozen=True)
class Images:
    """The number of images in each split."""

    train: int
    valid: int
    test: int

    def within(self, budget: Budget) -> Images:
        """What a budget leaves of them."""

        def least(limit: int | None, there: int) -> int:
            return there if limit is None else min(limit, there)

        return Images(
            least(budget.train_images, self.train),
            least(budget.valid_images, self.valid),
            least(budget.test_images, self.test),
        )


@dataclass(frozen=True)
class Speed:
    """What was measured of a group of runs: stages, images of all the data, multiply-adds of the network."""

    stages: tuple[Stage, ...]
    images: Images
    macs: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON takes them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Speed:
        """The inverse of :meth:`as_dict`; raises ``KeyError`` or ``TypeError`` for anything else."""
        return cls(tuple(Stage(**stage) for stage in told["stages"]), Images(**told["images"]), told["macs"])


@dataclass(frozen=True)
class Estimate:
    """Seconds that are left of a run, and those of an epoch; ``rough`` if its own speed was not measured."""

    seconds: float
    epoch: float
    rough: bool = False


def group_of(run: Run) -> str:
    """A name for all runs that take equally long for an image: same network, data, method, step."""
    chosen = run.configuration
    options = {name: chosen.fit_options[name] for name in COUNTED if name in chosen.fit_options}
    parts = (
        chosen.model,
        dict(chosen.model_options),
        run.dataset,
        chosen.method,
        dict(chosen.method_options),
        options,
    )
    return " ".join(
        part if isinstance(part, str) else json.dumps(part, sort_keys=True, default=str) for part in parts
    )


def stages_of(
    histories: Sequence[History], epochs: int, valid_images: int, share: float = 1.0
) -> tuple[Stage, ...]:
    """The stages of a training of so many epochs, from their histories; the last epoch of each counts.

    ``share``: of a core that the training got.
    """
    return tuple(
        Stage(
            len(history) / epochs,
            share * history.seconds[-1] / history.train_size,
            share * history.valid_seconds[-1] / valid_images if history.valid_seconds else 0.0,
        )
        for history in histories
    )


def corrected(speed: Speed, histories: Sequence[History], images: Images) -> Speed:
    """The speed with those stages replaced that a run has begun: the median of their latest epochs."""
    stages = list(speed.stages)
    for number, history in enumerate(histories[: len(stages)]):
        if not history.seconds or not history.train_size:
            continue
        valid = stages[number].valid
        if history.valid_seconds and images.valid:
            valid = statistics.median(history.valid_seconds[-LATEST:]) / images.valid
        train = statistics.median(history.seconds[-LATEST:]) / history.train_size
        stages[number] = Stage(stages[number].share, train, valid)
    return Speed(tuple(stages), speed.images, speed.macs)


def bounded(speed: Speed, timed: Sequence[Stage]) -> Speed:
    """The speed, but nowhere more than ``SLOWEST`` times slower than it was timed."""
    stages = tuple(
        Stage(stage.share, min(stage.train, SLOWEST * limit.train), min(stage.valid, SLOWEST * limit.valid))
        for stage, limit in zip(speed.stages, timed, strict=True)
    )
    return Speed(stages, speed.images, speed.macs)


def estimate(run: Run, speed: Speed, done: Sequence[int] = (), rough: bool = False) -> Estimate:
    """What is left of a run at that speed, when so many epochs of each stage are done."""
    images = speed.images.within(run.budget)
    seconds, longest = 0.0, 0.0
    for number, stage in enumerate(speed.stages):
        one = stage.train * images.train + stage.valid * images.valid
        epochs = max(1, round(stage.share * run.budget.epochs))
        left = max(0, epochs - (done[number] if number < len(done) else 0))
        seconds += left * one
        longest = max(longest, one)
    test = speed.stages[-1].valid * images.test if speed.stages else 0.0
    return Estimate(STARTING + seconds + test, longest, rough)


def guessed(macs: int, images: Images, measured: Sequence[Speed]) -> Speed | None:
    """The speed of a network with so many multiply-adds, at the median rate of what was measured.

    None where nothing was.
    """
    useful = [speed for speed in measured if speed.stages and speed.macs]
    rates = [(speed.stages[0].train / speed.macs, speed.stages[0].valid / speed.macs) for speed in useful]
    if not rates:
        return None
    train, valid = (statistics.median(rate) for rate in zip(*rates, strict=True))
    return Speed((Stage(1.0, train * macs, valid * macs),), images, macs)
