"""Experiments are found by the tuples at the end of their modules."""

from types import ModuleType

import pytest

from utils.experiments.catalogue import EXPERIMENTS, gathered, lenet


def module(name, **content):
    made = ModuleType(name)
    vars(made).update(content)
    return made


def test_all_modules_are_gathered_in_order():
    first, second = list(EXPERIMENTS.values())[:2]
    one, two = module("one", EXPERIMENTS=(second,)), module("two", EXPERIMENTS=(first,))
    assert list(gathered([one, two]).items()) == [(second.id, second), (first.id, first)]
    assert [experiment.id for experiment in lenet.EXPERIMENTS] == ["lenet-fashion-mnist", "lenet-cifar10"]
    assert {experiment.id for experiment in lenet.EXPERIMENTS} < set(EXPERIMENTS)


@pytest.mark.parametrize("content", [{}, {"EXPERIMENTS": ()}])
def test_a_module_that_offers_none_is_named(content):
    with pytest.raises(ValueError, match="catalogue.mixers has no EXPERIMENTS"):
        gathered([module("catalogue.mixers", **content)])


def test_two_experiments_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two experiments are named 'lenet-fashion-mnist', one in again"):
        gathered([lenet, module("again", EXPERIMENTS=lenet.EXPERIMENTS[:1])])
