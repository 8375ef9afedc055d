"""Lab 14: contrastive pre-training against cross entropy (claim C17)."""

from __future__ import annotations

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

PRETRAINING = {
    "optimizer": "adam", "lr": 1e-3, "batch_size": 256, "schedule": "warmup-cosine", "augment": "simclr-views", "precision": "float32",
}
CROSS_ENTROPY = {
    "optimizer": "adam", "lr": 1e-3, "batch_size": 256, "schedule": "warmup-cosine", "augment": "flip-crop", "precision": "float32",
}


def contrastive(dataset: str = "cifar10", narrow: bool = False) -> Experiment:
    """Supervised contrast, contrast without labels, and cross entropy for as many epochs."""
    options = {"width": 0.25} if narrow else {}

    def one(label: str, **method: object) -> Configuration:
        return Configuration(
            label, "resnet-18-cifar", dataset, options, PRETRAINING if method else CROSS_ENTROPY,
            method="contrastive" if method else "supervised", method_options=method,
        )

    smoke = Budget(**{**SMOKE.__dict__, "train_images": 512})  # batches of 256 that are not dropped
    return Experiment(
        id=f"contrastive-{dataset}{'-narrow' if narrow else ''}",
        question="Does supervised contrastive pre-training help against cross entropy, and what does contrast without labels reach?",
        source="a student project at KTH, claim C17; Khosla et al. 2020, arXiv:2004.11362",
        configurations=(one("cross-entropy"), one("supcon", supervised=True), one("simclr", supervised=False, temperature=0.5)),
        budgets={
            "smoke": smoke,
            "quick": Budget(epochs=16, seeds=(0, 1, 2), train_images=4_000, test_images=5_000, valid_images=1_000),
            "full": Budget(epochs=100, seeds=(0, 1, 2)),
        },
        deviations=(
            "the head is trained for half as many epochs as the encoder, in the project's code for as many; it has no batch normalisation "
            "(nor dropout of .3, nor label smoothing of .1)",
            "Adam without decay; in the project's code AdamW with 1e-4 for the encoder and 5e-4 for the head",
            "both views are drawn alike, as SimCLR's; in the project's code the second is milder and has a square cut out",
            "the pair that the loss has left out of its denominator, an image with itself, is left in by the project's code",
            *(("CIFAR-10 in the place of CIFAR-100",) if dataset != "cifar100" else ()),
            *(("a quarter of the channels of ResNet-18",) if narrow else ()),
        ),
    )
