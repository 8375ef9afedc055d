"""Labs 3 and 5: strides in the place of pooling, by the four networks of Springenberg et al."""

from __future__ import annotations

from utils.experiments.configuration import FEW, Budget, Configuration, Experiment

NETWORKS = ("model-c", "strided-cnn-c", "convpool-cnn-c", "all-cnn-c")
FIT = {
    "optimizer": "sgd",
    "lr": 0.05,
    "momentum": 0.9,
    "weight_decay": 1e-3,
    "batch_size": 128,
    "schedule": "warmup-cosine",
}


def all_convolutional() -> Experiment:
    """The network with pooling, with strides for it, and the two with one layer more at each place."""
    return Experiment(
        id="all-convolutional",
        question="Can pooling be replaced by convolutions of stride 2?",
        source="Springenberg et al. 2014, arXiv:1412.6806, table 3",
        configurations=tuple(Configuration(name, name, "cifar10", {}, FIT) for name in NETWORKS),
        budgets={
            "smoke": FEW,
            "quick": Budget(epochs=3, seeds=(0,), train_images=4_000, test_images=5_000, valid_images=1_000),
            "full": Budget(epochs=18, seeds=(0, 1, 2)),
        },
        deviations=(
            "18 epochs with a cosine instead of 350 with three steps; 45,000 of the 50,000 training images",
            "one rate, .05, for all four, in the paper the best of .25, .1, .05 and .01 for each",
            "images are normalized by channel, in the paper whitened",
        ),
    )


EXPERIMENTS = (all_convolutional(),)
