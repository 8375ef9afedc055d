"""A full or read-only disk, users who share a cache, damaged copies: healed, or one clear sentence."""

import errno
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections import namedtuple

import filelock
import numpy as np
import pytest

from tests import tiny_datasets as tiny
from utils.data import DiskFull, cache, load, load_dataset
from utils.data.__main__ import main

Usage = namedtuple("Usage", "total used free")
REFUSALS = [errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR]
FULL = [errno.ENOSPC, errno.EDQUOT]


def named(codes):
    return [errno.errorcode[code] for code in codes]


@pytest.fixture
def archive(own):
    return tiny.cifar10_archive(own.data)


def refuse(code):
    def refused(*arguments, **options):
        raise OSError(code, os.strerror(code))

    return refused


def is_one_sentence(error, *parts):
    message = str(error)
    return "\n" not in message and "[Errno" not in message and all(part in message for part in parts)


def entry(own):
    (folder,) = (own.cache / "decoded").glob("cifar10-*")
    return folder


# where writing may fail, and what is replaced to make it fail there
PLACES = {
    "making the folder": ("utils.data.folders.Path.mkdir",),
    "locking": ("filelock.FileLock.acquire",),
    "beginning": ("utils.data.cache.tempfile.mkdtemp",),
    "images": ("utils.data.cache._ImageFile.write",),
    "flushing": ("utils.data.cache.os.fsync",),
    "labels": ("utils.data.cache.np.save",),
    "renaming": ("utils.data.cache.os.replace",),
}


@pytest.mark.parametrize("code", REFUSALS, ids=named(REFUSALS))
@pytest.mark.parametrize("place", PLACES)
def test_cache_that_refuses_is_one_sentence_with_the_remedy(own, archive, place, code, monkeypatch, capsys):
    monkeypatch.setattr(*PLACES[place], refuse(code))
    parts = (str(own.cache), f"cannot be written ({os.strerror(code)})", "set CNNLAB_CACHE to a folder you")
    with pytest.raises(PermissionError) as caught:
        load_dataset("cifar10")
    assert is_one_sentence(caught.value, *parts)
    assert main(["fetch", "cifar10"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("Error: the cache folder ") and all(part in told for part in parts)
    monkeypatch.undo()
    assert not list((own.cache / "decoded").glob("*")) or place == "making the folder"


@pytest.mark.parametrize("code", FULL, ids=named(FULL))
@pytest.mark.parametrize("place", PLACES)
def test_full_disk_is_said_wherever_it_fills_up(own, archive, place, code, monkeypatch):
    monkeypatch.setattr(*PLACES[place], refuse(code))
    with pytest.raises(DiskFull) as caught:
        load_dataset("cifar10")
    assert is_one_sentence(caught.value, str(own.cache), "set CNNLAB_CACHE to a folder")
    assert "The disk is full" in str(caught.value) or os.strerror(code) in str(caught.value)


@pytest.mark.parametrize("code", [*REFUSALS, *FULL], ids=named([*REFUSALS, *FULL]))
def test_sound_copy_opens_although_the_cache_takes_no_files(own, archive, code, monkeypatch):
    images = load_dataset("cifar10", valid=0).train.images.clone()
    os.utime(archive, (1, 1))  # the copy is known to be of these bytes, but not with this date
    for places in PLACES.values():
        monkeypatch.setattr(*places, refuse(code))
    monkeypatch.setattr(tempfile, "mkstemp", refuse(code))
    assert (load_dataset("cifar10", valid=0).train.images == images).all()


def test_disk_with_room_that_takes_no_more_files_does_not_contradict_itself(own, archive, monkeypatch):
    monkeypatch.setattr(cache._ImageFile, "write", refuse(errno.ENOSPC))
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: Usage(10**9, 0, 10**9))
    with pytest.raises(DiskFull, match=r"1,000 MB are free, but the quota or the number of files \(inodes\)"):
        load_dataset("cifar10")


class ForeignLock(filelock.FileLock):
    """Lock files of another user: those of the shared name let nobody else in."""

    def acquire(self, *arguments, **options):
        if "-" not in os.path.basename(self.lock_file):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self.lock_file)
        return super().acquire(*arguments, **options)


@pytest.mark.parametrize("user", ["anna", "José", "DOMAIN\\bob", "1000", "a b"])
def test_lock_of_another_user_is_passed_over(own, archive, user, monkeypatch):
    monkeypatch.setattr(cache.filelock, "FileLock", ForeignLock)
    monkeypatch.setattr(cache.getpass, "getuser", lambda: user)
    assert len(load_dataset("cifar10", valid=0).train) == 100


def test_lock_file_lets_other_users_in(own, archive):
    load_dataset("cifar10")
    assert (own.cache / "locks" / "cifar10.lock").stat().st_mode & 0o666 == 0o666


def test_two_users_at_once_share_what_the_first_one_has_put_there(own, archive, monkeypatch):
    images = load_dataset("cifar10", valid=0).train.images.clone()
    kept = entry(own)
    shutil.move(kept, own.cache / "kept")

    def replace(source, target):
        shutil.move(own.cache / "kept", target)  # the other user was quicker
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

    monkeypatch.setattr(cache, "_write_meta", lambda *arguments: None)
    monkeypatch.setattr(cache.os, "replace", replace)
    assert (load_dataset("cifar10", valid=0).train.images == images).all()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz():
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(3))
    return stream.getvalue()


def header(text):
    text = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


