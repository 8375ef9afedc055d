"""Lab 4: plain and residual networks of 20 and 56 layers (claim C24), and the places of the shortcut."""

from __future__ import annotations

from utils.experiments.configuration import FEW, SMOKE, Budget, Configuration, Experiment

FIT = {
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "batch_size": 128,
    "schedule": "warmup-cosine",
    "augment": "flip-crop",
}
NARROW = {"precision": "float32"}
SOURCE = "He et al. 2016, arXiv:1512.03385, section 4.2"
VARIANTS = ("original", "bn-after-add", "relu-before-add", "relu-only-preact", "full-preact")
DEVIATIONS = (
    "a cosine with a short warm-up instead of two steps of the learning rate after 32,000 and 48,000 "
    "iterations",
    "padding by reflection instead of zeros; at most the epochs and images of the profile instead of 64,000 "
    "iterations",
)


def degradation(width: float = 1.0) -> Experiment:
    """Networks of 20 and 56 layers, with shortcuts and without; at the paper's width, or narrower for a CPU.

    At the paper's width the weights are kept: lab 8 draws the loss around them.
    """
    fit_options = {**FIT, **(NARROW if width != 1 else {})}
    configurations = [
        Configuration(
            f"{kind}-{depth}",
            f"resnet-{depth}",
            "cifar10",
            {**options, "width": width},
            fit_options,
            keep_weights=width == 1,
        )
        for kind, options in (("plain", {"shortcut": False}), ("residual", {"shortcut": "A"}))
        for depth in (20, 56)
    ]
    narrow = (f"{width:g} times the channels of the paper, in all four",) if width != 1 else ()
    return Experiment(
        id="degradation" if width != 1 else "degradation-paper-width",
        question=(
            "Does a plain network of 56 layers have a higher training error than one of 20, and do "
            "shortcuts change that?"
        ),
        source=SOURCE,
        configurations=tuple(configurations),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(
                epochs=6, seeds=(0, 1, 2), train_images=8_000, test_images=5_000, valid_images=1_000
            ),
            "full": Budget(epochs=30, seeds=(0, 1, 2)),
        },
        deviations=(*DEVIATIONS, *narrow),
    )


def shortcut_variants() -> Experiment:
    """The five places of batch normalization and ReLU around the addition, in 56 narrow layers."""
    configurations = [
        Configuration(variant, "resnet-56", "cifar10", {"variant": variant, "width": 0.5}, {**FIT, **NARROW})
        for variant in VARIANTS
    ]
    return Experiment(
        id="shortcut-variants",
        question="Does it matter where batch normalization and ReLU stand around the addition?",
        source="He et al. 2016, arXiv:1603.05027, table 2",
        configurations=tuple(configurations),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(
                epochs=3, seeds=(0, 1, 2), train_images=4_000, test_images=5_000, valid_images=1_000
            ),
            "full": Budget(epochs=30, seeds=(0, 1, 2)),
        },
        deviations=(*DEVIATIONS, "56 layers of half the width instead of 110 and 164 layers"),
    )


def identity_mappings() -> Experiment:
    """The same five places in the network of 110 layers in which the paper compares them.

    The last of them also with squeeze and excitation, whose paper takes it for its own comparison.
    """
    return Experiment(
        id="identity-mappings",
        question="In 110 layers, does it matter where norm and ReLU stand around the addition?",
        source="He et al. 2016, arXiv:1603.05027, table 2; Hu et al. 2018, arXiv:1709.01507, table 4",
        configurations=(
            *(
                Configuration(variant, "resnet-110", "cifar10", {"variant": variant}, FIT)
                for variant in VARIANTS
            ),
            Configuration(
                "squeeze-excitation",
                "resnet-110",
                "cifar10",
                {"variant": "full-preact", "squeeze_excitation": 16},
                FIT,
            ),
        ),
        budgets={
            "smoke": FEW,
            "quick": Budget(epochs=2, seeds=(0,), train_images=2_000, test_images=2_000, valid_images=500),
            "full": Budget(epochs=20, seeds=(0, 1, 2)),
        },
        deviations=(*DEVIATIONS, "45,000 of the 50,000 training images, 20 epochs"),
    )


EXPERIMENTS = (degradation(width=0.5), degradation(), shortcut_variants(), identity_mappings())
