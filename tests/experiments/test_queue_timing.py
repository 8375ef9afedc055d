"""The speed of a configuration comes from real steps of its own training, whatever its method."""

import dataclasses

import pytest

from tests.experiments.test_methods import CO, LINEAR, NET
from utils.data.augment import RandomTranslate
from utils.data.views import Views
from utils.experiments import recipes
from utils.experiments.configuration import Budget, Configuration, Experiment
from utils.experiments.queue import timing
from utils.experiments.queue.estimates import Images, Speed
from utils.training import History

WILD = Configuration("wild", "linear", "digits", {"input_size": 32}, {"lr": 1e38, "optimizer": "sgd"})


@pytest.fixture
def short(monkeypatch):
    """A timing of two batches, however quick they are."""
    monkeypatch.setattr(timing, "LONG_ENOUGH", 0.0)


def measured(monkeypatch, configuration, **budget):
    size = Budget(epochs=10, seeds=(0,), **budget)
    one = Experiment("e", "?", "this test", (configuration,), dict.fromkeys(("smoke", "quick", "full"), size))
    monkeypatch.setattr(timing, "only", lambda experiment, label: one)
    return Speed.from_dict(timing.measure("e", configuration.label, "full", "cpu"))


@pytest.mark.parametrize("configuration", [LINEAR, CO], ids=lambda configuration: configuration.method)
def test_one_stage(own, short, monkeypatch, configuration):
    found = measured(monkeypatch, configuration)
    (stage,) = found.stages
    assert stage.share == 1.0 and 0 < stage.train < 1 and 0 < stage.valid < 1
    assert found.images == Images(1294, 143, 360) and found.macs == 1024 * 10


def test_two_stages_of_which_the_second_is_half_as_long(own, short, monkeypatch):
    monkeypatch.setitem(recipes.AUGMENTATIONS, "two", lambda: Views(RandomTranslate(0.05)))
    monkeypatch.setitem(recipes.AUGMENTATIONS, "one", lambda: RandomTranslate(0.05))
    brief = dataclasses.replace(NET, method_options={"hidden": 16, "head_augment": "one"})
    first, second = measured(monkeypatch, brief).stages
    assert (first.share, second.share) == (1.0, 0.5) and first.train > 0 and second.train > 0


def test_the_data_are_those_of_the_budget(own, short, monkeypatch):
    configuration = dataclasses.replace(LINEAR, dataset="cifar100")
    assert measured(monkeypatch, configuration, dataset="digits").images == Images(1294, 143, 360)


def test_a_training_that_diverges_at_once_has_no_speed(own, short, monkeypatch):
    with pytest.raises(Exception, match="the run has diverged"):
        measured(monkeypatch, WILD)


def test_a_quick_network_is_timed_on_more_batches(own, monkeypatch):
    batches = []

    def train(configuration, dataset, count, device):
        batches.append(count)
        history = History(
            train_loss=[1.0] * 2,
            seconds=[9.0, 0.02 * count],
            valid_seconds=[0.0, 0.143],
            train_size=50 * count,
        )
        return [history], 0.5

    monkeypatch.setattr(timing, "_train", train)
    (stage,) = measured(monkeypatch, LINEAR).stages
    # 2 batches take 0.04 s of half a core: many more would be needed for 2 s, and 24 are taken at most
    assert batches == [2, 24]
    assert stage.train == pytest.approx(0.5 * 0.02 / 50) and stage.valid == pytest.approx(0.5 * 0.001)
