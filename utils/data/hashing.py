"""Digests of files and groups of files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from utils.data.errors import cannot_read

CHUNK = 1 << 20  # bytes read at a time


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's content."""
    try:
        with open(path, "rb") as file:
            new = partial(hashlib.new, algorithm, usedforsecurity=False)
            return hashlib.file_digest(file, new).hexdigest()
    except OSError as error:
        raise cannot_read(path, error) from error


def group_digest(files: Iterable[Path], base: Path) -> str:
    """SHA-256 of a single file; of several, that of their ``sha256sum`` lines, sorted by path.

    A line is "digest  path" with the path below ``base``, in the bytes it has on disk.
    """
    files = list(files)
    if len(files) == 1:
        return file_digest(files[0])
    lines = sorted((path.relative_to(base).as_posix(), file_digest(path)) for path in files)
    return hashlib.sha256(os.fsencode("".join(f"{digest}  {name}\n" for name, digest in lines))).hexdigest()


def fingerprint(files: Iterable[Path], base: Path) -> str:
    """Digest of the paths, sizes and dates below ``base``: a replaced file changes it, and none is read."""
    base = base.absolute()
    digest = hashlib.sha256(os.fsencode(base.resolve()))
    for path in files:
        try:
            status = path.stat()
        except OSError as error:
            raise cannot_read(path, error) from error
        digest.update(
            os.fsencode(f"{path.absolute().relative_to(base)}\0{status.st_size}\0{status.st_mtime_ns}\n")
        )
    return digest.hexdigest()
