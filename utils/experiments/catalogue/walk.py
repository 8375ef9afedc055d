"""Lab 15: the walk from ResNet-50 to ConvNeXt-T, step by step (claim C44)."""

from __future__ import annotations

from utils.experiments.configuration import FEW, Budget, Configuration, Experiment
from utils.models.convnext_walk import STEPS

FIT = {
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 5e-2,
    "batch_size": 128,
    "schedule": "warmup-cosine",
    "augment": "flip-crop",
}


def walk() -> Experiment:
    """Thirteen narrow networks, each with one change more than the one before, all trained alike."""
    return Experiment(
        id="convnext-walk",
        question="Which steps on the way from ResNet to ConvNeXt help a narrow network on CIFAR-10?",
        source="Liu et al. 2022, arXiv:2201.03545, section 2 and table 10",
        configurations=tuple(
            Configuration(step, "convnext-walk", "cifar10", {"step": step}, FIT) for step in STEPS
        ),
        budgets={
            "smoke": FEW,
            "quick": Budget(epochs=3, seeds=(0,), train_images=4_000, test_images=5_000, valid_images=1_000),
            "full": Budget(epochs=20, seeds=(0, 1, 2)),
        },
        deviations=(
            "a quarter of the channels, images of 32×32 pixels and stages of 16×16 to 2×2; in the paper "
            "224×224 and 56×56 to 7×7",
            "20 epochs of CIFAR-10 with flips and crops; in the paper 300 of ImageNet with mixup, CutMix, "
            "RandAugment, random erasing, label smoothing and stochastic depth",
            "no layer scale",
        ),
    )


EXPERIMENTS = (walk(),)
