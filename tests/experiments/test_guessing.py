"""Better than guessing: limits by hand, and the share of guessing networks that pass."""

import numpy as np
import pytest

from utils.experiments.guessing import beats_guessing


def test_limit_is_three_standard_errors_above_one_in_ten():
    # sqrt(0.1 * 0.9 / 900) = 0.01
    assert not beats_guessing([0.129], 900) and beats_guessing([0.131], 900)
    # sqrt(0.5 * 0.5 / 100) = 0.05
    assert not beats_guessing([0.64], 100, classes=2) and beats_guessing([0.66], 100, classes=2)


def test_mean_of_the_runs_is_judged_as_one_run():
    # alone the second would pass
    assert not beats_guessing([0.10, 0.14], 900)
    assert beats_guessing([0.12, 0.15], 900)


def test_far_below_guessing_is_not_better():
    assert not beats_guessing([0.0], 10_000)


def test_networks_that_guess_hardly_ever_pass():
    hits = np.random.default_rng(0).binomial(1000, 0.1, size=4000)
    passed = sum(beats_guessing([hit / 1000], 1000) for hit in hits)
    assert passed / 4000 < 0.005


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 10), "at least one"),
        (([0.2, 1.2], 10), "1.2"),
        (([float("nan")], 10), "nan"),
        (([0.2], 0), "got 0"),
        (([0.2], 10, 1), "got 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        beats_guessing(*arguments)
