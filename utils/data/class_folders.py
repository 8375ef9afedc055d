"""Decoder of class folders: train/CLASS/picture and test/CLASS/picture, in a directory or an archive."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from utils.data.archives import check_archive, list_files, read_files
from utils.data.decoding import Block, Decoding
from utils.data.errors import CorruptFile
from utils.data.pictures import DECODING_ERRORS, decode_picture, is_picture
from utils.data.sources import Source

TEST_NAMES = ("test", "val", "valid", "validation")  # the first that is there is the test split
BATCH = 256  # pictures a thread decodes in one go
ORDER_SEED = 0  # of the fixed order in which pictures are stored


@dataclass(frozen=True)
class Tree:
    """Names of the pictures of each split, sorted, with the class of each."""

    classes: tuple[str, ...]
    names: dict[str, list[str]]
    labels: dict[str, np.ndarray]
    ignored: tuple[str, ...]  # split folders that are not used


def decode_class_folders(
    path: Path, source: Source, size: int | None, names: dict[str, str] | None = None
) -> Decoding:
    """Pictures of class folders, RGB; ``size`` None takes them as they are, all of one size.

    ``names`` gives folders their class names (WordNet ids). Pictures are stored in a fixed random order, so
    that the first n of a split are a fair sample of its classes. Raises ``CorruptFile`` for a damaged archive
    or picture, ``ValueError`` for a tree that is not one of class folders.
    """
    if not path.is_dir():
        check_archive(path)
    tree = read_tree(path, *list_files(path))
    classes = tuple((names or {}).get(folder, folder) for folder in tree.classes)
    if source.classes and set(classes) != set(source.classes):
        odd = sorted(set(classes) ^ set(source.classes))
        raise ValueError(
            f"{path} is not a copy of {source.title}: the classes differ in {', '.join(odd[:5])}"
        )
    order = {
        split: np.random.default_rng(ORDER_SEED).permutation(len(listed))
        for split, listed in tree.names.items()
    }
    places = {
        name: (split, int(place))
        for split, listed in tree.names.items()
        for name, place in zip(listed, order[split], strict=True)
    }
    labels = {split: np.empty_like(values) for split, values in tree.labels.items()}
    for split, values in tree.labels.items():
        labels[split][order[split]] = values
    title, note = _describe(tree, source, names is not None)
    return Decoding(classes, labels, _blocks(path, places, size), title, note)


def read_tree(path: Path, files: list[str], folders: list[str]) -> Tree:
    """Sort the files of ``path`` into splits and classes; one folder around everything is allowed."""
    files = [name for name in files if is_picture(name)]
    tops = {PurePosixPath(name).parts[0] for name in files + folders if len(PurePosixPath(name).parts) > 1}
    depth = 0 if "train" in tops else 1
    wrapper = "" if depth == 0 else _wrapper(path, files)
    splits = {
        PurePosixPath(name).parts[depth]
        for name in files + folders
        if len(PurePosixPath(name).parts) > depth + 1
    }
    test = next((name for name in TEST_NAMES if name in splits), None)
    if "train" not in splits or test is None:
        found = ", ".join(sorted(splits)[:5]) or "none"
        raise ValueError(
            f"{path} must hold the folders train/ and test/ (or val/) of class folders; found {found}"
        )
    listed = {
        split: _by_class(path, f"{wrapper}{folder}", files, folders)
        for split, folder in (("train", "train"), ("test", test))
    }
    if listed["train"].keys() != listed["test"].keys():
        odd = sorted(listed["train"].keys() ^ listed["test"].keys())
        raise ValueError(
            f"{path}: train/ and {test}/ must have the same classes; they differ in {', '.join(odd[:5])}"
        )
    classes = tuple(sorted(listed["train"]))
    names = {
        split: [name for label in classes for name in sorted(groups[label])]
        for split, groups in listed.items()
    }
    labels = {
        split: np.repeat(np.arange(len(classes)), [len(groups[label]) for label in classes])
        for split, groups in listed.items()
    }
    ignored = tuple(name for name in TEST_NAMES if name in splits and name != test)
    return Tree(classes, names, labels, ignored)


def _wrapper(path: Path, files: list[str]) -> str:
    tops = {PurePosixPath(name).parts[0] for name in files if len(PurePosixPath(name).parts) > 3}
    if len(tops) != 1:
        raise ValueError(
            f"{path} must hold the folders train/ and test/ (or val/) with class folders of pictures beneath"
        )
    return tops.pop() + "/"


def _by_class(path: Path, split: str, files: list[str], folders: list[str]) -> dict[str, list[str]]:
    prefix = split + "/"
    groups: dict[str, list[str]] = {
        name.removeprefix(prefix): []
        for name in folders
        if name.startswith(prefix) and name.count("/") == prefix.count("/")
    }
    for name in files:
        if not name.startswith(prefix):
            continue
        parts = name.removeprefix(prefix).split("/")
        if len(parts) != 2:
            raise ValueError(
                f"{path}: the picture {name!r} must lie directly in a class folder, {prefix}CLASS/"
            )
        groups.setdefault(parts[0], []).append(name)
    empty = sorted(label for label, names in groups.items() if not names)
    if empty:
        raise ValueError(f"{path}: the class folder {prefix}{empty[0]} has no pictures in it")
    if not groups:
        raise ValueError(f"{path}: {prefix} has no class folders with pictures")
    return groups


def _describe(tree: Tree, source: Source, original: bool) -> tuple[str, str]:
    """Title and note: a copy of a named dataset says in which format, and whether it keeps the pixels."""
    notes = [f"{name}/ is not used" for name in tree.ignored]
    title = source.title
    if source.classes and not original:
        suffixes = Counter(
            PurePosixPath(name).suffix.lower() for names in tree.names.values() for name in names
        )
        if set(suffixes) <= {".jpg", ".jpeg"}:
            title += " (JPEG copy)"
            notes.append(
                "lossy: compressed anew as JPEG, so accuracies come out a little lower than on the original"
            )
        elif set(suffixes) <= {".png", ".bmp", ".ppm"}:
            title += " (PNG copy)" if set(suffixes) == {".png"} else " (copy)"
            notes.append("lossless picture files, in an order other than the original's")
        else:
            title += " (copy)"
            notes.append("picture files of several formats, partly lossy")
    return title, "; ".join(notes)


def _blocks(path: Path, places: dict[str, tuple[str, int]], size: int | None) -> Iterator[Block]:
    """Decode in threads (PIL releases the interpreter lock), a few batches ahead of the writer."""
    workers = max(2, min(8, os.cpu_count() or 2))
    files = read_files(path, places)
    expected: tuple[str, tuple[int, ...]] | None = None
    seen = 0
    with ThreadPoolExecutor(workers) as pool:
        pending = []
        while True:
            batch = list(islice(files, BATCH))
            if batch:
                pending.append(pool.submit(_decode_batch, path, batch, size))
            if not pending:
                break
            if batch and len(pending) < 2 * workers:
                continue
            decoded = pending.pop(0).result()
            for name, image in decoded:
                expected = expected or (name, image.shape)
                if image.shape != expected[1]:
                    raise ValueError(
                        f"{path}: {name!r} is {image.shape[2]}×{image.shape[1]} pixels, {expected[0]!r} is "
                        f"{expected[1][2]}×{expected[1][1]}; give a size, as in load_dataset(…, size=64)"
                    )
            seen += len(decoded)
            for split in ("train", "test"):
                mine = [(places[name][1], image) for name, image in decoded if places[name][0] == split]
                if mine:
                    yield (
                        split,
                        np.array([place for place, _ in mine]),
                        np.stack([image for _, image in mine]),
                    )
    if seen != len(places):
        raise CorruptFile(f"{path} is incomplete: {seen} of {len(places)} pictures could be read")


def _decode_batch(
    path: Path, batch: list[tuple[str, bytes]], size: int | None
) -> list[tuple[str, np.ndarray]]:
    decoded = []
    for name, content in batch:
        try:
            decoded.append((name, decode_picture(content, size)))
        except DECODING_ERRORS as error:
            raise CorruptFile(f"{path}: the picture {name!r} cannot be decoded ({error})") from error
    return decoded
