"""Lab 8: plain and residual networks whose loss surfaces are drawn, on CIFAR-10 and on digits."""

from __future__ import annotations

from dataclasses import replace

from utils.experiments.catalogue.kept import SGD
from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

# one training for all, one that networks without batch normalization survive
FIT = {
    "optimizer": "adam",
    "lr": 1e-3,
    "weight_decay": 0.0,
    "batch_size": 128,
    "clip_norm": 1.0,
    "schedule": "warmup-cosine",
    "augment": "flip-crop",
}
DISTANCES = (0.25, 0.5, 1.0)  # of filter-normalized directions; the paper's pictures end at 1


def landscape_without_norm() -> Experiment:
    """The four networks without batch normalization at the paper's width.

    Those with it are in ``degradation-paper-width``.
    """
    return Experiment(
        id="landscape-no-bn",
        question="Without batch normalization, what do shortcuts do to the loss around a trained network?",
        source="Li et al. 2018, arXiv:1712.09913, section 5",
        configurations=tuple(
            Configuration(
                f"{kind}-{depth}",
                f"resnet-{depth}",
                "cifar10",
                {"shortcut": shortcut, "batch_norm": False},
                FIT,
                keep_weights=True,
            )
            for kind, shortcut in (("plain", False), ("residual", "A"))
            for depth in (20, 56)
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(epochs=3, seeds=(0,), train_images=4_000, test_images=5_000, valid_images=1_000),
            "full": Budget(epochs=30, seeds=(0,)),
        },
        deviations=(
            "no batch normalization; Adam, a cosine and a bound on the gradient's norm instead of SGD at a "
            "rate of .1, which these networks do not survive; 30 epochs",
        ),
    )


def rise_of_the_loss() -> Experiment:
    """Narrow networks of 20 and 56 layers, with and without shortcuts: the loss at a distance."""
    probe = {"distances": {"distances": DISTANCES, "directions": 4, "every": 500}}
    return Experiment(
        id="landscape-distances",
        question="How high is the loss at a distance from a network, by depth, with and without shortcuts?",
        source="Li et al. 2018, arXiv:1712.09913, section 5 and figure 5",
        configurations=tuple(
            Configuration(
                f"{kind}-{depth}",
                f"resnet-{depth}",
                "cifar10",
                {"shortcut": shortcut, "width": 0.5},
                {**SGD, "probes": probe},
            )
            for kind, shortcut in (("plain", False), ("residual", "A"))
            for depth in (20, 56)
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(epochs=3, seeds=(0,), train_images=4_000, test_images=5_000, valid_images=1_000),
            "full": Budget(epochs=40, seeds=(0, 1, 2)),
        },
        deviations=(
            "half the channels, and 40 epochs with a cosine; in the paper 300 with three steps of the rate",
            "the loss of a batch of training images in four random directions at every 500th step, in the "
            "last fifth of the training; in the paper that of all images over a plane at the end",
        ),
    )


def landscape_digits() -> Experiment:
    """Plain and residual networks on the digits, trained until they make no mistake; weights are kept.

    The plain network of 56 layers is there because it does not get so far: no surface is drawn of it.
    """
    probe = {"distances": {"distances": DISTANCES, "directions": 4, "every": 90}}
    fit = {name: value for name, value in SGD.items() if name != "augment"}
    return Experiment(
        id="landscape-digits",
        question="What do shortcuts and depth do to the loss around a small network trained to the end?",
        source="Li et al. 2018, arXiv:1712.09913, section 5 and figure 5",
        configurations=tuple(
            Configuration(
                f"{kind}-{depth}",
                f"resnet-{depth}",
                "digits",
                {"in_channels": 1, "shortcut": shortcut, "width": 0.5},
                {**fit, "batch_size": 64, "probes": probe},
                keep_weights=depth < 56,
                dataset_size=8,
            )
            for depth in (20, 32, 56)
            for kind, shortcut in (("plain", False), ("residual", "A"))
        ),
        budgets={
            "smoke": replace(SMOKE, dataset="digits"),
            "quick": Budget(epochs=20, seeds=(0,)),
            "full": Budget(epochs=150, seeds=(0, 1, 2)),
        },
        deviations=(
            "scanned digits of 8×8 pixels instead of CIFAR-10, which need no download and are learned in "
            "minutes; half the channels; 150 epochs with a cosine",
            "32 layers beside 56, for the plain network of 56 layers does not come to the end; that of "
            "44 layers did in one of two tries",
        ),
    )


EXPERIMENTS = (landscape_without_norm(), rise_of_the_loss(), landscape_digits())
