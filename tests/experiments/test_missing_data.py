"""Experiments on data sets that are not at hand everywhere, run on tiny files in the original layouts."""

import dataclasses

import pytest

from tests import tiny_datasets as tiny
from utils.experiments import records
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.configuration import Budget
from utils.experiments.run import run

FEW = Budget(epochs=1, seeds=(0,), train_images=24, test_images=8, valid_images=8)


def write_cifar100(folder):
    tiny.cifar100_archive(folder)


def write_imagenette(folder):
    tiny.write_archive(folder / "imagenette2-160.tgz", tiny.imagenette_members(per_class=5))


@pytest.mark.parametrize(
    "name, label, small_batch, write, title, classes",
    [
        ("families-cifar100-narrow", "resnet-18", {}, write_cifar100, "CIFAR-100", 100),
        ("families-cifar100-narrow", "vit", {}, write_cifar100, "CIFAR-100", 100),
        ("factorised-cifar100", "regularisation", {}, write_cifar100, "CIFAR-100", 100),
        ("contrastive-cifar100", "supcon", {"batch_size": 8}, write_cifar100, "CIFAR-100", 100),
        ("noisy-labels-imagenette", "co-teaching", {"batch_size": 8}, write_imagenette, "Imagenette", 10),
    ],
)
def test_it_runs_on_its_own_data(own, tmp_path, name, label, small_batch, write, title, classes):
    write(own.data)
    experiment = EXPERIMENTS[name]
    (chosen,) = (c for c in experiment.configurations if c.label == label)
    chosen = dataclasses.replace(chosen, fit_options={**chosen.fit_options, **small_batch})
    one = dataclasses.replace(
        experiment, configurations=(chosen,), budgets=dict.fromkeys(experiment.budgets, FEW)
    )
    (path,) = run(one, "full", results=tmp_path / "results", device="cpu")
    found = records.read(path)
    assert found["dataset"]["title"] == title and found["dataset"]["classes"] == classes
    assert found["dataset"]["train"] == 24 and found["result"]["test_images"] == 8
