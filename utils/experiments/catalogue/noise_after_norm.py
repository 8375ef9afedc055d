"""Lab 7: noise behind batch normalization, and its control without (claim C33)."""

from __future__ import annotations

from utils.experiments.catalogue.batchnorm import NETWORKS
from utils.experiments.configuration import FEW, Budget, Configuration, Experiment

FIT = {
    "optimizer": "sgd",
    "lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "batch_size": 128,
    "schedule": "warmup-cosine",
}
NOISE = {"shift": 0.5, "scale": 1.25, "jitter": 0.1}


def noise_after_norm() -> Experiment:
    """VGG-A with and without batch normalization, each with and without noise behind its layers."""

    def one(label: str, model: str, noisy: bool) -> Configuration:
        method = "noisy-activations" if noisy else "supervised"
        return Configuration(
            label, model, "cifar10", {}, FIT, method=method, method_options=NOISE if noisy else {}
        )

    return Experiment(
        id="vgg-noise",
        question="If noise unsettles the channels behind batch normalization, does VGG-A train less well?",
        source="Santurkar et al. 2018, arXiv:1805.11604, section 2.1 and figure 2",
        configurations=tuple(
            one(f"{kind}{'-noise' if noisy else ''}", model, noisy)
            for noisy in (False, True)
            for kind, model in NETWORKS.items()
        ),
        budgets={
            "smoke": FEW,
            "quick": Budget(epochs=5, seeds=(0,), train_images=4_000, test_images=5_000, valid_images=1_000),
            "full": Budget(epochs=15, seeds=(0, 1, 2)),
        },
        deviations=(
            "15 epochs (5,280 steps) with momentum and a cosine from a rate of .01, in the paper 15,000 "
            "steps of descent at .1; 45,000 of the 50,000 training images",
            "without batch normalization the noise stands behind each convolution, where the norm would be",
            "the noise of lab 7: a shift in ±.5 and a scale of 1 to 1.25 for each channel, and .1 of either "
            "for each example",
        ),
    )


EXPERIMENTS = (noise_after_norm(),)
