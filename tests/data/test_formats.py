"""Original layouts are read to the byte; what is damaged, incomplete or malicious is refused by name."""

import gzip
import os
import pickle
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import tiny_datasets as tiny
from utils.data import CorruptFile, load_dataset
from utils.data.archives import check_archive, list_files
from utils.data.formats import parse_idx, unpickle

pytestmark = pytest.mark.usefixtures("own")


def arrays(dataset):
    return {
        s: (getattr(dataset, s).images.numpy(), getattr(dataset, s).labels.numpy()) for s in ("train", "test")
    }


def test_cifar10_archive_and_folder_hold_the_arrays_that_were_written(own):
    members, truth = tiny.cifar10_members()
    tiny.cifar10_archive(own.data)
    from_archive = load_dataset("cifar10", valid=0)
    assert from_archive.classes == tiny.CIFAR10
    assert from_archive.provenance.source == "cifar-10-python.tar.gz"
    assert from_archive.provenance.note == "not byte-identical to the official file"
    tiny.write_files(own.data / "cifar-10-batches-py", members)
    from_folder = load_dataset("cifar10", valid=0)
    assert from_folder.provenance.source == "cifar-10-batches-py"
    for dataset in (from_archive, from_folder):
        for split in ("train", "test"):
            np.testing.assert_array_equal(getattr(dataset, split).images, getattr(truth, f"{split}_images"))
            np.testing.assert_array_equal(getattr(dataset, split).labels, getattr(truth, f"{split}_labels"))


def test_cifar100_has_its_fine_labels(own):
    members = {f"cifar-100-python/{name}": value for name, value in tiny.cifar100_members().items()}
    tiny.write_archive(own.data / "cifar-100-python.tar.gz", members)
    dataset = load_dataset("cifar100", valid=0)
    assert len(dataset.classes) == 100 and dataset.classes[3] == "class 3"
    assert dataset.train.labels.tolist() == list(range(100))


@pytest.mark.parametrize("missing", ["data_batch_3", "test_batch", "batches.meta"])
def test_missing_member_is_named_with_the_remedy(own, missing):
    members, _ = tiny.cifar10_members()
    del members[missing]
    tiny.write_files(own.data / "cifar-10-batches-py", members)
    with pytest.raises(
        CorruptFile, match=rf"cifar-10-batches-py is incomplete: {missing}.*utils\.data fetch cifar10"
    ):
        load_dataset("cifar10")


def test_malicious_pickle_is_refused_by_name_and_not_run(own, tmp_path):
    class Malice:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was-run"),)

    members, _ = tiny.cifar10_members()
    members["data_batch_2"] = pickle.dumps({b"data": Malice()}, protocol=2)
    tiny.write_files(own.data / "cifar-10-batches-py", members)
    with pytest.raises(CorruptFile, match=r"data_batch_2 is refused.*(posix|nt)\.mkdir"):
        load_dataset("cifar10")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_every_pickle_protocol_of_arrays_is_read(protocol):
    content = pickle.dumps({"data": np.arange(6, dtype=np.uint8), "n": np.float64(2)}, protocol=protocol)
    if protocol == 5:  # carries arrays in a form of its own, which the originals cannot contain
        with pytest.raises(CorruptFile, match="numpy"):
            unpickle(content, "batch")
    else:
        assert unpickle(content, "batch")["data"].tolist() == list(range(6))


@given(content=st.binary(max_size=60))
@settings(deadline=None, max_examples=60)
def test_any_bytes_are_a_dictionary_or_a_corrupt_file(content):
    try:
        assert isinstance(unpickle(content, "batch"), dict)
    except CorruptFile as error:
        assert "batch" in str(error)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": [0] * 3},
        {"labels": [10] * 20},
        {"labels": None},
        {"data": np.zeros((20, 3072))},
        {"data": 1},
    ],
)
def test_batches_that_make_no_sense_are_refused(own, change):
    members, _ = tiny.cifar10_members()
    batch = {"data": np.zeros((20, 3072), np.uint8), "labels": [0] * 20, **change}
    members["data_batch_1"] = pickle.dumps(batch, protocol=2)
    tiny.write_files(own.data / "cifar-10-batches-py", members)
    with pytest.raises(CorruptFile, match="data_batch_1"):
        load_dataset("cifar10")


