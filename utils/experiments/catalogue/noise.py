"""Lab 13: wrong labels, and two networks that help each other (claims C18 and C25)."""

from __future__ import annotations

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

FIT = {
    "optimizer": "adam", "lr": 1e-3, "batch_size": 128, "schedule": "warmup-cosine", "augment": "flip-crop", "precision": "float32",
}
BUDGETS = {
    "smoke": Budget(**{**SMOKE.__dict__, "train_images": 256}),
    "quick": Budget(epochs=12, seeds=(0, 1, 2), train_images=5_000, test_images=5_000, valid_images=1_000),
    "full": Budget(epochs=100, seeds=(0, 1, 2)),
}
NOISE = {"rate": 0.3, "kind": "symmetric"}


def noise(model: str, dataset: str, options: dict, deviations: tuple[str, ...], name: str) -> Experiment:
    """Clean labels, 30 % noise of two kinds, pairs, and co-teaching on the symmetric noise."""
    teach = {"method": "co-teaching", "method_options": {"forget_rate": 0.3, "ramp_share": 0.3}}

    def one(label: str, label_noise: dict, **more: object) -> Configuration:
        return Configuration(label, model, dataset, options, FIT, label_noise=label_noise, **more)

    return Experiment(
        id=name,
        question="What do 30 % wrong labels cost, and how much of it does co-teaching bring back?",
        source="a student project at KTH, claim C18; Cleanlab's CIFAR network, claim C25; Han et al. 2018, arXiv:1804.06872",
        configurations=(
            one("clean", {}),
            one("noise", NOISE),
            one("noise-may-redraw", {**NOISE, "may_redraw": True}),
            one("pair-noise", {**NOISE, "kind": "pair"}),
            one("co-teaching", NOISE, **teach),
            one("co-teaching-may-redraw", {**NOISE, "may_redraw": True}, **teach),
            one("co-teaching-clean", {}, **teach),
        ),
        budgets=BUDGETS,
        deviations=(
            "the forget rate rises over the first 30 % of the epochs, as the authors of co-teaching have it; in the project's code it is "
            ".3 from the first step",
            "both networks of a pair answer together (their mean); the project tests one of them",
            "Adam without decay, batches of 128, no label smoothing, the last epoch; the project's code has AdamW with 5e-4, 256, .1 and "
            "the best of 30 epochs by validation",
            *deviations,
        ),
    )


def noise_cleanlab(width: float) -> Experiment:
    """Cleanlab's CIFAR network."""
    narrow = (f"{width:g} times the channels",) if width != 1 else ()
    return noise(
        "cleanlab-cnn", "cifar10", {"width": width} if width != 1 else {},
        ("Cleanlab's network on CIFAR-10; the project has ResNet-18 on Imagenette", *narrow),
        "noisy-labels" if width == 1 else "noisy-labels-narrow",
    )


def noise_imagenette() -> Experiment:
    """The project's own setting: ResNet-18 on Imagenette."""
    return noise(
        "resnet-18", "imagenette", {}, ("pictures of Imagenette at the size at which this package decodes them",), "noisy-labels-imagenette",
    )
