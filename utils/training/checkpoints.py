"""Checkpoints: written whole or not at all, and read without running code from the file."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from utils.data.errors import FULL
from utils.training import locks
from utils.training.content import fingerprint
from utils.training.files import ROOM, NotWritten, reason_of, whole

FORMAT = 2
# errors of the system that say nothing of what is in the file
UNREADABLE = (errno.EACCES, errno.EPERM, errno.EIO, errno.EISDIR, errno.EMFILE, errno.ENFILE)


class CheckpointError(ValueError):
    """The checkpoint cannot be used; the message names the file, the reason and the remedy."""


class CannotWrite(CheckpointError):
    """The checkpoint cannot be written; the old file, if any, is unharmed."""


class InUse(CheckpointError):
    """Another process is at work on the file."""


def save_checkpoint(path: str | os.PathLike, contents: dict[str, Any]) -> None:
    """Write ``contents`` so that ``path`` is the old file or the new one, never a part.

    They are tensors, numbers, strings, and lists and dictionaries of such.
    The new file is written beside the old one, brought to the disk and renamed over it. What a killed process
    left half-written is overwritten by the next one.
    """
    path = place_of(path)
    try:
        with whole(path, "the checkpoint", _partial(path)) as file:
            torch.save({"format": FORMAT, **contents}, file)
    except NotWritten as error:
        raise CannotWrite(str(error)) from error
    except RuntimeError as error:
        raise CannotWrite(
            f"the checkpoint {path} could not be written ({_first_line(error)}); "
            "what was there before is unharmed"
        ) from error


def require_writable(path: str | os.PathLike) -> None:
    """See now, rather than after the first epoch, that the file can be written.

    The folder is made, and what a killed run left half-written is removed.
    """
    path = place_of(path)
    partial = _partial(path)
    if path.is_dir():
        raise CannotWrite(
            f"no checkpoint can be written to {path}: it is a folder; give the name of a file in it"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        partial.unlink()
    except OSError as error:
        remedy = ROOM if error.errno in FULL else "give another path"
        raise CannotWrite(
            f"no checkpoint can be written to {path}: {reason_of(error, path.parent)}; {remedy}"
        ) from error


def place_of(path: str | os.PathLike) -> Path:
    """The path, where ``~`` stands for the user's own folder as in a shell."""
    return Path(os.path.expanduser(path))


def load_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """The contents of a checkpoint, all tensors on the CPU."""
    path = place_of(path)
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
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise _damaged(path, error) from error
        raise CheckpointError(
            f"the checkpoint {path} cannot be read ({error.strerror}); see to that, or give another path"
        ) from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint (it holds more than plain data); {remedy}"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of format {FORMAT} of this package; {remedy}")
    return contents


@contextmanager
def locked(path: str | os.PathLike) -> Iterator[None]:
    """Keep a second process from working on the same file: it gets :class:`InUse`.

    The lock is let go when the process ends, however it ends, and its file, in the system's temporary folder,
    is then removed. That of another user is used if it can be read, and else passed over.
    """
    path = place_of(path)
    path = path.parent.resolve() / path.name  # one file, however its folder is spelled
    let_go = _lock(path)
    if let_go is None:
        raise InUse(f"another run is at work on {path}; wait for it or give another path")
    try:
        yield
    finally:
        let_go()


def _lock(path: Path) -> Callable[[], None] | None:
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    own = f"-{os.getuid()}" if hasattr(os, "getuid") else "-own"
    for last, name in ((False, digest), (True, digest + own)):
        try:
            return locks.acquire(Path(tempfile.gettempdir()) / f"convolution-lab-{name}.lock")
        except OSError as error:
            if last or error.errno in FULL:
                raise CheckpointError(
                    f"{path} cannot be locked for this run: in the temporary folder "
                    f"{reason_of(error, path.parent)}; set TMPDIR to a folder that you can write to"
                ) from error
    raise AssertionError("the last of two locks was acquired or has raised")


def outline(model: nn.Module) -> dict[str, str]:
    """What has to agree for a model's weights to mean the same in another one.

    The class and the settings of each layer, and the shape and dtype of each tensor in the model's state.
    """
    shapes = {name: f"{tuple(t.shape)} {t.dtype}" for name, t in model.state_dict().items()}
    layers = {
        f"layer {name}".rstrip(): f"{type(layer).__qualname__}({layer.extra_repr()})"
        for name, layer in model.named_modules()
    }
    frozen = {f"frozen {name}": "yes" for name, p in model.named_parameters() if not p.requires_grad}
    return {**shapes, **layers, **frozen, **unsaved(model)}


def unsaved(model: nn.Module) -> dict[str, str]:
    """Digests of the buffers that are in no ``state_dict``, by name."""
    saved = model.state_dict()
    return {
        f"buffer {name}": fingerprint(buffer)
        for name, buffer in model.named_buffers(remove_duplicate=False)
        if name not in saved
    }


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


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged or not a checkpoint ({_first_line(error)}); "
        "delete it to start the run again from the beginning"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
