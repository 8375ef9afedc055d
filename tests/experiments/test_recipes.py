"""Names in a configuration become what ``fit`` takes."""

import pytest

from utils.data.augment import Compose, RandomCrop, RandomFlip
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.recipes import resolve
from utils.training.schedules import Schedule


def test_names_are_replaced_and_the_rest_is_kept():
    options = {"lr": 0.1, "augment": "flip-crop", "schedule": "cosine"}
    resolved = resolve(options, steps=100)
    assert resolved["augment"] == Compose([RandomFlip(), RandomCrop(4)]) and resolved["lr"] == 0.1
    assert resolved["schedule"](0) == 1.0 and resolved["schedule"](50) == pytest.approx(0.5)
    assert options["augment"] == "flip-crop"  # the configuration itself stays plain


def test_the_warm_up_takes_a_twentieth_of_the_steps():
    schedule = resolve({"schedule": "warmup-cosine"}, steps=200)["schedule"]
    factors = [schedule(step) for step in range(200)]
    assert factors[:10] == sorted(factors[:10]) and factors[10:] == sorted(factors[10:], reverse=True)
    assert max(factors) == pytest.approx(1.0) and factors[0] < 0.2 and factors[-1] < 0.01


def test_even_a_training_of_one_step_has_a_schedule():
    assert isinstance(resolve({"schedule": "warmup-cosine"}, steps=1)["schedule"], Schedule)


@pytest.mark.parametrize(("kind", "key"), [("augmentation", "augment"), ("schedule", "schedule")])
def test_an_unknown_name_is_answered_with_the_choices(kind, key):
    with pytest.raises(ValueError, match=f"unknown {kind} 'flop'.*there are .*c"):
        resolve({key: "flop"}, steps=10)


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_every_configuration_of_the_catalogue_resolves(experiment):
    for configuration in experiment.configurations:
        resolve(configuration.fit_options, steps=50)


def test_an_unknown_probe_lists_the_choices():
    with pytest.raises(ValueError, match="unknown probe 'weights' in a configuration; there are gradient"):
        resolve({"probes": {"weights": {}}}, 10)
