"""At chance, still improving or converged: the three states on made-up histories, at their limits."""

import math

import pytest

from utils.experiments.learning import AT_CHANCE, CONVERGED, IMPROVING, learning_state, state_of_run

JUDGED = 5_000
GUESS = 0.1 + 3 * math.sqrt(0.1 * 0.9 / JUDGED)  # 11.27 %: what guessing reaches once in 700 times


def constant(epochs):
    return [0.1] * epochs


def cosine(epochs):
    return [0.05 * (1 + math.cos(math.pi * epoch / epochs)) for epoch in range(epochs)]


def rising(first, last, epochs):
    return [first + (last - first) * epoch / (epochs - 1) for epoch in range(epochs)]


def state(valid, train=None, lr=None, **options):
    train = [0.5] * len(valid) if train is None else train
    return learning_state(valid, train, constant(len(valid)) if lr is None else lr, JUDGED, **options)


@pytest.mark.parametrize(
    ("accuracy", "expected"), [(GUESS - 1e-4, AT_CHANCE), (GUESS + 1e-4, CONVERGED), (0.5, CONVERGED)]
)
def test_guessing_is_where_chance_ends(accuracy, expected):
    assert state([accuracy] * 20) == expected


def test_the_last_fifth_decides_whether_it_guesses():
    assert state([0.1] * 16 + [0.2] * 4) == IMPROVING, "it has just begun"
    assert state([0.1] * 17 + [0.11] * 3) == AT_CHANCE
    assert state([0.3] * 16 + [0.1] * 4, train=[0.95] * 20) == AT_CHANCE, "it fell back"


def test_chance_depends_on_the_classes():
    assert state([0.105] * 20) == AT_CHANCE
    assert state([0.105] * 20, classes=100) == CONVERGED


@pytest.mark.parametrize(("rise", "expected"), [(0.0099, CONVERGED), (0.0101, IMPROVING), (-0.2, CONVERGED)])
def test_a_rise_of_a_point_from_fifth_to_fifth_is_the_limit(rise, expected):
    assert state([0.5] * 16 + [0.5 + rise] * 4) == expected


@pytest.mark.parametrize(("train", "expected"), [(0.899, IMPROVING), (0.9, CONVERGED)])
def test_nothing_is_left_to_improve_once_the_training_images_are_known(train, expected):
    assert state(rising(0.2, 0.6, 20), train=[0.5] * 19 + [train]) == expected


@pytest.mark.parametrize(("epochs", "expected"), [(9, IMPROVING), (10, CONVERGED)])
def test_few_epochs_decide_nothing(epochs, expected):
    """A plain network of 56 layers is flat in its first epochs, because it has not begun to learn."""
    assert state([0.17] * epochs) == expected


def test_a_short_training_with_a_falling_rate_ends_flat_and_has_not_converged():
    """Ten epochs: up to the fifth it rises, then the rate takes the noise out and the curve comes to rest."""
    valid = [*rising(0.2, 0.4, 6), 0.42, 0.43, 0.43, 0.43]
    assert state(valid, lr=cosine(10)) == IMPROVING


def test_a_long_training_with_a_falling_rate_is_judged_before_the_rate_fell():
    """While the rate is low the curve rises by the rate alone; what counts is that it was flat before."""
    plateau = [*rising(0.2, 0.6, 20), *[0.6] * 31]
    valid = [*plateau, *rising(0.6, 0.7, 49)]
    assert state(valid, lr=cosine(100)) == CONVERGED
    assert state([*rising(0.2, 0.6, 51), *[0.6] * 49], lr=cosine(100)) == IMPROVING


def test_the_loss_of_the_test_images_has_no_part_in_it():
    history = {"valid_accuracy": [0.5] * 20, "train_accuracy": [0.5] * 20, "lr": constant(20)}
    dataset = {"valid": JUDGED, "test": 10_000}
    run = {"history": history, "dataset": dataset}  # there is no result that could be looked at
    assert state_of_run(run) == CONVERGED
    assert state_of_run({**run, "history": {**history, "valid_accuracy": [0.105] * 20}}) == AT_CHANCE


@pytest.mark.parametrize("figures", [([], [], []), ([0.5], [0.5, 0.6], [0.1]), ([0.5], [0.5], [])])
def test_a_history_has_one_figure_of_each_kind_for_each_epoch(figures):
    with pytest.raises(ValueError, match="one validation accuracy, training accuracy and rate is needed"):
        learning_state(*figures, judged=JUDGED)
