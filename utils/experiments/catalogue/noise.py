"""Lab 13: wrong labels, and two networks that help each other (claims C18 and C25)."""

from __future__ import annotations

from typing import Any

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

FIT = {
    "optimizer": "adam",
    "lr": 1e-3,
    "batch_size": 128,
    "schedule": "warmup-cosine",
    "augment": "flip-crop",
}
QUICK = {"precision": "float32"}  # of the experiment whose quick runs are recorded
BUDGETS = {
    "smoke": Budget(**{**SMOKE.__dict__, "train_images": 256}),
    "quick": Budget(epochs=12, seeds=(0, 1, 2), train_images=5_000, test_images=5_000, valid_images=1_000),
}
NOISE = {"rate": 0.3, "kind": "symmetric"}


def noise(
    model: str,
    dataset: str,
    options: dict,
    deviations: tuple[str, ...],
    name: str,
    epochs: int,
    fit: dict = FIT,
) -> Experiment:
    """Clean labels, 30 % noise of two kinds, pairs, and co-teaching on the symmetric noise.

    ``epochs`` are those of the profile full.
    """
    teach = {"method": "co-teaching", "method_options": {"forget_rate": 0.3, "ramp_share": 0.3}}

    def one(label: str, label_noise: dict, **more: Any) -> Configuration:
        return Configuration(label, model, dataset, options, fit, label_noise=label_noise, **more)

    return Experiment(
        id=name,
        question="What do 30 % wrong labels cost, and how much of it does co-teaching bring back?",
        source=(
            "a student project at KTH, claim C18; Cleanlab's CIFAR network, claim C25; Han et al. 2018, "
            "arXiv:1804.06872"
        ),
        configurations=(
            one("clean", {}),
            one("noise", NOISE),
            one("noise-may-redraw", {**NOISE, "may_redraw": True}),
            one("pair-noise", {**NOISE, "kind": "pair"}),
            one("co-teaching", NOISE, **teach),
            one("co-teaching-may-redraw", {**NOISE, "may_redraw": True}, **teach),
            one("co-teaching-clean", {}, **teach),
        ),
        budgets={**BUDGETS, "full": Budget(epochs=epochs, seeds=(0, 1, 2))},
        deviations=(
            "the forget rate rises over the first 30 % of the epochs, as the authors of co-teaching have "
            "it; in the project's code it is .3 from the first step",
            "both networks of a pair answer together (their mean); the project tests one of them",
            "Adam without decay, batches of 128, no label smoothing, the last epoch; the project's code has "
            "AdamW with 5e-4, 256, .1 and the best of 30 epochs by validation",
            *deviations,
        ),
    )


def noise_cleanlab(width: float) -> Experiment:
    """Cleanlab's CIFAR network."""
    narrow = (f"{width:g} times the channels",) if width != 1 else ()
    return noise(
        "cleanlab-cnn",
        "cifar10",
        {"width": width} if width != 1 else {},
        ("Cleanlab's network on CIFAR-10; the project has ResNet-18 on Imagenette", *narrow),
        "noisy-labels" if width == 1 else "noisy-labels-narrow",
        *((5,) if width == 1 else (30, {**FIT, **QUICK})),
    )


def noise_imagenette() -> Experiment:
    """The project's own setting: ResNet-18 on Imagenette."""
    return noise(
        "resnet-18",
        "imagenette",
        {},
        ("pictures of Imagenette at the size at which this package decodes them",),
        "noisy-labels-imagenette",
        20,
    )


# name of the noise -> its arguments; co-teaching leaves out as large a share as is wrong
NOISES = {
    "symmetric-30": {"rate": 0.3, "kind": "symmetric"},
    "symmetric-50": {"rate": 0.5, "kind": "symmetric"},
    "pair-45": {"rate": 0.45, "kind": "pair"},
}


def noise_memorized() -> Experiment:
    """Training that goes on until wrong labels are learned by heart, alone and in pairs."""
    fit = {"optimizer": "adam", "lr": 1e-3, "batch_size": 128, "schedule": "hold-cosine"}

    def one(label: str, label_noise: dict, **more: Any) -> Configuration:
        options = {"width": 0.5}
        return Configuration(label, "cleanlab-cnn", "cifar10", options, fit, label_noise=label_noise, **more)

    def pair(label: str, label_noise: dict) -> Configuration:
        teach = {"forget_rate": label_noise["rate"], "ramp_share": 0.125}
        return one(f"co-teaching-{label}", label_noise, method="co-teaching", method_options=teach)

    return Experiment(
        id="noisy-labels-memorized",
        question="What do wrong labels cost once they are known by heart, and what does co-teaching save?",
        source="Han et al. 2018, arXiv:1804.06872, tables 3 to 5",
        configurations=(
            one("clean", {}),
            *(one(label, label_noise) for label, label_noise in NOISES.items()),
            *(pair(label, label_noise) for label, label_noise in NOISES.items()),
        ),
        budgets={**BUDGETS, "full": Budget(epochs=80, seeds=(0, 1, 2), train_images=10_000)},
        deviations=(
            "10,000 of the 50,000 images for 80 epochs instead of all for 200, and half the channels: wrong "
            "labels are learned by heart sooner",
            "the rate falls to 0 along a cosine after 40 % of the epochs, in the paper along a line; Adam's "
            "momentum stays at .9",
            "the forget rate rises over the first ten epochs, as in the paper",
            "both networks of a pair answer together, after the last epoch; in the authors' code each by "
            "itself, and in their tables over the last ten",
            "symmetric noise of 30 %, that of lab 13, is not in the paper",
        ),
    )


EXPERIMENTS = (noise_cleanlab(width=0.25), noise_cleanlab(width=1), noise_imagenette(), noise_memorized())
