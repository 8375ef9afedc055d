"""Makers of tiny datasets in the original layouts."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from types import SimpleNamespace

import numpy as np
from PIL import Image

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGENETTE = (
    "n01440764", "n02102040", "n02979186", "n03000684", "n03028079",
    "n03394916", "n03417042", "n03425413", "n03445777", "n03888257",
)  # fmt: skip


def _pickled(value):
    # protocol 2 writes module names as text lines; the originals were written when numpy._core was numpy.core
    return pickle.dumps(value, protocol=2).replace(b"numpy._core", b"numpy.core")


def cifar10_members(per_batch=20):
    """Content of the members of a CIFAR-10 archive, with the arrays that are in it."""
    rng = np.random.default_rng(7)
    members, images, labels = {}, [], []
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        data = rng.integers(0, 256, (per_batch, 3072), dtype=np.uint8)
        answers = [int(i) % 10 for i in range(per_batch)]
        members[name] = _pickled({b"data": data, b"labels": answers, b"batch_label": name.encode()})
        images.append(data.reshape(-1, 3, 32, 32))
        labels.append(np.array(answers))
    members["batches.meta"] = _pickled({b"label_names": [c.encode() for c in CIFAR10], b"num_vis": 3072})
    truth = SimpleNamespace(
        train_images=np.concatenate(images[:-1]),
        train_labels=np.concatenate(labels[:-1]),
        test_images=images[-1],
        test_labels=labels[-1],
    )
    return members, truth


def cifar100_members(n=100):
    rng = np.random.default_rng(8)
    members = {}
    for name in ("train", "test"):
        data = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
        members[name] = _pickled({b"data": data, b"fine_labels": list(range(n)), b"coarse_labels": [0] * n})
    members["meta"] = _pickled({b"fine_label_names": [f"class {i}".encode() for i in range(100)]})
    return members


def write_archive(path, members):
    """A .tar.gz, .tgz, .tar or .zip of ``{name: bytes}``; a name ending in / is an empty folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name.rstrip("/"))
                info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def write_files(folder, members):
    for name, content in members.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


def idx(array):
    """The bytes of an IDX file."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def idx_members(train=60, test=20, compressed=True):
    rng = np.random.default_rng(9)
    members = {}
    for prefix, n in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        members[f"{prefix}-images-idx3-ubyte"] = idx(images)
        members[f"{prefix}-labels-idx1-ubyte"] = idx((np.arange(n) % 10).astype(np.uint8))
    return {f"{name}.gz": gzip.compress(value) for name, value in members.items()} if compressed else members


def picture(color, size=(32, 32), kind="PNG"):
    """An encoded picture of one color."""
    stream = io.BytesIO()
    Image.new("RGB", size, color).save(stream, kind)
    return stream.getvalue()


def class_members(classes=("ant", "bee"), per_class=4, prefix="", test="test", suffix=".png", size=(32, 32)):
    """Class folders whose pictures have the color (class, number, split) and so can be told apart."""
    kind = {".png": "PNG", ".jpg": "JPEG"}[suffix]
    return {
        f"{prefix}{split}/{label}/{i:04}{suffix}": picture((10 * c, i, s), size, kind)
        for s, split in enumerate(("train", test))
        for c, label in enumerate(classes)
        for i in range(per_class)
    }


def cifar10_archive(folder):
    members = {f"cifar-10-batches-py/{name}": value for name, value in cifar10_members()[0].items()}
    return write_archive(folder / "cifar-10-python.tar.gz", members)


def cifar100_archive(folder, n=100):
    members = {f"cifar-100-python/{name}": value for name, value in cifar100_members(n).items()}
    return write_archive(folder / "cifar-100-python.tar.gz", members)


def imagenette_members(per_class=1):
    return class_members(
        IMAGENETTE, per_class=per_class, prefix="imagenette2-160/", test="val", suffix=".jpg", size=(213, 160)
    )
