"""The training loop of every lab and experiment: one pass over the batches, and what it measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.data.batches import Batches
from utils.data.dataset import Split
from utils.training.checks import chosen_device, evaluating, require_labels_below
from utils.training.history import Diverged
from utils.training.losses import Loss, count_correct, is_cross_entropy
from utils.training.optimizers import base_learning_rates, set_learning_rates
from utils.training.precision import Settings
from utils.training.small_batches import ONE_VALUE

Probe = Callable[..., None]
# (outputs of a batch, labels) -> how many are right
Hits = Callable[[Tensor, Tensor], Tensor]

# how many steps' losses wait on the device before they are read and looked at: reading makes a GPU wait for
# its queue
READ_EVERY = 100


def train_one_epoch(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    loss_function: Loss = F.cross_entropy,
    *,
    lr_factor: Callable[[int], float] = lambda step: 1.0,
    base_lrs: Sequence[float] | None = None,
    first_step: int = 0,
    clip_norm: float | None = None,
    probes: Sequence[Probe] = (),
    settings: Settings | None = None,
    hits: Hits = count_correct,
) -> Epoch:
    """One pass over ``batches`` of (x [B, C, H, W], y), with an optimizer step after each.

    The model is left in training mode.
    ``loss_function(logits, y)`` returns the mean over the batch. A network with auxiliary heads returns
    (logits, head, …) in training mode: the gradient is that of the loss plus the network's
    ``auxiliary_weight`` times each head's, and what is recorded is the loss of the logits.
    ``lr_factor(step)`` scales the base learning rates (default: the optimizer's present ones); steps
    count on from ``first_step``. ``clip_norm`` bounds the norm of the whole gradient. ``hits(logits, y)``
    counts what is right, for the accuracy. Each probe is called as ``probe(model=, step=, loss=, x=,
    y=)`` when the gradients are there and the weights have not moved yet. Raises
    :class:`~utils.training.history.Diverged` with the first step whose loss is not finite.
    """
    settings = settings or Settings()
    base_lrs = base_lrs or base_learning_rates(optimizer)
    record = _Record(first_step)
    model.train()
    for step, (x, y) in enumerate(batches, start=first_step):
        lr = set_learning_rates(optimizer, base_lrs, lr_factor(step))
        outputs = _outputs_in_training(model, x, settings)
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = loss_function(logits.float(), y)
        total = loss
        for head in auxiliary:
            weight: float = model.auxiliary_weight  # type: ignore[assignment]  # a number of the network's own
            total = total + weight * loss_function(head.float(), y)
        optimizer.zero_grad()
        model.zero_grad()  # also of what the optimizer does not step
        total.backward()
        for probe in probes:
            probe(model=model, step=step, loss=loss.detach(), x=x, y=y)
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        record.add(loss.detach(), hits(logits.detach(), y), len(x), lr)
    return record.finish()


def _outputs_in_training(model: nn.Module, x: Tensor, settings: Settings) -> Tensor | tuple[Tensor, ...]:
    try:
        with settings.running():
            return model(x)
    except Exception as error:  # a scripted module has a kind of its own
        if ONE_VALUE not in str(error):
            raise
        raise ValueError(
            f"a batch of {len(x)} is too small for the batch normalization of {type(model).__name__}, which "
            "sees a single value in each channel; set drop_last=True, or give another batch_size"
        ) from error


@dataclass(frozen=True)
class Epoch:
    """What one training pass over ``n`` examples measured.

    Mean loss and accuracy over the examples, and loss and learning rate of each step.
    """

    loss: float
    accuracy: float
    n: int
    step_loss: list[float]
    step_lr: list[float]


class _Record:
    """Gathers loss and hits of each step on the device and reads them a hundred at a time."""

    def __init__(self, first_step: int) -> None:
        self.first_step = first_step
        self.waiting: list[Tensor] = []
        self.hits: Tensor | int = 0
        self.losses: list[float] = []
        self.sizes: list[int] = []
        self.lrs: list[float] = []

    def add(self, loss: Tensor, correct: Tensor, size: int, lr: float) -> None:
        self.waiting.append(loss)
        self.hits = self.hits + correct
        self.sizes.append(size)
        self.lrs.append(lr)
        if len(self.waiting) == READ_EVERY:
            self.read()

    def read(self) -> None:
        losses = torch.stack(self.waiting).double()
        done = len(self.losses)
        self.losses += losses.tolist()
        self.waiting.clear()
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            at = done + int(bad[0])
            raise Diverged(self.first_step + at, self.losses[at], self.lrs[at])

    def finish(self) -> Epoch:
        if self.waiting:
            self.read()
        if not self.sizes:
            raise ValueError("there was no batch to train on")
        n = sum(self.sizes)
        total = sum(loss * size for loss, size in zip(self.losses, self.sizes, strict=True))
        return Epoch(total / n, int(self.hits) / n, n, self.losses, self.lrs)


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and accuracy (a fraction in [0, 1]) over ``n`` examples."""

    loss: float
    accuracy: float
    n: int


@torch.no_grad()
def evaluate(
    model: nn.Module,
    split: Split | Batches,
    batch_size: int = 500,
    device: str | torch.device | None = None,
    *,
    loss_function: Loss = F.cross_entropy,
    settings: Settings | None = None,
    hits: Hits = count_correct,
) -> Evaluation:
    """Loss and accuracy of the model in evaluation mode; its mode is put back afterwards.

    ``device`` defaults to where the model is. Batches may be given in place of a split, so that its images
    are moved only once.
    """
    total: Tensor | float = 0.0
    correct: Tensor | int = 0
    n = 0
    for logits, y in _outputs(model, split, batch_size, device, settings):
        if n == 0 and is_cross_entropy(loss_function):
            _require_classes(model, logits, split.labels)
        total = total + loss_function(logits, y).double() * len(y)
        correct = correct + hits(logits, y)
        n += len(y)
    return Evaluation(float(total) / n, int(correct) / n, n)


def _require_classes(model: nn.Module, logits: Tensor, labels: Tensor) -> None:
    """Raise ``ValueError`` where the outputs of a batch are no logits of the classes that labels name."""
    if logits.ndim != 2:
        raise ValueError(
            f"{type(model).__name__} must return one row of outputs per image, [B, K]; for a batch it gave "
            f"{tuple(logits.shape)}"
        )
    require_labels_below(logits.shape[1], labels, "labels", model)


def predict(
    model: nn.Module,
    split: Split | Batches,
    batch_size: int = 500,
    device: str | torch.device | None = None,
    *,
    settings: Settings | None = None,
) -> Tensor:
    """The logits, float32 [N, K] on the CPU, in the order of the split; the model runs in evaluation mode."""
    return torch.cat([logits for logits, _ in _outputs(model, split, batch_size, device, settings)]).cpu()


@torch.no_grad()
def _outputs(
    model: nn.Module,
    split: Split | Batches,
    batch_size: int,
    device: str | torch.device | None,
    settings: Settings | None,
):
    """Pairs of (logits float32 [B, K], y), batch by batch, with the model in evaluation mode."""
    device = chosen_device(device, device_of(model))
    settings = settings or Settings(str(device))
    batches = (
        split if isinstance(split, Batches) else Batches(split, batch_size, shuffle=False, device=device)
    )
    with evaluating(model):
        for x, y in batches:
            with settings.running():
                logits = model(x)
            if not isinstance(logits, Tensor):
                raise ValueError(
                    f"{type(model).__name__} must return a tensor in evaluation mode, got a "
                    f"{type(logits).__name__}"
                )
            yield logits.float(), y


def device_of(model: nn.Module) -> torch.device:
    """Where the model's first parameter lies; the CPU for a model without parameters."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))
