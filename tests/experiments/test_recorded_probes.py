"""Probes of a run: what they measured is in its record and comes back."""

import numpy as np
import pytest

from utils.analysis.landscape import GradientRecord
from utils.experiments import records
from utils.experiments.configuration import Budget, Configuration, Experiment
from utils.experiments.recorded_probes import gradient_record, probe_results
from utils.experiments.run import run


def test_what_a_probe_measured_is_in_the_record_and_comes_back(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    budget = Budget(epochs=1, seeds=(0,), train_images=200, test_images=50, valid_images=50)
    fit = {"lr": 1e-2, "batch_size": 50, "probes": {"gradient": {"lengths": (0.1, 0.2), "every": 2}}}
    experiment = Experiment(
        "probed",
        "?",
        "this test",
        (Configuration("linear", "linear", "digits", {"input_size": 32}, fit),),
        {"smoke": budget, "quick": budget, "full": budget},
    )
    (path,) = run(experiment, "smoke", results=tmp_path, device="cpu")
    measured = gradient_record(records.read(path))
    assert measured.steps.tolist() == [0, 2] and measured.lengths.tolist() == [0.1, 0.2]
    assert measured.changes.shape == measured.losses.shape == (2, 2)
    assert (measured.gradient_norms > 0).all() and (measured.smoothness > 0).all()


def test_values_that_are_not_finite_survive_the_record_as_nan():
    class Probe:
        def read(self):
            lengths, steps, *rest = (np.array([1.0, np.inf]) for _ in range(6))
            return GradientRecord(lengths, np.array([0, 2]), *rest)

    plain = probe_results({"gradient": {}}, [Probe()])
    assert plain["gradient"]["changes"] == [1.0, None]
    back = gradient_record({"probes": plain})
    assert back.changes[0] == 1 and np.isnan(back.changes[1])


def test_a_run_without_a_probe_says_so():
    with pytest.raises(ValueError, match="the run a of e was recorded without a gradient probe"):
        gradient_record({"experiment": "e", "configuration": {"label": "a"}})
