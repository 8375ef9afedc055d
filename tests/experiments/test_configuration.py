"""What a configuration may say: the options of what it reaches, and no others."""

import inspect
from dataclasses import replace

import pytest

from utils.data.label_noise import noisy_labels
from utils.experiments.configuration import (
    FIT_OPTIONS,
    GIVEN,
    METHOD_OPTIONS,
    NOISE_OPTIONS,
    Budget,
    Configuration,
    Experiment,
)
from utils.experiments.methods import METHODS
from utils.training import fit

PLAIN = Configuration("plain", "linear", "digits")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"fit_options": {"lr": 0.1, "clip_norms": 1.0}},
            r"fit_options of configuration 'plain' has no 'clip_norms' \(did you mean 'clip_norm'\?\); "
            "there are batch_size, lr, optimizer",
        ),
        ({"fit_options": {"xyz": 1}}, "has no 'xyz'; there are"),
        # the run gives them
        ({"fit_options": {"epochs": 3}}, "fit_options .* has no 'epochs'"),
        ({"fit_options": {"loss": None}}, "fit_options .* has no 'loss'"),
        ({"method_options": {"forget_rate": 0.2}}, "method_options .* has no 'forget_rate'; there are none"),
        (
            {"method": "co-teaching", "method_options": {"forget_rates": 0.2}},
            r"method_options .* has no 'forget_rates' \(did you mean 'forget_rate'\?\)",
        ),
        (
            {"method": "coteaching"},
            "unknown method 'coteaching' in a configuration; there are supervised, co-t",
        ),
        ({"label_noise": {"rates": 0.2}}, r"label_noise .* has no 'rates' \(did you mean 'rate'\?\)"),
    ],
)
def test_what_is_misspelt_or_not_its_own_to_say_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **change)


def test_options_are_those_of_the_functions():
    assert set(FIT_OPTIONS) | set(GIVEN) == set(inspect.signature(fit).parameters)
    assert not set(FIT_OPTIONS) & set(GIVEN)
    assert set(NOISE_OPTIONS) | {"labels", "num_classes", "seed"} == set(
        inspect.signature(noisy_labels).parameters
    )
    own = {name: tuple(inspect.signature(method).parameters)[1:] for name, method in METHODS.items()}
    assert own == METHOD_OPTIONS  # the first parameter is the task


def test_every_known_option_is_taken():
    replace(PLAIN, fit_options=dict.fromkeys(FIT_OPTIONS), label_noise=dict.fromkeys(NOISE_OPTIONS))
    for method, options in METHOD_OPTIONS.items():
        replace(PLAIN, method=method, method_options=dict.fromkeys(options))


def test_an_experiment_needs_labels_of_their_own_and_all_budgets():
    budgets = dict.fromkeys(("smoke", "quick", "full"), Budget(1, (0,)))
    Experiment("e", "?", "this test", (PLAIN, replace(PLAIN, label="other")), budgets)
    with pytest.raises(ValueError, match="'e' has two configurations of one label: .'plain', 'plain'."):
        Experiment("e", "?", "this test", (PLAIN, PLAIN), budgets)
    with pytest.raises(ValueError, match="needs a budget for smoke, quick, full, has smoke$"):
        Experiment("e", "?", "this test", (PLAIN,), {"smoke": Budget(1, (0,))})


def test_a_size_of_images_is_told_only_where_it_is_given():
    assert "dataset_size" not in PLAIN.as_dict()
    assert replace(PLAIN, dataset_size=8).as_dict()["dataset_size"] == 8
