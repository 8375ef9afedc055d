"""Lab 11: networks whose filters and attributions are looked at; their weights are kept."""

from __future__ import annotations

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

FIT = {
    "optimizer": "adam",
    "lr": 1e-3,
    "batch_size": 128,
    "precision": "float32",
    "schedule": "warmup-cosine",
    "augment": "flip-crop",
}


def filter_networks() -> Experiment:
    """A network with large first filters, and the SE-residual network with its sixteen small ones."""
    return Experiment(
        id="filter-networks",
        question=(
            "What do the filters of a trained network look like, and what does a picture of its evidence say?"
        ),
        source="lab 11; Zeiler and Fergus 2013, arXiv:1311.2901; claim C1 for the SE-residual network",
        configurations=(
            Configuration(
                "alexnet",
                "alexnet-cifar",
                "cifar10",
                {"width": 0.4, "batch_norm": True, "dropout": 0.2},
                FIT,
                keep_weights=True,
            ),
            Configuration("se-residual", "se-residual", "cifar10", {}, FIT, keep_weights=True),
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(epochs=8, seeds=(0,), train_images=10_000, test_images=5_000, valid_images=1_000),
            "full": Budget(epochs=20, seeds=(0,)),
        },
        deviations=(
            "0.4 times the channels of AlexNet, with batch normalization",
            "one training for both instead of the report's; flips and crops only",
        ),
    )


EXPERIMENTS = (filter_networks(),)
