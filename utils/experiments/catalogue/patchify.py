"""Labs 7 and 10: the patchify VGG of a student project, and its variants (claims C9 to C13)."""

from __future__ import annotations

from typing import Any

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

MODEL = "patchify-vgg"
FIT = {
    "optimizer": "adam",
    "lr": 3e-3,
    "weight_decay": 1e-3,
    "batch_size": 100,
    "clip_norm": 1.0,
    "schedule": "triangular2",
    "augment": "flip-translate",
}
QUICK = {"precision": "float32"}  # of the experiment whose quick runs are recorded
SCHEDULED_RATE = 1e-3  # of the other schedules, in the project's code
REGULARIZED: dict[str, Any] = {"label_smoothing": 0.1, "augment": "flip-translate-cutout"}


def patchify(published: bool = False) -> Experiment:
    """The base configuration and the changes that the project reports.

    ``published``: for the records of the published size; the other experiment has the quick ones.
    """
    fit_options = FIT if published else {**FIT, **QUICK}

    def one(label: str, model: dict | None = None, **fit: Any) -> Configuration:
        return Configuration(label, MODEL, "cifar10", model or {}, {**fit_options, **fit})

    def scheduled(label: str, schedule: str) -> Configuration:
        return one(label, lr=SCHEDULED_RATE, schedule=schedule)

    return Experiment(
        id="patchify-vgg-published" if published else "patchify-vgg",
        question="What do regularization, schedule and variants of the network change in the patchify VGG?",
        source="a student project at KTH; claims C9 to C13",
        configurations=(
            one("base"),
            one("smoothing-cutout", **REGULARIZED),
            scheduled("warmup-cosine", "sixth-warmup-cosine"),
            scheduled("step", "step"),
            scheduled("step-each-10-batches", "step-each-10-batches"),
            scheduled("restarts", "restarts"),
            scheduled("restarts-each-10-batches", "restarts-each-10-batches"),
            one("strided", {"downsampling": "stride"}),
            one("gap", {"head": "gap"}),
            one("combined", {"downsampling": "stride", "head": "gap"}, **REGULARIZED),
            one("no-bn", {"batch_norm": False}),
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(
                epochs=8, seeds=(0, 1, 2), train_images=4_000, test_images=5_000, valid_images=1_000
            ),
            "full": Budget(epochs=30, seeds=(0, 1, 2)),
        },
        deviations=(
            "Adam with coupled decay, as in the project's code (its text says AdamW)",
            "the cyclic schedule has two whole cycles in a training; in the project's 30 epochs of 500 "
            "batches it has 1.9",
            "warm-up, step and restarts count in epochs, as the report says, as parts of 30; what its code "
            "does (they count in batches) is run beside step and restarts",
            "combined has the cyclic schedule, as in the project's code, and strides for pooling, as in its "
            "text (which has restarts)",
            "inputs normalized with the mean and deviation of each channel instead of .5 and .5",
        ),
    )


EXPERIMENTS = (patchify(), patchify(published=True))
