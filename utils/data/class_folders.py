"""Decoder of class folders: train/CLASS/picture and test/CLASS/picture, in a directory or an archive."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, deque
from collections.abc import Container, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Condition

import numpy as np

from utils.data.archives import check_archive, list_files, read_files
from utils.data.decoding import Block, Decoding
from utils.data.errors import CorruptFile, NotACopy, UnsupportedFile
from utils.data.pictures import (
    DECODING_ERRORS,
    PICTURE_SUFFIXES,
    decode_picture,
    is_picture,
    picture_size,
    why_not,
)
from utils.data.sources import Source

TEST_NAMES = ("test", "val", "valid", "validation")  # the first that is there is the test split
BATCH = 256  # pictures a thread decodes in one go, fewer where they are large:
BATCH_BYTES = 8 << 20  # of a batch, encoded or decoded
ENCODED_AT_ONCE = 64 << 20  # bytes of encoded pictures that wait for a thread
PIXELS_AT_ONCE = 32 << 20  # that all threads hold together while decoding
MOST_PIXELS = 1 << 20  # of a picture that is kept as it is
NAMED = 10  # pictures that cannot be decoded, after which no more are looked for
LITTER = ("thumbs.db", "desktop.ini", "icon\r")  # what operating systems leave in folders of pictures
ORDER_SEED = 0  # of the fixed order in which pictures are stored


@dataclass(frozen=True)
class Tree:
    """Names of the pictures of each split, sorted, with the class of each."""

    classes: tuple[str, ...]
    names: dict[str, list[str]]
    labels: dict[str, np.ndarray]
    ignored: tuple[str, ...]  # split folders that are not used
    others: tuple[str, ...] = ()  # files in class folders that are not pictures


@dataclass(frozen=True)
class _Failure:
    """A picture that could not be decoded; ``sound`` if it is not damaged, but of a kind not read here."""

    name: str
    why: str
    sound: bool


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
    files, folders = list_files(path)
    try:
        tree = read_tree(path, files, folders)
    except ValueError as error:
        raise (NotACopy(str(error)) if source.classes else error) from None
    classes = tuple(_readable((names or {}).get(folder, folder)) for folder in tree.classes)
    if source.classes and set(classes) != set(source.classes):
        odd = sorted(set(classes) ^ set(source.classes))
        raise NotACopy(f"{path} is not a copy of {source.title}: the classes differ in {_listed(odd)}")
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
    others = [name for name in files if not is_picture(name) and not _is_litter(name)]
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
        split: _by_class(path, f"{wrapper}{folder}", files, folders, others)
        for split, folder in (("train", "train"), ("test", test))
    }
    if listed["train"].keys() != listed["test"].keys():
        odd = sorted(listed["train"].keys() ^ listed["test"].keys())
        raise ValueError(
            f"{path}: train/ and {test}/ must have the same classes; they differ in {_listed(odd)}"
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
    used = tuple(f"{wrapper}{folder}/" for folder in ("train", test))
    beside = tuple(name for name in others if name.startswith(used) and name.count("/") > used[0].count("/"))
    return Tree(classes, names, labels, ignored, beside)


def _wrapper(path: Path, files: list[str]) -> str:
    tops = {PurePosixPath(name).parts[0] for name in files if len(PurePosixPath(name).parts) > 3}
    if len(tops) != 1:
        raise ValueError(
            f"{path} must hold the folders train/ and test/ (or val/) with class folders of pictures beneath"
        )
    return tops.pop() + "/"


def _by_class(
    path: Path, split: str, files: list[str], folders: list[str], others: list[str]
) -> dict[str, list[str]]:
    """Names of the pictures of each class; composed and decomposed letters (ä) make the same class name."""
    prefix = split + "/"
    depth = prefix.count("/")
    held = folders + [name.rsplit("/", 1)[0] for name in others if name.count("/") == depth + 1]
    found = {name.removeprefix(prefix) for name in held if name.startswith(prefix)}
    groups: dict[str, list[str]] = {_composed(name): [] for name in found if "/" not in name}
    for name in files:
        if not name.startswith(prefix):
            continue
        parts = name.removeprefix(prefix).split("/")
        if len(parts) != 2:
            raise ValueError(
                f"{path}: the picture {name!r} must lie directly in a class folder, {prefix}CLASS/"
            )
        groups.setdefault(_composed(parts[0]), []).append(name)
    empty = sorted(label for label, names in groups.items() if not names)
    if empty:
        held = [name for name in others if _composed(name).startswith(f"{prefix}{empty[0]}/")]
        kinds = (
            f", only files of kinds that are not read here ({_kinds(held)}); pictures are "
            f"{', '.join(PICTURE_SUFFIXES)}"
            if held
            else ""
        )
        raise ValueError(f"{path}: the class folder {prefix}{empty[0]} has no pictures in it{kinds}")
    if not groups:
        raise ValueError(f"{path}: {prefix} has no class folders with pictures")
    return groups


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _readable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 (from an old zip archive) stand as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_litter(name: str) -> bool:
    last = PurePosixPath(name).name.lower()
    return last in LITTER or "@eadir" in name.lower()


def _listed(names: list[str]) -> str:
    return ", ".join(map(_readable, names[:5])) + (" …" if len(names) > 5 else "")


def _kinds(names: tuple[str, ...] | list[str]) -> str:
    """Suffixes with their numbers, the most frequent first."""
    counted = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in names)
    return ", ".join(f"{suffix} {count}" for suffix, count in counted.most_common(5))


def _describe(tree: Tree, source: Source, original: bool) -> tuple[str, str]:
    """Title and note: a copy of a named dataset says in which format, and whether it keeps the pixels."""
    notes = [f"{name}/ is not used" for name in tree.ignored]
    if tree.others:
        count = "1 file is" if len(tree.others) == 1 else f"{len(tree.others)} files are"
        notes.append(f"{count} left out, of kinds that are not read here ({_kinds(tree.others)})")
    title = source.title
    if source.classes and not original:
        suffixes = Counter(
            PurePosixPath(name).suffix.lower() for names in tree.names.values() for name in names
        )
        if set(suffixes) <= {".jpg", ".jpeg", ".jpe", ".jfif"}:
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
    """Decode in threads (PIL releases the interpreter lock), a few batches ahead of the writer.

    What is in memory at a time is bounded in bytes, whatever the pictures are like.
    """
    workers = max(2, min(8, os.cpu_count() or 2))
    gate = _Gate(PIXELS_AT_ONCE)
    failures: list[_Failure] = []
    shape: tuple[str, tuple[int, ...]] | None = None
    seen = 0
    with ThreadPoolExecutor(workers) as pool:
        decoded = _ahead(pool, workers, _batches(path, places, size), size, gate)
        for pictures, failed in decoded:
            for name, image in pictures:
                shape = shape or (name, image.shape)
                if image.shape != shape[1]:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise ValueError(
                        f"{path}: {name!r} is {image.shape[2]}×{image.shape[1]} pixels, {shape[0]!r} is "
                        f"{shape[1][2]}×{shape[1][1]}; give a size, as in load_dataset(…, size=64)"
                    )
            seen += len(pictures) + len(failed)
            failures += failed
            if len(failures) >= NAMED:
                break
            for split in ("train", "test"):
                mine = [(places[name][1], image) for name, image in pictures if places[name][0] == split]
                if mine:
                    yield (
                        split,
                        np.array([place for place, _ in mine]),
                        np.stack([image for _, image in mine]),
                    )
        pool.shutdown(wait=False, cancel_futures=True)
    if failures:
        raise _refusal(path, failures)
    if seen != len(places):
        raise CorruptFile(f"{path} is incomplete: {seen} of {len(places)} pictures could be read")


def _batches(path: Path, places: Container[str], size: int | None) -> Iterator[list[tuple[str, bytes]]]:
    """The encoded pictures, so many together that they take up little memory before and after decoding."""
    batch: list[tuple[str, bytes]] = []
    each = 0  # bytes of a decoded picture
    encoded = 0
    for name, content in read_files(path, places):
        each = each or 3 * (size**2 if size is not None else _pixels(content))
        batch.append((name, content))
        encoded += len(content)
        if len(batch) >= BATCH or encoded >= BATCH_BYTES or len(batch) * each >= BATCH_BYTES:
            yield batch
            batch, encoded = [], 0
    if batch:
        yield batch


def _ahead(
    pool: ThreadPoolExecutor,
    workers: int,
    batches: Iterator[list[tuple[str, bytes]]],
    size: int | None,
    gate: _Gate,
) -> Iterator[tuple[list[tuple[str, np.ndarray]], list[_Failure]]]:
    """What the threads make of the batches, in their order, as far ahead as memory allows."""
    pending: deque[tuple[int, Future]] = deque()
    for batch in batches:
        encoded = sum(len(content) for _, content in batch)
        pending.append((encoded, pool.submit(_decode_batch, batch, size, gate)))
        while len(pending) >= 2 * workers or sum(count for count, _ in pending) > ENCODED_AT_ONCE:
            yield pending.popleft()[1].result()
    while pending:
        yield pending.popleft()[1].result()


class _Gate:
    """Lets threads decode as long as the pictures they hold have no more than ``limit`` pixels together."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held, self.changed = limit, 0, Condition()

    @contextmanager
    def __call__(self, pixels: int) -> Iterator[None]:
        with self.changed:
            # one that is larger than the limit goes alone
            self.changed.wait_for(lambda: not self.held or self.held + pixels <= self.limit)
            self.held += pixels
        try:
            yield
        finally:
            with self.changed:
                self.held -= pixels
                self.changed.notify_all()


