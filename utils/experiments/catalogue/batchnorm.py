"""VGG-A with and without batch normalization over learning rates, in short runs (claims C6 to C8)."""

from __future__ import annotations

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

NETWORKS = {"plain": "vgg-a-cifar", "bn": "vgg-a-bn-cifar"}
PUBLISHED_RATES = (1e-4, 5e-4, 1e-3, 2e-3)  # those of the bands
WIDER_RATES = (5e-3, 1e-2)
FIT = {"optimizer": "adam", "batch_size": 128, "record_steps": True}
SOURCE = (
    "claims C6 to C8 (a student report on VGG-A and batch normalization); Santurkar et al. 2018, "
    "arXiv:1805.11604"
)
BUDGETS = {
    "smoke": SMOKE,
    "quick": Budget(epochs=5, seeds=(0, 1, 2), train_images=4_000, test_images=5_000, valid_images=1_000),
    "full": Budget(epochs=20, seeds=(0, 1, 2)),
}
DEVIATIONS = (
    "a tenth of the training images is kept for validation; the report trained on all 50,000 and chose by "
    "test accuracy",
    "inputs normalized with the mean and deviation of each channel of the training images, not with the "
    "constants of the code",
    "images are not augmented; the script that made the published logs crops and mirrors them",
)


def bands() -> Experiment:
    """The loss of every step at four learning rates and beyond, with and without batch normalization."""
    configurations = [
        Configuration(f"{kind}-{rate:g}", model, "cifar10", {}, {**FIT, "lr": rate})
        for kind, model in NETWORKS.items()
        for rate in (*PUBLISHED_RATES, *WIDER_RATES)
    ]
    return Experiment(
        id="batchnorm-bands",
        question=(
            "What does batch normalization change in VGG-A: its accuracy, and how much the learning rate "
            "matters to its loss?"
        ),
        source=SOURCE,
        configurations=tuple(configurations),
        budgets=BUDGETS,
        deviations=(
            *DEVIATIONS,
            "two larger learning rates beside the published four; bands are drawn over the published ones",
        ),
    )


EXPERIMENTS = (bands(),)
