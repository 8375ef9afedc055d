"""Lab 7: the range of learning rates at which VGG-A trains, with and without batch normalization, by SGD."""

from __future__ import annotations

from utils.experiments.catalogue.batchnorm import NETWORKS
from utils.experiments.configuration import FEW, Budget, Configuration, Experiment

RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
# normalized: no layer, the convolutions as in the report behind claims C6 to C8, or every layer but the last
NORMALIZED: dict[str, tuple[str, dict[str, bool]]] = {
    "plain": ("vgg-a-cifar", {}),
    "bn": ("vgg-a-bn-cifar", {}),
    "bn-all": ("vgg-a-bn-cifar", {"hidden_norm": True}),
}
MEASURED_RATES = (0.01, 0.03)  # those of which the gradients are measured: both networks train at them
FIT = {
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 0.0,
    "batch_size": 128,
    "augment": "flip-crop",
    "record_steps": True,
}
BUDGETS = {
    "smoke": FEW,
    "quick": Budget(epochs=3, seeds=(0,), train_images=4_000, test_images=5_000, valid_images=1_000),
    "full": Budget(epochs=10, seeds=(0, 1, 2)),
}
DEVIATIONS = (
    "45,000 of the 50,000 training images; 10 epochs at a constant rate",
    "VGG-A for 32×32 images; Ioffe and Szegedy have Inception on ImageNet, Bjorck et al. 110 layers",
)
# lengths of the steps along the gradient, the same for all networks
GRADIENT_LENGTHS = (0.01, 0.02, 0.04, 0.08)


def rates() -> Experiment:
    """Three networks at six learning rates, each about three times the one before."""
    return Experiment(
        id="vgg-rates",
        question="At which learning rates does VGG-A train, with and without batch normalization?",
        source="Ioffe and Szegedy 2015, arXiv:1502.03167, section 4.2; Bjorck et al. 2018, arXiv:1806.02375",
        configurations=tuple(
            Configuration(f"{kind}-{rate:g}", model, "cifar10", options, {**FIT, "lr": rate})
            for kind, (model, options) in NORMALIZED.items()
            for rate in RATES
        ),
        budgets=BUDGETS,
        deviations=DEVIATIONS,
    )


def rates_gradients() -> Experiment:
    """The loss along the gradient at two of the rates, in runs of their own."""
    probe = {"gradient": {"lengths": GRADIENT_LENGTHS, "every": 16}}
    fit = {**FIT, "precision": "float32", "probes": probe}  # gradients are compared in full precision
    return Experiment(
        id="vgg-rates-gradients",
        question="At equal loss, does batch normalization make the gradient of VGG-A more predictive?",
        source="Santurkar et al. 2018, arXiv:1805.11604, figure 4",
        configurations=tuple(
            Configuration(f"{kind}-{rate:g}", model, "cifar10", {}, {**fit, "lr": rate})
            for kind, model in NETWORKS.items()
            for rate in MEASURED_RATES
        ),
        budgets={**BUDGETS, "full": Budget(epochs=10, seeds=(0,))},
        deviations=(*DEVIATIONS[:1], "the gradient is that of a batch, measured at every sixteenth step"),
    )


EXPERIMENTS = (rates(), rates_gradients())
