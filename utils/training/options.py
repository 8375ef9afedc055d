"""Options of ``fit`` that belong together, each group checked when it is made.

The fields are named as the arguments of ``fit`` are, so that :func:`group` can fill them in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from utils.training.history import History, best_epoch
from utils.training.loop import Hits
from utils.training.losses import Loss, cross_entropy
from utils.training.optimizers import OptimizerChoice, build_optimizer
from utils.training.precision import Settings, choose_settings
from utils.training.schedules import Schedule

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MONITORS = ("loss", "accuracy")
Group = TypeVar("Group", bound="DataclassInstance")


def group(kind: type[Group], arguments: Mapping[str, Any]) -> Group:
    """The options of one kind out of all arguments of ``fit``."""
    return kind(**{field.name: arguments[field.name] for field in fields(kind)})


@dataclass(frozen=True)
class Objective:
    """What is made small, and what is counted as right."""

    loss: Loss | None
    hits: Hits
    label_smoothing: float

    def __post_init__(self) -> None:
        if self.loss is not None and self.label_smoothing:
            raise ValueError(
                f"label_smoothing={self.label_smoothing} belongs to the default loss; build it into your own"
            )

    def in_training(self) -> Loss:
        """The loss whose gradient is taken."""
        return self.loss or cross_entropy(self.label_smoothing)

    def in_validation(self) -> Loss:
        """The same without smoothing, so that its figures can be compared between runs."""
        return self.loss or cross_entropy()


@dataclass(frozen=True)
class Descent:
    """How the weights follow the gradient."""

    optimizer: OptimizerChoice
    lr: float
    weight_decay: float
    momentum: float
    schedule: Schedule
    clip_norm: float | None

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            raise ValueError(f"schedule must come from utils.training.schedules, got {self.schedule!r}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be positive, got {self.clip_norm}")

    def stepper(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of the model's parameters."""
        return build_optimizer(self.optimizer, model, self.lr, self.weight_decay, self.momentum)

    def factor_in(self, epoch: int) -> Callable[[int], float]:
        """The factor on ``lr`` as a function of the step, for the steps of one epoch."""
        return self.schedule if self.schedule.unit == "batch" else lambda step: self.schedule(epoch)


@dataclass(frozen=True)
class Stopping:
    """Which epoch counts as the best one, and how long a better one is waited for (None: to the end)."""

    patience: int | None
    min_delta: float
    monitor: str

    def __post_init__(self) -> None:
        if self.min_delta < 0:
            raise ValueError(f"min_delta must not be negative, got {self.min_delta}")
        if self.monitor not in MONITORS:
            raise ValueError(f"monitor is one of {', '.join(MONITORS)}, got {self.monitor!r}")

    def judge(self, history: History) -> bool:
        """Note the best epoch and whether the patience has run out; True if the best is the last one."""
        figures = history.valid_loss if self.monitor == "loss" else history.valid_accuracy
        best, last = best_epoch(figures, self.monitor == "accuracy", self.min_delta), len(history) - 1
        history.best_epoch = best
        if self.patience is not None and best is not None:
            history.stopped_early = last - best >= self.patience
        return best == last


@dataclass(frozen=True)
class Execution:
    """How the model is run, as far as it is not left to the rule ("auto")."""

    precision: str
    channels_last: bool | str
    compile: bool

    def settings(self, device: torch.device, begun_with: Mapping[str, Any]) -> Settings:
        """What the rule chooses on this machine; where ``begun_with`` tells what it chose before, that.

        On another machine the rule may choose otherwise, and a run that goes on keeps what it began with.
        """
        settings = choose_settings(device, self.precision, self.channels_last, self.compile)
        left_to_the_rule = {
            "unit": True,
            "precision": self.precision == "auto",
            "channels_last": self.channels_last == "auto",
        }
        kept = [name for name, left in left_to_the_rule.items() if left and name in begun_with]
        return replace(settings, **{name: begun_with[name] for name in kept})
