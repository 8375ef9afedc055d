"""Decoders of the original file formats: CIFAR's pickled batches and the IDX files of the MNIST family."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np

from utils.data.archives import LARGEST_FILE, check_archive, read_files
from utils.data.decoding import Decoding, array_blocks
from utils.data.errors import CorruptFile, cannot_read
from utils.data.hashing import file_digest
from utils.data.sources import CIFAR_FOLDERS, CIFAR_MEMBERS, FASHION_CONTENT, Source

CIFAR_SHAPE = (3, 32, 32)
# name of the labels in a batch, and of the class names in the meta file
CIFAR_KEYS = {"cifar10": ("labels", "label_names"), "cifar100": ("fine_labels", "fine_label_names")}
IDX_UINT8 = 0x08  # code of the element type in the magic number
NOT_IDENTICAL = "not byte-identical to the official file"


def _latin1(text: str, encoding: str) -> bytes:
    """What ``_codecs.encode`` may do here: Python 3 pickles bytes for protocol 2 as latin-1 text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r} is not allowed")
    return codecs.encode(text, "latin1")


# The only globals a pickle of numpy arrays needs. Functions are taken from public behavior (``__reduce__``)
# because the modules that hold them were renamed in numpy 2.
_reconstruct = np.empty(0).__reduce__()[0]
_scalar = np.float64(0).__reduce__()[0]
ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, text, numbers and numpy arrays, and refuses everything else by name.

    So a file cannot run code.
    """

    def find_class(self, module: str, name: str):
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no picture data need") from None


def unpickle(content: bytes, name: str) -> dict[str, object]:
    """The dictionary in a CIFAR batch file, keys as text; ``CorruptFile`` naming ``name`` otherwise."""
    try:
        loaded = ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise CorruptFile(f"{name} is refused or damaged: {error}") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise CorruptFile(f"{name} is damaged: {type(error).__name__}: {error}") from error
    if not isinstance(loaded, dict):
        raise CorruptFile(f"{name} holds a {type(loaded).__name__}, not the dictionary of a CIFAR batch")
    return {
        key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in loaded.items()
    }


def cifar_batch(content: bytes, name: str, key: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 ``[N, 3, 32, 32]`` and labels int64 ``[N]`` of one batch file."""
    batch = unpickle(content, name)
    data, labels = batch.get("data"), batch.get(key)
    pixels = int(np.prod(CIFAR_SHAPE))
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.uint8
        or data.ndim != 2
        or data.shape[1] != pixels
    ):
        raise CorruptFile(f"{name} has no images: 'data' must be uint8 [N, {pixels}]")
    try:
        labels = np.asarray(labels).astype(np.int64, casting="same_kind")
    except (TypeError, ValueError) as error:
        raise CorruptFile(f"{name} has no labels: {key!r} must be whole numbers") from error
    if labels.shape != data.shape[:1] or (len(labels) and not 0 <= labels.min() <= labels.max() < classes):
        raise CorruptFile(
            f"{name} has {len(data)} images, but {key!r} is not as many numbers from 0 to {classes - 1}"
        )
    return data.reshape(-1, *CIFAR_SHAPE), labels


def decode_cifar(path: Path, source: Source) -> Decoding:
    """CIFAR-10 or -100 from the official archive or the folder it unpacks to; may raise ``CorruptFile``."""
    members = CIFAR_MEMBERS[source.name]
    if path.is_dir():
        missing = [name for name in members if not os.path.isfile(path / name)]
        content = {} if missing else dict(read_files(path, members))
        official = not missing and all(
            file_digest(path / name, "md5") == md5 for name, md5 in members.items()
        )
    else:
        check_archive(path)
        folder = CIFAR_FOLDERS[source.name]
        stored = dict(read_files(path, {f"{folder}/{name}" for name in members}))
        content = {name.removeprefix(folder + "/"): value for name, value in stored.items()}
        missing = [name for name in members if name not in content]
        official = file_digest(path, "md5") == source.files[0].md5
    if missing:
        raise CorruptFile(f"{path} is incomplete: {', '.join(missing)} not found in it")
    labels_key, names_key = CIFAR_KEYS[source.name]
    meta = [name for name in members if name.endswith("meta")][0]
    classes = _class_names(unpickle(content[meta], f"{path}: {meta}"), names_key, f"{path}: {meta}")
    images: dict[str, list] = {"train": [], "test": []}
    labels: dict[str, list] = {"train": [], "test": []}
    for name in (name for name in members if name != meta):
        split = "test" if name.startswith("test") else "train"
        batch_images, batch_labels = cifar_batch(content[name], f"{path}: {name}", labels_key, len(classes))
        images[split].append(batch_images)
        labels[split].append(batch_labels)
    joined = {split: np.concatenate(parts) for split, parts in images.items()}
    return Decoding(
        classes=classes,
        labels={split: np.concatenate(parts) for split, parts in labels.items()},
        blocks=array_blocks(joined),
        title=source.title,
        note="" if official else NOT_IDENTICAL,
    )


