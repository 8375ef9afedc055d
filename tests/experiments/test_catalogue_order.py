"""The order of the queue: every run fits about two hours of one core, and can be built."""

import functools
from dataclasses import replace

import pytest
import torch

from utils.analysis.accounting import account
from utils.experiments import records, weights
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.catalogue.claims import CLAIMS
from utils.experiments.catalogue.order import ORDER, runs_of
from utils.experiments.configuration import Budget, Configuration
from utils.experiments.recipes import resolve
from utils.experiments.run import run
from utils.models import build_model

# thousand million multiply-adds a second in training, of one core of an AMD Zen 5 in bfloat16 with batches of
# 128, at the width of the source
RATES = {
    "vgg-a": 55, "resnet-18": 57, "se-resnet-18": 50, "resnet-20": 30, "resnet-56": 38, "resnet-110": 35,
    "se-residual": 26, "patchify-vgg": 52, "mobilenet-v2": 8.8, "lenet": 4.9, "linear": 1, "mlp": 2,
    "alexnet": 51, "zfnet": 51, "googlenet": 13, "cleanlab-cnn": 55, "vit": 35, "convnext": 27,
    "factorised-cnn": 37, "model-c": 48, "strided-cnn-c": 35, "convpool-cnn-c": 47, "all-cnn-c": 50,
}  # fmt: skip
# options that make a network narrower, and those that do not change its multiply-adds
SIZES = {"width", "features", "depth", "heads", "hidden", "depths", "channels"}
COSTLESS = {"activation", "variant", "shortcut", "batch_norm", "dropout", "input_dropout", "hidden_norm"}
HOURS = 2.25
OLD = {"lenet-cifar10", "lenet-fashion-mnist", "imagenet-decade"}  # experiments whose quick runs are recorded
# of CIFAR-10; Fashion-MNIST has 10,000 more to train on
IMAGES = {"train": 45_000, "valid": 5_000, "test": 10_000}
RUNS = runs_of(ORDER, EXPERIMENTS)
CIFAR_SIZED = [e for e in EXPERIMENTS.values() if "imagenette" not in e.id]  # images of 32×32 or 28×28
ONE_OF_EACH = {(r.experiment.id, r.configuration.label): r for r in RUNS}.values()  # without regard to seeds


def macs_of(model, options):
    """Multiply-adds of one image."""
    return _macs_of(model, tuple((name, options[name]) for name in sorted(options) if name not in COSTLESS))


@functools.cache
def _macs_of(model, options):
    with torch.device("meta"):
        network = build_model(model, num_classes=10, **dict(options))
    side = dict(options).get("input_size", 32)
    return account(network, (dict(options).get("in_channels", 3), side, side)).total_macs


def core_hours(configuration, budget):
    """Hours of one core that a run takes, from multiply-adds, images and epochs alone."""
    family = max((name for name in RATES if configuration.model.startswith(name)), key=len)
    options = configuration.model_options
    macs = macs_of(configuration.model, options)
    whole = macs_of(configuration.model, {name: options[name] for name in options if name not in SIZES})
    rate = 1e9 * RATES[family] * (macs / whole) ** (1 / 6)  # a narrow network uses a core less well
    limits = {"train": budget.train_images, "valid": budget.valid_images, "test": budget.test_images}
    images = {split: min(IMAGES[split], limit or IMAGES[split]) for split, limit in limits.items()}
    an_epoch = passes(configuration) * images["train"] + images["valid"] / 3
    return (budget.epochs * an_epoch + images["test"] / 3) * macs / rate / 3600


def passes(configuration):
    """How often a training image goes forward and backward through one network in an epoch, in bfloat16."""
    method = configuration.method_options
    times = 2.0 if configuration.method == "co-teaching" else 1.0
    if configuration.method == "contrastive":  # two views, then a head on an encoder that runs forward only
        times = 2 * method.get("pretrain", True) + method.get("head_epochs_share", 0.5) / 3
    if configuration.fit_options.get("precision") == "float32":
        times *= 2
    probes = configuration.fit_options.get("probes", {}).values()
    return times + sum(2 * (1 + len(probe["lengths"])) / probe["every"] for probe in probes)


