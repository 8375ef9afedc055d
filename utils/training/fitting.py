"""``fit``: a whole training run, with validation, early stopping, a checkpoint and a record of it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from utils.data.batches import Batches, derive_seed
from utils.data.dataset import Split
from utils.training.checkpoints import place_of
from utils.training.checks import (
    chosen_device,
    count_outputs,
    require_counts,
    require_labels,
    require_module,
    require_seed,
    require_splits,
)
from utils.training.devices import device_name
from utils.training.history import Diverged, History
from utils.training.loop import Evaluation, Hits, Probe, device_of, evaluate, train_one_epoch
from utils.training.losses import Loss, count_correct
from utils.training.memory import keep_freed_memory
from utils.training.optimizers import OptimizerChoice, base_learning_rates
from utils.training.options import Descent, Execution, Objective, Stopping, group
from utils.training.precision import Settings, deterministic, quiet_generators, seed_generators
from utils.training.progress import Progress
from utils.training.resuming import RunFile, open_checkpoint
from utils.training.schedules import Schedule, constant
from utils.training.small_batches import require_batches

# the stream of random numbers for dropout and the like; 0 and 1 are the order and the augmentation in
# utils.data.batches
DROPOUT = 2
EVALUATION_BATCH = 500


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
      Without a ``weight_decay`` nothing decays, and "adamw" is Adam (torch's own default is 0.01).
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
      the device is fast in it, see :func:`utils.training.precision.choose_settings`. What was chosen stands
      in ``History.settings``; a run that goes on from a checkpoint keeps what it began with. Validation is in
      float32 always, so that its figures are those of :func:`utils.training.loop.evaluate`.
    - ``seed``: order of the examples, augmentation and dropout; not the initial weights, which are the
      model's own.
    - ``probes``: see :func:`utils.training.loop.train_one_epoch`. ``record_steps``: keep loss and learning
      rate of every step.
    - ``checkpoint``: a file that is written after every epoch. If it is there, the run goes on from it and
      ends exactly as it would have without the interruption. Refused is one that belongs to another model or
      other arguments, by content: another loss, or the same one with other weights, is another argument.
      Those in which a run may differ stand in :data:`utils.training.resuming.NOT_COMPARED`.

    Raises ``ValueError`` for arguments that cannot be meant, ``Diverged`` when the loss becomes infinite or
    not a number (its ``history`` has the epochs before), and ``CheckpointError`` for a checkpoint that cannot
    be used.
    """
    arguments = dict(locals())  # the first line: these, and no other names, make a run what it is
    with ExitStack() as stack:
        run = _prepare(arguments, stack)
        for epoch in run.epochs_left():
            _train_epoch(run, epoch)
        return _finish(run)


def _prepare(arguments: Mapping[str, Any], stack: ExitStack) -> _Run:
    """Check the arguments, make everything ready, and take up the checkpoint if there is one.

    What is to be closed or put back after the run is left to ``stack``.
    """
    given = {**arguments, "schedule": constant() if arguments["schedule"] is None else arguments["schedule"]}
    model, train, valid = (given[name] for name in ("model", "train", "valid"))
    path = None if given["checkpoint"] is None else place_of(given["checkpoint"])
    require_module(model, given["compile"])
    require_counts(**{name: given[name] for name in ("epochs", "batch_size", "patience")})
    require_seed(given["seed"])
    objective, descent = group(Objective, given), group(Descent, given)
    stopping, execution = group(Stopping, given), group(Execution, given)
    if stopping.patience is not None and valid is None:
        raise ValueError(
            f"early stopping (patience={stopping.patience}) needs a validation split, and valid is None"
        )
    device = chosen_device(given["device"], device_of(model))
    if device.type == "cpu":
        keep_freed_memory()
    require_splits(train, valid)
    outputs = count_outputs(model, train, device)
    if objective.loss is None:
        require_labels(model, outputs, train, valid)
    require_batches(model, train, given["batch_size"], given["drop_last"], given["augment"], device)
    stack.enter_context(quiet_generators(device))
    stack.enter_context(deterministic(device))

    saved = None if path is None else open_checkpoint(path, stack)
    settings = execution.settings(device, {} if saved is None else saved.get("configuration", {}))
    runner = settings.prepare(model)
    batches, valid_batches = _batches(given, settings, outputs)
    stepper = descent.stepper(model)
    base_lrs = base_learning_rates(stepper)
    history, best_weights = History(train_size=_examples(batches), settings=_describe(settings)), None
    file = None if path is None else RunFile(path, given, settings)
    if file is not None and saved is not None:
        history, best_weights = file.take_up(saved, stepper)
    bar = Progress(given["epochs"], len(batches), done=len(history), show=given["progress"])
    stack.callback(bar.close)
    stack.enter_context(_with_history(history))
    return _Run(
        given, objective, descent, stopping, settings, runner, batches, valid_batches, stepper, base_lrs,
        history, best_weights, file, bar,
    )  # fmt: skip


