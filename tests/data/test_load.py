"""``load_dataset``: names, splits, statistics, where copies are found, what is said when there are none."""

import hashlib
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import tiny_datasets as tiny
from utils.data import DatasetNotFound, Provenance, load_dataset
from utils.data.local import find_local
from utils.data.sources import EMBEDDED, SOURCES, get_source
from utils.data.split import balanced, carve, valid_size

# real datasets that are on this machine, else embedded data: at least one is always tested
AVAILABLE = [
    name
    for name in ("cifar10", "cifar100", "fashion-mnist", "imagenette")
    if os.environ.get("CNNLAB_DATA") and find_local(get_source(name)) is not None
] or ["digits"]
COUNTS = {
    "cifar10": (50000, 10000),
    "cifar100": (50000, 10000),
    "fashion-mnist": (60000, 10000),
    "imagenette": (9469, 3925),
}


@pytest.mark.parametrize("name", AVAILABLE)
def test_data_of_this_machine_have_their_published_numbers(name):
    dataset = load_dataset(name)
    train, test = COUNTS.get(name, (1437, 360))
    held_out = min(5000, train // 10)
    assert (len(dataset.train), len(dataset.valid), len(dataset.test)) == (train - held_out, held_out, test)
    assert len(dataset.classes) == (100 if name == "cifar100" else 10)
    for split in (dataset.train, dataset.valid, dataset.test):
        assert set(split.labels.tolist()) == set(range(len(dataset.classes)))
    # a first slice is a fair sample: no class is missing from it (chance below 1e-40 for 10 classes)
    assert len(set(dataset.test.labels[:1000].tolist())) == len(dataset.classes)
    assert not os.path.isabs(dataset.provenance.source) and len(dataset.provenance.sha256) == 64


@pytest.mark.parametrize("name", ["cifar", "", "folder:", "CIFAR10", 3])
def test_unknown_name_lists_the_choices(name):
    with pytest.raises(
        ValueError, match="cifar10, cifar100, fashion-mnist, imagenette, digits, shapes or folder:PATH"
    ):
        load_dataset(name)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion-mnist", "imagenette"])
def test_no_data_names_three_remedies(own, name):
    with pytest.raises(DatasetNotFound) as caught:
        load_dataset(name, download=False)
    message = str(caught.value)
    assert f"1. put {SOURCES[name].place} into the folder {own.data}" in message
    assert f"2. run `python -m utils.data fetch {name}`" in message
    assert '3. use embedded data: load_dataset("digits") or load_dataset("shapes")' in message
    assert isinstance(caught.value, FileNotFoundError)


def test_wrong_path_is_an_error_and_not_no_data(own, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLAB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"CNNLAB_DATA is '.*nowhere', which does not exist"):
        load_dataset("cifar10")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"argument root is '.*file', which is not a folder"):
        load_dataset("cifar10", root=tmp_path / "file")
    with pytest.raises(DatasetNotFound, match="folder:.*nowhere: there is no such folder or archive"):
        load_dataset(f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(ValueError, match="not a folder and not an archive"):
        load_dataset(f"folder:{tmp_path / 'file'}")
    assert len(load_dataset("digits").train) > 1000, "embedded data need no folder"


def test_relative_data_folder_is_also_counted_from_the_project(own, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNLAB_DATA", "utils/data")
    with pytest.raises(DatasetNotFound):
        load_dataset("cifar10", download=False)


def test_splits_partition_the_training_data(own):
    tiny.cifar10_archive(own.data)
    _, truth = tiny.cifar10_members()
    dataset = load_dataset("cifar10", valid=30, seed=4)
    assert (len(dataset.train), len(dataset.valid), len(dataset.test)) == (70, 30, 20)
    together = torch.cat([dataset.train.images, dataset.valid.images]).flatten(1)
    assert sorted(map(bytes, together.numpy())) == sorted(map(bytes, truth.train_images.reshape(100, -1)))
    np.testing.assert_array_equal(dataset.test.images, truth.test_images)
    assert torch.bincount(dataset.valid.labels).tolist() == [3] * 10
    scaled = truth.train_images / 255  # of all 100, before the carve-out
    np.testing.assert_allclose(dataset.mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, scaled.std(axis=(0, 2, 3)), rtol=1e-12)
    for split in (dataset.train, dataset.valid, dataset.test):
        assert split.mean == dataset.mean and split.std == dataset.std


def test_seed_chooses_the_validation_split_and_nothing_else(own):
    tiny.cifar10_archive(own.data)
    one, same, other = (load_dataset("cifar10", valid=30, seed=seed) for seed in (1, 1, 2))
    assert (one.valid.images == same.valid.images).all() and (one.train.images == same.train.images).all()
    assert (one.valid.images != other.valid.images).any()
    assert (one.test.images == other.test.images).all() and one.mean == other.mean


def test_default_validation_split():
    assert valid_size(None, 50_000) == 5000 and valid_size(None, 1437) == 143 and valid_size(None, 5) == 0
    empty = load_dataset("digits", valid=0)
    assert len(empty.valid) == 0 and len(empty.train) == 1437


@pytest.mark.parametrize("valid", [-1, 1437, 10**9, 0.1, "5", True])
def test_bad_validation_size_is_refused(valid):
    with pytest.raises(ValueError, match="valid must be a whole number from 0 to 1436"):
        load_dataset("digits", valid=valid)


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=200),
    share=st.floats(0, 0.99),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=100)
