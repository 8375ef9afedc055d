"""How long runs take, worked out by hand; and the file in which measured speeds are kept."""

import json

import pytest

from utils.experiments.catalogue.order import Entry, runs_of
from utils.experiments.configuration import Budget, Configuration, Experiment
from utils.experiments.queue import speeds as kept
from utils.experiments.queue.costs import Costs
from utils.experiments.queue.estimates import (
    STARTING,
    Images,
    Speed,
    Stage,
    bounded,
    corrected,
    estimate,
    group_of,
    guessed,
    stages_of,
)
from utils.experiments.queue.speeds import Speeds, is_at_hand, shape_of
from utils.training import History

DATA = Images(train=1000, valid=100, test=200)


def run_of(budget=None, **configuration):
    budget = budget or Budget(epochs=10, seeds=(0,))
    settings = {"label": "a", "model": "linear", "dataset": "digits", **configuration}
    one = Experiment(
        "e", "?", "this test", (Configuration(**settings),), dict.fromkeys(("smoke", "quick", "full"), budget)
    )
    return runs_of((Entry("e", 1, "why"),), {"e": one})[0]


def history(seconds, valid_seconds=(), train_size=1000):
    return History(
        seconds=list(seconds),
        valid_seconds=list(valid_seconds),
        train_loss=[1.0] * len(seconds),
        train_size=train_size,
    )


SPEED = Speed((Stage(1.0, train=0.002, valid=0.001),), DATA, macs=50)


def test_the_time_of_a_run_is_that_of_its_passes():
    found = estimate(run_of(), SPEED)
    # an epoch: 1000 · 2 ms + 100 · 1 ms; at the end 200 test images at 1 ms
    assert found.epoch == pytest.approx(2.1) and found.seconds == pytest.approx(STARTING + 21.0 + 0.2)
    assert estimate(run_of(), SPEED, done=[4]).seconds == pytest.approx(STARTING + 6 * 2.1 + 0.2)


def test_a_budget_cuts_the_images():
    found = estimate(
        run_of(Budget(epochs=2, seeds=(0,), train_images=500, valid_images=1000, test_images=0)), SPEED
    )
    assert found.seconds == pytest.approx(STARTING + 2 * (1.0 + 0.1))


def test_stages_are_added():
    both = Speed((Stage(1.0, 0.004, 0.0), Stage(0.5, 0.001, 0.0)), DATA, macs=50)
    assert estimate(run_of(), both).seconds == pytest.approx(STARTING + 10 * 4 + 5 * 1)
    assert estimate(run_of(), both, done=[10, 2]).seconds == pytest.approx(STARTING + 3 * 1)


def test_a_timing_gives_the_stages():
    first, last = history([9.0, 4.0], [1.0, 0.5], train_size=200), history([2.0], train_size=200)
    assert stages_of([first, last], epochs=2, valid_images=100) == (
        Stage(1.0, 0.02, 0.005),
        Stage(0.5, 0.01, 0.0),
    )
    assert stages_of([first], 2, 100, share=0.5) == (Stage(1.0, 0.01, 0.0025),), (
        "the machine was busy half of the time"
    )


def test_epochs_correct_what_was_timed_by_the_median_of_the_latest():
    slow_first = history([60.0, 3.0, 3.0, 3.0, 5.0, 3.0], [0.2] * 6)
    assert corrected(SPEED, [slow_first], DATA).stages == (Stage(1.0, 0.003, 0.002),)
    assert corrected(SPEED, [], DATA) == SPEED
    assert corrected(SPEED, [history([])], DATA) == SPEED


def test_a_busy_machine_is_not_taken_for_a_slow_one():
    starved = Speed((Stage(1.0, train=0.2, valid=0.0001),), DATA, macs=50)
    assert bounded(starved, SPEED.stages).stages == (Stage(1.0, pytest.approx(0.003), 0.0001),)


def test_a_guess_is_the_median_rate_times_the_multiply_adds():
    others = [Speed((Stage(1.0, train, 0.0),), DATA, macs=100) for train in (0.001, 0.002, 0.009)]
    assert guessed(50, DATA, others).stages == (Stage(1.0, pytest.approx(0.001), 0.0),)
    assert guessed(50, DATA, []) is None


