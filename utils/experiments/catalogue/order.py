"""The order in which the queue does the runs that are due: what is worth most to a reader comes first.

An entry stands for runs of one experiment: all its labels with the first seed, then with the next. A run that several entries name
belongs to the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from utils.experiments.configuration import PROFILES, Budget, Configuration, Experiment


@dataclass(frozen=True)
class Entry:
    """Runs of one experiment and why they come here; without ``labels`` all configurations, without ``seeds`` all of the budget."""

    experiment: str
    tier: int
    why: str
    profile: str = "full"
    labels: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


ORDER: tuple[Entry, ...] = (
    Entry("vgg-batchnorm", 1, "labs 7 and 8 rest on VGG-A at its published size (claims C6 to C8)", seeds=(0,)),
    Entry("vgg-batchnorm", 2, "differences with and without batch normalization need three seeds", seeds=(1, 2)),
)


@dataclass(frozen=True)
class Run:
    """One configuration of an experiment with one seed, and the tier that it belongs to."""

    experiment: Experiment
    configuration: Configuration
    seed: int
    profile: str
    tier: int

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def budget(self) -> Budget:
        """The size of the run."""
        return self.experiment.budgets[self.profile]

    @property
    def dataset(self) -> str:
        """The data that it is trained on."""
        return self.budget.dataset or self.configuration.dataset

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What tells it from all other runs: experiment, label, seed, profile."""
        return self.experiment.id, self.configuration.label, self.seed, self.profile

    @property
    def title(self) -> str:
        """A name for people: ``vgg-batchnorm plain-0.001 seed 0``, with the profile where it is not ``full``."""
        profile = "" if self.profile == "full" else f" {self.profile}"
        return f"{self.experiment.id} {self.configuration.label} seed {self.seed}{profile}"


def runs_of(order: Iterable[Entry], experiments: Mapping[str, Experiment]) -> tuple[Run, ...]:
    """All runs of an order, each once. ``ValueError`` names an experiment, profile, label or seed that does not exist."""
    found: dict[tuple[str, str, int, str], Run] = {}
    for entry in order:
        for run in _expanded(entry, experiments):
            found.setdefault(run.key, run)
    return tuple(found.values())


def _expanded(entry: Entry, experiments: Mapping[str, Experiment]) -> Iterator[Run]:
    experiment = experiments.get(entry.experiment)
    if experiment is None:
        raise ValueError(f"the order names the experiment {entry.experiment!r}, which is not in the catalogue")
    if entry.profile not in PROFILES:
        raise ValueError(f"the order names the profile {entry.profile!r} of {experiment.id}; there are {', '.join(PROFILES)}")
    known = {configuration.label: configuration for configuration in experiment.configurations}
    for label in entry.labels:
        if label not in known:
            raise ValueError(f"the order names the label {label!r} of {experiment.id}; there are {', '.join(known)}")
    of_budget = experiment.budgets[entry.profile].seeds
    for seed in entry.seeds:
        if seed < 0:
            raise ValueError(f"the order names the seed {seed} of {experiment.id}; seeds are whole numbers from 0")
    for seed in entry.seeds or of_budget:
        for label in entry.labels or known:
            yield Run(experiment, known[label], seed, entry.profile, entry.tier)