def test_carving_is_exact_and_in_proportion(labels, share, seed):
    labels = np.array(labels)
    wanted = int(share * len(labels))
    train, valid = carve(labels, wanted, seed)
    assert len(valid) == wanted
    assert sorted([*train, *valid]) == list(range(len(labels)))
    for label in set(labels.tolist()):
        exact = (labels == label).sum() * wanted / len(labels)
        assert abs((labels[valid] == label).sum() - exact) < 1


@pytest.mark.parametrize(
    ("suffix", "title", "note"),
    [(".jpg", "CIFAR-10 (JPEG copy)", "lossy"), (".png", "CIFAR-10 (PNG copy)", "lossless")],
)
@pytest.mark.parametrize("place", ["cifar10-small.tar.gz", "CIFAR-10_pictures.zip", "any folder", "."])
def test_class_folders_are_found_as_a_copy_of_cifar10(own, suffix, title, note, place):
    members = tiny.class_members(tiny.CIFAR10, per_class=2, suffix=suffix)
    if "." in place[1:]:
        path = tiny.write_archive(own.data / place, members)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        tiny.write_files(own.data / place, members)
        lines = "".join(f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in sorted(members.items()))
        digest = hashlib.sha256(lines.encode()).hexdigest()
    dataset = load_dataset("cifar10", valid=0)
    assert dataset.provenance.title == title and note in dataset.provenance.note
    assert (
        dataset.provenance.source == (place if place != "." else "data")
        and dataset.provenance.sha256 == digest
    )
    assert dataset.classes == tiny.CIFAR10 and str(dataset).startswith(
        f"{title}: 20 training, 0 validation and 20 test"
    )


def test_the_original_goes_before_a_copy_and_other_archives_are_left_alone(own):
    for name in ("cifar100-x.tar.gz", "cifar-10-binary.tar.gz", "mycifar10.zip"):
        (own.data / name).write_bytes(b"not looked into")
    with pytest.raises(DatasetNotFound):
        load_dataset("cifar10", download=False)
    tiny.write_archive(own.data / "cifar10.tgz", tiny.class_members(tiny.CIFAR10, per_class=1))
    assert load_dataset("cifar10", valid=0).provenance.source == "cifar10.tgz"
    tiny.cifar10_archive(own.data)
    assert load_dataset("cifar10", valid=0).provenance.source == "cifar-10-python.tar.gz"


@pytest.mark.parametrize(
    ("kind", "members", "why"),
    [
        (".zip", tiny.class_members(), "is not a copy of CIFAR-10: it has pictures of ant, bee"),
        (".tar.gz", tiny.class_members(), "is not a copy of CIFAR-10: it has pictures of ant, bee"),
        (".zip", {"notes/homework.txt": b"-"}, "is not a copy of CIFAR-10: it has no class folders"),
        (".zip", {"cat.png": b"-"}, "is not a copy of CIFAR-10: it has no class folders"),
        (".zip", None, "is damaged or incomplete: File is not a zip file"),
        (".tar.gz", None, "is damaged or incomplete"),
        # what only the whole list of names tells
        (".tar", tiny.class_members(("cat", "dog")), "the classes differ in airplane, automobile, bird"),
        (".zip", {"cat/1.png": b"-", "dog/1.png": b"-"}, "must hold the folders train/ and test/"),
    ],
)
def test_foreign_archive_named_like_cifar10_is_named_and_left_aside(own, kind, members, why, capsys):
    path = own.data / f"cifar10-homework{kind}"
    if members is None:
        path.write_bytes(b"no archive at all")
    else:
        tiny.write_archive(path, members)
    with pytest.raises(DatasetNotFound) as caught:
        load_dataset("cifar10", download=False)
    told = str(caught.value) + capsys.readouterr().err
    assert f"Left aside: {path}" in told and why in told
    tiny.write_files(own.data, {f"real/{n}": c for n, c in tiny.class_members(tiny.CIFAR10, 1).items()})
    assert load_dataset("cifar10", valid=0, download=False).provenance.source == "real"


@pytest.mark.parametrize("archived", [True, False])
def test_imagenette_is_resized_once_and_has_readable_names(own, archived):
    members = tiny.imagenette_members()
    if archived:
        tiny.write_archive(own.data / "imagenette2-160.tgz", members)
    else:
        tiny.write_files(own.data, members)
    dataset = load_dataset("imagenette", valid=0)
    assert dataset.train.images.shape == (10, 3, 128, 128) and dataset.classes[0] == "tench"
    assert dataset.provenance.title == "Imagenette" and "non-commercial" in dataset.provenance.license
    assert load_dataset("imagenette", size=64).train.images.shape[2:] == (64, 64)


