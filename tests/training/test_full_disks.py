"""What the system may say to a write: one sentence with file, reason and remedy, and nothing is lost."""

import errno
import os
import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from utils.data.dataset import Split
from utils.training import CheckpointError, files, fit, load_checkpoint, save_checkpoint

ROOT = Path(__file__).resolve().parents[2]
ENFORCE = "[enforce fail at inline_container.cc:671] . unexpected pos 211072 vs 210992"
STREAM = "PytorchStreamWriter failed writing file data/3: file write failed"


def failing(number, after=0):
    """What raises an error of the system with this number, from the call after so many on."""
    calls = []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) > after:
            raise OSError(number, os.strerror(number))
        return len(arguments[0]) if arguments and hasattr(arguments[0], "__len__") else None

    return fail


class Full:
    """A file that takes some writes and then none; like a real one, it says so each time."""

    def __init__(self, file, number, after):
        self.file, self.write = file, failing(number, after)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.file.close()


def writes(number, after):
    return lambda patch: patch.setattr(
        files, "open", lambda path, mode: Full(open(path, mode), number, after), raising=False
    )


def opening(number):
    return lambda patch: patch.setattr(files, "open", failing(number), raising=False)


def system(name, number):
    return lambda patch: patch.setattr(files.os, name, failing(number))


def torch_says(text):
    def save(contents, file):
        file.write(b"half")
        raise RuntimeError(text)

    return lambda patch: patch.setattr(torch, "save", save)


FULL, QUOTA, READ_ONLY = (
    "the disk is full; free some space",
    "whose quota is used up; free",
    "is read-only; give",
)
INJECTED = {
    "no space at the first write": (writes(errno.ENOSPC, 0), FULL),
    "no space at the fourth write": (writes(errno.ENOSPC, 3), FULL),
    "no space on opening": (opening(errno.ENOSPC), FULL),
    "no space on syncing": (system("fsync", errno.ENOSPC), FULL),
    "no space on renaming": (system("replace", errno.ENOSPC), FULL),
    "quota at the second write": (writes(errno.EDQUOT, 1), QUOTA),
    "quota on syncing": (system("fsync", errno.EDQUOT), QUOTA),
    "torch: unexpected position": (torch_says(ENFORCE), "the disk is full: only a part .* free some space"),
    "torch: failed writing": (torch_says(STREAM), "the disk is full: only a part .* free some space"),
    "read-only on opening": (opening(errno.EROFS), READ_ONLY),
    "read-only on renaming": (system("replace", errno.EROFS), READ_ONLY),
    "not permitted": (opening(errno.EACCES), r"not permitted \(Permission denied\); give"),
    "device error": (system("fsync", errno.EIO), "Input/output error; give a path"),
}


@pytest.mark.parametrize(("inject", "complaint"), INJECTED.values(), ids=INJECTED)
def test_a_checkpoint_that_cannot_be_written(tmp_path, monkeypatch, inject, complaint):
    path = tmp_path / "run.pt"
    save_checkpoint(path, {"value": torch.arange(3)})
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        inject(patch)
        with pytest.raises(
            CheckpointError, match=f"the checkpoint .*run.pt could not .*{complaint}"
        ) as caught:
            save_checkpoint(path, {f"value {n}": torch.zeros(100, 100) for n in range(9)})
    assert "what was there before is unharmed" in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["run.pt"]


if Path("/dev/full").exists():  # a real device on Linux that takes nothing

    def test_a_checkpoint_on_a_device_that_is_really_full(tmp_path):
        path = tmp_path / "run.pt"
        save_checkpoint(path, {"value": torch.arange(3)})
        (tmp_path / "run.pt.partial").symlink_to("/dev/full")
        with pytest.raises(
            CheckpointError, match="run.pt could not be written because the disk is full; free"
        ):
            save_checkpoint(path, {"value": torch.zeros(100, 100)})
        assert torch.equal(load_checkpoint(path)["value"], torch.arange(3))
        assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_a_checkpoint_beyond_a_real_limit(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(
            CheckpointError, match=r"run.pt could not .* a limit allows \(File too large\); give"
        ):
            save_checkpoint(tmp_path / "run.pt", {"value": torch.zeros(100, 100)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_not_the_disks_is_left_as_it_is(tmp_path):
    with pytest.raises(CheckpointError, match=r"could not be written \(the weights are gone\)"):
        save_checkpoint(tmp_path / "run.pt", {"value": _Gone()})
    with pytest.raises(Exception, match="local object|pickle"):
        save_checkpoint(tmp_path / "run.pt", {"value": lambda: None})
    assert list(tmp_path.iterdir()) == []


class _Gone:
    def __reduce__(self):
        raise RuntimeError("the weights are gone")


def split(n=40, seed=1):
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 1, 4, 4), dtype=torch.uint8, generator=g)
    return Split(images, torch.randint(0, 2, (n,), generator=g), (0.5,), (0.3,))


def run(path, epochs=4, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    return fit(model, split(), split(seed=2), epochs=epochs, batch_size=16, progress=False, checkpoint=path,
               **options)  # fmt: skip


@pytest.mark.parametrize(("inject", "complaint"), INJECTED.values(), ids=INJECTED)
def test_a_training_goes_on_where_the_disk_was_full(tmp_path, monkeypatch, inject, complaint):
    path = tmp_path / "run.pt"
    with monkeypatch.context() as patch:

        def fill(*, step, **_):
            if step == 7:  # in the third epoch of three steps each
                inject(patch)

        with pytest.raises(CheckpointError, match=complaint):
            run(path, probes=[fill])
    assert len(load_checkpoint(path)["history"]["train_loss"]) == 2
    assert run(path).as_dict(times=False) == run(None).as_dict(times=False)


def test_home_is_not_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    first = run("~/runs/run.pt", epochs=2)
    assert [file.name for file in tmp_path.iterdir()] == ["home"]
    assert len(load_checkpoint(tmp_path / "home" / "runs" / "run.pt")["history"]["train_loss"]) == 2
    assert len(load_checkpoint("~/runs/run.pt")["history"]["train_loss"]) == 2
    assert run(Path("~/runs/run.pt"), epochs=2) == first, "the same file, so that nothing is trained again"
    save_checkpoint("~/other.pt", {"value": 1})
    assert (tmp_path / "home" / "other.pt").is_file()


def test_a_folder_is_no_checkpoint_and_nobody_is_told_to_delete_it(tmp_path):
    with pytest.raises(CheckpointError, match="it is a folder; give the name of a file in it") as caught:
        run(tmp_path)
    assert "delete" not in str(caught.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.EISDIR])
def test_a_checkpoint_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch, number):
    path = tmp_path / "run.pt"
    run(path, epochs=1)
    monkeypatch.setattr("utils.training.checkpoints.zipfile.ZipFile", failing(number))
    with pytest.raises(CheckpointError, match=f"run.pt cannot be read .{os.strerror(number)}") as caught:
        run(path, epochs=2)
    assert "delete" not in str(caught.value) and "damaged" not in str(caught.value)
