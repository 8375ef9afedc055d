"""The store of records: killed processes, several of them at once, trainings that diverge."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from utils.experiments import methods, records, unfinished, weights
from utils.experiments import run as running
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.claims import Claim, Order, compare
from utils.experiments.configuration import Budget, Configuration, Experiment
from utils.experiments.run import run
from utils.experiments.summary import accuracy_on_test, results
from utils.training import History, checkpoints

ROOT = Path(__file__).resolve().parents[2]


def experiment(*configurations: Configuration, epochs: int = 2) -> Experiment:
    budget = Budget(epochs=epochs, seeds=(0,), train_images=300, test_images=100)
    return Experiment(
        "tiny",
        "does it last?",
        "this test",
        configurations,
        {"smoke": budget, "quick": budget, "full": budget},
    )


def linear(label: str, **options) -> Configuration:
    return Configuration(
        label, "linear", "digits", {"input_size": 32}, {"lr": 1e-2, **options.pop("fit", {})}, **options
    )


LONG = experiment(linear("first"), linear("second"), epochs=60)
IN_A_PROCESS = """
import sys
from pathlib import Path
from tests.experiments.test_store import LONG
from utils.experiments.run import run
run(LONG, "smoke", results=Path(sys.argv[1]), device="cpu")
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))


def start(folder: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", IN_A_PROCESS, str(folder)],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
    )


def checkpoint_of(folder: Path) -> Path:
    return unfinished.checkpoint_of(folder / "tiny" / "first-seed0-smoke.json")


def wait_for(path: Path, process: subprocess.Popen) -> None:
    while not path.exists():
        assert process.poll() is None, f"the process ended before {path.name} was there"
        time.sleep(0.002)


def test_kill_9_in_mid_run_loses_nothing(tmp_path):
    process = start(tmp_path / "killed")
    checkpoint = checkpoint_of(tmp_path / "killed")
    wait_for(checkpoint, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(checkpoints.load_checkpoint(checkpoint)["history"]["train_loss"])
    assert 1 <= done < 60, "it was killed in the middle"

    epochs = []
    original = checkpoints.save_checkpoint
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            checkpoints,
            "save_checkpoint",
            lambda path, contents: (epochs.append(path.name), original(path, contents)),
        )
        resumed = [
            records.read(path) for path in run(LONG, "smoke", results=tmp_path / "killed", device="cpu")
        ]
    assert epochs.count(checkpoint.name) == 60 - done, "only the epochs that were missing were trained"
    assert [found["resumed"] for found in resumed] == [True, False]

    for again, found in zip(
        run(LONG, "smoke", results=tmp_path / "whole", device="cpu"), resumed, strict=True
    ):
        whole = records.read(again)
        assert History.from_dict(whole["history"]).as_dict(times=False) == History.from_dict(
            found["history"]
        ).as_dict(times=False)
        assert whole["result"] == found["result"]


def test_a_run_killed_between_its_training_and_its_record_is_only_recorded(tmp_path, monkeypatch):
    tiny = experiment(linear("only"))
    with monkeypatch.context() as patch:
        patch.setattr(records, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(tiny, "smoke", results=tmp_path, device="cpu")
    trained = []
    monkeypatch.setattr("utils.training.fitting.train_one_epoch", lambda *a, **k: trained.append(1))
    (path,) = run(tiny, "smoke", results=tmp_path, device="cpu")
    assert trained == [] and len(records.read(path)["history"]["train_loss"]) == 2


def test_kept_weights_are_there_before_the_record_is(tmp_path, monkeypatch):
    def check(found, path):
        assert weights.path_of("tiny", "only", tmp_path).exists()
        original(found, path)

    original = records.write
    monkeypatch.setattr(records, "write", check)
    (path,) = run(experiment(linear("only", keep_weights=True)), "smoke", results=tmp_path, device="cpu")
    assert (
        path.exists() and weights.faults(weights.path_of("tiny", "only", tmp_path).with_suffix(".json")) == []
    )


def test_two_processes_share_the_store(tmp_path, capsys):
    process = start(tmp_path)
    wait_for(checkpoint_of(tmp_path), process)
    run(LONG, "smoke", results=tmp_path, device="cpu")
    assert "first · seed 0 · smoke: another process is at work on it" in capsys.readouterr().out
    assert process.wait() == 0
    found = run(LONG, "smoke", results=tmp_path, device="cpu")
    assert [path.name for path in found] == ["first-seed0-smoke.json", "second-seed0-smoke.json"]
    for path in found:
        records.read(path)
    assert sorted(path.suffix for path in (tmp_path / "tiny").iterdir()) == [".json", ".json"]


def test_a_training_that_diverges_is_recorded_as_such_and_the_others_go_on(tmp_path, capsys):
    wild = linear("wild", fit={"lr": 1e38, "optimizer": "sgd"})
    both = experiment(wild, linear("tame"))
    found = run(both, "smoke", results=tmp_path, device="cpu")
    assert "diverged" in capsys.readouterr().err
    first = records.read(found[0])
    assert first["result"] is None and first["diverged"]["lr"] == 1e38
    assert run(both, "smoke", results=tmp_path, device="cpu") == found, "it is not tried again"
    assert capsys.readouterr().out == ""


def test_diverged_runs_are_told_beside_the_results(tmp_path, monkeypatch):
    both = experiment(linear("wild", fit={"lr": 1e38, "optimizer": "sgd"}), linear("tame"))
    run(both, "smoke", results=tmp_path, device="cpu")
    monkeypatch.setitem(EXPERIMENTS, "tiny", both)
    found = results("tiny", "smoke", tmp_path)
    assert found.labels() == ["tame"] and "wild with seed 0 diverged at step" in found.describe()
    (row,) = compare(
        Claim("C0", "a test", "tame beats wild", "tiny", (Order("tame", "wild"),), accuracy_on_test), found
    )
    assert row.verdict == "undecided" and "wild with seed 0 diverged" in row.why


def test_a_record_without_a_result_must_say_why(tmp_path):
    (path,) = run(experiment(linear("only")), "smoke", results=tmp_path, device="cpu")
    found = records.read(path)
    changed = {**found, "result": None}
    assert records.faults({**changed, "digest": records.digest(changed)}) == [
        "it has no result, and does not say that the training diverged"
    ]


@pytest.mark.parametrize(
    "seconds, trained, left, text",
    [(0.0, 0, 5, ""), (120.0, 2, 5, ", about 5 min left"), (10.0, 1, 2, ", less than a minute left")],
)
def test_time_left_follows_from_what_is_done(seconds, trained, left, text):
    assert running._time_left(seconds, trained, left) == text


def test_all_files_of_an_unfinished_run_are_known():
    assert {path.suffix for path in methods.checkpoint_files(Path("a/run.checkpoint"))} == {
        ".checkpoint",
        ".pretraining",
    }
