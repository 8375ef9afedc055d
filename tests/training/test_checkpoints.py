"""Checkpoints: whole or not at all, kill -9 and resume to the last bit, and clear refusals."""

import inspect
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils.data.augment import Compose, Mixup, RandomCrop, RandomFlip
from utils.data.dataset import Split
from utils.training import CheckpointError, Settings, fit, load_checkpoint, save_checkpoint, schedules
from utils.training.checkpoints import InUse, locked
from utils.training.losses import count_correct
from utils.training.resuming import NOT_COMPARED

ROOT = Path(__file__).resolve().parents[2]


def long_run(checkpoint, pause=0.0):
    """A run with everything that has a state: moments, batch norm, dropout, augmentation, schedule, best
    weights.
    """
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (120, 3, 8, 8), dtype=torch.uint8, generator=g)
    data = Split(images, torch.randint(0, 3, (120,), generator=g), (0.5,) * 3, (0.3,) * 3)
    layers = [
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(144, 3),
    ]
    model = nn.Sequential(*layers)
    history = fit(
        model, data.subset(80), data.subset(slice(80, None)), epochs=8, batch_size=16, lr=0.01,
        optimizer="adamw", weight_decay=0.05, schedule=schedules.warmup_cosine(5, 40), patience=6,
        record_steps=True, progress=False,
        augment=Compose([RandomFlip(), RandomCrop(1), Mixup(0.3)]), checkpoint=checkpoint,
        probes=[lambda **_: time.sleep(pause)],
    )  # fmt: skip
    return history, model


def epochs_in(path):
    return len(load_checkpoint(path)["history"]["train_loss"]) if path.exists() else 0


def test_kill_and_resume_is_bit_identical(tmp_path):
    path = tmp_path / "run.pt"
    command = [sys.executable, __file__, str(path)]
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while epochs_in(path) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)  # in the middle of the fourth epoch or soon after
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    assert 3 <= epochs_in(path) < 8

    resumed, model = long_run(path)
    whole, other = long_run(None)
    assert resumed.as_dict(times=False) == whole.as_dict(times=False)
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    )
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def split(n=40, seed=1):
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 1, 4, 4), dtype=torch.uint8, generator=g)
    return Split(images, torch.randint(0, 2, (n,), generator=g), (0.5,), (0.3,))


def network(hidden=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, hidden), nn.Dropout(0.2), nn.Linear(hidden, 2))


def run(path, model=None, train=None, valid=None, **options):
    model = model or network()
    history = fit(
        model,
        train or split(),
        valid or split(seed=2),
        **{"epochs": 3, "batch_size": 16, "progress": False, "checkpoint": path, **options},
    )
    return history, model


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path, optimizer):
    path = tmp_path / "run.pt"
    first, _ = run(path, epochs=2, optimizer=optimizer)
    longer, model = run(path, epochs=5, optimizer=optimizer)
    whole, other = run(None, epochs=5, optimizer=optimizer)
    assert longer.as_dict(times=False) == whole.as_dict(times=False)
    assert longer.seconds[:2] == first.seconds
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_a_run_stopped_by_an_exception_goes_on_in_the_same_process(tmp_path):
    path, model = tmp_path / "run.pt", network()

    def interrupt(*, step, **_):
        if step == 7:  # in the third epoch of three steps each
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, model, epochs=4, probes=[interrupt])
    assert epochs_in(path) == 2
    resumed, _ = run(path, model, epochs=4)
    assert resumed.as_dict(times=False) == run(None, epochs=4)[0].as_dict(times=False)


