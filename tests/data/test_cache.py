"""The decoded cache: opened instead of decoded, never stale, never half-written, shared by processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from tests import tiny_datasets as tiny
from utils.data import CorruptFile, DatasetNotFound, DiskFull, cache, load, load_dataset

PROJECT = Path(__file__).resolve().parents[2]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def archive(own):
    return tiny.cifar10_archive(own.data)


@pytest.fixture
def decodings(monkeypatch):
    """Counts how often something is decoded."""
    counted, original = [], load.decoder
    monkeypatch.setattr(load, "decoder", lambda *a: counted.append(a) or original(*a))
    return counted


def folders(own):
    return (
        sorted(path.name for path in (own.cache / "decoded").iterdir())
        if (own.cache / "decoded").exists()
        else []
    )


def entry(own):
    (folder,) = (own.cache / "decoded").iterdir()
    return folder


def test_second_opening_maps_the_decoded_copy_and_reads_nothing(own, archive, decodings):
    first = load_dataset("cifar10", valid=0)
    second = load_dataset("cifar10", valid=0)
    assert len(decodings) == 1 and second.provenance == first.provenance
    assert (first.train.images == second.train.images).all() and second.mean == first.mean
    opened = cache.open_entry(entry(own))
    assert isinstance(opened.arrays["train_images"], np.memmap)


def test_writing_to_the_images_does_not_reach_the_cache(own, archive):
    changed = load_dataset("cifar10", valid=0)
    before = changed.test.images[0].clone()
    changed.test.images[0] = 255 - before
    assert (load_dataset("cifar10", valid=0).test.images[0] == before).all()


def test_each_size_has_its_own_copy(own, archive, decodings):
    assert load_dataset("cifar10", size=16).train.images.shape[2:] == (16, 16)
    assert load_dataset("cifar10").train.images.shape[2:] == (32, 32)
    load_dataset("cifar10", size=16)
    assert len(decodings) == 2 and len(folders(own)) == 2


def test_file_that_changed_is_not_served_from_the_old_copy(own, archive, decodings):
    old = load_dataset("cifar10", valid=0)
    members, truth = tiny.cifar10_members(per_batch=30)
    tiny.write_archive(archive, {f"cifar-10-batches-py/{name}": value for name, value in members.items()})
    new = load_dataset("cifar10", valid=0)
    assert len(old.train) == 100 and len(new.train) == 150 and len(decodings) == 2
    assert old.provenance.sha256 != new.provenance.sha256


def test_same_bytes_with_another_date_or_place_are_not_decoded_again(own, archive, decodings, tmp_path):
    load_dataset("cifar10")
    os.utime(archive, (1, 1))
    load_dataset("cifar10")
    shutil.copytree(own.data, tmp_path / "elsewhere")
    load_dataset("cifar10", root=tmp_path / "elsewhere")
    assert len(decodings) == 1


def test_decoded_copy_serves_when_its_source_is_gone(own, archive):
    title = load_dataset("cifar10").provenance
    archive.unlink()
    assert load_dataset("cifar10", download=False).provenance == title


def damage_cut(folder):
    path = folder / "train_images.npy"
    path.write_bytes(path.read_bytes()[:-100])


def damage_missing(folder):
    (folder / "test_labels.npy").unlink()


def damage_empty_meta(folder):
    (folder / "meta.json").write_text("")


def damage_other_format(folder):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "format": 0}))


def damage_shape(folder):
    np.save(folder / "test_images.npy", np.zeros((3, 3, 32, 32), np.uint8))


def damage_labels(folder):
    np.save(folder / "train_labels.npy", np.full(100, 99))


@pytest.mark.parametrize(
    "damage",
    [damage_cut, damage_missing, damage_empty_meta, damage_other_format, damage_shape, damage_labels],
)
def test_damaged_copy_is_noticed_and_made_again(own, archive, decodings, damage):
    whole = load_dataset("cifar10", valid=0)
    images = whole.train.images.clone()
    damage(entry(own))
    assert (load_dataset("cifar10", valid=0).train.images == images).all()
    assert len(decodings) == 2 and len(folders(own)) == 1
    load_dataset("cifar10")
    assert len(decodings) == 2


def test_damaged_copy_without_a_source_is_no_copy(own, archive):
    load_dataset("cifar10")
    archive.unlink()
    damage_cut(entry(own))
    with pytest.raises(DatasetNotFound):
        load_dataset("cifar10", download=False)


def test_failed_decoding_leaves_nothing(own):
    members = tiny.class_members()
    members["test/bee/0003.png"] = members["test/bee/0003.png"][:50]
    with pytest.raises(CorruptFile):
        load_dataset(f"folder:{tiny.write_files(own.data / 'tree', members)}")
    assert folders(own) == []


def test_full_disk_before_decoding_says_how_much_is_needed(own, archive, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 10**5))
    with pytest.raises(DiskFull) as caught:
        load_dataset("cifar10")
    # 120 images of 3,072 bytes with labels of 8
    assert "The disk is full: CIFAR-10 needs 0.37 MB" in str(caught.value) and "0.10 MB are free" in str(
        caught.value
    )
    assert str(own.cache / "decoded") in str(caught.value) and "set CNNLAB_CACHE" in str(caught.value)
    assert "\n" not in str(caught.value) and folders(own) == []


def test_disk_that_fills_up_while_decoding_leaves_nothing(own, archive, monkeypatch):
    written = []

    def write(self, places, images):
        if written:
            raise OSError(28, "No space left on device")
        written.append(places)

    monkeypatch.setattr(cache._ImageFile, "write", write)
    with pytest.raises(DiskFull, match="The disk is full: CIFAR-10 needs 0.37 MB in .*decoded"):
        load_dataset("cifar10")
    assert written and folders(own) == []


def test_cache_that_cannot_be_written_names_the_variable(own, archive, monkeypatch):
    (own.cache.parent / "a-file").write_text("")
    monkeypatch.setenv("CNNLAB_CACHE", str(own.cache.parent / "a-file" / "cache"))
    with pytest.raises(PermissionError, match="a-file.*set CNNLAB_CACHE"):
        load_dataset("cifar10")


# decodes slowly; tells when it has begun and when it is done, and how often it decoded
SLOW = """
import sys, time
from utils.data import load, load_dataset
original, counted = load.decoder, []
def decoder(*arguments):
    decoding = original(*arguments)
    counted.append(1)
    def blocks():
        for number, block in enumerate(decoding.blocks):
            yield block
            if number == 0:
                print("begun", flush=True)
            time.sleep(float(sys.argv[1]))
    return load.Decoding(decoding.classes, decoding.labels, blocks(), decoding.title)
