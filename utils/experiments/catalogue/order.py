"""The order in which the queue does the runs that are due: what is worth most to a reader comes first.

An entry stands for runs of one experiment: all its labels with the first seed, then with the next. A run that
several entries name belongs to the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from utils.experiments.configuration import PROFILES, Budget, Configuration, Experiment


@dataclass(frozen=True)
class Entry:
    """Runs of one experiment and why they come here.

    Without ``labels`` they are all configurations, without ``seeds`` all seeds of the budget.
    """

    experiment: str
    tier: int
    why: str
    profile: str = "full"
    labels: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


FIRST, LATER = (0,), (1, 2)
# the range of rates, and of these the ones around which the networks cease to train
EDGES = ("0.1", "0.3", "1")
RATES = ("0.003", "0.01", "0.03", *EDGES)
WITHOUT_CONVNEXT = ("resnet-18", "se-resnet-18", "vit")
FIVE = tuple(range(5))

ORDER: tuple[Entry, ...] = (
    # 1: what labs 7 and 8 rest on, and what decides how all that follows is computed
    Entry(
        "vgg-batchnorm",
        1,
        "labs 7 and 8, claims C6 to C8: VGG-A at its published size",
        labels=("plain-0.0001", "plain-0.0005", "plain-0.001", "plain-0.002", "bn-0.0001", "bn-0.0005"),
        seeds=FIRST,
    ),
    Entry("alexnet-filters", 1, "labs 11 and 12 look at first filters: edges come with a long training"),
    Entry("precision-lenet", 1, "whether bfloat16 may be the default: the smallest network"),
    Entry("precision-resnet-20", 1, "the same on a residual network trained by SGD", seeds=FIVE),
    Entry("precision-vgg-a-bn", 1, "the same on the widest of the three"),
    Entry("precision-resnet-20", 1, "the interval of the difference has to come within half a point"),
    Entry("vgg-batchnorm", 1, "the two large rates with batch normalization", seeds=FIRST),
    Entry("vgg-batchnorm", 1, "differences that batch normalization makes need three seeds", seeds=LATER),
    # 2: the range of rates
    Entry(
        "vgg-rates",
        2,
        "the textbook finding of lab 7: normalized, more rates train",
        labels=tuple(f"{kind}-{rate}" for kind in ("plain", "bn") for rate in RATES),
        seeds=FIRST,
    ),
    Entry("vgg-rates-gradients", 2, "the gradients of both networks, compared at equal loss"),
    Entry(
        "vgg-rates",
        2,
        "where training begins to fail, one seed is not enough",
        labels=tuple(f"{kind}-{rate}" for kind in ("plain", "bn") for rate in EDGES),
        seeds=LATER,
    ),
    # 3: weights that labs look into
    Entry("landscape-no-bn", 3, "lab 8 draws the loss around networks without batch normalization"),
    Entry("resnet-20-long", 3, "labs 6 and 11 look into a residual network that has learned"),
    Entry("vit-long", 3, "lab 16 looks at heads, which attend after a long training only"),
    # 4: degradation
    Entry("degradation-paper-width", 4, "claim C24, and the other half of lab 8's networks", seeds=FIRST),
    Entry("degradation-paper-width", 4, "an order of training errors needs three seeds", seeds=LATER),
    # 5: the patchify VGG
    Entry("patchify-vgg-published", 5, "claims C9 to C13 at their published size"),
    # 6: what labs 13 to 16 and lab 4 compare, trained to a plateau
    Entry("families-plateau-4000", 6, "labs 15 and 16 compare four families, which were far from trained"),
    Entry("families-plateau-1000", 6, "the transformer by size of the data: the smallest"),
    Entry("families-plateau-15000", 6, "the transformer by size of the data: between"),
    Entry("families-plateau-45000", 6, "the transformer by size of the data: all images"),
    Entry("contrastive-plateau", 6, "lab 14: contrast needs a long training, and an untrained floor"),
    Entry("noisy-labels-memorized", 6, "lab 13: co-teaching matters once wrong labels are known by heart"),
    Entry("identity-mappings", 6, "lab 4: the places of norm and ReLU matter in a deep network only"),
    Entry("transfer-source", 6, "the network of lab 12, which all transfers begin with"),
    Entry("transfer-50", 6, "fine-tuned, frozen, from scratch by number of labels (Kornblith et al.)"),
    Entry("transfer-500", 6, "ten times as many labels"),
    Entry("transfer-5000", 6, "a hundred times as many labels"),
    Entry("transfer-22500", 6, "all labels"),
    # 7: claims of the literature, and the first labs on the original images
    Entry("lenet-cifar10", 7, "lab 2 on the original images"),
    Entry("lenet-fashion-mnist", 7, "lab 2 on images without color"),
    Entry("imagenet-decade", 7, "lab 3 compares five families, which were far from trained"),
    Entry("all-convolutional", 7, "strides in the place of pooling (Springenberg et al.)"),
    Entry("resnet-18-additions", 7, "Cutout, label smoothing, squeeze and excitation, one at a time"),
    Entry("landscape-distances", 7, "the loss at a distance, by depth and shortcuts (Li et al.)"),
    Entry("vgg-noise", 7, "noise behind batch normalization, with the control (Santurkar et al.)"),
    Entry(
        "vgg-rates",
        7,
        "the accuracy at the smallest rate and at a large one, with and without norm (Bjorck et al.)",
        labels=("plain-0.003", "bn-0.003"),
        seeds=LATER,
    ),
    Entry(
        "vgg-rates",
        7,
        "the same with batch normalization behind the hidden layers, too",
        labels=tuple(f"bn-all-{rate}" for rate in RATES),
        seeds=FIRST,
    ),
    Entry(
        "vgg-rates",
        7,
        "and where that network's training begins to fail",
        labels=tuple(f"bn-all-{rate}" for rate in EDGES),
        seeds=LATER,
    ),
    Entry("vgg-rates-gradients", 7, "an order of gradients needs three seeds", seeds=LATER),
    Entry("convnext-walk", 7, "from ResNet to ConvNeXt, step by step (Liu et al.)"),
    # 8: the networks of student reports and lectures, as many epochs as two hours of a core allow
    Entry("families-cifar10", 8, "claims C14, C16; ConvNeXt-T would take ten hours", labels=WITHOUT_CONVNEXT),
    Entry("factorised-cifar10", 8, "claim C23 with the published network"),
    Entry("mobilenet", 8, "claims C19 to C22 with the published network"),
    Entry("se-residual", 8, "claims C1 to C5 with the published network"),
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
        """A name for people: ``vgg-batchnorm plain-0.001 seed 0``; the profile too if it is not ``full``."""
        profile = "" if self.profile == "full" else f" {self.profile}"
        return f"{self.experiment.id} {self.configuration.label} seed {self.seed}{profile}"


def runs_of(order: Iterable[Entry], experiments: Mapping[str, Experiment]) -> tuple[Run, ...]:
    """All runs of an order, each once.

    ``ValueError`` names an experiment, profile, label or seed that does not exist.
    """
    found: dict[tuple[str, str, int, str], Run] = {}
    for entry in order:
        for run in _expanded(entry, experiments):
            found.setdefault(run.key, run)
    return tuple(found.values())


def _expanded(entry: Entry, experiments: Mapping[str, Experiment]) -> Iterator[Run]:
    experiment = experiments.get(entry.experiment)
    if experiment is None:
        name = entry.experiment
        raise ValueError(f"the order names the experiment {name!r}, which is not in the catalogue")
    if entry.profile not in PROFILES:
        named, choices = entry.profile, ", ".join(PROFILES)
        raise ValueError(f"the order names the profile {named!r} of {experiment.id}; there are {choices}")
    known = {configuration.label: configuration for configuration in experiment.configurations}
    for label in entry.labels:
        if label not in known:
            choices = ", ".join(known)
            raise ValueError(f"the order names the label {label!r} of {experiment.id}; there are {choices}")
    of_budget = experiment.budgets[entry.profile].seeds
    for seed in entry.seeds:
        if seed < 0:
            raise ValueError(f"the order names the seed {seed} of {experiment.id}; seeds count from 0")
    for seed in entry.seeds or of_budget:
        for label in entry.labels or known:
            yield Run(experiment, known[label], seed, entry.profile, entry.tier)
