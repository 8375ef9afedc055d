"""How the network of a configuration is trained: as usual, as one of a pair, or by contrast first.

A method is a function of a :class:`Task` that returns the trained network and the history of its last
training; histories of what came before are in ``stages``. Each resumes a killed run from its checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from utils.analysis.batch_statistics import measure_batch_statistics
from utils.data import Batches, Split
from utils.experiments.activation_noise import with_noise
from utils.experiments.configuration import Configuration
from utils.experiments.recipes import resolve
from utils.experiments.weights import trained
from utils.models import build_model
from utils.models.heads import FrozenEncoder, cut_head
from utils.training import History, fit
from utils.training.contrastive import ContrastiveLoss, ContrastiveNetwork
from utils.training.coteaching import CoTeaching, forget_rate_schedule

SECOND_NETWORK = 1_000_003  # added to the seed: no run has a seed as large


@dataclass(frozen=True)
class Task:
    """One configuration with one seed, and the data it is trained on.

    ``stand_in`` is the name of the data that a smoke test has in the place of all others.
    """

    configuration: Configuration
    train: Split
    valid: Split
    classes: int
    epochs: int
    seed: int
    device: str | None
    checkpoint: Path
    stand_in: str | None = None

    def build(self, seed: int | None = None) -> nn.Module:
        """The network with the initial weights of a seed (default: the run's)."""
        torch.manual_seed(self.seed if seed is None else seed)
        options = self.configuration.model_options
        return build_model(self.configuration.model, num_classes=self.classes, **options)

    def options(self, epochs: int, **more: Any) -> dict[str, Any]:
        """The configuration's arguments of ``fit`` for so many epochs; ``more`` comes in their place."""
        chosen = {**self.configuration.fit_options, **more}
        per_epoch = -(-len(self.train) // chosen.get("batch_size", 128))
        return {
            **resolve(chosen, epochs * per_epoch, per_epoch),
            "epochs": epochs,
            "seed": self.seed,
            "device": self.device,
        }


@dataclass(frozen=True)
class Outcome:
    """The trained network, the history of its last training, those of earlier stages, and the probes."""

    model: nn.Module
    history: History
    stages: Mapping[str, History] = field(default_factory=dict)
    probes: tuple[Any, ...] = ()


def supervised(task: Task) -> Outcome:
    """``fit`` on the training labels.

    A run with probes starts again if it is killed: what they have measured so far is not in the checkpoint.
    """
    return _fitted(task, task.build())


def _fitted(task: Task, model: nn.Module) -> Outcome:
    options = task.options(task.epochs)
    probes = options.get("probes", [])
    history = fit(model, task.train, task.valid, checkpoint=None if probes else task.checkpoint, **options)
    return Outcome(model, history, probes=tuple(probes))


def co_teaching(task: Task, *, forget_rate: float, ramp_share: float = 0.0) -> Outcome:
    """Two networks choose examples for each other (``utils.training.coteaching``); judged are both together.

    ``forget_rate``: the share that is left out; it rises to this over ``ramp_share`` of the epochs.
    """
    options = task.options(task.epochs, drop_last=True)
    steps = len(task.train) // options["batch_size"]
    rates = forget_rate_schedule(task.epochs, forget_rate, round(ramp_share * task.epochs))
    pair = CoTeaching(task.build(), task.build(task.seed + SECOND_NETWORK), rates, steps)
    history = fit(
        pair, task.train, task.valid, checkpoint=task.checkpoint, loss=pair.loss, hits=pair.hits, **options
    )
    return Outcome(pair, history)


def contrastive(
    task: Task,
    *,
    supervised: bool = True,
    temperature: float = 0.07,
    hidden: int = 512,
    head_epochs_share: float = 0.5,
    head_augment: str = "flip-crop",
    head_lr: float = 1e-3,
    pretrain: bool = True,
) -> Outcome:
    """Pre-training with the (supervised) contrastive loss, then a head of two layers on the frozen encoder.

    The configuration's ``fit_options`` are those of the pre-training. ``head_epochs_share``: epochs of the
    head as a share of those of the pre-training. ``pretrain`` False leaves out the first part: what the head
    reaches on an encoder that has learned nothing is the floor of the comparison.
    """
    encoder = task.build()
    features = cut_head(encoder)
    network, loss = ContrastiveNetwork(encoder, features), ContrastiveLoss(temperature, supervised)
    stages = {}
    if pretrain:
        stages["pretraining"] = fit(
            network,
            task.train,
            task.valid,
            checkpoint=_pretraining(task.checkpoint),
            loss=loss,
            hits=loss.hits,
            **task.options(task.epochs, drop_last=True),
        )
    head = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, task.classes))
    model = nn.Sequential(FrozenEncoder(network.encoder), head)
    epochs = max(1, round(head_epochs_share * task.epochs))
    plain = {
        "optimizer": "adam",
        "lr": head_lr,
        "weight_decay": 0.0,
        "schedule": "cosine",
        "augment": head_augment,
    }
    history = fit(model, task.train, task.valid, checkpoint=task.checkpoint, **task.options(epochs, **plain))
    return Outcome(model, history, stages)


