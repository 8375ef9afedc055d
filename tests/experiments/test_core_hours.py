"""Hours on the reference machine: by hand, and from a file that is what counting gives."""

import json
from dataclasses import replace

import pytest

from utils.experiments import core_hours as reference
from utils.experiments import methods
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.configuration import Budget, Configuration
from utils.experiments.core_hours import FILE, core_hours, count_all, macs_of, passes

PLAIN = Configuration("a", "vgg-a-cifar", "cifar10")


def test_an_estimate_by_hand():
    budget = EXPERIMENTS["vgg-batchnorm"].budgets["full"]
    # (20 × (45,000 + 5,000 / 3) + 10,000 / 3) images × 153.3 million / 55 thousand million
    assert core_hours(PLAIN, budget) == pytest.approx(0.7252, abs=1e-3)
    assert passes(replace(PLAIN, method="co-teaching")) == 2
    assert passes(replace(PLAIN, fit_options={"precision": "float32"})) == 2
    assert core_hours(replace(PLAIN, dataset="imagenette"), budget) is None
    assert core_hours(replace(PLAIN, dataset_size=8), budget) is None
    assert core_hours(replace(PLAIN, model="unheard-of"), budget) is None


def test_probes_by_hand():
    """At every tenth step 1 + 2 passes there and back, or 1 + 4 · 3 forward, in float32."""
    gradient = {"gradient": {"lengths": (1, 2), "every": 10}}
    distances = {"distances": {"distances": (1, 2, 3), "directions": 4, "every": 10}}
    assert passes(replace(PLAIN, fit_options={"probes": gradient})) == pytest.approx(1 + 2 * 3 / 10)
    assert passes(replace(PLAIN, fit_options={"probes": distances})) == pytest.approx(1 + 2 / 3 * 13 / 10)


def test_a_transfer_by_hand():
    """Ten epochs of 5,000 images and 2,000 in validation, and half of 10,000 in the end."""
    options = {"source": "transfer-source", "network": "alexnet", "way": "fine-tuned"}
    fine = replace(PLAIN, method="transfer", method_options=options, classes=(0, 1, 2, 3, 4), drawn=True)
    budget = Budget(epochs=10, seeds=(0,), train_images=100, valid_images=2_000)
    images = 10 * (5_000 + 2_000 / 3) + 5_000 / 3
    assert core_hours(fine, budget) == pytest.approx(images * macs_of("vgg-a-cifar", {}) / 55e9 / 3600)
    frozen = replace(fine, method_options={**options, "way": "frozen"})
    per_image = macs_of("vgg-a-cifar", {}) / 55e9 / 3600
    saved = core_hours(fine, budget) - core_hours(frozen, budget)
    assert saved == pytest.approx(10 * 5_000 * 2 / 3 * per_image)
    more = core_hours(fine, replace(budget, train_images=None)) - core_hours(fine, budget)
    assert more == pytest.approx(10 * 17_500 * per_image), "22,500 are of these classes"
    assert reference.TRANSFERRED == methods.EPOCH


def test_the_file_has_the_multiply_adds_of_every_network_of_the_order():
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    assert kept == count_all(), "run: python -m utils.experiments.core_hours"
