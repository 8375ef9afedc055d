"""Lab 3: the families of the ImageNet decade, narrowed to one cost and trained alike on 32×32 images."""

from __future__ import annotations

from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

FIT = {
    "optimizer": "adam",
    "lr": 1e-3,
    "batch_size": 128,
    "schedule": "cosine",
    "augment": "flip-crop",
}
# the width at which a family comes closest to 10 million multiply-adds per image
WIDTHS = {
    "alexnet-cifar": 0.2,
    "zfnet-cifar": 0.165,
    "vgg-a-bn-cifar": 0.25,
    "all-cnn-c": 0.19,
    "googlenet-cifar": 0.14,
}
BUDGETS = {
    "smoke": SMOKE,
    "quick": Budget(epochs=6, seeds=(0, 1, 2), train_images=4_000, test_images=5_000, valid_images=1_000),
    "full": Budget(epochs=40, seeds=(0, 1, 2)),
}


def decade() -> Experiment:
    """Five families with about 10 million multiply-adds each: same batches, optimizer, rate and epochs."""
    configurations = []
    for model, width in WIDTHS.items():
        options = {"width": width, "dropout": 0.0}
        if model != "vgg-a-bn-cifar":
            options["batch_norm"] = True
        if model == "all-cnn-c":
            options["input_dropout"] = 0.0
        label = model.removesuffix("-cifar").replace("vgg-a-bn", "vgg-a")
        configurations.append(Configuration(label, model, "cifar10", options, FIT))
    return Experiment(
        id="imagenet-decade",
        question="At about equal cost, how do the families from AlexNet to GoogLeNet compare on CIFAR-10?",
        source=(
            "lab 3; Krizhevsky et al. 2012, Zeiler and Fergus 2013, Simonyan and Zisserman 2014, "
            "Springenberg et al. 2014, Szegedy et al. 2014"
        ),
        configurations=tuple(configurations),
        budgets=BUDGETS,
        deviations=(
            "variants for 32×32 images with all widths scaled to about 10 million multiply-adds",
            "batch normalization and no dropout in all five, Adam at one learning rate with a cosine: not "
            "the papers' training",
            "GoogLeNet without auxiliary heads",
        ),
    )


EXPERIMENTS = (decade(),)