def _train_epoch(run: _Run, epoch: int) -> None:
    """Train on every batch once, validate, and write down how it went."""
    given, history = run.arguments, run.history
    seed_generators(derive_seed(given["seed"], epoch, DROPOUT), run.settings.device)
    run.batches.set_epoch(epoch)
    start = time.perf_counter()
    trained = train_one_epoch(
        run.runner,
        run.bar.count(run.batches, epoch),
        run.stepper,
        run.objective.in_training(),
        lr_factor=run.descent.factor_in(epoch),
        base_lrs=run.base_lrs,
        first_step=epoch * len(run.batches),
        clip_norm=run.descent.clip_norm,
        probes=given["probes"],
        settings=run.settings,
        hits=run.objective.hits,
    )
    seconds = time.perf_counter() - start
    checked = None
    if run.valid_batches is not None:  # before anything is written down: an epoch that diverges here is none
        start = time.perf_counter()
        checked = _validate(run, run.valid_batches, (epoch + 1) * len(run.batches) - 1, trained.step_lr[-1])
        history.valid_seconds.append(time.perf_counter() - start)
    history.seconds.append(seconds)
    history.train_loss.append(trained.loss)
    history.train_accuracy.append(trained.accuracy)
    history.lr.append(trained.step_lr[0])
    if given["record_steps"]:
        history.step_loss += trained.step_loss
        history.step_lr += trained.step_lr
    if checked is not None:
        history.valid_loss.append(checked.loss)
        history.valid_accuracy.append(checked.accuracy)
        if run.stopping.judge(history) and run.stopping.patience is not None:
            state = given["model"].state_dict()
            run.best_weights = {name: tensor.detach().clone() for name, tensor in state.items()}
    if run.file is not None:
        run.file.write(run.stepper, history, run.best_weights)
    run.bar.report(**history.last())


def _validate(run: _Run, batches: Batches, step: int, lr: float) -> Evaluation:
    """Loss and accuracy of the validation split after ``step``; ``Diverged`` if the loss is not finite."""
    checked = evaluate(
        run.runner,
        batches,
        loss_function=run.objective.in_validation(),
        settings=run.settings.exact(),
        hits=run.objective.hits,
    )
    if not math.isfinite(checked.loss):
        raise Diverged(step, checked.loss, lr, where="the validation loss")
    return checked


def _finish(run: _Run) -> History:
    """The model in evaluation mode, after a patience with the weights of the best epoch."""
    model = run.arguments["model"]
    if run.stopping.patience is not None and run.best_weights is not None:
        model.load_state_dict(run.best_weights)
    model.eval()
    return run.history


@dataclass
class _Run:
    """A run made ready; ``history`` and ``best_weights`` are what it carries from epoch to epoch."""

    arguments: Mapping[str, Any]
    objective: Objective
    descent: Descent
    stopping: Stopping
    settings: Settings
    runner: nn.Module  # the model as it is called: compiled, if that was asked
    batches: Batches
    valid_batches: Batches | None
    stepper: torch.optim.Optimizer
    base_lrs: list[float]
    history: History
    best_weights: dict[str, Tensor] | None
    file: RunFile | None
    bar: Progress

    def epochs_left(self) -> Iterator[int]:
        """The numbers of the epochs that are still to be trained."""
        while len(self.history) < self.arguments["epochs"] and not self.history.stopped_early:
            yield len(self.history)


def _batches(given: Mapping[str, Any], settings: Settings, outputs: int) -> tuple[Batches, Batches | None]:
    """The batches to train on, and those to validate on where there is a validation split."""
    device, channels_last = torch.device(settings.device), settings.channels_last
    train = Batches(
        given["train"], given["batch_size"], given["augment"], seed=given["seed"], device=device,
        drop_last=given["drop_last"], num_classes=outputs, channels_last=channels_last,
    )  # fmt: skip
    if given["valid"] is None:
        return train, None
    held_out = Batches(
        given["valid"], EVALUATION_BATCH, shuffle=False, device=device, channels_last=channels_last
    )
    return train, held_out


@contextmanager
def _with_history(history: History) -> Iterator[None]:
    """A divergence inside carries the history of the epochs before it."""
    try:
        yield
    except Diverged as error:
        error.history = history
        raise


def _examples(batches: Batches) -> int:
    """Examples seen per epoch."""
    return len(batches) * batches.batch_size if batches.drop_last else len(batches.images)


def _describe(settings: Settings) -> dict[str, Any]:
    return {
        **asdict(settings),
        "hardware": device_name(settings.device),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
