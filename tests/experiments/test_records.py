"""Records: written whole, checked on reading, summarised as mean ± sd over seeds, and refused when tampered with."""

import json
import statistics

import pytest

from utils.experiments import Figure, records, results
from utils.experiments.configuration import Budget, Configuration, Experiment

NO_BREAK = "\N{NO-BREAK SPACE}"


def make(label="lenet", seed=0, correct=900, profile="full"):
    history = {"train_loss": [1.0, 0.5], "valid_loss": [0.9, 0.6], "valid_accuracy": [0.7, 0.8]}
    configuration = {
        "label": label,
        "model": label,
        "dataset": "digits",
        "model_options": {},
        "fit_options": {},
    }
    return {
        "format": records.FORMAT,
        "experiment": "lenet-cifar10",
        "configuration": configuration,
        "seed": seed,
        "profile": profile,
        "history": history,
        "result": {
            "epoch": 1,
            "valid_loss": 0.6,
            "valid_accuracy": 0.8,
            "test_loss": 0.7,
            "test_accuracy": correct / 1000,
            "test_correct": correct,
            "test_images": 1000,
        },
        "model": {"parameters": 10, "macs": 20},
        "dataset": {
            "name": "digits",
            "title": "Digits",
            "sha256": "0" * 64,
            "train": 10,
            "valid": 5,
            "test": 1000,
        },
        "device": "cpu",
        "versions": {"torch": "2"},
        "commit": "abc",
        "started": "2026-11-21T00:00:00+00:00",
        "seconds": 1.0,
    }


def test_a_record_comes_back_as_it_was_written(tmp_path):
    path = records.path_of("e", "lenet", 0, "full", tmp_path)
    records.write(make(), path)
    assert {k: v for k, v in records.read(path).items() if k != "digest"} == make()
    assert list(tmp_path.glob("**/*.part")) == []


def test_an_incomplete_record_is_not_written(tmp_path):
    lacking = make()
    del lacking["seed"]
    with pytest.raises(ValueError, match="lacks seed"):
        records.write(lacking, tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change, complaint",
    [
        (
            lambda r: r["result"].update(test_accuracy=0.99),
            "the digest does not fit.*0.99 is not 900 of 1000",
        ),
        (lambda r: r["result"].update(valid_accuracy=0.81), "epoch 1 of the history says 0.8"),
        (lambda r: r.update(seed=7), "the digest does not fit"),
        (lambda r: r.update(format=99), "format 99"),
        (lambda r: r.pop("device"), "lacks device"),
    ],
)
def test_a_changed_record_is_refused_and_named(tmp_path, change, complaint):
    path = tmp_path / "run.json"
    records.write(make(), path)
    changed = json.loads(path.read_text())
    change(changed)
    path.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=f"run.json: .*{complaint}"):
        records.read(path)


def test_a_wrong_figure_is_found_even_under_a_fresh_digest(tmp_path):
    forged = make()
    forged["result"]["test_accuracy"] = 0.95
    records.write(forged, tmp_path / "run.json")
    with pytest.raises(ValueError, match="0.95 is not 900 of 1000"):
        records.read(tmp_path / "run.json")


def test_text_that_is_no_record_is_named(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match="run.json is not a record"):
        records.read(tmp_path / "run.json")


def test_summary_is_mean_and_sample_standard_deviation(tmp_path):
    for seed, correct in enumerate((900, 910, 950)):
        records.write(
            make(seed=seed, correct=correct),
            records.path_of("lenet-cifar10", "lenet", seed, "full", tmp_path),
        )
    records.write(make("linear"), records.path_of("lenet-cifar10", "linear", 0, "full", tmp_path))
    found = results("lenet-cifar10", folder=tmp_path)
    figure = found.figure("lenet")
    assert figure.n == 3 and figure.mean == pytest.approx(0.92)
    assert figure.sd == pytest.approx(statistics.stdev([0.9, 0.91, 0.95]))
    assert found.labels() == ["linear", "lenet"], "the order of the experiment, not of the alphabet"
    assert found.table().loc["lenet", "test accuracy"].replace(NO_BREAK, " ") == "92.0 ± 2.6 % (n = 3)"
    assert found.figure("linear").percent().replace(NO_BREAK, " ") == "90.0 % (n = 1)"
    with pytest.raises(ValueError, match="no recorded run 'vgg'.*linear, lenet"):
        found.of("vgg")


def test_one_line_tells_seeds_and_devices(tmp_path):
    for seed, device in enumerate(
        ("cpu, 1 threads", "cpu, 1 thread", "cpu, 2 threads")
    ):  # the first is of older records
        records.write(
            make(seed=seed) | {"device": device},
            records.path_of("lenet-cifar10", "lenet", seed, "full", tmp_path),
        )
    told = results("lenet-cifar10", folder=tmp_path).describe()
    assert (
        told
        == "lenet-cifar10: Digits, 10 training images, 2 epochs, seeds 0, 1, 2, cpu, 1 thread and cpu, 2 threads, 2026-11-21"
    )


def test_no_runs_says_how_to_make_them(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="python -m utils.experiments run lenet-cifar10 --profile quick"
    ):
        results("lenet-cifar10", folder=tmp_path)


def test_no_values_have_no_mean():
    with pytest.raises(ValueError, match="no values"):
        Figure.of([])


def test_an_experiment_must_be_complete():
    one = Configuration("a", "lenet", "digits")
    budget = Budget(epochs=1, seeds=(0,))
    budgets = {"smoke": budget, "quick": budget, "full": budget}
    with pytest.raises(ValueError, match="two configurations of one label"):
        Experiment("e", "?", "here", (one, one), budgets)
    with pytest.raises(ValueError, match="needs a budget for smoke, quick, full"):
        Experiment("e", "?", "here", (one,), {"smoke": budget})
