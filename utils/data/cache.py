"""Decoded datasets on disk: a folder each of four .npy files and a meta.json, memory-mapped in milliseconds.

A folder is written beside its place and renamed into it, so that it is there as a whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import filelock
import numpy as np

from utils.data.dataset import Provenance
from utils.data.decoding import Decoding
from utils.data.errors import FULL, CorruptFile, DiskFull, cannot_write
from utils.data.folders import decoded_folder, locks_folder, make_folder
from utils.data.hashing import file_digest
from utils.data.progress import QUIET, progress

FORMAT = 2  # raise it when what is written changes; older folders are then no longer used
META = "meta.json"
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
TEMPORARY = ".unfinished-"
LABEL_BYTES = 8  # an int64
STATISTICS_BLOCK = 5000  # images per step of the channel statistics
REMEMBERED = 8  # states of source files for which an entry is known to be right


class InvalidEntry(Exception):
    """A cache folder that cannot be used: written by another version, cut short or changed."""


@dataclass(frozen=True)
class Meta:
    """What is known about a cache folder; ``arrays`` has dtype, shape and SHA-256 of each file by name."""

    format: int
    name: str
    size: int | None
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    provenance: Provenance
    fingerprints: tuple[str, ...]
    arrays: dict[str, dict]
    created: float


@dataclass(frozen=True)
class Entry:
    """A cache folder that has been opened; ``arrays`` are memory-mapped, copy on write."""

    folder: Path
    meta: Meta
    arrays: dict[str, np.ndarray]


def open_entry(folder: Path) -> Entry:
    """Open a cache folder; ``InvalidEntry`` unless each array is what meta.json says."""
    meta = read_meta(folder)
    arrays = {}
    for name in ARRAYS:
        path = folder / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="c", allow_pickle=False)
        except Exception as error:  # a damaged header can raise nearly anything
            raise InvalidEntry(f"{path} cannot be opened: {error}") from error
        if not isinstance(array, np.ndarray):  # np.load opens zip archives too
            raise InvalidEntry(f"{path} is not an .npy file")
        known = meta.arrays[name]
        if list(array.shape) != known["shape"] or str(array.dtype) != known["dtype"]:
            raise InvalidEntry(
                f"{path} is {array.dtype} {array.shape}, not {known['dtype']} {known['shape']}"
            )
        arrays[name] = array
    for split in ("train", "test"):
        labels = arrays[f"{split}_labels"]
        if len(labels) != len(arrays[f"{split}_images"]) or (
            len(labels) and not 0 <= labels.min() <= labels.max() < len(meta.classes)
        ):
            raise InvalidEntry(f"{folder} has {split} labels that do not fit its images and classes")
    return Entry(folder, meta, arrays)


def is_sound(folder: Path) -> bool:
    """Whether a cache folder can be opened."""
    try:
        open_entry(folder)
    except InvalidEntry:
        return False
    return True


def read_meta(folder: Path) -> Meta:
    """The meta.json of a cache folder; ``InvalidEntry`` if it is missing, damaged or of another format."""
    try:
        content = json.loads((folder / META).read_text(encoding="utf-8"))
        if content.pop("check", None) != _check(content):
            raise ValueError("it was changed after it was written, or is of another version")
        meta = Meta(
            **{
                **content,
                "provenance": Provenance(**content["provenance"]),
                **{key: tuple(content[key]) for key in ("classes", "mean", "std", "fingerprints")},
            }
        )
        complete = set(meta.arrays) == set(ARRAYS) and all(
            {"dtype", "shape", "sha256"} <= set(a) for a in meta.arrays.values()
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidEntry(f"{folder / META} cannot be read: {error}") from error
    if meta.format != FORMAT or not complete:
        raise InvalidEntry(f"{folder} was written in another format")
    return meta


def entries(name: str, size: int | None) -> list[tuple[Path, Meta]]:
    """Folders of dataset ``name`` at ``size`` whose meta.json can be read, the latest first."""
    found = []
    for folder in sorted(decoded_folder().glob(f"{slug(name)}-*")):
        try:
            meta = read_meta(folder)
        except InvalidEntry:
            continue  # of another version, or being rebuilt: not ours to judge here
        if meta.name == name and meta.size == size:
            found.append((folder, meta))
    return sorted(found, key=lambda item: -item[1].created)


def entry_folder(name: str, size: int | None, sha256: str) -> Path:
    """Where the decoded copy of a source with this digest is kept."""
    scale = "original" if size is None else f"{size}px"
    key = hashlib.sha256(os.fsencode(f"{name}\0{scale}\0{FORMAT}\0{sha256}")).hexdigest()
    return decoded_folder() / f"{slug(name)}-{scale}-{key[:16]}"


def slug(name: str) -> str:
    """A dataset's name as part of a file name."""
    return "".join(c if c.isalnum() else "_" for c in name.rsplit("/", 1)[-1].lower())[:40]


