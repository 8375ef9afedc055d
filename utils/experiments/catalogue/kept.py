"""Labs 6, 11, 12 and 16: networks that are looked into, trained until there is something to see.

Their weights are kept.
"""

from __future__ import annotations

from utils.experiments.catalogue.families import NARROW
from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

SGD = {
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 128,
    "schedule": "warmup-cosine",
    "augment": "flip-crop",
}
ADAMW = {
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 5e-2,
    "batch_size": 128,
    "schedule": "warmup-cosine",
    "augment": "flip-crop",
}


def _budgets(epochs: int) -> dict[str, Budget]:
    return {
        "smoke": SMOKE,
        "quick": Budget(epochs=3, seeds=(0,), train_images=4_000, test_images=5_000, valid_images=1_000),
        "full": Budget(epochs=epochs, seeds=(0,)),
    }


def alexnet_filters() -> Experiment:
    """The narrow AlexNet of labs 11 and 12, with the paper's weight decay, which makes filters smooth."""
    options, fit = {"width": 0.4, "batch_norm": True, "dropout": 0.2}, {**SGD, "lr": 0.05}
    return Experiment(
        id="alexnet-filters",
        question="What do the first filters of AlexNet look like after a long training on all of CIFAR-10?",
        source="Krizhevsky et al. 2012, figure 3; Zeiler and Fergus 2013, arXiv:1311.2901",
        configurations=(
            Configuration("alexnet", "alexnet-cifar", "cifar10", options, fit, keep_weights=True),
        ),
        budgets=_budgets(80),
        deviations=("0.4 times the channels, with batch normalization; first filters of 5×5 pixels",),
    )


def resnet_20_long() -> Experiment:
    """ResNet-20 at the paper's width, for most of the paper's 164 epochs."""
    fit = {**SGD, "weight_decay": 1e-4}
    return Experiment(
        id="resnet-20-long",
        question="What does a well-trained ResNet-20 see of an image, and what does it look at?",
        source="He et al. 2016, arXiv:1512.03385, section 4.2",
        configurations=(Configuration("resnet-20", "resnet-20", "cifar10", {}, fit, keep_weights=True),),
        budgets=_budgets(100),
        deviations=(
            "100 of 164 epochs, with a cosine and a short warm-up instead of two steps of the learning rate",
            "45,000 of the 50,000 training images; padding by reflection instead of zeros",
        ),
    )


def vit_long() -> Experiment:
    """The small transformer of lab 16, trained until its heads differ."""
    model, options = NARROW["vit"]
    return Experiment(
        id="vit-long",
        question="Which patches do the heads of a trained vision transformer attend to?",
        source="Dosovitskiy et al. 2020, arXiv:2010.11929, figure 7",
        configurations=(Configuration("vit", model, "cifar10", options, ADAMW, keep_weights=True),),
        budgets=_budgets(80),
        deviations=(
            "96 features, 6 layers, 4 heads and patches of 4×4 pixels; no training on other images before",
        ),
    )


EXPERIMENTS = (alexnet_filters(), resnet_20_long(), vit_long())