def test_a_finished_run_is_read_back(tmp_path):
    path = tmp_path / "run.pt"
    first, model = run(path)
    again, other = run(path)
    assert again == first
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_an_early_stop_stays_stopped_and_gives_the_best_weights(tmp_path):
    path = tmp_path / "run.pt"
    options = {"epochs": 50, "patience": 2, "min_delta": 5.0}
    first, model = run(path, **options)
    again, other = run(path, **options)
    assert first.stopped_early and len(first) == 3 and again == first
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"lr": 0.02}, "lr is 0.02 here and 0.001 in the file"),
        ({"seed": 5}, "seed is 5 here and 0 in the file"),
        ({"batch_size": 8}, "batch_size is 8 here and 16"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd' here and 'adam'"),
        (
            {"schedule": schedules.halving(2)},
            r"schedule is halving\(every=2\) per epoch here and constant\(\) per epoch",
        ),
        ({"augment": RandomFlip(0.25)}, r"augment is RandomFlip\(p=0.25\) here and None"),
        ({"train": split(seed=9)}, "train is"),
        (
            {"model": network(hidden=4)},
            r"different model: 1.weight is \(4, 16\) torch.float32 here and \(3, 16\)",
        ),
        ({"model": network().append(nn.Linear(2, 2))}, "4.weight is .* here and absent in the file"),
        ({"epochs": 2}, "already holds 3 epochs, and epochs=2"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, message):
    path = tmp_path / "run.pt"
    run(path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=message) as caught:
        run(path, **change)
    assert "run.pt" in str(caught.value) and path.read_bytes() == before


def test_a_precision_that_was_asked_for_is_not_exchanged(tmp_path):
    run(tmp_path / "run.pt", precision="float32")
    with pytest.raises(CheckpointError, match="precision is bfloat16 here and float32 in the file"):
        run(tmp_path / "run.pt", precision="bfloat16")


def cut_short(contents):
    return contents[: len(contents) // 2]


def flip_a_bit(contents):
    middle = contents.index(b"data/0") + 200  # within the values of the first tensor
    return contents[:middle] + bytes([contents[middle] ^ 1]) + contents[middle + 1 :]


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, lambda _: b"", lambda _: b"not a checkpoint"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "run.pt"
    run(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        CheckpointError, match="run.pt is damaged or not a checkpoint .*delete it to start the run again"
    ):
        run(path)


def test_files_that_are_something_else_are_named(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(network().state_dict(), path)
    with pytest.raises(CheckpointError, match="weights.pt is not a checkpoint of format"):
        run(path)
    save_checkpoint(path, {"weights": torch.ones(3)})
    with pytest.raises(
        CheckpointError, match="weights.pt is not the checkpoint of a training run: 'outline' is missing"
    ):
        run(path)
    torch.save({"format": 1, "model": Path("x")}, path)  # would need code to be run on loading
    with pytest.raises(CheckpointError, match="weights.pt is damaged or not a checkpoint"):
        run(path)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "absent.pt")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("history", []),
        ("model", None),
        ("model", {"no.such": torch.zeros(1)}),
        ("optimizer", "x"),
        ("optimizer", {"state": {}, "param_groups": 3}),
        ("configuration", [1]),
        ("best_weights", [1]),
    ],
)
def test_a_checkpoint_whose_parts_are_of_another_kind_is_named(tmp_path, name, value):
    path = tmp_path / "run.pt"
    run(path)
    save_checkpoint(path, {**load_checkpoint(path), name: value})
    with pytest.raises(CheckpointError, match="(?s)run.pt is not the checkpoint of .*give another path"):
        run(path)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    save_checkpoint(path, {"value": torch.arange(3)})

    def full(file_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        CheckpointError, match="run.pt could not be written because the disk is full.*unharmed"
    ):
        save_checkpoint(path, {"value": torch.zeros(3)})
    assert torch.equal(load_checkpoint(path)["value"], torch.arange(3))
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        CheckpointError, match="run.pt: a file stands where a folder is needed; give another path"
    ):
        run(tmp_path / "file" / "run.pt")


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    (tmp_path / "run.pt.partial").write_bytes(b"half")
    run(tmp_path / "run.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def test_missing_folders_are_made(tmp_path):
    run(tmp_path / "results" / "lenet" / "run.pt")
    assert epochs_in(tmp_path / "results" / "lenet" / "run.pt") == 3


def test_two_runs_with_one_checkpoint_are_kept_apart(tmp_path):
    path = tmp_path / "run.pt"
    holder = (
        "import sys, time\nfrom utils.training.checkpoints import locked\n"
        "with locked(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(path)], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(CheckpointError, match="another run is at work on .*run.pt"):
            run(path)
    finally:
        process.kill()
        process.communicate()
    run(path)  # the lock went with the process


class Weighted:
    """A loss with a state, and with hits as a method."""

    def __init__(self, weights, half=0.5):
        self.weights, self.half = torch.tensor(weights), half

    def __call__(self, logits, y):
        return F.cross_entropy(logits, y, weight=self.weights)

    def hits(self, logits, y):
        return (logits.softmax(1)[:, 1] > self.half).eq(y).sum()


def captured(scale):
    return lambda logits, y: scale * F.cross_entropy(logits, y)


def brighter(by):
    return lambda x, generator: x.clamp(max=255 - by) + by


# an argument of fit, made in two ways: the second one is another by content alone
OTHERS = {
    "no loss, and the same by name": ("loss", lambda: None, lambda: F.cross_entropy),
    "another function": ("loss", lambda: F.cross_entropy, lambda: F.multi_margin_loss),
    "weights of a module": (
        "loss",
        lambda: nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0])),
        lambda: nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0])),
    ),
    "smoothing of a module": (
        "loss",
        lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
        lambda: nn.CrossEntropyLoss(label_smoothing=0.2),
    ),
    "smoothing of a partial function": (
        "loss",
        lambda: partial(F.cross_entropy, label_smoothing=0.1),
        lambda: partial(F.cross_entropy, label_smoothing=0.2),
    ),
    "what a closure has captured": ("loss", lambda: captured(1.0), lambda: captured(2.0)),
    "a constant in a lambda": (
        "loss",
        lambda: lambda logits, y: F.cross_entropy(logits, y) * 1,
        lambda: lambda logits, y: F.cross_entropy(logits, y) * 2,
    ),
    "state of an object": ("loss", lambda: Weighted([1.0, 2.0]), lambda: Weighted([1.0, 3.0])),
    "hits": ("hits", lambda: count_correct, lambda: lambda logits, y: 0 * y.sum()),
    "state of a method's object": ("hits", lambda: Weighted([1.0]).hits, lambda: Weighted([1.0], 0.6).hits),
    "a closure as augmentation": ("augment", lambda: brighter(1), lambda: brighter(2)),
    "a closure among augmentations": (
        "augment",
        lambda: Compose([RandomFlip(), brighter(1)]),
        lambda: Compose([RandomFlip(), brighter(2)]),
    ),
    "an optimizer of one's own": (
        "optimizer",
        lambda: lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.5),
        lambda: lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.6),
    ),
    "the function of a schedule": (
        "schedule",
        lambda: schedules.Schedule("own", "epoch", lambda t: 1 / (1 + t)),
        lambda: schedules.Schedule("own", "epoch", lambda t: 1 / (2 + t)),
    ),
    "validation images": ("valid", lambda: split(seed=2), lambda: split(seed=3)),
    "label smoothing": ("label_smoothing", lambda: 0.1, lambda: 0.2),
    "monitor": ("monitor", lambda: "loss", lambda: "accuracy"),
    "clipping": ("clip_norm", lambda: None, lambda: 1.0),
    "dropping of the last batch": ("drop_last", lambda: False, lambda: True),
    "losses of the steps": ("record_steps", lambda: False, lambda: True),
}


