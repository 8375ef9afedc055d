"""``fit``: a whole training run, with validation, early stopping, a checkpoint and a record of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.data.batches import Batches, derive_seed
from utils.data.dataset import Split
from utils.training import checkpoints
from utils.training.history import Diverged, History, best_epoch
from utils.training.loop import Hits, Probe, device_of, evaluate, train_one_epoch
from utils.training.losses import Loss, count_correct, cross_entropy
from utils.training.memory import keep_freed_memory
from utils.training.optimizers import OptimizerChoice, base_learning_rates, build_optimizer
from utils.training.precision import (
    Settings,
    choose_settings,
    deterministic,
    quiet_generators,
)
from utils.training.processor import processor_name
from utils.training.progress import Progress
from utils.training.schedules import Schedule, constant

# the stream of random numbers for dropout and the like; 0 and 1 are the order and the augmentation in
# utils.data.batches
DROPOUT = 2
EVALUATION_BATCH = 500
MONITORS = ("loss", "accuracy")


def fit(
    model: nn.Module,
    train: Split,
    valid: Split | None = None,
    *,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    optimizer: OptimizerChoice = "adam",
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    schedule: Schedule | None = None,
    augment: Callable | None = None,
    loss: Loss | None = None,
    hits: Hits = count_correct,
    label_smoothing: float = 0.0,
    clip_norm: float | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    monitor: str = "loss",
    drop_last: bool = False,
    device: str | torch.device | None = None,
    precision: str = "auto",
    channels_last: bool | str = "auto",
    compile: bool = False,
    seed: int = 0,
    probes: Sequence[Probe] = (),
    record_steps: bool = False,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = True,
) -> History:
    """Train ``model`` in place for ``epochs`` passes over ``train`` and return the :class:`History`.

    The same model weights, arguments, device, number of threads and versions give the same history and
    weights to the last bit. The global random number generators are left as they were. The model is left in
    evaluation mode, on ``device``.

    Parameters beyond those that explain themselves:

    - ``optimizer``, ``weight_decay``, ``momentum``: see :func:`utils.training.optimizers.build_optimizer`.
    - ``schedule``: a factor on ``lr`` per batch or per epoch, from :mod:`utils.training.schedules`.
    - ``augment``: see :class:`utils.data.batches.Batches`.
    - ``loss``: a function of (logits, y) that returns the mean over the batch; default: cross entropy with
      ``label_smoothing``. The validation loss is the same function, but without smoothing.
    - ``hits``: a function of (outputs, y) that returns how many of the batch are right, where the outputs are
      not the logits of the classes.
    - ``clip_norm``: upper bound on the norm of the whole gradient.
    - ``patience``: stop when the validation ``monitor`` ("loss" or "accuracy") has not improved by more than
      ``min_delta`` for this many epochs, and put back the weights of the best epoch. Without it the model
      keeps the weights of the last epoch.
    - ``device``: default where the model is. ``precision``: "float32", "bfloat16" or "auto": bfloat16 where
      the device is fast in it, see :func:`utils.training.precision.choose_settings`. What was chosen stands in
      ``History.settings``; a run that goes on from a checkpoint keeps what it began with. Validation is in
      float32 always, so that its figures are those of :func:`utils.training.loop.evaluate`.
    - ``seed``: order of the examples, augmentation and dropout; not the initial weights, which are the
      model's own.
    - ``probes``: see :func:`utils.training.loop.train_one_epoch`. ``record_steps``: keep loss and learning
      rate of every step.
    - ``checkpoint``: a file that is written after every epoch. If it is there, the run goes on from it and
      ends exactly as it would have without the interruption; one that belongs to another configuration or
      model is refused.

    Raises ``ValueError`` for arguments that cannot be meant, ``Diverged`` when the loss becomes infinite or
    not a number (its ``history`` has the epochs before), and ``CheckpointError`` for a checkpoint that cannot
    be used.
    """
    _check_numbers(epochs, batch_size, clip_norm, patience, min_delta, monitor, valid)
    if loss is not None and label_smoothing:
        raise ValueError(
            f"label_smoothing={label_smoothing} belongs to the default loss; build it into your own"
        )
    if schedule is not None and not isinstance(schedule, Schedule):
        raise ValueError(f"schedule must come from utils.training.schedules, got {schedule!r}")
    schedule = schedule or constant()
    device = torch.device(device or device_of(model))
    if device.type == "cpu":
        keep_freed_memory()
    classes = _check_data(model, train, valid, device, loss)

    with ExitStack() as stack:
        stack.enter_context(quiet_generators(device))
        stack.enter_context(deterministic(device))
        saved = None
        if checkpoint is not None:
            stack.enter_context(checkpoints.locked(checkpoint))
            checkpoints.require_writable(checkpoint)
            saved = checkpoints.load_checkpoint(checkpoint) if Path(checkpoint).exists() else None

        settings = choose_settings(device, precision, channels_last, compile)
        if saved is not None:
            settings = _settings_begun_with(saved, settings, precision, channels_last)
        runner = settings.prepare(model)
        batches = Batches(
            train, batch_size, augment, seed=seed, device=device, drop_last=drop_last,
            channels_last=settings.channels_last, num_classes=classes,
        )  # fmt: skip
        valid_batches = None
        if valid is not None:
            valid_batches = Batches(
                valid, EVALUATION_BATCH, shuffle=False, device=device, channels_last=settings.channels_last
            )
        stepper = build_optimizer(optimizer, model, lr, weight_decay, momentum)
        base_lrs = base_learning_rates(stepper)
        train_loss, valid_loss = loss or cross_entropy(label_smoothing), loss or cross_entropy()

        run = _Run(History(train_size=_examples(batches, len(train)), settings=_describe(settings)))
        configuration = {}
        if checkpoint is not None:
            configuration = {
                "batch_size": batch_size, "lr": lr, "optimizer": _name(optimizer),
                "weight_decay": weight_decay, "momentum": momentum, "schedule": str(schedule),
                "augment": _name(augment), "loss": _name(loss), "label_smoothing": label_smoothing,
                "clip_norm": clip_norm, "patience": patience, "min_delta": min_delta, "monitor": monitor,
                "drop_last": drop_last, "seed": seed, "record_steps": record_steps,
                "train": checkpoints.fingerprint(train), "valid": checkpoints.fingerprint(valid),
                **asdict(settings),
            }  # fmt: skip
        if saved is not None:
            run = _resume(checkpoint, saved, configuration, model, stepper, epochs)

        history = run.history
        bar = Progress(epochs, len(batches), done=len(history), show=progress)
        stack.callback(bar.close)
        stack.enter_context(_with_history(history))
        for epoch in range(len(history), 0 if history.stopped_early else epochs):
            torch.manual_seed(derive_seed(seed, epoch, DROPOUT))
            batches.set_epoch(epoch)
            first_step = epoch * len(batches)
            start = time.perf_counter()
            trained = train_one_epoch(
                runner,
                bar.count(batches, epoch),
                stepper,
                train_loss,
                lr_factor=schedule if schedule.unit == "batch" else lambda step, epoch=epoch: schedule(epoch),
                base_lrs=base_lrs,
                first_step=first_step,
                clip_norm=clip_norm,
                probes=probes,
                settings=settings,
                hits=hits,
            )
            history.seconds.append(time.perf_counter() - start)
            history.train_loss.append(trained.loss)
            history.train_accuracy.append(trained.accuracy)
            history.lr.append(trained.step_lr[0])
            if record_steps:
                history.step_loss += trained.step_loss
                history.step_lr += trained.step_lr
            figures = {"train_loss": trained.loss, "train_accuracy": trained.accuracy}
            if valid_batches is not None:
                start = time.perf_counter()
                checked = evaluate(
                    runner, valid_batches, loss_function=valid_loss, settings=settings.exact(), hits=hits
                )
                history.valid_seconds.append(time.perf_counter() - start)
                if not torch.isfinite(torch.tensor(checked.loss)):
                    last = first_step + len(batches) - 1
                    raise Diverged(last, checked.loss, trained.step_lr[-1], where="the validation loss")
                history.valid_loss.append(checked.loss)
                history.valid_accuracy.append(checked.accuracy)
                figures |= {"valid_loss": checked.loss, "valid_accuracy": checked.accuracy}
                run.judge(model, monitor, min_delta, patience)
            if checkpoint is not None:
                checkpoints.save_checkpoint(checkpoint, run.contents(configuration, model, stepper))
            bar.report(**figures)
            if history.stopped_early:
                break
        if patience is not None and run.best_weights is not None:
            model.load_state_dict(run.best_weights)
        model.eval()
    return history


@contextmanager
def _with_history(history: History) -> Iterator[None]:
    """A divergence inside carries the history of the epochs before it."""
    try:
        yield
    except Diverged as error:
        error.history = history
        raise


@dataclass
class _Run:
    """What a run carries from epoch to epoch beside model and optimizer."""

    history: History
    best_weights: dict[str, Tensor] | None = None

    def judge(self, model: nn.Module, monitor: str, min_delta: float, patience: int | None) -> None:
        """Note the best epoch so far; with a patience, keep its weights and see whether that has run out."""
        history, last = self.history, len(self.history) - 1
        figures = history.valid_loss if monitor == "loss" else history.valid_accuracy
        history.best_epoch = best_epoch(figures, monitor == "accuracy", min_delta)
        if patience is None:
            return
        if history.best_epoch == last:
            self.best_weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        history.stopped_early = last - history.best_epoch >= patience

    def contents(
        self, configuration: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer
    ) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "configuration": configuration,
            "outline": checkpoints.outline(model),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": self.history.as_dict(),
            "best_weights": self.best_weights,
        }


def _resume(
    path: str | os.PathLike,
    saved: dict[str, Any],
    configuration: dict[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    epochs: int,
) -> _Run:
    """Put model and optimizer into the state of the checkpoint, if it belongs to this run."""
    try:
        checkpoints.require_same(path, saved["outline"], checkpoints.outline(model), "model")
        checkpoints.require_same(path, saved["configuration"], configuration, "configuration")
        history = History.from_dict(saved["history"])
        if len(history) > epochs:
            raise checkpoints.CheckpointError(
                f"{path} already holds {len(history)} epochs, and epochs={epochs} was asked"
            )
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        best_weights = saved["best_weights"]
    except KeyError as error:
        raise checkpoints.CheckpointError(
            f"{path} is not the checkpoint of a training run: {error} is missing; give another path"
        ) from error
    return _Run(history, best_weights)


def _settings_begun_with(
    saved: dict[str, Any], settings: Settings, precision: str, channels_last: bool | str
) -> Settings:
    """What the rule chose when the run began, where the choice is left to it; on another machine it may be another."""
    before = saved.get("configuration", {})
    left_to_the_rule = {
        "unit": True,
        "precision": precision == "auto",
        "channels_last": channels_last == "auto",
    }
    return replace(
        settings, **{name: before[name] for name, left in left_to_the_rule.items() if left and name in before}
    )


def _check_numbers(
    epochs: int, batch_size: int, clip_norm: float | None, patience: int | None, min_delta: float,
    monitor: str, valid: Split | None,
) -> None:  # fmt: skip
    for name, value in {"epochs": epochs, "batch_size": batch_size, "patience": patience}.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm must be positive, got {clip_norm}")
    if min_delta < 0:
        raise ValueError(f"min_delta must not be negative, got {min_delta}")
    if monitor not in MONITORS:
        raise ValueError(f"monitor is one of {', '.join(MONITORS)}, got {monitor!r}")
    if patience is not None and valid is None:
        raise ValueError(f"early stopping (patience={patience}) needs a validation split, and valid is None")


def _check_data(
    model: nn.Module, train: Split, valid: Split | None, device: torch.device, loss: Loss | None
) -> int | None:
    """Number of classes K, from a forward pass over one image; the splits are seen to fit the model."""
    name = type(model).__name__
    for part, split in (("train", train), ("valid", valid)):
        if split is not None and len(split) == 0:
            raise ValueError(f"the {part} split is empty")
    if valid is not None and valid.images.shape[1:] != train.images.shape[1:]:
        raise ValueError(
            f"images of train and valid differ: {tuple(train.images.shape[1:])} "
            f"and {tuple(valid.images.shape[1:])}"
        )
    x, _ = next(iter(Batches(train.subset(1), 1, shuffle=False, device=device)))
    was_training = model.training
    try:
        with quiet_generators(device), torch.no_grad():
            logits = model.to(device).eval()(x)
    except RuntimeError as error:
        raise ValueError(
            f"{name} does not take images of {tuple(x.shape[1:])} (channels, height, width): {error}"
        ) from error
    finally:
        model.train(was_training)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(
            f"{name} must return one row of outputs per image, [B, K]; for B = 1 it gave {shape}"
        )
    classes = logits.shape[1]
    if loss is None:
        for part, split in (("train", train), ("valid", valid)):
            if split is not None:
                low, high = int(split.labels.min()), int(split.labels.max())
                if low < 0 or high >= classes:
                    raise ValueError(
                        f"labels of {part} go from {low} to {high}, "
                        f"but {name} has {classes} outputs (0 to {classes - 1})"
                    )
    return classes


def _examples(batches: Batches, n: int) -> int:
    """Examples seen per epoch."""
    return len(batches) * batches.batch_size if batches.drop_last else n


def _describe(settings: Settings) -> dict[str, Any]:
    on_gpu = settings.device.startswith("cuda")
    name = torch.cuda.get_device_name(settings.device) if on_gpu else processor_name()
    return {
        **asdict(settings),
        "hardware": name,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _name(choice: object) -> str:
    """A stable text for a configuration: dataclasses and strings show themselves, functions their name."""
    return getattr(choice, "__qualname__", None) or repr(choice)
