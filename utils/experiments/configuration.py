"""What an experiment is: named configurations, each run with several seeds, fixed before anything is run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import Any

from utils.data.label_noise import noisy_labels
from utils.training import fit

PROFILES = ("smoke", "quick", "full")
# arguments of ``fit`` that the run or its method gives: no configuration says them
GIVEN = (
    "model", "train", "valid", "epochs", "seed", "device", "checkpoint", "loss", "hits", "progress",
)  # fmt: skip
FIT_OPTIONS = tuple(name for name in inspect.signature(fit).parameters if name not in GIVEN)
# the options of each function in utils.experiments.methods, which knows this module (a test compares them)
METHOD_OPTIONS = {
    "supervised": (),
    "co-teaching": ("forget_rate", "ramp_share"),
    "contrastive": (
        "supervised", "temperature", "hidden", "head_epochs_share", "head_augment", "head_lr", "pretrain",
    ),
    "noisy-activations": ("shift", "scale", "jitter"),
    "transfer": ("source", "network", "way"),
}  # fmt: skip
NOISE_OPTIONS = tuple(
    name
    for name in inspect.signature(noisy_labels).parameters
    if name not in ("labels", "num_classes", "seed")  # the run gives them
)


class WrongUse(ValueError):
    """What was asked for is not there to be asked for, such as an experiment of an unknown name."""


def meant(name: str, known: Sequence[str]) -> str | None:
    """The known name that is written so but for capitals and the signs between words, or None."""
    return {_plain(one): one for one in known}.get(_plain(name))


def closest(name: str, known: Sequence[str]) -> str:
    """The known name that is most like an unknown one, as a question in brackets; empty if none is."""
    plain = {_plain(one): one for one in known}
    close = get_close_matches(_plain(name), plain, n=1)
    return f" (did you mean {plain[close[0]]!r}?)" if close else ""


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


@dataclass(frozen=True)
class Budget:
    """What a profile changes: epochs, seeds, and how many images of each split are used (None: all).

    ``dataset`` stands in for the configurations' own: a smoke test needs no download.
    """

    epochs: int
    seeds: tuple[int, ...]
    train_images: int | None = None
    test_images: int | None = None
    valid_images: int | None = None
    dataset: str | None = None


# enough to see that an experiment runs, on embedded data
SMOKE = Budget(epochs=1, seeds=(0,), train_images=64, test_images=32, valid_images=32, dataset="shapes")
# the same for large networks, or many of them
FEW = Budget(epochs=1, seeds=(0,), train_images=16, test_images=8, valid_images=8, dataset="shapes")


@dataclass(frozen=True)
class Configuration:
    """One way to train one model; an option that is not known is refused.

    ``label`` names it within its experiment, the rest are arguments of the functions they reach.
    ``model_options`` go to ``build_model``, ``fit_options`` to ``fit`` (lr, optimizer, batch_size, ...; names
    of schedules, augmentations and probes are those of :mod:`utils.experiments.recipes`). ``keep_weights``:
    the weights of the first seed are kept in ``book/results/checkpoints``, for labs that look into trained
    networks. ``method`` and ``method_options``: how it is trained, see :mod:`utils.experiments.methods`.
    ``label_noise``: arguments of ``utils.data.label_noise.noisy_labels`` for the training labels; the noise
    depends on the seed of the run, and validation and test labels stay true. ``dataset_size``: pixels per
    side, None for the usual ones of the dataset. ``classes``: those of the dataset that it is about, numbered
    anew in this order; None for all. ``drawn``: the training images of the budget are drawn with the seed of
    the run, of each class as many; otherwise they are the first.
    """

    label: str
    model: str
    dataset: str
    model_options: Mapping[str, Any] = field(default_factory=dict)
    fit_options: Mapping[str, Any] = field(default_factory=dict)
    keep_weights: bool = False
    method: str = "supervised"
    method_options: Mapping[str, Any] = field(default_factory=dict)
    label_noise: Mapping[str, Any] = field(default_factory=dict)
    dataset_size: int | None = None
    classes: tuple[int, ...] | None = None
    drawn: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHOD_OPTIONS:
            raise ValueError(
                f"unknown method {self.method!r} in a configuration; there are {', '.join(METHOD_OPTIONS)}"
            )
        self._require_known("fit_options", FIT_OPTIONS)
        self._require_known("method_options", METHOD_OPTIONS[self.method])
        self._require_known("label_noise", NOISE_OPTIONS)

    def _require_known(self, options: str, known: Sequence[str]) -> None:
        for name in getattr(self, options):
            if name not in known:
                raise ValueError(
                    f"{options} of configuration {self.label!r} has no {name!r}{closest(name, known)}; "
                    f"there are {', '.join(known) or 'none'}"
                )

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionaries and values, as they are written into a record; of the data only what is said."""
        fields = asdict(self)
        if self.classes is not None:
            fields["classes"] = list(self.classes)
        unsaid = [name for name in ("dataset_size", "classes", "drawn") if fields[name] in (None, False)]
        return {name: value for name, value in fields.items() if name not in unsaid}


@dataclass(frozen=True)
class Experiment:
    """A question, the configurations that answer it, and the budget of each profile.

    ``source`` says where the claim or the settings come from, ``deviations`` names each difference from it.
    """

    id: str
    question: str
    source: str
    configurations: tuple[Configuration, ...]
    budgets: Mapping[str, Budget]
    deviations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        labels = [c.label for c in self.configurations]
        if len(set(labels)) != len(labels):
            raise ValueError(f"experiment {self.id!r} has two configurations of one label: {labels}")
        if tuple(self.budgets) != PROFILES:
            raise ValueError(
                f"experiment {self.id!r} needs a budget for {', '.join(PROFILES)}, "
                f"has {', '.join(self.budgets)}"
            )
