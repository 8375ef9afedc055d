"""Running an experiment end to end on embedded data, from the command line's functions to a sound record."""

import math

import pytest
import torch

from utils.analysis.accounting import account
from utils.experiments import records
from utils.experiments.__main__ import main
from utils.experiments.catalogue import EXPERIMENTS, find
from utils.experiments.catalogue.claims import CLAIMS
from utils.experiments.comparison import recorded
from utils.experiments.configuration import Budget, Configuration, Experiment
from utils.experiments.run import run
from utils.models import build_model

TINY = Budget(epochs=2, seeds=(0,), train_images=300, test_images=100)
EXPERIMENT = Experiment(
    "tiny",
    "does it run?",
    "this test",
    (Configuration("linear", "linear", "digits", {"input_size": 32}, {"lr": 1e-2}),),
    {"smoke": TINY, "quick": TINY, "full": TINY},
)


@pytest.fixture
def options(monkeypatch, tmp_path):
    """Arguments of the configuration above that fit the embedded digits."""
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))


def test_a_run_leaves_one_sound_record_and_is_not_repeated(options, tmp_path):
    (path,) = run(EXPERIMENT, "smoke", results=tmp_path, device="cpu")
    found = records.read(path)
    assert found["dataset"]["train"] == 300 and found["result"]["test_images"] == 100
    assert found["history"]["valid_accuracy"][found["result"]["epoch"]] == found["result"]["valid_accuracy"]
    assert [p.name for p in path.parent.iterdir()] == [path.name], "the checkpoint is gone"
    before = path.stat().st_mtime_ns
    run(EXPERIMENT, "smoke", results=tmp_path, device="cpu")
    assert path.stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_history(options, tmp_path):
    first, second = (
        records.read(run(EXPERIMENT, "smoke", results=tmp_path / name, device="cpu")[0]) for name in "ab"
    )
    assert first["history"]["train_loss"] == second["history"]["train_loss"]
    assert first["result"] == second["result"]


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS.keys())
def test_every_configuration_of_the_catalogue_can_be_built(experiment):
    for configuration in experiment.configurations:
        with torch.device("meta"):
            build_model(configuration.model, num_classes=10, **configuration.model_options)


def test_unknown_names_list_the_choices(capsys):
    with pytest.raises(ValueError, match="unknown experiment 'resnet'.*lenet-cifar10"):
        find("resnet")
    assert main(["show", "resnet"]) == 2
    assert "lenet-cifar10" in capsys.readouterr().err


def test_list_show_and_verify_speak(capsys):
    assert main(["list"]) == 0
    assert main(["show", "lenet-cifar10"]) == 0
    assert main(["verify"]) == 0
    out = capsys.readouterr().out
    assert "runs recorded" in out and "deviation:" in out and "records are sound" in out


def test_verify_names_a_tampered_file(monkeypatch, capsys, options, tmp_path):
    (path,) = run(EXPERIMENT, "smoke", results=tmp_path, device="cpu")
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    assert main(["verify"]) == 1
    assert path.name in capsys.readouterr().out


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "CPU!"])
def test_a_device_that_is_not_there_is_named_before_anything_runs(device, capsys):
    assert main(["run", "lenet-cifar10", "--device", device]) == 1
    told = capsys.readouterr()
    assert told.err == f"error: {device!r} is no device of this machine, such as cpu or, with a GPU, cuda\n"
    assert told.out == ""


def test_ctrl_c_is_one_sentence(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("utils.experiments.run.run", interrupt)
    assert main(["run", "lenet-cifar10"]) == 130
    assert capsys.readouterr().err.startswith("interrupted; the same command goes on after the last epoch")


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS.keys())
def test_a_claim_is_run_and_shown_by_its_id(claim, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        "utils.experiments.run.run",
        lambda experiment, profile, *rest: asked.append((experiment.id, profile)) or [],
    )
    assert main(["run", claim.id, "--profile", "smoke"]) == 0
    assert asked == [(claim.experiment, "smoke")]
    assert main(["show", claim.id]) == 0
    judged_by = recorded(claim)
    shown = claim.experiment if judged_by is None else judged_by.experiment
    assert capsys.readouterr().out.startswith(f"{shown}: ")


def test_the_transformer_gets_as_many_steps_with_few_images_as_with_many():
    steps = []
    for name in ("families-1000-images", "families-4000-images", "families-20000-images"):
        budget = find(name).budgets["quick"]
        steps.append(
            budget.epochs
            * math.ceil(budget.train_images / find(name).configurations[0].fit_options["batch_size"])
        )
    assert max(steps) < 1.03 * min(steps)


def test_the_narrow_families_cost_about_the_same():
    macs = {}
    for configuration in find("families-cifar10-narrow").configurations:
        with torch.device("meta"):
            model = build_model(configuration.model, num_classes=10, **configuration.model_options)
        macs[configuration.label] = account(model, (3, 32, 32)).total_macs
    assert all(33.5e6 < value < 35.5e6 for value in macs.values()), macs