def _class_names(meta: dict[str, object], key: str, name: str) -> tuple[str, ...]:
    names = meta.get(key)
    if not isinstance(names, list) or not names or not all(isinstance(n, bytes | str) for n in names):
        raise CorruptFile(f"{name} has no class names under {key!r}")
    return tuple(n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in names)


def decode_idx(path: Path, source: Source) -> Decoding:
    """Fashion-MNIST from the folder of its four IDX files, compressed or not; may raise ``CorruptFile``."""
    content = {name: _read_idx_file(path, name) for name in FASHION_CONTENT}
    arrays = {name: parse_idx(value, f"{path / name}") for name, value in content.items()}
    images, labels = {}, {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        pictures, answers = arrays[f"{prefix}-images-idx3-ubyte"], arrays[f"{prefix}-labels-idx1-ubyte"]
        if pictures.ndim != 3 or answers.ndim != 1 or len(pictures) != len(answers):
            raise CorruptFile(
                f"{path}: {prefix} images {pictures.shape} and labels {answers.shape} do not belong together"
            )
        if len(answers) and answers.max() >= len(source.classes):
            raise CorruptFile(
                f"{path}: {prefix} labels go up to {answers.max()}, there are {len(source.classes)} classes"
            )
        images[split], labels[split] = pictures[:, None], answers.astype(np.int64)
    return Decoding(
        source.classes, labels, array_blocks(images), source.title, _idx_note(path, source, content)
    )


def _idx_note(path: Path, source: Source, content: dict[str, bytes]) -> str:
    files = [path / f"{name}.gz" for name in content]
    official = [remote.md5 for remote in source.files]
    if all(file.is_file() for file in files) and [file_digest(file, "md5") for file in files] == official:
        return ""
    if all(hashlib.sha256(value).hexdigest() == FASHION_CONTENT[name] for name, value in content.items()):
        return "compressed anew; the images and labels are the official ones"
    return NOT_IDENTICAL.replace("file", "files")


def idx_path(folder: Path, name: str) -> Path | None:
    """Where the IDX file ``name`` is in ``folder``: compressed, else plain, else None."""
    return next((path for path in (folder / f"{name}.gz", folder / name) if os.path.isfile(path)), None)


def _read_idx_file(folder: Path, name: str) -> bytes:
    path = idx_path(folder, name)
    if path is None:
        raise CorruptFile(f"{folder} is incomplete: {name}.gz not found in it")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        if error.errno is not None:
            raise cannot_read(path, error) from error
        raise CorruptFile(f"{path} is damaged or incomplete: {error}") from error
    except (EOFError, zlib.error) as error:
        raise CorruptFile(f"{path} is damaged or incomplete: {error}") from error
    if len(content) > LARGEST_FILE:
        raise CorruptFile(f"{path} is refused: it unpacks to more than {LARGEST_FILE / 1e6:,.0f} MB")
    return content


def parse_idx(content: bytes, name: str) -> np.ndarray:
    """The uint8 array in an IDX file: (0, 0, type, dimensions), big-endian sizes, then the values."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != IDX_UINT8:
        raise CorruptFile(
            f"{name} is not an IDX file of bytes: it begins with {content[:4].hex() or 'nothing'}"
        )
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise CorruptFile(f"{name} ends within its header")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    expected = int(np.prod(shape, dtype=object)) if shape else 0
    if len(content) - start != expected:
        raise CorruptFile(
            f"{name} holds {len(content) - start:,} bytes where its header announces {expected:,}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