ARRAYS = {
    "empty": b"",
    "magic only": b"\x93NUMPY",
    "text": b"hello",
    "pickle": b"\x80\x04N.",
    "zip": npz(),
    "broken zip": b"PK\x03\x04 and no more",
    "objects": npy(np.zeros(3))[:60],
    "future version": b"\x93NUMPY\x09\x00" + bytes(100),
    "no dictionary": header("[1, 2"),
    "huge": header("{'descr': '|u1', 'fortran_order': False, 'shape': (10**18, 3, 32, 32)}"),
    "negative": header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 3, 32, 32)}"),
    "other keys": header("{'descr': '|u1'}"),
    "code": header("{'descr': __import__('os').getcwd(), 'fortran_order': False, 'shape': ()}"),
    "header not text": b"\x93NUMPY\x01\x00\x10\x00" + b"\xff" * 16,
}


@pytest.mark.parametrize("damage", ARRAYS)
@pytest.mark.parametrize("name", ["train_images", "test_labels"])
def test_damaged_array_of_a_copy_is_made_again(own, archive, damage, name):
    images = load_dataset("cifar10", valid=0).train.images.clone()
    (entry(own) / f"{name}.npy").write_bytes(ARRAYS[damage])
    assert (load_dataset("cifar10", valid=0).train.images == images).all()
    assert main(["verify", "cifar10"]) == 0


def changed(**values):
    return lambda meta: {**meta, **values}


METAS = {
    "empty": lambda meta: "",
    "null": lambda meta: None,
    "list": lambda meta: [],
    "no mean": lambda meta: {key: value for key, value in meta.items() if key != "mean"},
    "mean of another set": lambda meta: {**meta, "mean": [0.1, 0.2, 0.3]},
    "mean of two": lambda meta: {**meta, "mean": meta["mean"][:2]},
    "std not a number": changed(std=[float("nan")] * 3),
    "created null": changed(created=None),
    "created text": changed(created="today"),
    "classes null": changed(classes=None),
    "classes swapped": lambda meta: {**meta, "classes": meta["classes"][::-1]},
    "no digest": changed(arrays={name: {} for name in cache.ARRAYS}),
    "arrays null": changed(arrays=dict.fromkeys(cache.ARRAYS)),
    "provenance text": changed(provenance="?"),
    "other source": lambda meta: {**meta, "provenance": {**meta["provenance"], "title": "CIFAR-10"}},
    "size text": changed(size="32"),
    "check of another": changed(check="0" * 64),
    "deep": lambda meta: "[" * 100_000,
    "not text": lambda meta: b"\xff\xfe",
}


@pytest.mark.parametrize("damage", METAS)
def test_damaged_description_of_a_copy_is_made_again(own, damage):
    tiny.write_archive(own.data / "cifar10.zip", tiny.class_members(tiny.CIFAR10, per_class=2))
    whole = load_dataset("cifar10", valid=0)
    path = entry(own) / "meta.json"
    made = METAS[damage](json.loads(path.read_text()))
    if not isinstance(made, bytes | str):
        made = json.dumps(made)
    path.write_bytes(made if isinstance(made, bytes) else made.encode())
    again = load_dataset("cifar10", valid=0)
    assert (again.train.images == whole.train.images).all() and again.mean == whole.mean
    assert (again.classes, again.provenance) == (whole.classes, whole.provenance)
    assert main(["list"]) == 0 and main(["verify", "cifar10"]) == 0


def test_what_else_lies_in_the_cache_does_no_harm(own, archive):
    decoded = own.cache / "decoded"
    for name in ("cifar10-mine", "cifar10-original-0000", ".unfinished-cifar10-x"):
        (decoded / name).mkdir(parents=True)
    (decoded / "cifar10-notes.txt").write_text("")
    (decoded / "cifar10-link").symlink_to("nowhere")
    for _ in range(2):
        assert len(load_dataset("cifar10", valid=0).train) == 100


FOREIGN = {
    "lost+found": lambda path: path.mkdir(),
    "System Volume Information": lambda path: path.mkdir(),
    "cifar10-homework.zip": lambda path: path.write_bytes(b"my answers"),
    "cifar10": lambda path: path.write_text("a file of that name"),
    "CIFAR-10-notes.tar.gz": lambda path: path.mkdir(),
    "cifar10-old.zip": lambda path: path.symlink_to("gone"),
    "cifar10-secret.zip": lambda path: encrypted(path),
    "cifar10-pipe.tar": os.mkfifo,
}


def encrypted(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/cat/1.png", b"-")
    content = path.read_bytes()
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(mark) + place
        content = content[:start] + b"\x01" + content[start + 1 :]
    path.write_bytes(content)


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_things_among_the_data_are_passed_over(own, archive, name, monkeypatch, capsys):
    FOREIGN[name](own.data / name)
    if (own.data / name).is_dir():  # as another user's would be
        monkeypatch.setattr(os, "access", lambda path, mode: os.path.basename(path) != name)
        real = type(own.data).iterdir

        def iterdir(path):
            if name in path.parts:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path)

        monkeypatch.setattr(type(own.data), "iterdir", iterdir)
    assert load_dataset("cifar10", valid=0).provenance.source == archive.name
    archive.unlink()
    shutil.rmtree(own.cache)
    with pytest.raises(load.DatasetNotFound) as caught:
        load_dataset("cifar10", download=False)
    # a pipe, a link to nothing and a file without a suffix cannot be taken for an archive of pictures
    named = name in ("lost+found", "System Volume Information", "CIFAR-10-notes.tar.gz") or (
        name.endswith(".zip") and name != "cifar10-old.zip"
    )
    assert (f"{own.data / name}" in str(caught.value)) == named
    assert main(["list"]) == 0
    assert ("left aside" in capsys.readouterr().out) == named
