"""The order of the queue as a pure function: which runs an order stands for, and mistakes in it."""

import pytest

from utils.experiments.catalogue.order import Entry, runs_of
from utils.experiments.configuration import Budget, Configuration, Experiment
from utils.experiments.queue.worker import arguments_of, only

SMALL = Budget(epochs=1, seeds=(0,))
TWO = Experiment(
    "two", "?", "this test", (Configuration("a", "linear", "digits"), Configuration("b", "linear", "digits")),
    {"smoke": SMALL, "quick": SMALL, "full": Budget(epochs=3, seeds=(0, 1))},
)  # fmt: skip
KNOWN = {"two": TWO}


def named(*entries):
    return [(run.configuration.label, run.seed, run.profile, run.tier) for run in runs_of(entries, KNOWN)]


def test_an_entry_stands_for_all_labels_seed_by_seed():
    assert named(Entry("two", 1, "why")) == [
        ("a", 0, "full", 1), ("b", 0, "full", 1), ("a", 1, "full", 1), ("b", 1, "full", 1),
    ]  # fmt: skip


def test_a_run_belongs_to_the_first_entry_that_names_it():
    first = Entry("two", 1, "why", labels=("b",), seeds=(1,))
    assert named(first, Entry("two", 2, "why")) == [
        ("b", 1, "full", 1), ("a", 0, "full", 2), ("b", 0, "full", 2), ("a", 1, "full", 2),
    ]  # fmt: skip


def test_the_same_run_of_another_profile_is_another_run():
    assert named(Entry("two", 1, "why", "quick"), Entry("two", 1, "why", labels=("a",), seeds=(0,))) == [
        ("a", 0, "quick", 1), ("b", 0, "quick", 1), ("a", 0, "full", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "entry, complaint",
    [
        (Entry("three", 1, "why"), "experiment 'three', which is not in the catalogue"),
        (Entry("two", 1, "why", labels=("c",)), "label 'c' of two; there are a, b"),
        (Entry("two", 1, "why", profile="long"), "profile 'long' of two; there are smoke, quick, full"),
        (Entry("two", 1, "why", seeds=(-1,)), "seed -1 of two"),
    ],
)
def test_a_mistake_in_the_order_is_named(entry, complaint):
    with pytest.raises(ValueError, match=complaint):
        runs_of((entry,), KNOWN)


def test_runs_are_equal_by_what_they_are_and_have_a_name_for_people():
    one, other = (runs_of((Entry("two", 1, "why"),), KNOWN)[0] for _ in range(2))
    assert one == other and len({one, other}) == 1
    assert (
        one.title == "two a seed 0"
        and runs_of((Entry("two", 1, "", "quick"),), KNOWN)[0].title == "two a seed 0 quick"
    )


def test_a_worker_ignores_what_a_later_queue_may_tell_it():
    known, rest = arguments_of().parse_known_args(
        ["two", "a", "--seed", "3", "--results", "r", "--later-option", "7"]
    )
    assert (known.experiment, known.label, known.seed, known.profile) == ("two", "a", 3, "full")
    assert rest == ["--later-option", "7"]


def test_a_worker_names_a_label_that_does_not_exist():
    with pytest.raises(ValueError, match="experiment 'lenet-cifar10' has no configuration 'a'"):
        only("lenet-cifar10", "a")
