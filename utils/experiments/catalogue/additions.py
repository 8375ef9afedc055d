"""Labs 10 and 15: what is added to a residual network, one thing at a time."""

from __future__ import annotations

from typing import Any

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

WIDTH = 0.5
FIT = {
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 128,
    "schedule": "warmup-cosine",
}


def additions() -> Experiment:
    """ResNet-18 of half the width: bare, with flips and crops, and with Cutout, smoothing or SE besides."""

    def one(label: str, model: str = "resnet-18-cifar", **fit: Any) -> Configuration:
        return Configuration(label, model, "cifar10", {"width": WIDTH}, {**FIT, **fit})

    return Experiment(
        id="resnet-18-additions",
        question="What do augmentation, Cutout, label smoothing and SE each add to a residual network?",
        source="DeVries and Taylor 2017, arXiv:1708.04552; Szegedy et al. 2016, arXiv:1512.00567, section 7; "
        "Hu et al. 2018, arXiv:1709.01507, table 4",
        configurations=(
            one("bare"),
            one("augmentation", augment="flip-crop"),
            one("cutout", augment="flip-crop-cutout-16"),
            one("smoothing", augment="flip-crop", label_smoothing=0.1),
            one("squeeze-excitation", "se-resnet-18-cifar", augment="flip-crop"),
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(epochs=3, seeds=(0,), train_images=4_000, test_images=5_000, valid_images=1_000),
            "full": Budget(epochs=40, seeds=(0, 1, 2)),
        },
        deviations=(
            "half the channels of ResNet-18 and 40 epochs with a cosine; DeVries and Taylor have all, and "
            "200 epochs with three steps",
            "Szegedy et al. have Inception on ImageNet; Hu et al. residual networks of 110 and 164 layers",
            "padding by reflection; 45,000 of the 50,000 training images",
        ),
    )


EXPERIMENTS = (additions(),)
