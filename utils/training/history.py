"""What a training run leaves behind: figures per epoch, on request per step, and the settings it ran with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

# fields that differ between two runs of the same configuration, because they are measured with a clock
TIMES = ("seconds", "valid_seconds")


class Diverged(RuntimeError):
    """The loss became infinite or not a number.

    ``step`` (from 0), ``loss`` and ``lr`` are those of the first such step; ``history`` holds the epochs
    before, if it was :func:`fit` that ran.
    """

    def __init__(self, step: int, loss: float, lr: float, where: str = "the training loss") -> None:
        super().__init__(
            f"{where} is {loss} at step {step} (counted from 0) with learning rate {lr:.4g}: "
            "the run has diverged. "
            "Try a smaller learning rate, a warm-up, or clip_norm."
        )
        self.step, self.loss, self.lr = step, loss, lr
        self.history: History | None = None


@dataclass
class History:
    """One entry per epoch in each list.

    ``train_loss``, ``train_accuracy``: over the epoch's training batches as they were seen (augmented, in
    training mode, while the weights changed). ``valid_loss``, ``valid_accuracy``: after the epoch, empty
    without a validation split. Losses are means over examples; accuracies are fractions in [0, 1]. ``lr``: in
    effect at the epoch's first step. ``seconds``, ``valid_seconds``: wall time of the training pass and of
    the validation pass. ``step_loss``, ``step_lr``: one entry per batch, if ``record_steps`` was set.
    ``best_epoch`` (from 0) has the best monitored validation figure, None without validation;
    ``stopped_early`` says that patience ran out. ``train_size``: training examples per epoch. ``settings``:
    device, precision, layout, threads and versions in effect.
    """

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    valid_loss: list[float] = field(default_factory=list)
    valid_accuracy: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    valid_seconds: list[float] = field(default_factory=list)
    step_loss: list[float] = field(default_factory=list)
    step_lr: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    stopped_early: bool = False
    train_size: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of epochs done."""
        return len(self.train_loss)

    @property
    def images_per_second(self) -> float:
        """Training images per second of training time, over all epochs; 0 before the first."""
        return self.train_size * len(self) / sum(self.seconds) if self.seconds else 0.0

    def last(self) -> dict[str, float]:
        """Losses and accuracies of the last epoch, by name."""
        names = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
        return {name: getattr(self, name)[-1] for name in names if getattr(self, name)}

    def as_dict(self, times: bool = True) -> dict[str, Any]:
        """Plain lists, numbers and strings, as JSON takes them.

        ``times=False`` leaves out what was measured with a clock.
        """
        return {name: value for name, value in asdict(self).items() if times or name not in TIMES}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> History:
        """The inverse of :meth:`as_dict`."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"not fields of a history: {sorted(unknown)}")
        own: dict[str, Any] = {
            name: list(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**own)


def best_epoch(figures: list[float], larger_is_better: bool, min_delta: float = 0.0) -> int | None:
    """The epoch of the best figure.

    A later epoch counts as better only if it improves by more than ``min_delta``.
    """
    best = None
    for epoch, figure in enumerate(figures):
        gain = 0.0 if best is None else (figure - figures[best]) * (1 if larger_is_better else -1)
        if best is None or gain > min_delta:
            best = epoch
    return best
