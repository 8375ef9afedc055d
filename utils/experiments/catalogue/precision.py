"""What bfloat16 costs: three networks trained in both precisions, paired by seed."""

from __future__ import annotations

from typing import Any

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

PRECISIONS = ("float32", "bfloat16")
# LeNet as the labs train it; the rates of the deep networks fall to 0, for at a constant one the last
# steps scatter
ADAM = {"optimizer": "adam", "lr": 1e-3, "batch_size": 128, "augment": "flip-crop"}
FALLING = {**ADAM, "schedule": "warmup-cosine"}
SGD = {
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "batch_size": 128,
    "schedule": "warmup-cosine",
    "augment": "flip-crop",
}
LENET = {"in_channels": 3, "input_size": 32}


def precision(
    name: str, model: str, fit: dict[str, Any], seeds: int, options: dict[str, Any] | None = None
) -> Experiment:
    """One network with the same seeds in both precisions.

    Initial weights, order of the images and augmentation are then the same.
    """
    return Experiment(
        id=f"precision-{name}",
        question=f"Does training in bfloat16 change the accuracy of {name}?",
        source="this project: these runs decide which precision is the default on processors with bfloat16",
        configurations=tuple(
            Configuration(f"{name}-{chosen}", model, "cifar10", options or {}, {**fit, "precision": chosen})
            for chosen in PRECISIONS
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(epochs=2, seeds=(0, 1), train_images=2_000, test_images=2_000, valid_images=500),
            "full": Budget(epochs=10, seeds=tuple(range(seeds)), train_images=20_000),
        },
    )


def precisions() -> tuple[Experiment, ...]:
    """LeNet, ResNet-20 and VGG-A with batch normalization, with the seeds that their scatter asks for.

    At least five, and so many that the interval of the difference reaches half a point to each side: the
    differences of the first pairs have a standard deviation of 0.2 points for LeNet and VGG-A, and of 1.1 for
    ResNet-20.
    """
    return (
        precision("lenet", "lenet", ADAM, 5, LENET),
        precision("resnet-20", "resnet-20", SGD, 21),
        precision("vgg-a-bn", "vgg-a-bn-cifar", FALLING, 5),
    )


EXPERIMENTS = precisions()