load.decoder = decoder
dataset = load_dataset("cifar10", valid=0)
print(len(counted), dataset.train.images.sum().item(), flush=True)
"""


def start(seconds):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(seconds)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_and_one_that_was_killed(own, archive, decodings):
    killed = start(60)
    assert killed.stdout.readline() == "begun\n"
    killed.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    killed.communicate()
    assert len(folders(own)) == 1 and folders(own)[0].startswith(".unfinished-")

    both = [start(0.3), start(0.3)]
    told = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    counts, sums = zip(*(out.split()[-2:] for out, _ in told), strict=True)
    assert sorted(counts) == ["0", "1"], "one decodes, the other opens what that one made"
    assert len(set(sums)) == 1
    assert len(folders(own)) == 1 and not folders(own)[0].startswith("."), "what the killed one left is gone"
    assert str(load_dataset("cifar10", valid=0).train.images.sum().item()) == sums[0] and not decodings


def test_waiting_for_another_process_is_said(own, archive, capsys, monkeypatch):
    monkeypatch.setattr(cache, "QUIET", 0.05)
    import threading

    entered, leave = threading.Event(), threading.Event()

    def hold():
        with cache.locked("cifar10"):
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(10)
    threading.Timer(0.4, leave.set).start()
    begun = time.monotonic()
    load_dataset("cifar10")
    holder.join()
    assert time.monotonic() - begun > 0.2
    assert "Another process is preparing cifar10" in capsys.readouterr().err


def test_channel_statistics_are_those_of_the_definition():
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 7), dtype=np.uint8)
    mean, std = cache.channel_statistics(images)
    scaled = images.astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std(axis=(0, 2, 3)), rtol=1e-12)
