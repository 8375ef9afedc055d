"""Lab 5 and the claims page: a MobileNetV2 for CIFAR-10 (claims C19 to C22)."""

from __future__ import annotations

from typing import Any

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

FIT = {
    "optimizer": "sgd",
    "lr": 0.045,
    "momentum": 0.9,
    "batch_size": 128,
    "schedule": "exponential",
    "augment": "flip-crop",
}
NARROW = {"batch_size": 32, "precision": "float32"}  # few images: more steps


def mobilenet(width: float = 1.0) -> Experiment:
    """Expansion 5, 6 and 7, stride of the 24-channel stage, and the optimizer."""
    options = {"width": width} if width != 1 else {}
    fit_options = {**FIT, **(NARROW if width != 1 else {})}

    def one(label: str, model: dict | None = None, **fit: Any) -> Configuration:
        return Configuration(
            label, "mobilenet-v2-cifar", "cifar10", {**options, **(model or {})}, {**fit_options, **fit}
        )

    narrow = (
        (f"{width:g} times the channels, and batches of 32 instead of 128, in all runs",)
        if width != 1
        else ()
    )
    return Experiment(
        id="mobilenet" if width == 1 else "mobilenet-narrow",
        question="What do expansion, an early stride and the optimizer change in MobileNetV2 for CIFAR-10?",
        source="a paper on MobileNetV2 for CIFAR-10; claims C19 to C22",
        configurations=(
            one("base"),
            one("expansion-5", {"expansion": 5}),
            one("expansion-6", {"expansion": 6}),
            one("stride-2", {"stage_stride": 2}),
            one("adam", optimizer="adam", lr=1e-3),
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(
                epochs=8, seeds=(0, 1, 2), train_images=4_000, test_images=5_000, valid_images=1_000
            ),
            "full": Budget(epochs=18 if narrow else 12, seeds=(0, 1, 2)),
        },
        deviations=(
            "padding by reflection; no weight decay, as the paper's text has it",
            "not in the paper, and set by us: decay of the rate to .98 in each of 200 epochs, momentum .9, "
            "Adam's rate .001",
            "the last epoch is judged; the paper prints the highest test accuracy",
            *narrow,
        ),
    )


EXPERIMENTS = (mobilenet(width=0.5), mobilenet())