def test_truncated_archive_is_refused_at_any_length(own):
    path = tiny.cifar10_archive(own.data)
    whole = path.read_bytes()
    for length in (0, 1, 10, 100, len(whole) // 3, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFile, match=r"cifar-10-python\.tar\.gz.*Delete it, then copy it again"):
            load_dataset("cifar10")


def test_flipped_bytes_are_refused_even_where_tarfile_reads_on(own):
    path = tiny.cifar10_archive(own.data)
    whole = path.read_bytes()
    for place in np.linspace(40, len(whole) - 1, 12).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(CorruptFile, match=r"cifar-10-python\.tar\.gz"):
            load_dataset("cifar10")
    path.write_bytes(whole)
    assert len(load_dataset("cifar10", valid=0).train) == 100


def test_tar_cut_at_a_member_is_refused_though_its_gzip_is_whole(own, tmp_path):
    plain = tiny.write_archive(tmp_path / "pictures.tar", tiny.class_members(per_class=3)).read_bytes()
    with tarfile.open(tmp_path / "pictures.tar") as archive:
        last = archive.getmembers()[-1].offset
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(gzip.compress(plain[:last]))
    with pytest.raises(CorruptFile, match=r"cut\.tar\.gz is incomplete"):
        load_dataset(f"folder:{cut}")


def test_zip_with_a_flipped_byte_names_the_member(tmp_path):
    path = tiny.write_archive(tmp_path / "pictures.zip", {"train/a/1.png": bytes(1000)})
    damaged = bytearray(path.read_bytes())
    damaged[500] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CorruptFile, match=r"pictures\.zip.*train/a/1\.png"):
        check_archive(path)


@pytest.mark.parametrize("compressed", [True, False])
def test_fashion_mnist_compressed_or_not(own, compressed):
    folder = tiny.write_files(own.data / "FashionMNIST" / "raw", tiny.idx_members(compressed=compressed))
    dataset = load_dataset("fashion-mnist", valid=0)
    assert dataset.train.images.shape == (60, 1, 28, 28) and len(dataset.test) == 20
    assert dataset.train.labels.tolist() == [i % 10 for i in range(60)]
    assert dataset.provenance.note == "not byte-identical to the official files"
    stored = next(folder.glob("train-images*")).read_bytes()
    pixels = gzip.decompress(stored)[16:] if compressed else stored[16:]
    assert dataset.train.images.numpy().tobytes() == pixels


def test_fashion_mnist_with_a_file_missing_or_damaged_names_it(own):
    folder = tiny.write_files(own.data / "FashionMNIST" / "raw", tiny.idx_members())
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    content = labels.read_bytes()
    labels.unlink()
    with pytest.raises(CorruptFile, match=r"raw is incomplete: t10k-labels.*fetch fashion-mnist"):
        load_dataset("fashion-mnist")
    labels.write_bytes(content[:-5])
    with pytest.raises(CorruptFile, match=r"t10k-labels-idx1-ubyte\.gz is damaged"):
        load_dataset("fashion-mnist")
    labels.write_bytes(gzip.compress(tiny.idx(np.full(20, 11, np.uint8))))
    with pytest.raises(CorruptFile, match="t10k labels go up to 11"):
        load_dataset("fashion-mnist")
    labels.write_bytes(gzip.compress(tiny.idx(np.zeros(19, np.uint8))))
    with pytest.raises(CorruptFile, match="do not belong together"):
        load_dataset("fashion-mnist")


def test_idx_header_must_fit_the_content():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(parse_idx(tiny.idx(array), "x"), array)
    for wrong in (
        b"",
        b"\0\0\x08",
        b"\0\0\x0d\x01" + bytes(8),
        tiny.idx(array)[:-1],
        tiny.idx(array) + b"1",
        tiny.idx(array)[:9],
    ):
        with pytest.raises(CorruptFile, match="^x "):
            parse_idx(wrong, "x")


