"""How far an unfinished run is, as its checkpoints tell."""

from __future__ import annotations

import os
import pickle
import zipfile
from functools import lru_cache
from pathlib import Path

import torch

from utils.experiments.methods import checkpoint_files
from utils.experiments.unfinished import checkpoint_of
from utils.training.history import History


def histories_of(record: Path) -> list[History]:
    """The histories of the stages that a run has begun, in order; empty before the end of the first epoch."""
    if os.name == "nt":
        return []  # no file can be replaced there while somebody reads it
    found = (_history(path) for path in reversed(checkpoint_files(checkpoint_of(record))))
    return [history for history in found if history is not None]


def _history(path: Path) -> History | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return _read(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, modified: int, size: int) -> History | None:
    """The history in a checkpoint; the tensors are mapped, not read."""
    try:
        return History.from_dict(
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)["history"]
        )
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ):
        return None  # replaced in this moment, or damaged: ``fit`` will say so