def remember(folder: Path, meta: Meta, fingerprint: str) -> None:
    """Note that the source files in this state are what the entry was decoded from."""
    known = (*[f for f in meta.fingerprints if f != fingerprint], fingerprint)[-REMEMBERED:]
    with contextlib.suppress(OSError):  # a cache that is read-only, or full, still serves
        _write_meta(folder, replace(meta, fingerprints=known))


def build_entry(
    folder: Path, name: str, size: int | None, decoding: Decoding, provenance: Provenance, fingerprint: str
) -> Entry:
    """Write a decoded dataset to ``folder`` and open it.

    The lock of ``name`` must be held. Raises ``DiskFull``, ``PermissionError`` for a cache that cannot be
    written, ``CorruptFile`` if pictures are missing, and what the decoder raises; nothing is left then.
    """
    parent = make_folder(folder.parent)
    remove_leftovers(name)
    try:
        work = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{slug(name)}-", dir=parent))
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(parent, decoding.title, None) from error
        raise cannot_write(parent, error) from error
    try:
        arrays = _write_arrays(work, decoding)
        mean, std = channel_statistics(np.load(work / "train_images.npy", mmap_mode="r"))
        provenance = _with_note(provenance, constant_channels(std))
        meta = Meta(
            FORMAT,
            name,
            size,
            decoding.classes,
            mean,
            std,
            provenance,
            (fingerprint,),
            arrays,
            created=time.time(),
        )
        with _writing(parent, decoding.title):
            _write_meta(work, meta)
            work.chmod(0o755)  # temporary folders are private; a cache may be shared
            _put_in_place(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return open_entry(folder)


def _put_in_place(work: Path, folder: Path) -> None:
    """Rename ``work`` to ``folder``, unless another user's process has just put a sound copy there."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(work, folder)
    except OSError:
        if not is_sound(folder):
            raise


def remove_leftovers(name: str) -> None:
    """Remove what a killed process left of decoding ``name``, whose lock must be held."""
    for folder in decoded_folder().glob(f"{TEMPORARY}{slug(name)}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def constant_channels(std: tuple[float, ...]) -> str:
    """A clause that names the channels without any variation, which cannot be normalized; empty if none."""
    still = [str(channel) for channel, spread in enumerate(std) if spread == 0]
    if not still:
        return ""
    what = f"channel {still[0]} is" if len(still) == 1 else f"channels {', '.join(still)} are"
    return f"{what} constant (standard deviation 0) in all training pictures"


def _with_note(provenance: Provenance, note: str) -> Provenance:
    return replace(provenance, note="; ".join(filter(None, (provenance.note, note))))


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and population standard deviation per channel of uint8 ``[N, C, H, W]``, on the scale [0, 1].

    They come from exact sums.
    """
    channels = images.shape[1]
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(images), STATISTICS_BLOCK):
        block = images[start : start + STATISTICS_BLOCK]
        for channel in range(channels):
            counts[channel] += np.bincount(block[:, channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    total = counts.sum(axis=1)
    mean = counts @ values / total
    variance = (counts * (values - mean[:, None]) ** 2).sum(axis=1) / total
    return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time decodes or downloads ``name``; the lock ends with the process that holds it."""
    lock = _acquired(name)
    try:
        yield
    finally:
        lock.release()


def _acquired(name: str) -> filelock.BaseFileLock:
    """The lock of ``name``, held; the file of another user who lets nobody else in is passed over."""
    folder = make_folder(locks_folder())
    own = f"{slug(name)}-{slug(_user())}"  # two users may then decode at once; the folder's rename is atomic
    for last, stem in ((False, slug(name)), (True, own)):
        lock = filelock.FileLock(folder / f"{stem}.lock", mode=0o666)  # for everybody who shares the cache
        try:
            try:
                lock.acquire(timeout=QUIET)
            except filelock.Timeout:
                print(f"Another process is preparing {name}; waiting for it …", file=sys.stderr, flush=True)
                lock.acquire()
            return lock
        except OSError as error:
            if error.errno in FULL:
                raise disk_full(folder, name, None) from error
            if last or not isinstance(error, PermissionError):
                raise cannot_write(folder, error) from error
    raise AssertionError("the last of two locks was acquired or has raised")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in some containers
        return str(getattr(os, "getuid", lambda: "user")())


def disk_full(folder: Path, name: str, needed: int | None) -> DiskFull:
    """The one sentence about a full disk; ``needed`` in bytes."""
    much = f"needs {_megabytes(needed)}" if needed else "needs more space"
    there = shutil.disk_usage(folder).free
    free = f"where {_megabytes(there)} are free"
    if needed and there > needed:
        free += ", but the quota or the number of files (inodes) is used up"
    error = DiskFull(
        f"The disk is full: {name} {much} in {folder}, {free}; "
        "free some, or set CNNLAB_CACHE to a folder on a larger disk."
    )
    error.errno = errno.ENOSPC
    return error


@contextlib.contextmanager
def _writing(folder: Path, name: str, needed: int | None = None) -> Iterator[None]:
    """Turn the errors of writing below ``folder`` into ``DiskFull`` or one sentence that names it."""
    try:
        yield
    except DiskFull:
        raise
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(folder, name, needed) from error
        raise cannot_write(folder, error) from error


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count >= 10e6 else f"{count / 1e6:.2f} MB"


def _write_arrays(work: Path, decoding: Decoding) -> dict[str, dict]:
    """Write labels and images and return dtype, shape and digest of each file."""
    needed = None
    with contextlib.ExitStack() as stack:
        writers: dict[str, _ImageFile] = {}
        bar = stack.enter_context(
            progress(total=decoding.total, desc=f"decoding {decoding.title}", unit="image")
        )
        for split, places, images in decoding.blocks:
            if needed is None:
                needed = decoding.total * (images[0].nbytes + LABEL_BYTES)
                if shutil.disk_usage(work).free < needed:
                    raise disk_full(work.parent, decoding.title, needed)
            with _writing(work.parent, decoding.title, needed):
                if split not in writers:
                    shape = (len(decoding.labels[split]), *images.shape[1:])
                    writers[split] = stack.enter_context(_ImageFile(work / f"{split}_images.npy", shape))
                writers[split].write(places, images)
            bar.update(len(places))
        with _writing(work.parent, decoding.title, needed):
            for writer in writers.values():
                writer.finish()
    for split, labels in decoding.labels.items():
        if split not in writers or not writers[split].written.all():
            raise CorruptFile(f"{decoding.title}: not all {len(labels)} {split} pictures could be read")
        with (
            _writing(work.parent, decoding.title, needed),
            open(work / f"{split}_labels.npy", "wb") as file,
        ):
            np.save(file, labels.astype(np.int64))
            _to_disk(file)
    return {name: _describe(work / f"{name}.npy") for name in ARRAYS}


class _ImageFile:
    """An .npy file of images written at any place.

    It is written by plain writes: a full disk is then an error, not a crash as through a memory map.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.file = path.open("wb")
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)
        self.start = self.file.tell()
        self.image_bytes = int(np.prod(shape[1:]))
        self.written = np.zeros(shape[0], bool)

    def write(self, places: np.ndarray, images: np.ndarray) -> None:
        images = np.ascontiguousarray(images)
        if len(places) == places[-1] - places[0] + 1 and (np.diff(places) == 1).all():
            runs = [(places[0], images)]
        else:
            runs = list(zip(places, images, strict=True))
        for place, part in runs:
            self.file.seek(self.start + int(place) * self.image_bytes)
            self.file.write(part.data)
        self.written[places] = True

    def finish(self) -> None:
        """Bring everything to the disk; only now is it certain that it fits there."""
        _to_disk(self.file)

    def __enter__(self) -> _ImageFile:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):  # what could not be written has been said by then
            self.file.close()


def _to_disk(file) -> None:
    """Flush to the medium, so that a power cut after the rename does not leave a file of zeros."""
    file.flush()
    os.fsync(file.fileno())


def _describe(path: Path) -> dict:
    array = np.load(path, mmap_mode="r")
    return {"dtype": str(array.dtype), "shape": list(array.shape), "sha256": file_digest(path)}


def _write_meta(folder: Path, meta: Meta) -> None:
    path = folder / META
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            content = asdict(meta)
            json.dump({**content, "check": _check(content)}, file, indent=1)
            _to_disk(file)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _check(content: dict) -> str:
    """Digest of a meta.json, which the file carries itself."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
