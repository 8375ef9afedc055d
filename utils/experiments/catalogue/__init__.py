"""All experiments by name.

A new one is a module here with a function that returns it, and a line in ``EXPERIMENTS``. ``order`` says
which of their runs the queue does, and in which order.
"""

from __future__ import annotations

from utils.experiments.catalogue import batchnorm, contrastive, families, kept, landscape, noise
from utils.experiments.catalogue.additions import additions
from utils.experiments.catalogue.all_convolutional import all_convolutional
from utils.experiments.catalogue.decade import decade
from utils.experiments.catalogue.degradation import degradation, identity_mappings, shortcut_variants
from utils.experiments.catalogue.factorised import factorised
from utils.experiments.catalogue.filters import filter_networks
from utils.experiments.catalogue.lenet import lenet_on
from utils.experiments.catalogue.mobilenet import mobilenet
from utils.experiments.catalogue.patchify import patchify
from utils.experiments.catalogue.precision import precisions
from utils.experiments.catalogue.rates import rates, rates_gradients
from utils.experiments.catalogue.se_residual import ablations
from utils.experiments.catalogue.vgg_batchnorm import vgg_batchnorm
from utils.experiments.configuration import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.id: experiment
    for experiment in (
        lenet_on("fashion-mnist"),
        lenet_on("cifar10"),
        decade(),
        all_convolutional(),
        degradation(width=0.5),
        degradation(),
        shortcut_variants(),
        identity_mappings(),
        batchnorm.bands(),
        batchnorm.gradients(),
        vgg_batchnorm(),
        rates(),
        rates_gradients(),
        *precisions(),
        landscape.landscape_networks(),
        landscape.landscape_without_norm(),
        filter_networks(),
        kept.alexnet_filters(),
        kept.resnet_20_long(),
        kept.vit_long(),
        ablations(width=0.5),
        ablations(),
        patchify(),
        patchify(published=True),
        additions(),
        families.families(narrow=True),
        families.families(),
        families.families("cifar100", narrow=True),
        families.families("cifar100"),
        *(families.families_by_size(images) for images in (1_000, 4_000, 20_000)),
        *(families.families_to_a_plateau(images) for images in families.TO_A_PLATEAU),
        contrastive.contrastive(narrow=True),
        contrastive.contrastive(),
        contrastive.contrastive("cifar100"),
        contrastive.contrastive_to_a_plateau(),
        noise.noise_cleanlab(width=0.25),
        noise.noise_cleanlab(width=1),
        noise.noise_imagenette(),
        noise.noise_memorized(),
        mobilenet(width=0.5),
        mobilenet(),
        factorised("cifar10", width=0.5),
        factorised("cifar10"),
        factorised(),
    )
}


def find(experiment_id: str) -> Experiment:
    """The experiment of that name; ``ValueError`` listing the names on an unknown one."""
    if experiment_id not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {experiment_id!r}; there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[experiment_id]