def test_root_goes_before_the_environment(own, tmp_path):
    tiny.cifar10_archive(own.data)
    other = tmp_path / "other"
    tiny.write_archive(other / "cifar10.zip", tiny.class_members(tiny.CIFAR10, per_class=1))
    assert load_dataset("cifar10", root=other).provenance.source == "cifar10.zip"


def test_folder_path_is_also_looked_for_under_the_data_folder(own):
    tiny.write_archive(own.data / "mine.zip", tiny.class_members())
    assert load_dataset("folder:mine.zip").provenance == Provenance(
        title="mine.zip",
        source="mine.zip",
        sha256=hashlib.sha256((own.data / "mine.zip").read_bytes()).hexdigest(),
        license="not stated; that of the pictures",
        note="channel 2 is constant (standard deviation 0) in all training pictures",  # tiny pictures' blue
    )


def test_a_folder_and_a_named_dataset_of_the_same_files_keep_their_own_names(own):
    path = tiny.write_archive(own.data / "cifar10.zip", tiny.class_members(tiny.CIFAR10, per_class=1))
    assert load_dataset("cifar10").provenance.title == "CIFAR-10 (PNG copy)"
    assert load_dataset(f"folder:{path}").provenance.title == "cifar10.zip"
    assert load_dataset("cifar10").provenance.title == "CIFAR-10 (PNG copy)"


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    dataset = load_dataset("digits", valid=0, size=8)
    assert dataset.train.images.shape == (1437, 1, 8, 8) and dataset.test.images.shape == (360, 1, 8, 8)
    originals = sorted(map(bytes, np.round(load_digits().images * 255 / 16).astype(np.uint8).reshape(-1, 64)))
    assert (
        sorted(map(bytes, torch.cat([dataset.train.images, dataset.test.images]).flatten(1).numpy()))
        == originals
    )
    assert load_dataset("digits").train.images.shape[1:] == (1, 32, 32), "32×32 is what LeNet-5 takes"


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_data_are_the_same_every_time_and_touch_no_disk(own, name):
    options = {"n_train": 300, "n_test": 100} if name == "shapes" else {}
    one, two = load_dataset(name, **options), load_dataset(name, **options)
    assert one.provenance == two.provenance and len(one.provenance.sha256) == 64
    assert (one.valid.images == two.valid.images).all()
    assert not own.cache.exists()


@pytest.mark.parametrize("size", [0, 3, 5000, -1, 32.0, True, "32"])
def test_bad_size_is_refused(size):
    with pytest.raises(ValueError, match="size must be a whole number of pixels from 4 to 1024"):
        load_dataset("digits", size=size)


def test_options_of_shapes_are_for_shapes():
    dataset = load_dataset("shapes", n_train=50, n_test=20)
    assert (len(dataset.train), len(dataset.valid), len(dataset.test)) == (45, 5, 20)
    with pytest.raises(ValueError, match="n_train and n_test are for 'shapes'"):
        load_dataset("digits", n_train=50)
    with pytest.raises(ValueError, match="size=64"):
        load_dataset("shapes", size=64)


def test_some_classes_are_numbered_anew_and_keep_the_statistics_of_all():
    digits = load_dataset("digits")
    some = digits.of_classes((8, 3))
    assert some.classes == ("8", "3") and some.mean == digits.mean
    eights = digits.valid.images[digits.valid.labels == 8]
    assert torch.equal(some.valid.images[some.valid.labels == 0], eights)
    assert len(some.test) == int(((digits.test.labels == 8) | (digits.test.labels == 3)).sum())
    assert len(some.train.of_classes((7,))) == 0, "no example of a class that is not there"
    assert len(some.train.of_classes(())) == 0
    assert len(load_dataset("digits", valid=0).of_classes((1, 2)).valid) == 0
    for wrong in ((3, 3), (10,), (-1, 2)):
        with pytest.raises(ValueError, match="classes of digits are numbers from 0 to 9, each once, got"):
            digits.of_classes(wrong)


def test_a_balanced_draw_by_hand():
    labels = np.array([0] * 5 + [1] * 3 + [2] * 4)
    drawn = balanced(labels, 7, seed=4)
    assert labels[drawn].tolist() == [0, 1, 2, 0, 1, 2, 0] and len(set(drawn.tolist())) == 7
    assert balanced(labels, 4, seed=4).tolist() == drawn[:4].tolist()
    assert balanced(labels, 7, seed=5).tolist() != drawn.tolist()
    with pytest.raises(ValueError, match="12 examples .* need 4 of each; the smallest class has 3"):
        balanced(labels, 12, seed=4)
    with pytest.raises(ValueError, match="0 examples"):
        balanced(labels, 0, seed=4)