@pytest.mark.parametrize("kind", ["folder", ".tar.gz", ".tgz", ".tar", ".zip"])
@pytest.mark.parametrize(("prefix", "test"), [("", "test"), ("wrapped/", "val"), ("./", "test")])
def test_class_folders_in_every_container_give_the_same_dataset(tmp_path, kind, prefix, test):
    members = tiny.class_members(prefix=prefix, test=test)
    extra = {
        f"{prefix}README.txt": b"hello",
        f"{prefix}train/ant/.hidden.png": b"",
        f"{prefix}train/ant/notes.txt": b"-",
    }
    members = {**members, **extra}
    path = tmp_path / ("tree" if kind == "folder" else f"tree{kind}")
    (tiny.write_files if kind == "folder" else tiny.write_archive)(path, members)
    dataset = load_dataset(f"folder:{path}", valid=0)
    assert dataset.classes == ("ant", "bee") and dataset.provenance.title == path.name
    for s, split in enumerate((dataset.train, dataset.test)):
        assert split.images.shape == (8, 3, 32, 32)
        colors = split.images[:, :, 5, 7]
        assert (colors[:, 0] == 10 * split.labels).all() and (colors[:, 2] == s).all()
        assert sorted(map(tuple, colors[:, :2].tolist())) == [(10 * c, i) for c in range(2) for i in range(4)]
    assert sorted(set(dataset.train.labels[:4].tolist())) == [0, 1], (
        "the first pictures are a sample of all classes"
    )
    assert [tuple(c) for c in dataset.train.images[:, :2, 0, 0].tolist()] == ORDER


ORDER = [
    (10, 1),
    (10, 2),
    (0, 0),
    (0, 2),
    (0, 1),
    (10, 0),
    (0, 3),
    (10, 3),
]  # fixed, so that two machines agree


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"train/ant/1.png": None, "train/bee/": b"", "test/ant/1.png": None, "test/bee/1.png": None},
            "train/bee has no pictures",
        ),
        ({"train/ant/1.png": None, "train/bee/1.png": None, "test/ant/1.png": None}, "differ in bee"),
        ({"train/ant/1.png": None}, "found train"),
        ({"ant/1.png": None, "bee/1.png": None}, "must hold the folders train/ and test/"),
        ({"train/1.png": None, "test/1.png": None}, "must lie directly in a class folder"),
        ({"train/ant/deep/1.png": None, "test/ant/1.png": None}, "must lie directly in a class folder"),
        ({"notes.txt": b""}, "must hold the folders"),
        (
            {"train/ant/1.png": None, "test/ant/1.png": b"not a picture"},
            "the picture 'test/ant/1.png' cannot be decoded",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["folder", ".tar.gz", ".zip"])
def test_trees_that_are_not_class_folders_are_refused_by_name(tmp_path, members, message, kind):
    members = {name: tiny.picture((1, 2, 3)) if value is None else value for name, value in members.items()}
    path = tmp_path / ("tree" if kind == "folder" else f"tree{kind}")
    (tiny.write_files if kind == "folder" else tiny.write_archive)(path, members)
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(f"folder:{path}", valid=0)
    assert path.name in str(caught.value)


def test_truncated_picture_is_named(tmp_path):
    members = tiny.class_members(suffix=".jpg", size=(64, 64))
    members["train/bee/0002.jpg"] = members["train/bee/0002.jpg"][:-40]
    with pytest.raises(CorruptFile, match="'train/bee/0002.jpg' cannot be decoded"):
        load_dataset(f"folder:{tiny.write_files(tmp_path / 'tree', members)}")


def test_pictures_of_different_sizes_need_a_size(tmp_path):
    members = {**tiny.class_members(), "train/ant/wide.png": tiny.picture((1, 2, 3), (60, 40))}
    folder = tiny.write_files(tmp_path / "tree", members)
    with pytest.raises(ValueError, match=r"wide\.png' is 60×40.*size=64"):
        load_dataset(f"folder:{folder}")
    assert load_dataset(f"folder:{folder}", size=16).train.images.shape[2:] == (16, 16)


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "train/../../out.png", "C:/out.png"])
@pytest.mark.parametrize("kind", [".tar.gz", ".zip"])
def test_member_that_leads_outside_is_refused_and_nothing_written(tmp_path, name, kind):
    path = tiny.write_archive(
        tmp_path / "in" / f"evil{kind}", {**tiny.class_members(), name: tiny.picture((0, 0, 0))}
    )
    with pytest.raises(CorruptFile, match=r"evil\.(tar\.gz|zip) is refused.*leads out"):
        load_dataset(f"folder:{path}")
    assert not list(tmp_path.glob("*.png"))


def test_file_that_is_in_an_archive_twice_is_refused(tmp_path):
    path = tmp_path / "twice.tar"
    with tarfile.open(path, "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("train/ant/1.png"))
    with pytest.raises(CorruptFile, match="twice.tar holds the file 'train/ant/1.png' twice"):
        list_files(path)