@pytest.mark.parametrize(("name", "make", "make_other"), OTHERS.values(), ids=OTHERS)
def test_another_argument_is_refused_and_the_same_made_anew_goes_on(tmp_path, name, make, make_other):
    path, kept = tmp_path / "run.pt", make()
    run(path, epochs=1, **{name: kept})
    with pytest.raises(CheckpointError, match=f"different configuration: {name} is .* in the file"):
        run(path, epochs=2, **{name: make_other()})
    again, _ = run(path, epochs=2, **{name: make()})
    assert again.as_dict(times=False) == run(None, epochs=2, **{name: make()})[0].as_dict(times=False)


def test_every_argument_of_fit_is_compared_or_named_with_the_reason_why_not(tmp_path):
    run(tmp_path / "run.pt")
    compared = set(load_checkpoint(tmp_path / "run.pt")["configuration"])
    arguments, settings = set(inspect.signature(fit).parameters), {f.name for f in fields(Settings)}
    assert set(NOT_COMPARED) <= arguments and all(len(reason) > 10 for reason in NOT_COMPARED.values())
    assert compared == (arguments - set(NOT_COMPARED)) | settings


def test_arguments_that_are_not_compared_may_change(tmp_path):
    run(tmp_path / "run.pt", epochs=1)
    history, _ = run(tmp_path / "run.pt", epochs=2, probes=[lambda **_: None], device="cpu", precision="auto")
    assert history.as_dict(times=False) == run(None, epochs=2)[0].as_dict(times=False)
    (tmp_path / "run.pt").rename(tmp_path / "moved.pt")
    assert len(run(tmp_path / "moved.pt", epochs=2)[0]) == 2


def test_an_argument_without_content_is_refused_before_training(tmp_path):
    generator = torch.Generator().manual_seed(0)

    def noisy(logits, y):
        return F.cross_entropy(logits + torch.randn(logits.shape, generator=generator), y)

    with pytest.raises(CheckpointError, match=r"same loss, .*noisy → generator is a torch._C.Generator"):
        run(tmp_path / "run.pt", loss=noisy)
    assert not (tmp_path / "run.pt").exists()
    assert len(run(None, loss=noisy)[0]) == 3  # without a checkpoint nothing has to be compared


def test_a_function_whose_state_training_changes_is_refused(tmp_path):
    calls = []

    def louder(logits, y):
        calls.append(1)
        return len(calls) * F.cross_entropy(logits, y)

    with pytest.raises(CheckpointError, match="run.pt cannot be written: loss changed in the first epoch"):
        run(tmp_path / "run.pt", loss=louder)
    assert not (tmp_path / "run.pt").exists()