def _pixels(content: bytes) -> int:
    """Pixels of an encoded picture by its header, 1 where that cannot be read: decoding will say why."""
    try:
        width, height = picture_size(content)
    except DECODING_ERRORS:
        return 1
    return width * height


def _decode_batch(
    batch: list[tuple[str, bytes]], size: int | None, gate: _Gate
) -> tuple[list[tuple[str, np.ndarray]], list[_Failure]]:
    decoded, failed = [], []
    for name, content in batch:
        pixels = _pixels(content)
        try:
            if size is None and pixels > MOST_PIXELS:
                raise UnsupportedFile(
                    f"it has {pixels / 1e6:.1f} million pixels; give a size, as in load_dataset(…, size=64)"
                )
            with gate(pixels):
                decoded.append((name, decode_picture(content, size)))
        except DECODING_ERRORS as error:
            failed.append(_Failure(name, why_not(error, content), isinstance(error, UnsupportedFile)))
    return decoded, failed


def _refusal(path: Path, failures: list[_Failure]) -> ValueError:
    """One error about all pictures that could not be decoded."""
    kind = UnsupportedFile if all(failure.sound for failure in failures) else CorruptFile
    if len(failures) == 1:
        (only,) = failures
        return kind(f"{path}: the picture {only.name!r} cannot be decoded ({only.why})")
    told = ", ".join(f"{failure.name!r} ({failure.why})" for failure in failures[:NAMED])
    count = f"{NAMED} or more" if len(failures) >= NAMED else str(len(failures))
    return kind(f"{path}: {count} pictures cannot be decoded: {told}")
