"""All experiments by name. A new one is a module here with a function that returns it, and a line in ``EXPERIMENTS``."""

from __future__ import annotations

from utils.experiments.catalogue import batchnorm
from utils.experiments.catalogue.decade import decade
from utils.experiments.catalogue.degradation import degradation, shortcut_variants
from utils.experiments.catalogue.filters import filter_networks
from utils.experiments.catalogue.landscape import landscape_networks
from utils.experiments.catalogue.lenet import lenet_on
from utils.experiments.configuration import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.id: experiment
    for experiment in (
        lenet_on("fashion-mnist"), lenet_on("cifar10"), decade(), degradation(width=0.5), degradation(), shortcut_variants(),
        batchnorm.bands(), batchnorm.gradients(), landscape_networks(), filter_networks(),
    )
}


def find(experiment_id: str) -> Experiment:
    """The experiment of that name; ``ValueError`` listing the names on an unknown one."""
    if experiment_id not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {experiment_id!r}; there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[experiment_id]
