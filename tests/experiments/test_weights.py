"""Kept weights: they come back as they were trained, and are refused when anything was changed."""

import json
from dataclasses import replace

import pytest
import torch

from utils.data import load_dataset
from utils.experiments import records, trained, weights
from utils.experiments.__main__ import main
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.configuration import Budget, Configuration, Experiment
from utils.experiments.run import run
from utils.training import evaluate

TINY = Budget(epochs=1, seeds=(3, 4), train_images=200, test_images=100, valid_images=50)
KEPT = Configuration("small", "linear", "digits", {"input_size": 32}, {"lr": 1e-2}, keep_weights=True)
EXPERIMENT = Experiment(
    "tiny",
    "are they kept?",
    "this test",
    (KEPT,),
    {"smoke": TINY, "quick": replace(TINY, epochs=2), "full": TINY},
)


@pytest.fixture
def results(monkeypatch, tmp_path):
    """A folder with two records of the experiment and the weights of the first seed."""
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "results"
    run(EXPERIMENT, "smoke", results=folder, device="cpu")
    monkeypatch.setattr(records, "RESULTS", folder)
    monkeypatch.setitem(EXPERIMENTS, "tiny", EXPERIMENT)
    return folder


def test_the_weights_are_those_of_the_first_seed_and_give_its_result(results):
    assert sorted(p.name for p in (results / "checkpoints").iterdir()) == [
        "tiny-small.json",
        "tiny-small.safetensors",
    ]
    found = trained("tiny", "small")
    written = records.read(records.path_of("tiny", "small", 3, "smoke", results))
    assert found.card["seed"] == 3 and not found.model.training
    again = evaluate(found.model, load_dataset("digits").test.subset(100))
    assert again.accuracy == written["result"]["test_accuracy"]
    assert f"test accuracy {100 * again.accuracy:.1f} % on 100 images" in found.describe()


def test_the_weights_of_a_smaller_profile_do_not_replace_those_of_a_larger(results):
    run(EXPERIMENT, "quick", results=results, device="cpu")
    assert trained("tiny", "small").card["profile"] == "quick"
    run(EXPERIMENT, "smoke", results=results, device="cpu", again=True)
    assert trained("tiny", "small").card["profile"] == "quick"


def test_verify_counts_them_and_names_what_was_changed(results, capsys):
    assert main(["verify"]) == 0
    assert (
        "2 of 2 records are sound" in (out := capsys.readouterr().out)
        and "1 of 1 kept weights are sound" in out
    )
    path = results / "checkpoints" / "tiny-small.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert main(["verify"]) == 1
    assert "does not have the SHA-256 of its card" in capsys.readouterr().out
    with pytest.raises(ValueError, match="tiny-small.safetensors.*restore it, or train it again"):
        trained("tiny", "small")


def test_verify_notices_a_card_that_says_more_than_its_record(results, capsys):
    card_path = results / "checkpoints" / "tiny-small.json"
    card = json.loads(card_path.read_text())
    card["result"]["test_accuracy"] = 0.99
    card_path.write_text(json.dumps(card))
    assert main(["verify"]) == 1
    assert "result is not what the record says" in capsys.readouterr().out


def test_a_card_without_its_record_is_a_fault(results):
    records.path_of("tiny", "small", 3, "smoke", results).unlink()
    (complaint,) = weights.faults(results / "checkpoints" / "tiny-small.json")
    assert complaint == "it names the record 'small-seed3-smoke.json', which is not in tiny/"


CARDS = {
    "null": (lambda card: None, "is not a JSON object"),
    "half": (
        lambda card: {name: card[name] for name in ("sha256", "profile")},
        "it lacks format, bytes, record",
    ),
    "no experiment": (lambda card: card.pop("experiment") and card, "it lacks experiment"),
    "seed is text": (lambda card: card | {"seed": "3"}, "seed is '3', not a whole number"),
    "result is a list": (lambda card: card | {"result": []}, "result is [], not an object"),
    "no classes": (lambda card: card["dataset"].pop("classes") and card, "it lacks dataset.classes"),
    "another record": (lambda card: card | {"record": "../x.json"}, "it names the record '../x.json'"),
    "another model": (lambda card: card | {"commit": "0"}, "commit is not what the record says"),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_damaged_card_is_reported(name, results, capsys):
    change, complaint = CARDS[name]
    card_path = results / "checkpoints" / "tiny-small.json"
    card_path.write_text(json.dumps(change(json.loads(card_path.read_text()))))
    assert main(["verify"]) == 1
    assert complaint in (out := capsys.readouterr().out) and "0 of 1 kept weights are sound" in out


def test_copied_weights_and_weights_with_a_damaged_record_or_without_a_card_are_reported(results, capsys):
    for suffix in (".json", ".safetensors"):
        own = results / "checkpoints" / f"tiny-small{suffix}"
        own.with_name(f"tiny-other{suffix}").write_bytes(own.read_bytes())
    own.with_name("tiny-alone.safetensors").write_bytes(b"")
    assert main(["verify"]) == 1
    out = capsys.readouterr().out
    assert "the weights are those of tiny-small.safetensors" in out and "1 of 3 kept weights" in out
    assert "tiny-alone.json: [Errno 2] No such file" in out
    records.path_of("tiny", "small", 3, "smoke", results).write_text("{}")
    assert main(["verify"]) == 1
    assert "its record is damaged: " in capsys.readouterr().out


def test_missing_weights_come_with_the_command_that_trains_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m utils.experiments run tiny --profile quick"):
        trained("tiny", "other", tmp_path)


def test_weights_too_large_for_the_repository_are_refused_before_the_training(results, monkeypatch):
    monkeypatch.setattr(weights, "LARGEST", 1000)
    with pytest.raises(ValueError, match="the weights of small have .* bytes, more than 1,000"):
        run(EXPERIMENT, "smoke", results=results, device="cpu", again=True)
    written = records.read(records.path_of("tiny", "small", 3, "smoke", results))
    with pytest.raises(ValueError, match="more than 1,000"):
        weights.keep(
            torch.nn.Linear(100, 100), written, records.path_of("tiny", "small", 3, "smoke", results), results
        )
