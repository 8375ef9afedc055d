"""Faults of disks and of names: one sentence, nothing lost, and smoke runs that need and touch nothing."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.test_full_disks import INJECTED
from utils.data.sources import EMBEDDED
from utils.experiments import records, results, unfinished, weights
from utils.experiments.__main__ import main
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.comparison import PAGE
from utils.experiments.configuration import Budget, Configuration, Experiment
from utils.experiments.methods import Task, train
from utils.experiments.run import run
from utils.training import coteaching
from utils.training.files import NotWritten

TINY = Budget(epochs=2, seeds=(0,), train_images=100, test_images=40, valid_images=40)
LINEAR = Configuration("linear", "linear", "digits", {"input_size": 32}, {"lr": 1e-2}, keep_weights=True)
EXPERIMENT = Experiment("tiny", "?", "this test", (LINEAR,), dict.fromkeys(("smoke", "quick", "full"), TINY))
# the record is written by plain writes: what torch says does not come up
SYSTEM = {name: case for name, case in INJECTED.items() if not name.startswith("torch")}
SYSTEM.pop("no space at the fourth write")  # there is one
SYSTEM.pop("quota at the second write")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def reason(complaint):
    """That of a checkpoint has its own remedy."""
    return complaint.split(";")[0].split(".*")[0]


@pytest.mark.parametrize(("inject", "complaint"), SYSTEM.values(), ids=SYSTEM)
def test_a_record_that_cannot_be_written_is_written_by_the_next_call(
    tmp_path, monkeypatch, inject, complaint
):
    original, folder = records.write, tmp_path / "results"
    with monkeypatch.context() as patch:

        def write(record, path):
            with monkeypatch.context() as within:
                inject(within)
                original(record, path)

        patch.setattr(records, "write", write)
        told = f"the record .*linear-seed0-full.json could not be written because .*{reason(complaint)}.*go"
        with pytest.raises(NotWritten, match=told) as caught:
            run(EXPERIMENT, "full", results=folder, device="cpu")
    assert "run the same command again" in str(caught.value) and "\n" not in str(caught.value)
    assert list((folder / "tiny").iterdir()) == []
    (path,) = run(EXPERIMENT, "full", results=folder, device="cpu")
    assert records.read(path)["resumed"] is True, "nothing was trained again"


@pytest.mark.parametrize(("inject", "complaint"), INJECTED.values(), ids=INJECTED)
def test_a_checkpoint_of_a_run_that_cannot_be_written_names_the_cache(
    tmp_path, monkeypatch, inject, complaint
):
    from utils.training import checkpoints

    original = checkpoints.save_checkpoint

    def save(path, contents):
        with monkeypatch.context() as within:
            inject(within)
            original(path, contents)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_checkpoint", save)
        with pytest.raises(ValueError, match=f"{reason(complaint)}.*which CNNLAB_CACHE moves elsewhere$"):
            run(EXPERIMENT, "full", results=tmp_path / "results", device="cpu")
    assert len(run(EXPERIMENT, "full", results=tmp_path / "results", device="cpu")) == 1


WRITERS = {
    "origin": lambda path: unfinished.replace_text(path, "new"),
    "weights": lambda path: weights._replace(path, b"new"),
    "claims page": lambda path: main(["compare", "--write"]),
}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("writer", WRITERS)
def test_no_file_is_cut_off_by_a_full_disk(tmp_path, monkeypatch, capsys, writer, number):
    path = tmp_path / "file"
    path.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    before = path.read_bytes()

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("utils.experiments.comparison.PAGE", path)
    monkeypatch.setattr("utils.training.files.os.replace", fail)
    if writer == "claims page":
        assert WRITERS[writer](path) == 1
        told = capsys.readouterr().err
    else:
        with pytest.raises(NotWritten) as caught:
            WRITERS[writer](path)
        told = str(caught.value)
    assert f"{path} could not be written because" in told
    assert path.read_bytes() == before and {file.name for file in tmp_path.iterdir()} <= {"file", "cache"}


@pytest.mark.parametrize("what", ["cache", "results"])
def test_a_place_that_is_no_folder_is_named(tmp_path, monkeypatch, what):
    (tmp_path / "file").write_text("in the way")
    if what == "cache":
        monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "file" / "cache"))
    else:
        monkeypatch.setattr(records, "RESULTS", tmp_path / "file" / "results")
    with pytest.raises(OSError, match="file.* (stands where a folder is needed|cannot be written)"):
        run(EXPERIMENT, "full", results=tmp_path / "results" if what == "cache" else None, device="cpu")


def test_every_smoke_budget_names_data_that_need_no_download():
    assert {e.id: e.budgets["smoke"].dataset for e in EXPERIMENTS.values()
            if e.budgets["smoke"].dataset not in EMBEDDED} == {}  # fmt: skip


@pytest.mark.parametrize("name", ["lenet-cifar10", "lenet-fashion-mnist"])
def test_a_smoke_run_needs_no_data_and_leaves_the_book_alone(name, cache, monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("CNNLAB_DATA", raising=False)
    monkeypatch.setattr("urllib.request.OpenerDirector.open", lambda *_: pytest.fail("a download"))
    book = tmp_path / "repository" / "book" / "results"
    monkeypatch.setattr(records, "RESULTS", book)
    few = EXPERIMENTS[name].configurations[:3]
    monkeypatch.setitem(EXPERIMENTS, name, replace(EXPERIMENTS[name], configurations=few))
    assert main(["run", name, "--profile", "smoke", "--device", "cpu"]) == 0
    told = [Path(line) for line in capsys.readouterr().out.splitlines() if line.endswith(".json")]
    assert len(told) == len(few) and all(path.parent == cache / "smoke" / name for path in told)
    assert all(records.faults_of_file(path) == [] for path in told) and not book.exists()
    assert len(results(name, "smoke").runs) == len(few)
    with pytest.raises(FileNotFoundError, match="no recorded runs"):
        results(name)  # a smoke run is no result
    assert main(["show", name.upper()]) == 0 and "1 epochs" in capsys.readouterr().out


def test_weights_of_a_smoke_run_are_not_those_of_the_book(cache, monkeypatch, tmp_path):
    monkeypatch.setattr(records, "RESULTS", tmp_path / "book")
    run(EXPERIMENT, "smoke", device="cpu")
    assert not (tmp_path / "book").exists()
    assert weights.path_of("tiny", "linear", cache / "smoke").exists()
    run(EXPERIMENT, "quick", device="cpu")
    assert weights.path_of("tiny", "linear").exists() and weights.path_of("tiny", "linear").is_relative_to(
        tmp_path / "book"
    )


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["show", "nope"], "unknown experiment or claim 'nope'; there are the experiments"),
        (["show", "C99"], "unknown experiment or claim 'C99' (did you mean 'C9'?); there are"),
        (["run", "lenet-cifar"], "(did you mean 'lenet-cifar10'?)"),
        (["run", "CIFAR10"], "unknown experiment or claim 'CIFAR10'"),
        (["compare", "nope"], "no claim or experiment 'nope' is compared; there are the claims C1, "),
        (["compare", "degradatoin"], "(did you mean 'degradation'?)"),
        (["run", "C6", "--seed", str(10**30)], "a seed is a whole number from 0 to 1,000,002, got 1000000"),
        (["run", "C6", "--seed", "-1"], "a seed is a whole number from 0 to 1,000,002, got -1"),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(command, told, capsys):
    assert main(command) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ") and told in shown.err and shown.err.count("\n") == 1
    if "seed" not in told:
        assert "degradation" in shown.err and "C25" in shown.err, "both kinds of names are listed"


@pytest.mark.parametrize(
    "name, shown",
    [
        *((name, "batchnorm-bands") for name in ("batchnorm-bands", "BatchNorm_Bands", "BATCHNORM BANDS")),
        *(
            (name, "vgg-batchnorm") for name in ("c6", "C6", " C 6")
        ),  # whose runs of full size judge the claim
    ],
)
def test_a_name_is_understood_however_it_is_written(name, shown, capsys):
    assert main(["show", name]) == 0
    assert capsys.readouterr().out.startswith(f"{shown}: ")


@pytest.mark.parametrize("command", ["show", "compare", "verify"])
def test_a_damaged_record_is_one_line_of_every_command(command, monkeypatch, tmp_path, capsys):
    name = "degradation"
    source = sorted((records.RESULTS / name).glob("*-quick.json"))[0]
    (tmp_path / name).mkdir()
    (tmp_path / name / source.name).write_text(source.read_text().replace('"seed": 0', '"seed": 1'))
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    assert main([command, *([name] if command != "verify" else [])]) == 1
    shown = capsys.readouterr()
    assert "the digest does not fit" in shown.err + shown.out and "Traceback" not in shown.err


def test_co_teaching_has_the_rate_of_each_epoch(tmp_path, monkeypatch):
    """Not that of the epoch before or after: 100 images in batches of 30 are three steps without the rest."""
    rates, original = [], coteaching.kept_of

    def kept_of(examples, rate):
        rates.append(rate)
        return original(examples, rate)

    configuration = replace(
        LINEAR, method="co-teaching", method_options={"forget_rate": 0.4, "ramp_share": 0.5},
        fit_options={"batch_size": 30},
    )  # fmt: skip
    from utils.data import load_dataset

    digits = load_dataset("digits")
    task = Task(
        configuration, digits.train.subset(100), digits.valid.subset(20), 10, 4, 0, "cpu", tmp_path / "c"
    )
    monkeypatch.setattr(coteaching, "kept_of", kept_of)
    train(task)
    assert rates[-12:] == [0.0] * 3 + [0.2] * 3 + [0.4] * 6


def test_a_network_of_one_value_is_refused_before_a_run_begins(tmp_path):
    configuration = Configuration("deep", "resnet-18", "shapes", {}, {"batch_size": 33})
    odd = replace(
        EXPERIMENT,
        configurations=(configuration,),
        budgets=dict.fromkeys(EXPERIMENT.budgets, replace(TINY, train_images=34, epochs=1)),
    )
    with pytest.raises(ValueError, match="34 examples in batches of 33 leave a last batch of one example"):
        run(odd, "full", results=tmp_path / "results", device="cpu")
