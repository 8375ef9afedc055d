"""The order of the queue: every run fits about two hours of one core, and can be built."""

from dataclasses import replace

import pytest
import torch

from utils.experiments import records, weights
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.catalogue.claims import CLAIMS
from utils.experiments.catalogue.order import ORDER, runs_of
from utils.experiments.configuration import FEW
from utils.experiments.core_hours import IMAGES, core_hours
from utils.experiments.recipes import resolve
from utils.experiments.run import run
from utils.models import build_model

HOURS = 2.25
RUNS = runs_of(ORDER, EXPERIMENTS)
CIFAR_SIZED = [e for e in EXPERIMENTS.values() if "imagenette" not in e.id]  # images of 32×32 or 28×28
ONE_OF_EACH = {(r.experiment.id, r.configuration.label): r for r in RUNS}.values()  # without regard to seeds


def test_every_run_of_the_order_fits_about_two_hours_of_a_core():
    hours = {r.title: core_hours(r.configuration, r.budget) for r in ONE_OF_EACH}
    assert {title: round(number, 2) for title, number in hours.items() if number > HOURS} == {}


@pytest.mark.parametrize("experiment", CIFAR_SIZED, ids=lambda experiment: experiment.id)
def test_so_does_every_full_run_of_the_catalogue_but_those_of_the_large_convnext(experiment):
    for configuration in experiment.configurations:
        if configuration.dataset_size is not None:
            continue  # small images, minutes
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
    assert pinned - compared == {"vgg-rates-gradients"}


def kind_of(configuration):
    """What makes two trainings run through different code."""
    return (
        configuration.model, configuration.method, configuration.method_options.get("pretrain"),
        "probes" in configuration.fit_options,
    )  # fmt: skip


# the kinds that test_catalogue runs, and one run for each other kind
SEEN = {kind_of(c) for claim in CLAIMS.values() for c in EXPERIMENTS[claim.experiment].configurations}
NEW = {kind_of(r.configuration): r for r in reversed(RUNS)}
NEW = {kind: chosen for kind, chosen in NEW.items() if kind not in SEEN}


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
