"""Lab 10: the lecture's factorized network and what is added to its training step by step (claim C23)."""

from __future__ import annotations

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

FIT = {"optimizer": "sgd", "lr": 0.01, "momentum": 0.9, "batch_size": 32, "schedule": "halving"}
NARROW = {"precision": "float32"}


def factorised(dataset: str = "cifar100", width: float = 1.0) -> Experiment:
    """Base, with batch normalization, with augmentation, with regularization: each keeps what came before."""
    base = {"width": width} if width != 1 else {}
    norm = {**base, "batch_norm": True}
    fit = {**FIT, **(NARROW if width != 1 else {})}
    augmented = {**fit, "augment": "flip-crop"}
    regularized = {**augmented, "weight_decay": 2.5e-3, "label_smoothing": 0.1}
    return Experiment(
        id=f"factorised-{dataset}{'-narrow' if width != 1 else ''}",
        question=(
            "What do batch normalization, augmentation and regularization do to the distance between "
            "training and validation?"
        ),
        source="a lecture on convolutional networks; claim C23",
        configurations=(
            Configuration("base", "factorised-cnn", dataset, base, fit),
            Configuration("bn", "factorised-cnn", dataset, norm, fit),
            Configuration("augmentation", "factorised-cnn", dataset, norm, augmented),
            Configuration("regularisation", "factorised-cnn", dataset, {**norm, "dropout": 0.5}, regularized),
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(
                epochs=16, seeds=(0, 1, 2), train_images=4_000, test_images=5_000, valid_images=1_000
            ),
            "full": Budget(epochs=35, seeds=(0, 1, 2)),
        },
        deviations=(
            "a tenth of the training images for validation instead of a fifth; no early stopping, so that "
            "curves can be compared",
            "flips and crops after padding by 4 pixels; the lecture mirrors, shifts by up to 5 pixels and "
            "scales by .8 to 1.2",
            *(("CIFAR-10 in the place of CIFAR-100",) if dataset != "cifar100" else ()),
            *((f"{width:g} times the channels, in all four",) if width != 1 else ()),
        ),
    )


EXPERIMENTS = (factorised("cifar10", width=0.5), factorised("cifar10"), factorised())
