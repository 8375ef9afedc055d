"""Checkpoints: written whole or not at all, and read without running code from the file."""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import nn

FORMAT = 2


class CheckpointError(ValueError):
    """The checkpoint cannot be used; the message names the file, the reason and the remedy."""


class InUse(CheckpointError):
    """Another process is at work on the file."""


def save_checkpoint(path: str | os.PathLike, contents: dict[str, Any]) -> None:
    """Write ``contents`` so that ``path`` is the old file or the new one, never a part.

    They are tensors, numbers, strings, and lists and dictionaries of such.
    The new file is written beside the old one, brought to the disk and renamed over it. What a killed process
    left half-written is overwritten by the next one.
    """
    path, partial = Path(path), _partial(path)
    try:
        with open(partial, "wb") as file:
            torch.save({"format": FORMAT, **contents}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        partial.unlink(missing_ok=True)
        raise CheckpointError(
            f"the checkpoint {path} could not be written ({error}); "
            "the file of the epoch before, if any, is unharmed"
        ) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def require_writable(path: str | os.PathLike) -> None:
    """See now, rather than after the first epoch, that the file can be written.

    The folder is made, and what a killed run left half-written is removed.
    """
    path, partial = Path(path), _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise CheckpointError(
            f"no checkpoint can be written to {path}: {error}; give another path"
        ) from error


def load_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """The contents of a checkpoint, all tensors on the CPU."""
    path = Path(path)
    remedy = "delete it to start the run again from the beginning"
    try:
        # torch.load does not look at the checksums inside the file, so flipped bits would pass unnoticed
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint (it holds more than plain data); {remedy}"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint ({_first_line(error)}); {remedy}"
        ) from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of format {FORMAT} of this package; {remedy}")
    return contents


@contextmanager
def locked(path: str | os.PathLike) -> Iterator[None]:
    """Keep a second process from working on the same file: it gets :class:`InUse`.

    The lock is let go when the process ends, however it ends.
    """
    path = Path(path).absolute()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    lock = FileLock(Path(tempfile.gettempdir()) / f"convolution-lab-{digest}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InUse(f"another run is at work on {path}; wait for it or give another path") from error
    try:
        yield
    finally:
        lock.release()


def outline(model: nn.Module) -> dict[str, str]:
    """What has to agree for a model's weights to mean the same in another one.

    The class and the settings of each layer, and the shape and dtype of each tensor in the model's state.
    """
    shapes = {name: f"{tuple(t.shape)} {t.dtype}" for name, t in model.state_dict().items()}
    layers = {
        f"layer {name}".rstrip(): f"{type(layer).__qualname__}({layer.extra_repr()})"
        for name, layer in model.named_modules()
    }
    return {**shapes, **layers}


def require_same(path: str | os.PathLike, saved: dict[str, Any], present: dict[str, Any], what: str) -> None:
    """Raise :class:`CheckpointError` that lists where ``saved`` and ``present`` differ."""
    names = [*present, *(name for name in saved if name not in present)]
    pairs = [(name, present.get(name, "absent"), saved.get(name, "absent")) for name in names]
    different = [_difference(name, here, there) for name, here, there in pairs if here != there]
    if different:
        shown = "; ".join(different[:5]) + (f"; and {len(different) - 5} more" if len(different) > 5 else "")
        raise CheckpointError(
            f"{path} belongs to a different {what}: {shown}. "
            "Give another path, or delete the file to start again"
        )


def _difference(name: str, here: Any, there: Any) -> str:
    """What is described by a text and a digest of its content is shown by its text."""
    here, there = (value["text"] if isinstance(value, dict) else value for value in (here, there))
    if here == there:
        return f"{name} is another {here} here than in the file: its code, or what it holds, differs"
    return f"{name} is {here} here and {there} in the file"


def _partial(path: str | os.PathLike) -> Path:
    path = Path(path)
    return path.with_name(path.name + ".partial")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
