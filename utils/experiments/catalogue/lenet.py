"""Lab 2: what a network gains from knowing that pixels have neighbors, by four models at one budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment
from utils.models import mlp_width

# side in pixels, channels, parameters of the modern LeNet on such images, which the MLP is sized to match
SHAPES = {"fashion-mnist": (28, 1, 61_706), "cifar10": (32, 3, 62_006)}
STAND_INS = {"fashion-mnist": "digits", "cifar10": "shapes"}  # for a smoke test: of as many channels
RATE, OTHER_RATES = 1e-3, (3e-4, 3e-3)  # the first goes without saying in the labels
FIT = {"optimizer": "adam", "batch_size": 128, "schedule": "warmup-cosine"}
BUDGETS = {
    "quick": Budget(epochs=3, seeds=(0, 1), train_images=20_000),
    "full": Budget(epochs=20, seeds=(0, 1, 2)),
}


def lenet_on(dataset: str) -> Experiment:
    """Linear, MLP, modern LeNet and the LeNet-5 of 1998 on one dataset, all trained alike at three rates.

    On CIFAR-10 the first three also see images whose pixels have all been put into the same new order.
    """
    side, channels, parameters = SHAPES[dataset]
    width = mlp_width(parameters, in_features=side * side * channels)
    shape: dict[str, Any] = {"in_channels": channels, "input_size": side}
    plain = {"linear": shape, "mlp": {**shape, "hidden": width}, "lenet": shape}
    models = [(name, name, options) for name, options in plain.items()] + [("lenet-5", "lenet-5", shape)]
    if dataset == "cifar10":  # where neighborhoods say most
        models += [
            (f"{name}-shuffled", "shuffled", {**options, "network": name}) for name, options in plain.items()
        ]
    return Experiment(
        id=f"lenet-{dataset}",
        question=(
            f"On {dataset}, what does LeNet gain over a linear model and over an MLP with as many parameters?"
        ),
        source="lab 2; models of LeCun et al. 1998, section III",
        configurations=tuple(
            Configuration(
                label if rate == RATE else f"{label}-{rate}", model, dataset, options, {**FIT, "lr": rate}
            )
            for rate in (RATE, *OTHER_RATES)
            for label, model, options in models
        ),
        budgets={"smoke": replace(SMOKE, dataset=STAND_INS[dataset]), **BUDGETS},
        deviations=(
            "Adam at three learning rates, of which each network takes the best on validation; the paper "
            "tunes its own second-order method for each",
        ),
    )


EXPERIMENTS = (lenet_on("fashion-mnist"), lenet_on("cifar10"))
