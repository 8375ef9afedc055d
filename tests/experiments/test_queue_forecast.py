"""Estimates get better with every epoch: from a guess, over a timing, to what the run itself has shown."""

import dataclasses

import pytest

from tests.experiments.test_queue_estimates import history, run_of
from utils.experiments import records
from utils.experiments.configuration import Budget
from utils.experiments.queue import progress
from utils.experiments.queue.costs import Costs
from utils.experiments.queue.estimates import STARTING, Images, Speed, Stage
from utils.experiments.queue.forecast import Forecast
from utils.experiments.queue.plan import record_of
from utils.experiments.queue.speeds import Speeds, shape_of
from utils.experiments.unfinished import checkpoint_of
from utils.training import save_checkpoint

DIGITS = Images(train=1294, valid=143, test=360)
RUN = run_of(
    Budget(epochs=10, seeds=(0,), train_images=1000, valid_images=100), model_options={"input_size": 32}
)


@pytest.fixture
def forecast(own, tmp_path):
    code = tmp_path / "code"
    return Forecast(tmp_path / "results", Speeds("cpu", code), Costs(code))


def trained(forecast, *epochs, **fields):
    """The checkpoint of a run that has done epochs of so many seconds."""
    path = checkpoint_of(record_of(RUN, forecast.results))
    path.parent.mkdir(parents=True, exist_ok=True)
    done = dataclasses.replace(history(epochs, [0.0] * len(epochs)), **fields)
    save_checkpoint(path, {"history": done.as_dict(), "model": {}})


def test_nothing_is_known_of_the_first_run(forecast):
    assert forecast.of(RUN) is None and not forecast.is_measured(RUN)
    assert forecast.active(RUN).text() == "e a seed 0: epoch 1/10"


def test_a_guess_comes_from_what_else_was_measured(forecast):
    other = run_of(model="mlp")
    forecast.learn(other, Speed((Stage(1.0, 0.001, 0.0),), DIGITS, macs=10_240))
    found = forecast.of(RUN)
    assert found.rough and found.seconds == pytest.approx(STARTING + 10 * 1.0)


def test_a_timing_and_then_the_own_epochs(forecast):
    forecast.learn(RUN, Speed((Stage(1.0, 0.001, 0.0),), DIGITS, macs=10_240))
    assert forecast.is_measured(RUN) and forecast.of(RUN).seconds == pytest.approx(STARTING + 10 * 1.0)
    trained(forecast, 2.0, 2.0, 2.0)
    assert forecast.of(RUN).seconds == pytest.approx(STARTING + 7 * 2.0) and not forecast.of(RUN).rough
    assert forecast.active(RUN).text() == "e a seed 0: epoch 4/10, 1 min left"
    forecast.learn_from_checkpoint(RUN)
    another = dataclasses.replace(RUN, seed=7)
    assert forecast.of(another).epoch == pytest.approx(1.5), "for others the machine may have been busy"


def test_a_run_that_was_never_timed_tells_its_own_speed(forecast):
    trained(forecast, 2.0)
    assert forecast.of(RUN).seconds == pytest.approx(STARTING + 9 * 2.0)


def test_a_finished_run_tells_the_speed_of_its_group(forecast, monkeypatch):
    forecast.learn(RUN, Speed((Stage(1.0, 0.001, 0.0), Stage(0.5, 0.001, 0.0)), DIGITS, macs=10_240))
    found = {
        "stages": {"pretraining": history([1.2]).as_dict()},
        "history": history([0.9]).as_dict(),
        "result": {},
    }
    monkeypatch.setattr(records, "read", lambda path: found)
    assert forecast.learn_from_record(RUN) == found
    assert [stage.train for stage in forecast.speeds.of(RUN).stages] == pytest.approx([0.0012, 0.0009])


def test_a_checkpoint_that_cannot_be_read_is_as_none(forecast):
    path = checkpoint_of(record_of(RUN, forecast.results))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    assert progress.histories_of(record_of(RUN, forecast.results)) == []


def test_the_images_of_embedded_data_are_counted(own):
    assert shape_of("digits")[0] == DIGITS
