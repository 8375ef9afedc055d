"""Lab 12: from five classes of CIFAR-10 to the other five, by the number of labels (claim C42)."""

from __future__ import annotations

from dataclasses import replace

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment
from utils.experiments.methods import WAYS

SOURCE, TARGET = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
LABELS = (50, 500, 5_000, 22_500)
NETWORK = {"width": 0.25, "batch_norm": True, "dropout": 0.2}
FIT = {
    "optimizer": "adam",
    "lr": 1e-3,
    "batch_size": 128,
    "schedule": "warmup-cosine",
    "augment": "flip-crop",
}
# by a trial of four rates each on validation images: 12 epochs, 50 and 5,000 labels, one seed; from scratch
# the three largest were within half a point, and the middle one was taken; "untrained" has that of "frozen"
RATES = {"fine-tuned": 1e-3, "frozen": 1e-2, "untrained": 1e-2, "scratch": 3e-3}


def transfer_source() -> Experiment:
    """The network that all others begin with: airplanes, automobiles, birds, cats and deer."""
    return Experiment(
        id="transfer-source",
        question="What does a network learn from photographs of five classes?",
        source="Yosinski et al. 2014, arXiv:1411.1792",
        configurations=(
            Configuration(
                "alexnet", "alexnet-cifar", "cifar10", NETWORK, FIT, keep_weights=True, classes=SOURCE
            ),
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(epochs=5, seeds=(0,)),
            "full": Budget(epochs=40, seeds=(0,)),
        },
        deviations=("a quarter of AlexNet's channels, with batch normalization; five classes of CIFAR-10",),
    )


def transfer_with(labels: int) -> Experiment:
    """Dogs, frogs, horses, ships and trucks with so many labels, in four ways."""
    epochs = 20 if labels == max(LABELS) else 40
    budget = Budget(epochs=epochs, seeds=(0, 1, 2), train_images=labels)
    return Experiment(
        id=f"transfer-{labels}",
        question=f"With {labels:,} labels, what is a network worth that has been trained on other images?",
        source="Kornblith et al. 2019, arXiv:1805.08974",
        configurations=tuple(
            Configuration(
                way,
                "alexnet-cifar",
                "cifar10",
                NETWORK,
                {**FIT, "lr": RATES[way]},
                method="transfer",
                method_options={"source": "transfer-source", "network": "alexnet", "way": way},
                classes=TARGET,
                drawn=True,
            )
            for way in WAYS
        ),
        budgets={
            "smoke": replace(SMOKE, valid_images=32),
            "quick": replace(budget, epochs=2, seeds=(0,)),
            "full": budget,
        },
        deviations=(
            "a narrow AlexNet, trained once on five classes of CIFAR-10; the paper has 16, trained on "
            "ImageNet, and 12 sets of images",
            "an epoch has at least 5,000 images, each label as often as that takes; one rate for each way, "
            "from a short trial on validation images (untrained: that of frozen), in the paper for each set",
            "frozen features are read by a last layer trained like the rest; in the paper, by regression",
        ),
    )


EXPERIMENTS = (transfer_source(), *(transfer_with(labels) for labels in LABELS))
