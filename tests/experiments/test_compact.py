"""Records small enough for a repository: losses of steps rounded, repeated rates left out, short text."""

import json
import math
import random

from tests.experiments.test_records import make
from utils.experiments import records
from utils.experiments.compact import compacted, restored, rounded
from utils.training import History


def history(epochs, steps, step_lr=None):
    rng = random.Random(0)
    rates = [1e-3 * 0.9**epoch for epoch in range(epochs)]
    return History(
        train_loss=[rng.random() for _ in range(epochs)], valid_loss=[0.9, 0.6], valid_accuracy=[0.7, 0.8],
        lr=rates,
        step_loss=[rng.expovariate(1) for _ in range(epochs * steps)],
        step_lr=step_lr or [rate for rate in rates for _ in range(steps)],
    ).as_dict()  # fmt: skip


def test_significant_digits():
    assert [rounded(value, 4) for value in (2.302585, 0.000123456, 12345.6, 0.0)] == [
        2.303,
        0.0001235,
        12350.0,
        0.0,
    ]
    assert math.isinf(rounded(math.inf, 4))


def test_losses_of_steps_are_rounded_and_those_of_epochs_are_not():
    before = history(2, 3)
    after = compacted(before)
    assert after["step_loss"] == [rounded(loss, 4) for loss in before["step_loss"]]
    assert {name: after[name] for name in after if not name.startswith("step")} == {
        name: before[name] for name in before if not name.startswith("step")
    }


def test_rates_that_repeat_the_epochs_are_left_out_and_come_back():
    before = history(4, 5)
    after = compacted(before)
    assert after["step_lr"] == [] and restored(after)["step_lr"] == before["step_lr"]
    assert History.from_dict(restored(after)).lr == before["lr"]


def test_rates_that_change_within_an_epoch_are_kept():
    rates = [1e-3 / (1 + step) for step in range(10)]
    after = compacted(history(2, 5, rates))
    assert after["step_lr"] == [rounded(rate, 6) for rate in rates] and restored(after) == after


def test_a_history_without_steps_stays_as_it_is():
    plain = History(train_loss=[1.0], lr=[0.1]).as_dict()
    assert compacted(plain) == plain and restored(plain) == plain


def test_seven_thousand_steps_take_less_than_80_kB_and_are_read_back(tmp_path):
    epochs = make(epochs=20)["history"]
    steps = compacted(history(20, 351))
    long = make(epochs=20) | {"history": {**epochs, **{name: steps[name] for name in ("lr", "step_loss")}}}
    path = records.path_of("lenet-cifar10", "lenet", 0, "full", tmp_path)
    records.write(long, path)
    assert path.stat().st_size < 80_000
    assert {name: value for name, value in records.read(path).items() if name != "digest"} == long


def test_the_text_of_a_record_is_json_with_lists_on_a_line():
    value = {"b": [1, 2.5, None], "a": {"x": "ä", "empty": {}, "none": []}, "c": [{"k": [1]}, [2]], "d": True}
    text = records.as_text(value)
    assert json.loads(text) == value
    lines = text.splitlines()
    assert ' "b": [1,2.5,null],' in lines and lines[:3] == ["{", ' "a": {', '  "empty": {},']


def test_what_a_killed_process_left_of_a_record_is_removed_by_the_next(tmp_path):
    path = records.path_of("e", "lenet", 0, "full", tmp_path)
    path.parent.mkdir()
    mine, other = path.with_name(f"{path.stem}.77.part"), path.with_name("lenet-seed1-full.77.part")
    for file in (mine, other):
        file.touch()
    records.write(make(), path)
    assert not mine.exists() and other.exists()
