"""Locks on a file: between processes and users, let go with the process, and nothing left behind."""

import errno
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from utils.training import CheckpointError, locks
from utils.training.checkpoints import InUse, locked

ROOT = Path(__file__).resolve().parents[2]
HOLDER = (
    "import sys, time\nfrom utils.training.checkpoints import locked\n"
    "with locked(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)\n"
)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder in the place of the system's temporary one."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_no_lock_file_stays(temporary, tmp_path):
    with locked(tmp_path / "run.pt"):
        assert len(names(temporary)) == 1
        complaint = "another run is at work on .*run.pt; wait for it or give"
        with pytest.raises(InUse, match=complaint), locked(tmp_path / "run.pt"):
            pass
        with locked(tmp_path / "other.pt"):
            assert len(names(temporary)) == 2
    assert names(temporary) == []
    with pytest.raises(KeyError), locked(tmp_path / "run.pt"):
        raise KeyError
    assert names(temporary) == []


def test_a_killed_process_lets_go_and_the_next_one_cleans_up(temporary, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run.pt")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InUse), locked(tmp_path / "run.pt"):
            pass
    finally:
        process.kill()
        process.communicate()
    assert len(names(temporary)) == 1
    with locked(tmp_path / "run.pt"):
        pass
    assert names(temporary) == []


def test_never_two_at_once_though_each_removes_the_file(temporary, tmp_path):
    inside, most, turns = [], [], []

    def work():
        while len(turns) < 400:
            try:
                with locked(tmp_path / "run.pt"):
                    inside.append(1)
                    most.append(len(inside))
                    turns.append(1)
                    inside.pop()
            except InUse:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1} and names(temporary) == []


def foreign(monkeypatch, readable):
    """Every file that is there belongs to another user, who lets nobody write to it."""
    real = os.open

    def opened(file, flags, mode=0o777):
        if flags & os.O_RDWR and os.path.lexists(file) and str(file).endswith(".lock"):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        if not readable and os.path.lexists(file) and str(file).endswith(".lock"):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return real(file, flags, mode)

    monkeypatch.setattr(locks.os, "open", opened)


@pytest.mark.parametrize("readable", [True, False])
def test_the_lock_file_of_another_user_is_no_obstacle(temporary, tmp_path, monkeypatch, readable):
    with locked(tmp_path / "run.pt"):
        (name,) = names(temporary)
    (temporary / name).touch()
    with monkeypatch.context() as patch:
        foreign(patch, readable)
        with locked(tmp_path / "run.pt"):
            assert len(names(temporary)) == (1 if readable else 2)
            if readable:  # it is the same lock for both users
                with pytest.raises(InUse), locked(tmp_path / "run.pt"):
                    pass
    assert set(names(temporary)) <= {name}


def test_a_run_of_another_user_is_seen_through_a_file_that_can_be_read(temporary, tmp_path, monkeypatch):
    with locked(tmp_path / "run.pt"):
        foreign(monkeypatch, readable=True)
        with pytest.raises(InUse), locked(tmp_path / "run.pt"):
            pass


@pytest.mark.parametrize("thing", ["folder", "link to nowhere", "link to a file", "pipe"])
def test_something_else_in_the_place_of_the_lock_file(temporary, tmp_path, thing):
    with locked(tmp_path / "run.pt"):
        (name,) = names(temporary)
    place = temporary / name
    (tmp_path / "file").write_text("precious")
    {
        "folder": place.mkdir,
        "link to nowhere": lambda: place.symlink_to(tmp_path / "nowhere"),
        "link to a file": lambda: place.symlink_to(tmp_path / "file"),
        "pipe": lambda: os.mkfifo(place),
    }[thing]()
    with locked(tmp_path / "run.pt"), pytest.raises(InUse), locked(tmp_path / "run.pt"):
        pass
    assert not (tmp_path / "nowhere").exists() and (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full for this user"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "it is not permitted"),
        (errno.ENOENT, "No such file or directory"),
        (errno.ENOLCK, "No locks available"),
    ],
)
def test_a_temporary_folder_that_takes_no_lock_is_named(temporary, tmp_path, monkeypatch, number, reason):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.os, "open", fail)
    complaint = f"run.pt cannot be locked .*{reason}.*; set TMPDIR to a folder"
    with pytest.raises(CheckpointError, match=complaint), locked(tmp_path / "run.pt"):
        pass


def test_a_name_that_is_no_text_can_be_locked(temporary, tmp_path):
    with locked(os.fsdecode(os.fsencode(tmp_path) + b"/r\xff.pt")):
        assert len(names(temporary)) == 1
