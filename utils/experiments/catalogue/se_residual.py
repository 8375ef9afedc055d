"""Lab 9: the SE-residual network of a student report and its four ablations (claims C1 to C5)."""

from __future__ import annotations

from typing import Any

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

MODEL = "se-residual"
FIT = {
    "optimizer": "adam",
    "lr": 1e-3,
    "weight_decay": 1e-4,
    "batch_size": 256,
    "clip_norm": 1.0,
    "schedule": "warmup-hold-cosine",
    "augment": "flip-crop-jitter",
}
# 4,000 images in batches of 256 are 16 steps an epoch: too few to learn much
NARROW = {"batch_size": 32, "precision": "float32"}
DEVIATIONS = (
    "the gradient is clipped from the first step, in the report after the warm-up",
    "10 % of the training images are kept for validation; the report stopped and chose by test accuracy",
    "no early stopping: all runs of a comparison have the same number of epochs",
    "Adam's epsilon is torch's 1e-8, in the report 1e-6",
    "convolutions start with He's normal weights whatever the activation, linear layers as torch makes "
    "them; the report has Xavier's uniform weights for tanh and sigmoid, and He's for linear layers too",
    "an epoch has every training image once; the report's code joins the training set to itself",
)


def ablations(width: float = 1.0) -> Experiment:
    """The base configuration and one change at a time; narrow for a CPU."""
    options = {"width": width} if width != 1 else {}
    fit_options = {**FIT, **(NARROW if width != 1 else {})}

    def one(label: str, model: dict | None = None, **fit: Any) -> Configuration:
        return Configuration(label, MODEL, "cifar10", {**options, **(model or {})}, {**fit_options, **fit})

    narrow = (
        (f"{width:g} times the channels of the report, and batches of 32 instead of 256, in all runs",)
        if width != 1
        else ()
    )
    return Experiment(
        id="se-residual" if width == 1 else "se-residual-narrow",
        question=(
            "How much do activation, depth, weight decay and optimizer matter, beside the spread over seeds?"
        ),
        source="a student report on an SE-residual network; claims C1 to C5",
        configurations=(
            one("base"),
            one("tanh", {"activation": "tanh"}),
            one("sigmoid", {"activation": "sigmoid"}),
            one("7-blocks", {"blocks": 7}),
            one("9-blocks", {"blocks": 9}),
            one("decay-1e-6", weight_decay=1e-6),
            one("decay-1e-3", weight_decay=1e-3),
            one("sgd-same-rate", optimizer="sgd"),
            one("sgd-own-rate", optimizer="sgd", lr=0.1),
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(
                epochs=10, seeds=(0, 1, 2), train_images=4_000, test_images=5_000, valid_images=1_000
            ),
            "full": Budget(epochs=30, seeds=(0, 1, 2)),
        },
        deviations=(*DEVIATIONS, *narrow, "sgd-own-rate is not in the report: a fair rate for SGD"),
    )


EXPERIMENTS = (ablations(width=0.5), ablations())
