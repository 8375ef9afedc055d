"""``load_dataset``: from a name to three splits."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils.data.cache import (
    Entry,
    InvalidEntry,
    build_entry,
    channel_statistics,
    entries,
    entry_folder,
    locked,
    open_entry,
    remember,
)
from utils.data.class_folders import decode_class_folders
from utils.data.dataset import Dataset, Provenance, Split
from utils.data.decoding import Decoding
from utils.data.download import fetch
from utils.data.embedded import load_digits, load_shapes
from utils.data.errors import CorruptFile, DatasetNotFound, NotACopy
from utils.data.folders import data_root
from utils.data.formats import decode_cifar, decode_idx
from utils.data.hashing import fingerprint, group_digest
from utils.data.local import LocalCopy, find_local, left_aside
from utils.data.pictures import resize_images
from utils.data.sources import EMBEDDED, FOLDER_PREFIX, IMAGENETTE_CLASSES, Source, get_source
from utils.data.split import carve, valid_size

SMALLEST, LARGEST = 4, 1024  # pixels: the range of ``size``


def load_dataset(
    name: str,
    valid: int | None = None,
    seed: int = 0,
    *,
    size: int | None = None,
    download: bool = True,
    root: str | Path | None = None,
    n_train: int | None = None,
    n_test: int | None = None,
) -> Dataset:
    """The dataset called ``name``, in three splits.

    Names are "cifar10", "cifar100", "fashion-mnist", "imagenette", "digits", "shapes" and "folder:PATH".
    The first hit wins: the decoded cache, files under ``root`` (default: ``CNNLAB_DATA``), a download.
    "digits" and "shapes" need none of these.

    valid: examples moved from the training to the validation split, drawn with ``seed`` in equal shares of
        each class; None means 5,000, or a tenth of the training split where that is smaller. Mean and std are
        those of the whole training split.
    size: pixels per side; larger or smaller pictures are resized once, on decoding. None keeps them as they
        are, except "imagenette" (128) and "digits" (32).
    download: False looks only at what is on this machine.
    n_train, n_test: only for "shapes", which can be made in any number.

    Raises ``ValueError`` for an unknown name or a bad option, ``DatasetNotFound`` with three remedies if
    there are no data, ``CorruptFile`` naming a damaged file, ``UnsupportedFile`` naming one of a kind that is
    not read here, ``DiskFull``, and ``PermissionError`` for a cache that cannot be written.
    """
    source = get_source(name)
    size = _checked_size(size, source)
    if source.name != "shapes" and (n_train, n_test) != (None, None):
        raise ValueError(
            f"n_train and n_test are for 'shapes', which is made by code; {name!r} has a fixed size"
        )
    if source.name in EMBEDDED:
        arrays = load_digits(source, size) if name == "digits" else load_shapes(source, n_train, n_test)
        images = {"train": arrays.train_images, "test": arrays.test_images}
        labels = {"train": arrays.train_labels, "test": arrays.test_labels}
        mean, std = channel_statistics(arrays.train_images)
        return _assemble(name, images, labels, source.classes, mean, std, arrays.provenance, valid, seed)
    entry = open_or_build(source, size, download, root)
    images = {split: entry.arrays[f"{split}_images"] for split in ("train", "test")}
    labels = {split: entry.arrays[f"{split}_labels"] for split in ("train", "test")}
    meta = entry.meta
    return _assemble(name, images, labels, meta.classes, meta.mean, meta.std, meta.provenance, valid, seed)


def open_or_build(source: Source, size: int | None, download: bool, root: str | Path | None) -> Entry:
    """The decoded copy of a source: opened, else decoded from local files, else from a download."""
    aside: tuple[str, ...] = ()
    while True:
        try:
            return _open_or_build(source, size, download, root, aside)
        except NotACopy as error:  # a file with the name of the dataset and other content: the next one
            local = find_local(source, root, aside)
            if local is None or not source.classes:
                raise
            print(f"Left aside: {error}.", file=sys.stderr, flush=True)
            aside = (*aside, local.label)


def _open_or_build(
    source: Source, size: int | None, download: bool, root: str | Path | None, aside: tuple[str, ...]
) -> Entry:
    local = find_local(source, root, aside)
    entry = _cached(source, size, local)
    if entry is not None:
        return entry
    if local is None and not download:
        raise not_found(source, "and downloading is switched off", root)
    if local is not None:
        entry = _same_bytes(source, size, local)  # needs no lock, and no cache that can be written
        if entry is not None:
            return entry
    with locked(source.name):
        local = find_local(source, root, aside)
        entry = _cached(source, size, local)  # another process may have been here first
        if entry is not None:
            return entry
        if local is None:
            for reason in left_aside(source, root):
                print(f"Left aside: {reason}.", file=sys.stderr, flush=True)
            try:
                fetch(source)
            except DatasetNotFound as error:
                raise not_found(source, f"and no download succeeded ({error})", root) from error
            local = find_local(source, root, aside)
            if local is None:
                raise not_found(source, "although its download ended well", root)
        return _decode(source, size, local)


def not_found(source: Source, why: str, root: str | Path | None = None) -> DatasetNotFound:
    """The error that names the three remedies."""
    own = data_root(root)
    where = f"the folder {own}" if own else "a folder and set CNNLAB_DATA to it"
    return DatasetNotFound(
        f"{source.title} is not on this machine, {why}. Either\n"
        f"  1. put {source.place} into {where},\n"
        f"  2. run `python -m utils.data fetch {source.name}` where there is a network, or\n"
        f"  3. use embedded data: "
        + " or ".join(f'load_dataset("{name}")' for name in EMBEDDED)
        + "."
        + "".join(f"\nLeft aside: {reason}." for reason in left_aside(source, root))
    )


def _cached(source: Source, size: int | None, local: LocalCopy | None) -> Entry | None:
    """A decoded copy of the local files as they are now, or, where there are none, the latest one."""
    state = fingerprint(local.files, local.base) if local else None
    for folder, meta in entries(source.name, size):
        if state is None or state in meta.fingerprints:
            try:
                return open_entry(folder)
            except InvalidEntry:
                continue  # cut short or changed: decoded again below
    return None


def _same_bytes(source: Source, size: int | None, local: LocalCopy) -> Entry | None:
    """A decoded copy of the same bytes in another place or with another date, or None."""
    folder = entry_folder(source.name, size, _digest(local))
    try:
        entry = open_entry(folder)
    except InvalidEntry:
        return None
    remember(folder, entry.meta, fingerprint(local.files, local.base))
    return entry


def _digest(local: LocalCopy) -> str:
    """The digest of a copy, computed once for each state of its files."""
    return _digest_of(local.files, local.base, fingerprint(local.files, local.base))


@lru_cache(maxsize=16)
def _digest_of(files: tuple[Path, ...], base: Path, state: str) -> str:
    return group_digest(files, base)


def _decode(source: Source, size: int | None, local: LocalCopy) -> Entry:
    entry = _same_bytes(source, size, local)
    if entry is not None:
        return entry
    state, digest = fingerprint(local.files, local.base), _digest(local)
    folder = entry_folder(source.name, size, digest)
    try:
        decoding = decoder(source, size, local)
        provenance = Provenance(decoding.title, local.label, digest, source.license, decoding.note)
        entry = build_entry(folder, source.name, size, decoding, provenance, state)
    except CorruptFile as error:
        raise CorruptFile(f"{error}. {remedy(source)}") from error
    if local.layout == "folders" and entry.meta.provenance.note:
        print(f"{local.label}: {entry.meta.provenance.note}.", file=sys.stderr, flush=True)
    return entry


def remedy(source: Source) -> str:
    """What to do about a damaged file of ``source``."""
    if source.name.startswith(FOLDER_PREFIX):
        return "Replace the file or copy it again."
    return f"Delete it, then copy it again or run `python -m utils.data fetch {source.name}`."


def decoder(source: Source, size: int | None, local: LocalCopy) -> Decoding:
    """The decoder for the layout of a local copy, with arrays brought to ``size``."""
    if local.layout == "folders":
        names = IMAGENETTE_CLASSES if source.name == "imagenette" else None
        return decode_class_folders(local.path, source, size, names)
    decoding = (decode_cifar if local.layout == "cifar" else decode_idx)(local.path, source)
    if size is None:
        return decoding
    blocks = ((split, places, resize_images(images, size)) for split, places, images in decoding.blocks)
    return Decoding(decoding.classes, decoding.labels, blocks, decoding.title, decoding.note)


def _checked_size(size: int | None, source: Source) -> int | None:
    if size is None:
        return source.default_size
    if isinstance(size, bool) or not isinstance(size, int) or not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size must be a whole number of pixels from {SMALLEST} to {LARGEST}, got {size!r}")
    if source.name == "shapes" and size != 32:
        raise ValueError(f"shapes are made at 32×32 pixels, got size={size}")
    return size


def _assemble(
    name: str,
    images: dict[str, np.ndarray],
    labels: dict[str, np.ndarray],
    classes: tuple[str, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    provenance: Provenance,
    valid: int | None,
    seed: int,
) -> Dataset:
    """Carve out the validation split; with none, the training split stays memory-mapped."""
    train, test = (
        Split(torch.from_numpy(images[split]), torch.from_numpy(np.array(labels[split])), mean, std)
        for split in ("train", "test")
    )
    held_out = valid_size(valid, len(train))
    if held_out:
        train, chosen = (
            _rows(train, torch.from_numpy(rows)) for rows in carve(labels["train"], held_out, seed)
        )
    else:
        chosen = replace(train, images=train.images[:0], labels=train.labels[:0])
    return Dataset(name, train, chosen, test, classes, mean, std, provenance)


def _rows(split: Split, rows: Tensor) -> Split:
    """Those examples, copied; whole images at a time, twice as fast as indexing all dimensions."""
    images = split.images.flatten(1).index_select(0, rows).unflatten(1, split.images.shape[1:])
    return replace(split, images=images, labels=split.labels[rows])