def noisy_activations(task: Task, *, shift: float = 0.5, scale: float = 1.25, jitter: float = 0.1) -> Outcome:
    """As usual, with noise behind the layers in training (:mod:`utils.experiments.activation_noise`)."""
    return _fitted(task, with_noise(task.build(), shift=shift, scale=scale, jitter=jitter))


WAYS = ("fine-tuned", "frozen", "untrained", "scratch")
EPOCH = 5_000  # images in an epoch of a transfer: with fewer labels, each is seen several times


def transfer(task: Task, *, source: str, network: str, way: str = "fine-tuned") -> Outcome:
    """Training on a task with a network that has learned another one, and a new last layer.

    ``source`` and ``network``: the experiment and the label whose kept weights are the start. ``way``:
    "fine-tuned" trains all weights further and "frozen" the last layer alone; "scratch" begins with random
    weights, and "untrained" freezes these, but for the statistics of batch normalization, which it measures
    on the training images. An epoch has at least :data:`EPOCH` images, or all that there are.
    """
    if way not in WAYS:
        raise ValueError(f"way must be one of {', '.join(WAYS)}, got {way!r}")
    encoder = trained(source, network).model if way in ("fine-tuned", "frozen") else task.build()
    features = cut_head(encoder)
    if way == "untrained":
        whole = Batches(task.train, len(task.train), shuffle=False, device=task.device)
        encoder = measure_batch_statistics(encoder.to(task.device), next(iter(whole))[0])
    torch.manual_seed(task.seed)
    body = encoder if way in ("fine-tuned", "scratch") else FrozenEncoder(encoder)
    model = nn.Sequential(body, nn.Linear(features, task.classes))
    longer = replace(task, train=_repeated(task.train, task.stand_in))
    history = fit(model, longer.train, task.valid, checkpoint=task.checkpoint, **longer.options(task.epochs))
    return Outcome(model, history)


def _repeated(split: Split, stand_in: str | None) -> Split:
    """The split so many times over that it has an epoch of images; as it is in a smoke test."""
    times = 1 if stand_in else -(-EPOCH // len(split))
    return split.subset(torch.arange(len(split)).repeat(times)) if times > 1 else split


METHODS: dict[str, Callable[..., Outcome]] = {
    "supervised": supervised,
    "co-teaching": co_teaching,
    "contrastive": contrastive,
    "noisy-activations": noisy_activations,
    "transfer": transfer,
}


def train(task: Task) -> Outcome:
    """Train as the configuration says. Raises ``ValueError`` for an unknown method."""
    configuration = task.configuration
    if configuration.method not in METHODS:
        raise ValueError(
            f"unknown method {configuration.method!r} in a configuration; there are {', '.join(METHODS)}"
        )
    return METHODS[configuration.method](task, **configuration.method_options)


def checkpoint_files(checkpoint: Path) -> tuple[Path, ...]:
    """All files that the methods keep of an unfinished run, of which some may not be there."""
    return checkpoint, _pretraining(checkpoint)


def _pretraining(checkpoint: Path) -> Path:
    """The checkpoint of the training before the last one."""
    return checkpoint.with_suffix(".pretraining")
