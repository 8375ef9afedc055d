"""Lab 14: contrastive pre-training against cross entropy (claim C17)."""

from __future__ import annotations

from typing import Any

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

PRETRAINING = {
    "optimizer": "adam",
    "lr": 1e-3,
    "batch_size": 256,
    "schedule": "warmup-cosine",
    "augment": "simclr-views",
}
CROSS_ENTROPY = {**PRETRAINING, "augment": "flip-crop"}
QUICK = {"precision": "float32"}  # of the experiment whose quick runs are recorded
WIDTH = 0.25  # of the narrow networks


def contrastive(dataset: str = "cifar10", narrow: bool = False) -> Experiment:
    """Supervised contrast, contrast without labels, and cross entropy for as many epochs."""
    options = {"width": WIDTH} if narrow else {}

    def one(label: str, **method: Any) -> Configuration:
        fit = {**(PRETRAINING if method else CROSS_ENTROPY), **(QUICK if narrow else {})}
        return Configuration(
            label,
            "resnet-18-cifar",
            dataset,
            options,
            fit,
            method="contrastive" if method else "supervised",
            method_options=method,
        )

    smoke = Budget(**{**SMOKE.__dict__, "train_images": 512})  # batches of 256 that are not dropped
    return Experiment(
        id=f"contrastive-{dataset}{'-narrow' if narrow else ''}",
        question=(
            "Does supervised contrastive pre-training help against cross entropy, and what does contrast "
            "without labels reach?"
        ),
        source="a student project at KTH, claim C17; Khosla et al. 2020, arXiv:2004.11362",
        configurations=(
            one("cross-entropy"),
            one("supcon", supervised=True),
            one("simclr", supervised=False, temperature=0.5),
        ),
        budgets={
            "smoke": smoke,
            "quick": Budget(
                epochs=16, seeds=(0, 1, 2), train_images=4_000, test_images=5_000, valid_images=1_000
            ),
            "full": Budget(epochs=30 if narrow else 7, seeds=(0, 1, 2)),
        },
        deviations=(
            "the head is trained for half as many epochs as the encoder, in the project's code for as many; "
            "it has no batch normalization (nor dropout of .3, nor label smoothing of .1)",
            "Adam without decay; in the project's code AdamW with 1e-4 for the encoder and 5e-4 for the head",
            "both views are drawn alike, as SimCLR's; in the project's code the second is milder and has a "
            "square cut out",
            "the pair that the loss has left out of its denominator, an image with itself, is left in by "
            "the project's code",
            *(("CIFAR-10 in the place of CIFAR-100",) if dataset != "cifar100" else ()),
            *(("a quarter of the channels of ResNet-18",) if narrow else ()),
        ),
    )


def contrastive_to_a_plateau() -> Experiment:
    """The narrow network on all images for long; an encoder that has not been trained is the floor."""

    def one(label: str, **method: Any) -> Configuration:
        return Configuration(
            label,
            "resnet-18-cifar",
            "cifar10",
            {"width": WIDTH},
            PRETRAINING if method else CROSS_ENTROPY,
            method="contrastive" if method else "supervised",
            method_options=method,
        )

    return Experiment(
        id="contrastive-plateau",
        question="After a long training, what do supervised contrast and contrast without labels reach?",
        source="Khosla et al. 2020, arXiv:2004.11362, table 2; Chen et al. 2020, arXiv:2002.05709, B.9",
        configurations=(
            one("cross-entropy"),
            one("supcon", supervised=True, temperature=0.1),
            one("simclr", supervised=False, temperature=0.5),
            one("untrained", pretrain=False),
        ),
        budgets={
            "smoke": Budget(**{**SMOKE.__dict__, "train_images": 512}),  # batches of 256 that are not dropped
            "quick": Budget(epochs=4, seeds=(0,), train_images=4_000, test_images=5_000, valid_images=1_000),
            "full": Budget(epochs=60, seeds=(0, 1, 2)),
        },
        deviations=(
            "a quarter of the channels of ResNet-18, the papers have ResNet-50; batches of 256, 60 epochs",
            "a head of two layers on the frozen encoder for half as many epochs; Adam without decay in both",
            "cross entropy sees flips and crops, the contrastive losses SimCLR's views",
        ),
    )


EXPERIMENTS = (contrastive(narrow=True), contrastive(), contrastive("cifar100"), contrastive_to_a_plateau())
