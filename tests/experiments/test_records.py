"""Records: written whole, checked on reading, summarized over seeds, and refused when damaged or copied."""

import copy
import json
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.experiments import MeanSd, records, results
from utils.experiments.__main__ import main
from utils.experiments.configuration import Budget, Configuration, Experiment

NO_BREAK = "\N{NO-BREAK SPACE}"


def make(label="lenet", seed=0, correct=900, profile="full", epochs=2):
    """A sound record, but for its digest; no two runs take the same time."""
    falling = [1 / (1 + epoch) for epoch in range(epochs)]
    history = {
        "lr": [0.1] * epochs,
        "train_loss": falling,
        "train_accuracy": [0.5] * epochs,
        "valid_loss": list(falling),
        "valid_accuracy": [0.8] * epochs,
        "seconds": [1.5 + seed + len(label) / 64] * epochs,
        "valid_seconds": [0.25] * epochs,
        "step_loss": [],
        "step_lr": [],
    }
    return {
        "format": records.FORMAT,
        "experiment": "lenet-cifar10",
        "configuration": {
            "label": label,
            "model": label,
            "dataset": "digits",
            "model_options": {},
            "fit_options": {},
        },
        "seed": seed,
        "profile": profile,
        "history": history,
        "result": {
            "epoch": epochs - 1,
            "valid_loss": falling[-1],
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


def place(folder, record):
    """Where a record belongs."""
    label = record["configuration"]["label"]
    return records.path_of(record["experiment"], label, record["seed"], record["profile"], folder)


def written(folder, record):
    path = place(folder, record)
    records.write(record, path)
    return path


def test_a_record_comes_back_as_it_was_written(tmp_path):
    path = written(tmp_path, make())
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
    path = written(tmp_path, make())
    changed = json.loads(path.read_text())
    change(changed)
    path.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=f"lenet-seed0-full.json: .*{complaint}"):
        records.read(path)


# ---- damage: what is done to the text, or to the fields under a fresh digest, and what is said of it
TEXTS = {
    "empty": (lambda text: "", "it is not a record: Expecting value"),
    "cut off": (lambda text: text[: len(text) // 2], "it is not a record"),
    "null": (lambda text: "null", "it is not a JSON object"),
    "a list": (lambda text: f"[{text}]", "it is not a JSON object"),
    "an empty object": (lambda text: "{}", "it lacks format, experiment"),
    "not UTF-8": (lambda text: b"\xff\xfe" + text.encode(), "it is not a record: 'utf-8' codec"),
    "NaN": (lambda text: text.replace("[0.1,0.1]", "[0.1,NaN]"), "it holds NaN, which is no number"),
    "infinite": (lambda text: text.replace("[0.1,0.1]", "[0.1,1e999]"), "it holds 1e999, which is no number"),
    "twice": (lambda text: text.replace("{", '{"seed": 3,', 1), "it names 'seed' twice"),
    "nested": (lambda text: "[" * 100_000, "nested too deeply"),
    "another digest": (lambda text: text.replace('"digest": "', '"digest": "0'), "the digest does not fit"),
    "a surrogate": (
        lambda text: text.replace('"device": "', '"device": "\\ud800'),
        "the digest does not fit",
    ),
}
FIELDS = {
    "result is empty": (lambda r: r.update(result={}), "it lacks result.epoch"),
    "result is a list": (lambda r: r.update(result=[1]), "result is [1], not an object or null"),
    "no result": (lambda r: r.update(result=None), "does not say that the training diverged"),
    "history is text": (lambda r: r.update(history="long"), "history is 'long', not an object"),
    "no losses": (lambda r: r["history"].pop("train_loss"), "it lacks history.train_loss"),
    "losses are a number": (
        lambda r: r["history"].update(train_loss=1.0),
        "history.train_loss is 1.0, not a list",
    ),
    "a loss is text": (lambda r: r["history"]["valid_loss"].insert(0, "1"), "history.valid_loss[0] is '1'"),
    "a loss is null": (lambda r: r["history"].update(train_loss=[1.0, None]), "train_loss[1] is None"),
    "one epoch more": (lambda r: r["history"]["lr"].append(0.1), "history.lr has 3 entries for 2 epochs"),
    "one epoch less": (lambda r: r["history"]["valid_loss"].pop(0), "valid_loss has 1 entries for 2 epochs"),
    "no epochs": (lambda r: r["history"].update(train_loss=[]), "its history has no epochs"),
    "rates of other steps": (
        lambda r: r["history"].update(step_lr=[0.1]),
        "step_lr has 1 entries for 0 steps",
    ),
    "an epoch too late": (lambda r: r["result"].update(epoch=2), "result.epoch is 2, and the history has 2"),
    "an epoch before": (lambda r: r["result"].update(epoch=-1), "result.epoch is -1"),
    "epoch is true": (lambda r: r["result"].update(epoch=True), "result.epoch is True, not a whole number"),
    "no images": (
        lambda r: (r["result"].update(test_images=0), r["dataset"].update(test=0)),
        "900 of 0 images",
    ),
    "nothing tested": (
        lambda r: (r["result"].update(test_images=0, test_correct=0), r["dataset"].update(test=0)),
        "test_correct is 0 of 0 images",
    ),
    "more than all": (lambda r: r["result"].update(test_correct=1001), "test_correct is 1001 of 1000 images"),
    "accuracy too good": (lambda r: r["result"].update(test_accuracy=0.95), "0.95 is not 900 of 1000"),
    "other test images": (
        lambda r: r["dataset"].update(test=500),
        "test_images is 1000, and the dataset has 500",
    ),
    "configuration is a list": (lambda r: r.update(configuration=[]), "configuration is [], not an object"),
    "label is a number": (lambda r: r["configuration"].update(label=3), "configuration.label is 3, not text"),
    "seed is text": (lambda r: r.update(seed="0"), "seed is '0', not a whole number"),
    "seed is a fraction": (lambda r: r.update(seed=0.5), "seed is 0.5, not a whole number"),
    "profile is unknown": (
        lambda r: r.update(profile="huge"),
        "profile is 'huge', not smoke or quick or full",
    ),
    "profile is a list": (lambda r: r.update(profile=["full"]), "profile is ['full'], not text"),
    "parameters are text": (lambda r: r["model"].update(parameters="10"), "model.parameters is '10'"),
    "no title": (lambda r: r["dataset"].pop("title"), "it lacks dataset.title"),
    "dataset is null": (lambda r: r.update(dataset=None), "dataset is None, not an object"),
    "started is no date": (lambda r: r.update(started="soon"), "started is 'soon', not a date and time"),
    "diverged is text": (lambda r: r.update(result=None, diverged="yes"), "diverged is 'yes', not an object"),
    "another seed": (lambda r: r.update(seed=7), "with seed 7 in the profile 'full'"),
    "another experiment": (lambda r: r.update(experiment="degradation"), "whose file is 'degradation/lenet"),
}


def verified(monkeypatch, capsys, folder):
    """What ``verify`` says of a folder of results, and its exit status."""
    monkeypatch.setattr(records, "RESULTS", folder)
    status = main(["verify"])
    return status, capsys.readouterr().out


@pytest.mark.parametrize("name", [*TEXTS, *FIELDS])
def test_verify_reports_damage_of_every_kind_and_the_sound_ones_beside_it(
    name, monkeypatch, capsys, tmp_path
):
    written(tmp_path, make(seed=1))
    path = written(tmp_path, make())
    if name in TEXTS:
        change, complaint = TEXTS[name]
        text = change(path.read_text())
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    else:
        change, complaint = FIELDS[name]
        record = make()
        change(record)
        path.write_text(json.dumps({**record, "digest": records.digest(record)}))
    status, out = verified(monkeypatch, capsys, tmp_path)
    assert status == 1 and "1 of 2 records are sound" in out
    assert all(line.startswith("✗ lenet-cifar10/lenet-seed0-full.json: ") for line in out.splitlines()[:-2])
    assert complaint in out
    with pytest.raises(ValueError, match="lenet-seed0-full.json"):
        results("lenet-cifar10", folder=tmp_path)


@pytest.mark.parametrize(
    "copy, complaint",
    [
        ("lenet-cifar10/lenet-seed7-full.json", "is the record of 'lenet' with seed 0 in the profile 'full'"),
        ("lenet-cifar10/lenet-5-seed0-full.json", "whose file is 'lenet-cifar10/lenet-seed0-full.json'"),
        ("lenet-cifar10/lenet-seed0-quick.json", "a copied or renamed record is not another run"),
        ("lenet-cifar10/copy of lenet.json", "a copied or renamed record is not another run"),
        ("lenet-fashion-mnist/lenet-seed0-full.json", "of 'lenet-cifar10', whose file is"),
        ("lenet-seed0-full.json", "a copied or renamed record is not another run"),
        (
            "old/lenet-cifar10/lenet-seed0-full.json",
            "it lies in old/lenet-cifar10/, where no record is looked for",
        ),
    ],
)
def test_a_copied_record_is_not_another_run(copy, complaint, monkeypatch, capsys, tmp_path):
    path = written(tmp_path, make())
    (tmp_path / copy).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / copy).write_bytes(path.read_bytes())
    status, out = verified(monkeypatch, capsys, tmp_path)
    assert status == 1 and f"✗ {copy}: " in out and complaint in out and "1 of 2 records are sound" in out
    if copy.startswith("lenet-cifar10/lenet") and copy.endswith("-full.json"):
        with pytest.raises(ValueError, match="a copied or renamed record is not another run"):
            results("lenet-cifar10", folder=tmp_path)


def test_a_copy_under_another_seed_with_a_fresh_digest_is_not_another_run_either(
    monkeypatch, capsys, tmp_path
):
    written(tmp_path, make())
    written(tmp_path, make(seed=1))
    written(tmp_path, make() | {"seed": 7})
    status, out = verified(monkeypatch, capsys, tmp_path)
    assert status == 1 and "2 of 3 records are sound" in out
    assert (
        "lenet-seed7-full.json: its epochs took exactly as long as those of lenet-cifar10/lenet-seed0" in out
    )
    with pytest.raises(ValueError, match="lenet-seed7-full.json: its epochs .* lenet-seed0-full.json"):
        results("lenet-cifar10", folder=tmp_path)


def test_a_record_that_cannot_be_read_is_reported(monkeypatch, capsys, tmp_path):
    written(tmp_path, make())
    (tmp_path / "lenet-cifar10" / "lenet-seed1-full.json").mkdir()
    (tmp_path / "lenet-cifar10" / "lenet-seed2-full.json").symlink_to("nowhere")
    status, out = verified(monkeypatch, capsys, tmp_path)
    assert status == 1 and "1 of 3 records are sound" in out
    assert "lenet-seed1-full.json: it cannot be read: Is a directory" in out
    assert "lenet-seed2-full.json: it cannot be read: No such file or directory" in out


def test_a_record_of_what_the_catalogue_does_not_have_is_reported_and_refused(monkeypatch, capsys, tmp_path):
    written(tmp_path, make("vgg"))
    status, out = verified(monkeypatch, capsys, tmp_path)
    assert status == 1 and "no configuration 'vgg' of an experiment 'lenet-cifar10'" in out
    with pytest.raises(ValueError, match="vgg-seed0-full.json: lenet-cifar10 has no such configuration"):
        results("lenet-cifar10", folder=tmp_path)


def test_a_run_that_diverged_in_validation_is_sound_without_its_last_figures(tmp_path):
    record = make() | {"result": None, "diverged": {"step": 9, "lr": 0.1, "message": "it diverged"}}
    for name in ("valid_loss", "valid_accuracy"):
        record["history"][name] = record["history"][name][:1]
    assert records.faults_of_file(written(tmp_path, record)) == []
    record["history"]["valid_loss"] = []
    assert records.faults_of_file(written(tmp_path, record)) == [
        "history.valid_loss has 0 entries for 2 epochs"
    ]


VALUES = st.sampled_from([None, True, -1, 3, 10**400, 0.5, "", "x", [], [None], ["x"], {}, {"x": 1}])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_stands_in_the_place_of_a_value_is_reported_and_never_a_crash(data):
    record = make(epochs=3)
    record["diverged"] = {"step": 1, "lr": 0.1, "message": ""}
    record["digest"] = records.digest(record)
    assert records.faults(record) == []
    place, key = record, data.draw(st.sampled_from(sorted(record)))
    while isinstance(place[key], dict | list) and len(place[key]) and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    before = copy.deepcopy(record)
    if data.draw(st.booleans()) and isinstance(place, dict):
        del place[key]
    else:
        place[key] = data.draw(VALUES)
    found = records.faults(record)
    assert bool(found) == (json.dumps(record, sort_keys=True) != json.dumps(before, sort_keys=True))
    if isinstance(record.get("digest"), str):
        record["digest"] = records.digest(record)
    for complaint in records.faults(record):
        assert isinstance(complaint, str) and complaint


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
        == "lenet-cifar10: Digits, 10 training images, 2 epochs, seeds 0, 1, 2, cpu, 1 thread and cpu, 2 "
        "threads, 2026-11-21"
    )


def test_no_runs_says_how_to_make_them(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="python -m utils.experiments run lenet-cifar10 --profile quick"
    ):
        results("lenet-cifar10", folder=tmp_path)


def test_no_values_have_no_mean():
    with pytest.raises(ValueError, match="no values"):
        MeanSd.of([])


def test_an_experiment_must_be_complete():
    one = Configuration("a", "lenet", "digits")
    budget = Budget(epochs=1, seeds=(0,))
    budgets = {"smoke": budget, "quick": budget, "full": budget}
    with pytest.raises(ValueError, match="two configurations of one label"):
        Experiment("e", "?", "here", (one, one), budgets)
    with pytest.raises(ValueError, match="needs a budget for smoke, quick, full"):
        Experiment("e", "?", "here", (one,), {"smoke": budget})