def test_an_estimate_by_hand():
    plain = Configuration("a", "vgg-a-cifar", "cifar10")
    budget = EXPERIMENTS["vgg-batchnorm"].budgets["full"]
    # (20 × (45,000 + 5,000 / 3) + 10,000 / 3) images × 153.3 million / 55 thousand million
    assert core_hours(plain, budget) == pytest.approx(0.7252, abs=1e-3)
    assert passes(replace(plain, method="co-teaching")) == 2
    assert passes(replace(plain, fit_options={"precision": "float32"})) == 2


def test_every_run_of_the_order_fits_about_two_hours_of_a_core():
    hours = {r.title: core_hours(r.configuration, r.budget) for r in ONE_OF_EACH}
    assert {title: round(number, 2) for title, number in hours.items() if number > HOURS} == {}


@pytest.mark.parametrize("experiment", CIFAR_SIZED, ids=lambda experiment: experiment.id)
def test_so_does_every_full_run_of_the_catalogue_but_those_of_the_large_convnext(experiment):
    for configuration in experiment.configurations:
        large = configuration.model == "convnext-t-cifar" and not configuration.model_options
        assert (core_hours(configuration, experiment.budgets["full"]) > HOURS) == large, configuration.label


def test_the_order_names_what_exists_and_says_why():
    assert len(RUNS) == len({r.key for r in RUNS}) > 300
    assert [entry.tier for entry in ORDER] == sorted(entry.tier for entry in ORDER)
    assert all(entry.why and not entry.why.endswith(".") for entry in ORDER)
    assert RUNS[0].key == ("vgg-batchnorm", "plain-0.0001", 0, "full")


def test_what_the_order_runs_has_options_that_resolve_at_its_length_and_weights_that_can_be_kept():
    for configuration, budget in ((r.configuration, r.budget) for r in ONE_OF_EACH):
        per_epoch = -(-(budget.train_images or IMAGES["train"]) // configuration.fit_options["batch_size"])
        resolve(configuration.fit_options, budget.epochs * per_epoch, per_epoch)
        if configuration.keep_weights:
            with torch.device("meta"):
                network = build_model(configuration.model, num_classes=10, **configuration.model_options)
            weights.require_small(network, configuration.label)


def test_new_measurements_pin_no_precision_but_those_that_compare_it_or_measure_gradients():
    pinned = {r.experiment.id for r in RUNS if "precision" in r.configuration.fit_options}
    compared = {name for name in EXPERIMENTS if name.startswith("precision-")}
    assert pinned - compared == {"vgg-rates-gradients", *OLD}


def kind_of(configuration):
    """What makes two trainings run through different code."""
    return (
        configuration.model, configuration.method, configuration.method_options.get("pretrain"),
        "probes" in configuration.fit_options,
    )  # fmt: skip


# the kinds that test_catalogue runs, and one run for each other kind
SEEN = {kind_of(c) for claim in CLAIMS.values() for c in EXPERIMENTS[claim.experiment].configurations}
NEW = {kind_of(r.configuration): r for r in reversed(RUNS) if r.experiment.id not in OLD}
NEW = {kind: chosen for kind, chosen in NEW.items() if kind not in SEEN}
FEW = Budget(epochs=1, seeds=(0,), train_images=16, test_images=8, valid_images=8, dataset="shapes")


@pytest.mark.experiments
@pytest.mark.parametrize("chosen", NEW.values(), ids=lambda chosen: chosen.title)
def test_it_runs(chosen, monkeypatch, tmp_path_factory, tmp_path):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    small = replace(chosen.configuration, fit_options={**chosen.configuration.fit_options, "batch_size": 8})
    one = replace(
        chosen.experiment, configurations=(small,), budgets=dict.fromkeys(chosen.experiment.budgets, FEW)
    )
    (path,) = run(one, "smoke", results=tmp_path, device="cpu")
    assert records.read(path)["configuration"]["label"] == small.label