class Own(nn.Module):
    """A network with a loss of its own that looks at its weights."""

    def __init__(self, decay=0.1):
        super().__init__()
        torch.manual_seed(0)
        self.layers, self.decay = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), decay

    def forward(self, x):
        return self.layers(x)

    def extra_repr(self):
        return f"decay={self.decay}"

    def loss(self, logits, y):
        return F.cross_entropy(logits, y) + self.decay * self.layers[1].weight.square().sum()

    def other_loss(self, logits, y):
        return F.cross_entropy(logits, y)


@pytest.mark.parametrize(
    "loss_of",
    [
        lambda model: model.loss,
        lambda model: lambda logits, y: model.loss(logits, y),
        lambda model: (
            lambda logits, y, weight=model.layers[1].weight: F.cross_entropy(logits, y) + weight.sum()
        ),
    ],
    ids=["method", "closure", "its weights"],
)
def test_a_loss_may_belong_to_the_model_that_is_trained(tmp_path, loss_of):
    path, model, whole = tmp_path / "run.pt", Own(), Own()
    run(path, model, epochs=1, loss=loss_of(model))
    model = Own()
    again, _ = run(path, model, epochs=2, loss=loss_of(model))
    assert again.as_dict(times=False) == run(None, whole, epochs=2, loss=loss_of(whole))[0].as_dict(
        times=False
    )
    with pytest.raises(CheckpointError, match="loss is "):
        run(path, model, epochs=3, loss=model.other_loss)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: Own(decay=0.2), r"layer is Own\(decay=0.2\) here and Own\(decay=0.1\) in the file"),
        (
            lambda model: model.layers.append(nn.Tanh()) and model,
            r"layer layers.2 is Tanh\(\) here and absent",
        ),
    ],
)
def test_a_model_of_the_same_shapes_and_other_settings_is_refused(tmp_path, change, message):
    run(tmp_path / "run.pt", Own())
    with pytest.raises(CheckpointError, match=message):
        run(tmp_path / "run.pt", change(Own()))


class Ordered(nn.Module):
    """With a buffer that no ``state_dict`` holds, as in ``Shuffled``; ``moves``: whether passes change it."""

    def __init__(self, order=(0, 1), moves=False):
        super().__init__()
        self.layers, self.moves = network(), moves
        self.register_buffer("order", torch.tensor(order), persistent=False)

    def forward(self, x):
        if self.moves and self.training:
            self.order += 1
        return self.layers(x)


def half_frozen(number):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 2))
    model[number].requires_grad_(False)
    return model


def test_what_no_state_holds_is_compared_too(tmp_path):
    run(tmp_path / "order.pt", Ordered())
    with pytest.raises(CheckpointError, match="buffer order is "):
        run(tmp_path / "order.pt", Ordered((1, 0)), epochs=4)
    assert len(run(tmp_path / "order.pt", Ordered(), epochs=4)[0]) == 4
    run(tmp_path / "frozen.pt", half_frozen(1))
    with pytest.raises(CheckpointError, match="frozen 1.weight is "):
        run(tmp_path / "frozen.pt", half_frozen(2), epochs=4)
    with pytest.raises(CheckpointError, match="cannot be written: buffer order changed in the first epoch"):
        run(tmp_path / "moving.pt", Ordered(moves=True))


def test_numbers_of_numpy_are_the_same_configuration(tmp_path):
    run(tmp_path / "run.pt", epochs=1, seed=np.int64(1), lr=np.float32(0.5))
    assert len(run(tmp_path / "run.pt", epochs=2, seed=1, lr=0.5)[0]) == 2


def test_one_file_has_one_lock_however_its_folder_is_spelled(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path, target_is_directory=True)
    with locked(tmp_path / "run.pt"):
        for other in (tmp_path / "sub" / ".." / "run.pt", tmp_path / "linked" / "run.pt"):
            with pytest.raises(InUse), locked(other):
                pass


def test_a_checkpoint_of_an_older_format_is_named(tmp_path):
    path = tmp_path / "run.pt"
    run(path)
    torch.save({**load_checkpoint(path), "format": 1}, path)
    with pytest.raises(CheckpointError, match="run.pt is not a checkpoint of format 2 .*delete it to start"):
        run(path)


def test_augmentation_and_mixup_are_part_of_the_configuration(tmp_path):
    path = tmp_path / "run.pt"
    run(path, augment=Compose([RandomCrop(1), Mixup(0.3)]))
    with pytest.raises(CheckpointError, match="augment is Compose"):
        run(path, augment=Compose([RandomCrop(1), Mixup(0.4)]))


if __name__ == "__main__":  # the process that test_kill_and_resume_is_bit_identical kills
    torch.set_num_threads(1)
    long_run(sys.argv[1], pause=0.1)
