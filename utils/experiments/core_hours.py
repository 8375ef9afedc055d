"""How long a run takes on the reference machine: an estimate from multiply-adds, images and epochs alone.

The reference is one core of an AMD Zen 5 that computes in bfloat16. The estimate is the same wherever it is
made; what the queue knows of the machine that it runs on (:mod:`utils.experiments.queue.forecast`) is not.
The multiply-adds are kept in a file beside this one, for to count them takes a while:
``python -m utils.experiments.core_hours`` counts those of all runs of the order anew.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.experiments.configuration import Budget, Configuration

# thousand million multiply-adds a second in training, with batches of 128, at the width of the source
RATES = {
    "vgg-a": 55, "resnet-18": 57, "se-resnet-18": 50, "resnet-20": 30, "resnet-56": 38, "resnet-110": 35,
    "se-residual": 26, "patchify-vgg": 52, "mobilenet-v2": 8.8, "lenet": 4.9, "linear": 1, "mlp": 2,
    "alexnet": 51, "zfnet": 51, "googlenet": 13, "cleanlab-cnn": 55, "vit": 35, "convnext": 27,
    "factorised-cnn": 37, "model-c": 48, "strided-cnn-c": 35, "convpool-cnn-c": 47, "all-cnn-c": 50,
    "convnext-walk": 8, "shuffled": 4.9,
}  # fmt: skip
# options that make a network narrower, and those that do not change its multiply-adds
SIZES = {"width", "features", "depth", "heads", "hidden", "depths", "channels"}
COSTLESS = {
    "activation",
    "squeeze_excitation",
    "variant",
    "shortcut",
    "batch_norm",
    "dropout",
    "input_dropout",
    "hidden_norm",
}
FILE = Path(__file__).with_name("multiply_adds.json")
# of CIFAR-10; Fashion-MNIST has 10,000 more to train on
TRANSFERRED = 5_000  # images in an epoch of a transfer, at least (a test holds it)
IMAGES = {"train": 45_000, "valid": 5_000, "test": 10_000}


def core_hours(configuration: Configuration, budget: Budget) -> float | None:
    """Hours of one core that a run takes; None for images of another size, or an unknown family."""
    families = [name for name in RATES if configuration.model.startswith(name)]
    if not families or configuration.dataset == "imagenette" or configuration.dataset_size is not None:
        return None
    options = configuration.model_options
    macs = macs_of(configuration.model, options)
    whole = macs_of(configuration.model, {name: options[name] for name in options if name not in SIZES})
    # a narrow network uses a core less well
    rate = 1e9 * RATES[max(families, key=len)] * (macs / whole) ** (1 / 6)
    limits = {"train": budget.train_images, "valid": budget.valid_images, "test": budget.test_images}
    there = {split: images * _share(configuration) for split, images in IMAGES.items()}
    images = {split: min(there[split], limit or there[split]) for split, limit in limits.items()}
    an_epoch = passes(configuration) * images["train"] + images["valid"] / 3
    if configuration.method == "transfer":
        frozen = configuration.method_options["way"] in ("frozen", "untrained")
        an_epoch = max(images["train"], TRANSFERRED) / (3 if frozen else 1) + images["valid"] / 3
    return (budget.epochs * an_epoch + images["test"] / 3) * macs / rate / 3600


def _share(configuration: Configuration) -> float:
    """The part of the images that are of the configuration's classes, of ten."""
    return 1.0 if configuration.classes is None else len(configuration.classes) / 10


def passes(configuration: Configuration) -> float:
    """How often a training image goes forward and backward through one network in an epoch, in bfloat16."""
    method = configuration.method_options
    times = 2.0 if configuration.method == "co-teaching" else 1.0
    if configuration.method == "contrastive":  # two views, then a head on an encoder that runs forward only
        times = 2 * method.get("pretrain", True) + method.get("head_epochs_share", 0.5) / 3
    if configuration.fit_options.get("precision") == "float32":
        times *= 2
    for probe in configuration.fit_options.get("probes", {}).values():  # in float32
        there_and_back, forward = len(probe.get("lengths", ())), len(probe.get("distances", ()))
        if there_and_back:
            times += 2 * (1 + there_and_back) / probe["every"]
        if forward:
            times += 2 / 3 * (1 + probe["directions"] * forward) / probe["every"]
    return times


def macs_of(model: str, options: Mapping[str, Any]) -> int:
    """Multiply-adds of one image of 32×32 pixels, or of the size that the options name."""
    chosen = {name: options[name] for name in sorted(options) if name not in COSTLESS}
    kept = _kept().get(key_of(model, chosen))
    return counted(model, chosen) if kept is None else kept


def key_of(model: str, options: Mapping[str, Any]) -> str:
    """The name of a network in the file: ``vgg-a-cifar`` or ``resnet-20 {"width": 0.5}``."""
    return f"{model} {json.dumps(options)}" if options else model


def counted(model: str, options: Mapping[str, Any]) -> int:
    """The multiply-adds, counted."""
    import torch  # these take a while to be brought in; a table of claims can do without them

    from utils.analysis.accounting import account
    from utils.models import build_model

    with torch.device("meta"):
        network = build_model(model, num_classes=10, **options)
    side = options.get("input_size", 32)
    return account(network, (options.get("in_channels", 3), side, side)).total_macs


@functools.cache
def _kept() -> dict[str, int]:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def count_all() -> dict[str, int]:
    """The multiply-adds of every network that the order runs, and of its kind at the width of the source."""
    from utils.experiments.catalogue import EXPERIMENTS
    from utils.experiments.catalogue.order import ORDER, runs_of

    networks = {}
    for run in runs_of(ORDER, EXPERIMENTS):
        model, options = run.configuration.model, run.configuration.model_options
        for chosen in (options, {name: options[name] for name in options if name not in SIZES}):
            costly = {name: chosen[name] for name in sorted(chosen) if name not in COSTLESS}
            networks[key_of(model, costly)] = (model, costly)
    return {key: counted(*networks[key]) for key in sorted(networks)}


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m utils.experiments.core_hours",
        description=f"Count the multiply-adds of all networks of the queue's order, and write {FILE.name}.",
    ).parse_args()
    FILE.write_text(json.dumps(count_all(), indent=0) + "\n", encoding="utf-8")
