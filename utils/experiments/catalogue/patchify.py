"""Labs 7 and 10: the patchify VGG of a student project, its regularisation, schedules and variants (claims C9 to C13)."""

from __future__ import annotations

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

MODEL = "patchify-vgg"
FIT = {
    "optimizer": "adam", "lr": 3e-3, "weight_decay": 1e-3, "batch_size": 100, "schedule": "triangular2", "augment": "flip-translate",
    "precision": "float32",
}
REGULARISED = {"label_smoothing": 0.1, "augment": "flip-translate-cutout"}


def patchify() -> Experiment:
    """The base configuration and the changes that the project reports."""

    def one(label: str, model: dict | None = None, **fit: object) -> Configuration:
        return Configuration(label, MODEL, "cifar10", model or {}, {**FIT, **fit})

    return Experiment(
        id="patchify-vgg",
        question="What do regularisation, schedule and variants of the network change in the patchify VGG?",
        source="a student project at KTH; claims C9 to C13",
        configurations=(
            one("base"),
            one("smoothing-cutout", **REGULARISED),
            one("warmup-cosine", schedule="warmup-cosine"),
            one("step", schedule="step"),
            one("step-each-10-batches", schedule="step-each-10-batches"),
            one("restarts", schedule="restarts"),
            one("restarts-each-10-batches", schedule="restarts-each-10-batches"),
            one("strided", {"downsampling": "stride"}),
            one("gap", {"head": "gap"}),
            one("combined", {"downsampling": "stride", "head": "gap"}, **REGULARISED),
            one("no-bn", {"batch_norm": False}),
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(epochs=8, seeds=(0, 1, 2), train_images=4_000, test_images=5_000, valid_images=1_000),
            "full": Budget(epochs=32, seeds=(0, 1, 2)),
        },
        deviations=(
            "Adam with coupled decay, as in the project's code (its text says AdamW)",
            "the number of epochs is not published; two full cycles of the cyclic schedule are 31 epochs of 500 batches",
            "translations by at most 4 pixels: the size is not published",
            "step and restarts in five parts of the training; what its code does (a step each 10 batches) is run beside it",
        ),
    )
