"""All experiments by name. A new one is a module here with a function that returns it, and a line in ``EXPERIMENTS``."""

from __future__ import annotations

from utils.experiments.catalogue import batchnorm, families, noise
from utils.experiments.catalogue.contrastive import contrastive
from utils.experiments.catalogue.decade import decade
from utils.experiments.catalogue.degradation import degradation, shortcut_variants
from utils.experiments.catalogue.factorised import factorised
from utils.experiments.catalogue.filters import filter_networks
from utils.experiments.catalogue.landscape import landscape_networks
from utils.experiments.catalogue.lenet import lenet_on
from utils.experiments.catalogue.mobilenet import mobilenet
from utils.experiments.catalogue.patchify import patchify
from utils.experiments.catalogue.se_residual import ablations
from utils.experiments.catalogue.vgg_batchnorm import vgg_batchnorm
from utils.experiments.configuration import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.id: experiment
    for experiment in (
        lenet_on("fashion-mnist"), lenet_on("cifar10"), decade(), degradation(width=0.5), degradation(), shortcut_variants(),
        batchnorm.bands(), batchnorm.gradients(), vgg_batchnorm(), landscape_networks(), filter_networks(),
        ablations(width=0.5), ablations(), patchify(), families.families(narrow=True), families.families(),
        families.families("cifar100", narrow=True), families.families("cifar100"),
        *(families.families_by_size(images) for images in (1_000, 4_000, 20_000)),
        contrastive(narrow=True), contrastive(), contrastive("cifar100"),
        noise.noise_cleanlab(width=0.25), noise.noise_cleanlab(width=1), noise.noise_imagenette(),
        mobilenet(width=0.5), mobilenet(), factorised("cifar10", width=0.5), factorised("cifar10"), factorised(),
    )
}


def find(experiment_id: str) -> Experiment:
    """The experiment of that name; ``ValueError`` listing the names on an unknown one."""
    if experiment_id not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {experiment_id!r}; there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[experiment_id]