def test_a_group_has_all_that_decides_the_speed_and_nothing_else():
    base = run_of(fit_options={"lr": 1e-3, "batch_size": 32})
    same = [
        run_of(fit_options={"lr": 1e-1, "batch_size": 32, "weight_decay": 1e-4, "schedule": "cosine"}),
        run_of(Budget(epochs=3, seeds=(7,), train_images=10), fit_options={"batch_size": 32}),
        run_of(label="b", fit_options={"batch_size": 32}, label_noise={"rate": 0.3}),
    ]
    others = [
        run_of(fit_options={"batch_size": 64}),
        run_of(fit_options={"batch_size": 32, "augment": "flip-crop"}),
        run_of(fit_options={"batch_size": 32, "precision": "float32"}),
        run_of(fit_options={"batch_size": 32}, model="mlp"),
        run_of(fit_options={"batch_size": 32}, model_options={"input_size": 32}),
        run_of(fit_options={"batch_size": 32}, dataset="shapes"),
        run_of(fit_options={"batch_size": 32}, method="co-teaching"),
        run_of(Budget(epochs=1, seeds=(0,), dataset="shapes"), fit_options={"batch_size": 32}),
    ]
    assert {group_of(run) for run in same} == {group_of(base)}
    assert group_of(base) not in {group_of(run) for run in others}


@pytest.fixture
def code(tmp_path):
    """A folder with training code whose digest the speeds are kept with."""
    folder = tmp_path / "code"
    (folder / "utils" / "training").mkdir(parents=True)
    (folder / "utils" / "training" / "loop.py").write_text("one")
    return folder


def test_speeds_are_kept_for_the_machine(own, code):
    first = Speeds("cpu", code)
    assert first.of(run_of()) is None and not first.is_fresh(run_of()) and first.all() == []
    first.learn(run_of(), SPEED)
    again = Speeds("cpu", code)
    assert again.of(run_of()) == SPEED and again.is_fresh(run_of()) and again.all() == [SPEED]
    again.correct(run_of(), Speed((Stage(1.0, 0.0025, 5.0),), DATA, macs=50))
    assert Speeds("cpu", code).of(run_of()).stages == (Stage(1.0, 0.0025, 0.0015),), (
        "within bounds of the timing"
    )


def test_other_training_code_is_timed_again_but_answers_in_the_meantime(own, code, tmp_path):
    Speeds("cpu", code).learn(run_of(), SPEED)
    other = tmp_path / "other"
    (other / "utils" / "training").mkdir(parents=True)
    (other / "utils" / "training" / "loop.py").write_text("two")
    assert not Speeds("cpu", other).is_fresh(run_of()) and Speeds("cpu", other).of(run_of()) == SPEED


@pytest.mark.parametrize(
    "content", ["{", "[]", json.dumps({"machine": {"group": {"stages": [{"share": 1}]}}})]
)
def test_a_damaged_file_of_speeds_is_as_none(own, code, monkeypatch, content):
    monkeypatch.setattr(kept, "machine_of", lambda device: "machine")
    kept.speeds_file().parent.mkdir(parents=True)
    kept.speeds_file().write_text(content)
    assert Speeds("cpu", code).all() == []


def test_a_speed_comes_back_from_json():
    assert Speed.from_dict(json.loads(json.dumps(SPEED.as_dict()))) == SPEED


def test_multiply_adds_are_counted_once_and_kept(own, code):
    run = run_of(model_options={"input_size": 32})
    assert Costs(code).of(run) == 1024 * 10
    assert Costs(code, patience=0.0).of(run) == 1024 * 10, "from the file"
    assert Costs(code, patience=0.0).of(run_of(model="mlp")) is None
    (file,) = own.cache.glob("macs-*.json")
    file.write_text("{")
    assert Costs(code).of(run) == 1024 * 10


def test_data_are_looked_for_on_this_machine_only(own):
    from tests import tiny_datasets

    for answer in (is_at_hand, shape_of):
        answer.cache_clear()
    assert is_at_hand("digits") and not is_at_hand("cifar100") and shape_of("cifar100") is None
    images, shape, classes = shape_of("digits")
    assert images.train + images.valid + images.test == 1797 and shape == (1, 32, 32) and classes == 10
    tiny_datasets.cifar100_archive(own.data)
    is_at_hand.cache_clear()
    assert is_at_hand("cifar100")
    is_at_hand.cache_clear()
