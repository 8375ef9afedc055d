"""Labs 15 and 16: ResNet-18, squeeze and excitation, ConvNeXt and a transformer (claims C14 to C16)."""

from __future__ import annotations

from typing import Any

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

FIT = {
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 5e-2,
    "batch_size": 128,
    "schedule": "warmup-cosine",
    "augment": "flip-crop",
}
QUICK = {"precision": "float32"}  # of the experiments whose quick runs are recorded
# 34 to 35 million multiply-adds each (a test holds it)
NARROW: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet-18": ("resnet-18-cifar", {"width": 0.25}),
    "se-resnet-18": ("se-resnet-18-cifar", {"width": 0.25}),
    "convnext": (
        "convnext-t-cifar",
        {"depths": (1, 1, 3, 1), "channels": (24, 48, 96, 192), "stochastic_depth": 0.0},
    ),
    "vit": ("vit-cifar", {"features": 96, "depth": 6, "heads": 4, "hidden": 192}),
}
FULL: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet-18": ("resnet-18-cifar", {}),
    "se-resnet-18": ("se-resnet-18-cifar", {}),
    "convnext": ("convnext-t-cifar", {}),
    "vit": ("vit-cifar", {}),
}
BUDGETS = {
    "smoke": SMOKE,
    "quick": Budget(epochs=10, seeds=(0, 1, 2), train_images=4_000, test_images=5_000, valid_images=1_000),
    "full": Budget(epochs=15, seeds=(0, 1, 2)),
}


def families(dataset: str = "cifar10", narrow: bool = False) -> Experiment:
    """The four networks with one training for all."""
    networks, fit_options = (NARROW, {**FIT, **QUICK}) if narrow else (FULL, FIT)
    deviations = [
        "one training for all four, where the project's code has a rate and a decay for each (the "
        "transformer 1e-4 and 5e-4): AdamW, warm-up and cosine",
        "flips and crops; the project also shifts, turns by up to 15 degrees, jitters colors and cuts out "
        "squares",
        "no label smoothing (the project .1) and no dropout before the last layer of ResNet-18 (the project "
        ".5)",
    ]
    if narrow:
        deviations.append(
            "all four narrowed to 34 to 35 million multiply-adds; ConvNeXt and the transformer also with "
            "fewer layers"
        )
    return Experiment(
        id=f"families-{dataset}{'-narrow' if narrow else ''}",
        question=(
            "How do a residual network, squeeze and excitation, ConvNeXt and a vision transformer compare "
            "when trained alike?"
        ),
        source="a student project at KTH; claims C14 to C16",
        configurations=tuple(
            Configuration(label, model, dataset, options, fit_options)
            for label, (model, options) in networks.items()
        ),
        budgets=BUDGETS,
        deviations=tuple(deviations),
    )


def families_by_size(images: int) -> Experiment:
    """The narrow residual network and transformer on part of the training images, for the same steps."""
    chosen = ("resnet-18", "vit")
    epochs = round(40_000 / images)
    return Experiment(
        id=f"families-{images}-images",
        question=(
            "How does the distance between a convolutional network and a transformer depend on the number "
            "of training images?"
        ),
        source="Dosovitskiy et al. 2020, arXiv:2010.11929, section 4.3, for large data; claim C16",
        configurations=tuple(
            Configuration(label, NARROW[label][0], "cifar10", NARROW[label][1], {**FIT, **QUICK})
            for label in chosen
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(
                epochs=epochs, seeds=(0, 1, 2), train_images=images, test_images=5_000, valid_images=1_000
            ),
            "full": Budget(epochs=10 * epochs, seeds=(0, 1, 2), train_images=images),
        },
        deviations=("about the same number of optimizer steps whatever the number of images",),
    )


# images -> epochs until the accuracy on new images stands still; at one size for all four networks
TO_A_PLATEAU = {1_000: 400, 4_000: 200, 15_000: 100, 45_000: 60}
ALL_FOUR = 4_000


def families_to_a_plateau(images: int) -> Experiment:
    """The narrow networks on so many training images, trained until more epochs would change nothing."""
    chosen = tuple(NARROW) if images == ALL_FOUR else ("resnet-18", "vit")
    return Experiment(
        id=f"families-plateau-{images}",
        question=f"Trained to a plateau on {images:,} images, how does a transformer compare?",
        source="Dosovitskiy et al. 2020, arXiv:2010.11929, section 4.3, for large data; claims C14 and C16",
        configurations=tuple(
            Configuration(label, NARROW[label][0], "cifar10", NARROW[label][1], FIT) for label in chosen
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(epochs=10, seeds=(0,), train_images=1_000, test_images=5_000, valid_images=1_000),
            "full": Budget(
                epochs=TO_A_PLATEAU[images],
                seeds=(0, 1, 2),
                train_images=images,
                valid_images=min(images, 5_000),
            ),
        },
        deviations=(
            "no pre-training on other images; 34 to 35 million multiply-adds; one training for all",
            "fewer epochs the more images there are, but more optimizer steps",
        ),
    )


EXPERIMENTS = (
    families(narrow=True),
    families(),
    families("cifar100", narrow=True),
    families("cifar100"),
    *(families_by_size(images) for images in (1_000, 4_000, 20_000)),
    *(families_to_a_plateau(images) for images in TO_A_PLATEAU),
)
