"""Labs 7 and 8: VGG-A with and without batch normalization at the published size (claims C6 to C8)."""

from __future__ import annotations

from utils.experiments.catalogue.batchnorm import NETWORKS, PUBLISHED_RATES, SOURCE
from utils.experiments.configuration import SMOKE, Budget, Configuration, Experiment

FIT = {
    "optimizer": "adam",
    "weight_decay": 0.0,
    "batch_size": 128,
    "augment": "flip-crop",
    "record_steps": True,
}


def vgg_batchnorm() -> Experiment:
    """Both networks at the four learning rates of the report, for its 20 epochs."""
    return Experiment(
        id="vgg-batchnorm",
        question=(
            "With and without batch normalization, how accurate does VGG-A become at four learning rates?"
        ),
        source=SOURCE,
        configurations=tuple(
            Configuration(f"{kind}-{rate:g}", model, "cifar10", {}, {**FIT, "lr": rate})
            for kind, model in NETWORKS.items()
            for rate in PUBLISHED_RATES
        ),
        budgets={
            "smoke": SMOKE,
            "quick": Budget(epochs=3, seeds=(0,), train_images=4_000, test_images=5_000, valid_images=1_000),
            "full": Budget(epochs=20, seeds=(0, 1, 2)),
        },
        deviations=(
            "45,000 of the 50,000 training images; 5,000 are kept for validation, where the report validated "
            "on the test images",
            "the last epoch is judged; the report does not say whether its accuracies are those of the last "
            "epochs or of the best",
            "inputs normalized with the mean and deviation of each channel of the training images; the "
            "published code has .5 for all",
            "images are mirrored, and cropped after padding by 4 pixels, as in the script that made the "
            "published logs; the padding is by reflection",
            "the published code lacks the file of the network; ours is that of public copies of the same "
            "course template: weights from Glorot's normal distribution, a norm behind each convolution",
        ),
    )


EXPERIMENTS = (vgg_batchnorm(),)
