"""Lab 12: from CIFAR-10 to Fashion-MNIST, by the number of labels (claim C42)."""

from __future__ import annotations

from dataclasses import replace

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment
from utils.experiments.methods import WAYS

LABELS = (100, 1_000, 10_000)
SOURCE = "cifar10"
FIT = {
    "optimizer": "adam",
    "lr": 1e-3,
    "batch_size": 128,
    "schedule": "warmup-cosine",
    "augment": "flip-crop",
}


def transfer_with(labels: int) -> Experiment:
    """ResNet-20 on so many labels: pre-trained and trained further, pre-trained and frozen, from scratch."""
    return Experiment(
        id=f"transfer-{labels}",
        question=f"With {labels:,} labels, what is a network worth that has been trained on other images?",
        source="Kornblith et al. 2019, arXiv:1805.08974",
        configurations=tuple(
            Configuration(
                way,
                "resnet-20",
                "fashion-mnist",
                {"in_channels": 1},
                FIT,
                method="transfer",
                method_options={"source": SOURCE, "way": way, "pretrain_share": 0.5},
            )
            for way in WAYS
        ),
        budgets={
            "smoke": replace(SMOKE, dataset="digits"),
            "quick": Budget(epochs=5, seeds=(0,), train_images=labels, test_images=5_000, valid_images=500),
            "full": Budget(epochs=30, seeds=(0, 1, 2), train_images=labels, valid_images=2_000),
        },
        deviations=(
            "ResNet-20, from CIFAR-10 in gray (15 epochs) to Fashion-MNIST; the paper has 16 networks, from "
            "ImageNet to 12 sets of natural images",
            "30 epochs of at least 5,000 images, each label seen as often as that takes; one rate for all "
            "three ways, in the paper the best in validation for each",
            "frozen features are read by a last layer trained like the rest, in the paper by logistic "
            "regression",
        ),
    )


EXPERIMENTS = tuple(transfer_with(labels) for labels in LABELS)
