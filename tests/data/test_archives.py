"""Folders and archives as they come: links, passwords, odd names, bombs: followed, read or refused."""

import io
import os
import struct
import tarfile
import threading
import unicodedata
import zipfile

import pytest

from tests import tiny_datasets as tiny
from utils.data import CorruptFile, archives, class_folders, load_dataset
from utils.data.archives import check_archive, list_files, read_files
from utils.data.class_folders import _Gate
from utils.data.errors import UnsupportedFile

pytestmark = pytest.mark.usefixtures("own")
PICTURES = tiny.class_members(per_class=2)
NAMES = sorted(PICTURES)


def tar(path, *members, **links):
    """A tar archive of (name, content) and (name, kind, target)."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, *what in members:
            info = tarfile.TarInfo(name)
            if len(what) == 2:
                info.type, info.linkname = what
                archive.addfile(info)
            else:
                info.size = len(what[0])
                archive.addfile(info, io.BytesIO(what[0]))
    return path


def colors(dataset):
    return sorted(map(tuple, dataset.train.images[:, :2, 0, 0].tolist()))


HARD, SYMBOLIC, DEVICE, PIPE = tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE
FOLLOWED = {  # links beside the four training pictures (0, 0), (0, 1), (10, 0), (10, 1), and what they add
    "hard": ([("train/ant/b.png", HARD, "train/ant/0000.png")], [(0, 0)]),
    "hard to another class": ([("train/bee/b.png", HARD, "train/ant/0001.png")], [(0, 1)]),
    "two to one": ([(f"train/ant/{n}.png", HARD, "train/ant/0000.png") for n in "bc"], [(0, 0)] * 2),
    "symbolic": ([("train/ant/b.png", SYMBOLIC, "../bee/0001.png")], [(10, 1)]),
    "chain": (
        [("train/ant/b.png", SYMBOLIC, "c.png"), ("train/ant/c.png", SYMBOLIC, "0001.png")],
        [(0, 1)] * 2,
    ),
    "hard to a symbolic": (
        [("train/ant/b.png", SYMBOLIC, "0001.png"), ("train/ant/c.png", HARD, "train/ant/b.png")],
        [(0, 1)] * 2,
    ),
}


@pytest.mark.parametrize("kind", FOLLOWED)
@pytest.mark.parametrize("first", [True, False], ids=["links first", "links last"])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_links_to_pictures_in_a_tar_are_followed(tmp_path, kind, first, suffix):
    links, added = FOLLOWED[kind]
    members = list(PICTURES.items())
    path = tar(tmp_path / f"links{suffix}", *(links + members if first else members + links))
    assert colors(load_dataset(f"folder:{path}", valid=0)) == sorted(
        [(0, 0), (0, 1), (10, 0), (10, 1), *added]
    )


@pytest.mark.parametrize(
    "links",
    [
        [("val", SYMBOLIC, "test")],
        [("train/cat", SYMBOLIC, "bee"), ("test/cat", SYMBOLIC, "./bee/")],
        [("more/train", SYMBOLIC, "../train"), ("more/test", SYMBOLIC, "../test")],
        [("valid", SYMBOLIC, "val"), ("val", SYMBOLIC, "train")],
        [("train/cat", SYMBOLIC, "../store/cat"), ("test/cat", SYMBOLIC, "../store/cat")],
    ],
    ids=["split", "class", "beside", "chain", "store"],
)
def test_links_to_folders_in_a_tar_are_followed(tmp_path, links):
    store = [("store/cat/1.png", tiny.picture((77, 7, 0)))] if "store" in links[0][2] else []
    path = tar(tmp_path / "links.tar", *links, *PICTURES.items(), *store)
    unpacked = tmp_path / "links"
    with tarfile.open(path) as archive:
        archive.extractall(unpacked, filter="data")
    assert list_files(path)[0] == list_files(unpacked)[0]
    assert dict(read_files(path, list_files(path)[0])) == dict(read_files(unpacked, list_files(path)[0]))


def test_a_linked_folder_that_holds_links_is_whole(tmp_path):
    links = [("train/ant/b.png", SYMBOLIC, "0000.png"), ("val", SYMBOLIC, "train")]
    files = list_files(tar(tmp_path / "links.tar", *PICTURES.items(), *links))[0]
    assert "val/ant/b.png" in files and len(files) == len(PICTURES) + 1 + 5


@pytest.mark.parametrize(
    "link",
    [
        ("train/ant/b.png", SYMBOLIC, "/etc/hostname"),
        ("train/ant/b.png", SYMBOLIC, "../../../secret.png"),
        ("train/ant/b.png", SYMBOLIC, "b.png"),
        ("train/ant/b.png", HARD, "train/ant/gone.png"),
        ("train/cat", SYMBOLIC, "/data/cat"),
        ("train/ant/deep", SYMBOLIC, "../.."),
        ("train/ant/b.png", DEVICE, ""),
        ("train/ant/b.png", PIPE, ""),
    ],
    ids=lambda link: link[2] or link[0],
)
def test_links_in_an_archive_that_lead_nowhere_are_refused_by_name(tmp_path, link):
    path = tar(tmp_path / "links.tar", *PICTURES.items(), link)
    with pytest.raises(CorruptFile, match=rf"links\.tar is refused: its member '{link[0]}' is"):
        list_files(path)


def test_a_link_that_is_no_picture_does_no_harm(tmp_path):
    path = tar(tmp_path / "links.tar", *PICTURES.items(), ("notes.txt", SYMBOLIC, "/home/me/notes.txt"))
    assert list_files(path)[0] == NAMES


@pytest.mark.parametrize("target", ["0000.png", "../bee/0001.png", "/etc/hostname"])
def test_symbolic_links_in_a_zip_are_followed_or_refused(tmp_path, target):
    path = tiny.write_archive(tmp_path / "links.zip", PICTURES)
    link = zipfile.ZipInfo("train/ant/b.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, target)
    if target.startswith("/"):
        with pytest.raises(CorruptFile, match="'train/ant/b.png' is a link to '/etc/hostname', nothing in"):
            list_files(path)
    else:
        assert len(load_dataset(f"folder:{path}", valid=0).train) == 5


@pytest.mark.parametrize("what", ["train", "test", "train/ant", "test/bee", "train/ant/0000.png"])
def test_links_in_a_folder_are_followed_wherever_they_lead(tmp_path, what):
    tree = tiny.write_files(tmp_path / "tree", PICTURES)
    plain = load_dataset(f"folder:{tree}", valid=0)
    (tmp_path / "elsewhere").mkdir()
    (tree / what).rename(tmp_path / "elsewhere" / "it")
    (tree / what).symlink_to(tmp_path / "elsewhere" / "it")
    linked = load_dataset(f"folder:{tree}", valid=0)
    assert (linked.train.images == plain.train.images).all() and linked.classes == plain.classes
    assert (linked.test.labels == plain.test.labels).all()


@pytest.mark.parametrize(
    ("name", "target", "why"),
    [
        ("train/ant/b.png", "gone.png", "a link to a file that is not there"),
        ("train/cat", "/no/such/folder", "a link to a file that is not there"),
        ("train/ant/b.png", "b.png", "a link to a file that is not there"),
        ("train/ant/deep", "..", "a link to a folder that it lies in"),
        ("train/ant/pipe.png", None, "not a file but a device"),
    ],
)
def test_what_is_no_file_in_a_folder_is_refused_by_name(tmp_path, name, target, why):
    tree = tiny.write_files(tmp_path / "tree", PICTURES)
    if target is None:
        os.mkfifo(tree / name)
    else:
        (tree / name).symlink_to(target)
    with pytest.raises(CorruptFile, match=f"'{name}' is {why}"):
        load_dataset(f"folder:{tree}")


def zipped(path, names=PICTURES, **changes):
    """A zip archive whose members carry other flags or packing numbers than they have."""
    tiny.write_archive(path, names)
    content = bytearray(path.read_bytes())
    for mark, flags, packing in ((b"PK\x03\x04", 6, 8), (b"PK\x01\x02", 8, 10)):
        place = content.find(mark)
        while place >= 0:
            if "flags" in changes:
                struct.pack_into("<H", content, place + flags, changes["flags"])
            if "packing" in changes:
                struct.pack_into("<H", content, place + packing, changes["packing"])
            place = content.find(mark, place + 4)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("read", [check_archive, list_files, lambda p: load_dataset(f"folder:{p}")])
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"flags": 1}, "is encrypted: .* needs a password; unpack it yourself"),
        ({"flags": 0x41}, "is encrypted"),  # strong encryption
        ({"packing": 9}, r"a way that Python does not know \(Deflate64\)"),
        ({"packing": 97}, r"\(way number 97\)"),  # WavPack
        ({"packing": 99}, r"\(way number 99\)"),  # AES
    ],
)
def test_zip_that_python_cannot_unpack_says_what_to_do(tmp_path, changes, why, read):
    with pytest.raises(UnsupportedFile, match=rf"pictures\.zip .*{why}"):
        read(zipped(tmp_path / "pictures.zip", **changes))


@pytest.mark.parametrize("prefix", ["", "wrapped/", "./"])
def test_backslashes_in_a_zip_are_slashes(tmp_path, prefix):
    members = {f"{prefix}{name}".replace("/", "\\"): content for name, content in PICTURES.items()}
    path = tmp_path / "net.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {f"{prefix}train\\".replace("/", "\\"): b"", **members}.items():
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, content)
    assert len(load_dataset(f"folder:{path}", valid=0).train) == 4
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = "..\\out.png"
        archive.writestr(info, b"")
    with pytest.raises(CorruptFile, match="leads out"):
        list_files(path)


@pytest.mark.parametrize("kind", ["folder", ".zip", ".tar.gz", ".tar", "idx"])
def test_bombs_are_refused_before_they_unpack(tmp_path, own, kind, monkeypatch):
    for module in (archives, class_folders, __import__("utils.data.formats", fromlist=["_"])):
        monkeypatch.setattr(module, "LARGEST_FILE", 100_000, raising=False)
    if kind == "idx":
        tiny.write_files(own.data / "FashionMNIST" / "raw", tiny.idx_members(train=200))
        name = "fashion-mnist"
    else:
        members = {**PICTURES, "train/ant/bomb.png": tiny.picture((0, 0, 0)) + bytes(200_000)}
        path = tmp_path / ("tree" if kind == "folder" else f"tree{kind}")
        (tiny.write_files if kind == "folder" else tiny.write_archive)(path, members)
        name = f"folder:{path}"
    with pytest.raises(CorruptFile, match="is refused: .* more than .* MB"):
        load_dataset(name)


ODD = {  # what a file system or an archive calls a class, and what we call it
    "Käfer".encode("latin-1"): "K\\xe4fer",
    b"\xff\xfe": "\\xff\\xfe",
    "Käfer".encode(): "Käfer",
    "甲虫".encode("euc-jp"): "\\xb9\\xc3\\xc3\\xee",
    b"caf\x82": "caf\\x82",
}


@pytest.mark.parametrize("name", ODD)
def test_names_that_are_not_utf8_are_read(tmp_path, name):
    tree = tiny.write_files(tmp_path / "tree", tiny.class_members(("ant",)))
    for split in ("train", "test"):
        (tree / split / "ant").rename(tree / split / os.fsdecode(name))
    for _ in range(2):  # decoded, then opened
        dataset = load_dataset(f"folder:{tree}", valid=0)
        assert dataset.classes == (ODD[name],) and len(dataset.train) == 4
        dataset.classes[0].encode()


@pytest.mark.parametrize("name", ["Käfer", "é", "Å", "한국", "ñandú"])
@pytest.mark.parametrize("kind", ["folder", ".zip", ".tar.gz"])
def test_composed_and_decomposed_letters_are_one_class(tmp_path, name, kind):
    members = {}
    for path, content in PICTURES.items():
        form = "NFD" if path.startswith("train") else "NFC"
        members[path.replace("ant", unicodedata.normalize(form, name))] = content
    path = tmp_path / ("tree" if kind == "folder" else f"tree{kind}")
    (tiny.write_files if kind == "folder" else tiny.write_archive)(path, members)
    assert set(load_dataset(f"folder:{path}", valid=0).classes) == {"bee", unicodedata.normalize("NFC", name)}


@pytest.mark.parametrize("size", [16, 256, 1024])
def test_batches_are_bounded_in_bytes_when_decoded(tmp_path, size):
    tree = tiny.write_files(tmp_path / "tree", tiny.class_members(per_class=70))
    names = dict.fromkeys(list_files(tree)[0], ("train", 0))
    batches = list(class_folders._batches(tree, names, size))
    assert sum(map(len, batches)) == len(names) == 280
    # 8 MiB hold 10,922 pictures of 16×16 (but 256 at most), 42.7 of 256×256 and 2.67 of 1024×1024
    assert max(map(len, batches)) == {16: 256, 256: 43, 1024: 3}[size]


def test_encoded_pictures_in_memory_are_bounded_in_bytes(tmp_path, monkeypatch):
    alive, most = [0], [0]

    class Counted(bytes):
        def __new__(cls, content):
            alive[0] += len(content)
            most[0] = max(most[0], alive[0])
            return super().__new__(cls, content)

        def __del__(self):
            alive[0] -= len(self)

    original = class_folders.read_files
    padding = bytes(100_000)  # which decoders do not look at
    monkeypatch.setattr(
        class_folders, "read_files", lambda *a: ((n, Counted(c + padding)) for n, c in original(*a))
    )
    monkeypatch.setattr(class_folders, "BATCH_BYTES", 200_000)
    monkeypatch.setattr(class_folders, "ENCODED_AT_ONCE", 500_000)
    tree = tiny.write_files(tmp_path / "tree", tiny.class_members(per_class=25))
    assert len(load_dataset(f"folder:{tree}", valid=0, size=16).train) == 50  # 10 MB went through
    assert most[0] < 1_500_000


def test_threads_hold_no_more_pixels_than_allowed():
    gate, held, most = _Gate(100), [0], [0]

    def work(pixels):
        for _ in range(20):
            with gate(pixels):
                held[0] += pixels
                most[0] = max(most[0], held[0])
                held[0] -= pixels

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in (30, 40, 50, 60, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads) and gate.held == 0
    assert most[0] <= 1000  # the one that is larger than the limit goes alone, and is not locked out


def test_large_pictures_need_a_size(tmp_path):
    members = {f"{s}/a/1.png": tiny.picture((1, 2, 3), (1100, 1000)) for s in ("train", "test")}
    tree = tiny.write_files(tmp_path / "tree", members)
    with pytest.raises(
        ValueError, match=r"1\.png.*it has 1\.1 million pixels; give a size, as in load_datas"
    ):
        load_dataset(f"folder:{tree}")
    assert load_dataset(f"folder:{tree}", size=32).train.images.shape == (1, 3, 32, 32)
    long = {f"{s}/a/1.png": tiny.picture((1, 2, 3), (20_000, 1)) for s in ("train", "test")}
    tree = tiny.write_files(tmp_path / "long", long)
    assert load_dataset(f"folder:{tree}", valid=0).train.images.shape == (1, 3, 1, 20_000)


@pytest.mark.parametrize("where", ["train/ant/0000.png", "test/bee/0001.png"])
@pytest.mark.parametrize("code", [5, 13], ids=["EIO", "EACCES"])
def test_a_picture_that_cannot_be_read_is_named(tmp_path, where, code, monkeypatch):
    tree = tiny.write_files(tmp_path / "tree", PICTURES)
    real = type(tree).read_bytes

    def read_bytes(path):
        if path == tree / where:
            raise OSError(code, os.strerror(code))
        return real(path)

    monkeypatch.setattr(type(tree), "read_bytes", read_bytes)
    with pytest.raises(OSError, match=rf"{where} cannot be read \({os.strerror(code)}\)") as caught:
        load_dataset(f"folder:{tree}")
    assert isinstance(caught.value, PermissionError) == (code == 13)
