"""Digests of files and groups of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

CHUNK = 1 << 20  # bytes read at a time


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def group_digest(files: Iterable[Path], base: Path) -> str:
    """SHA-256 of a single file; of several, that of their ``sha256sum`` lines ("digest  path", sorted by path
    below ``base``).
    """
    files = list(files)
    if len(files) == 1:
        return file_digest(files[0])
    lines = sorted((path.relative_to(base).as_posix(), file_digest(path)) for path in files)
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in lines).encode()).hexdigest()


def fingerprint(files: Iterable[Path], base: Path) -> str:
    """Digest of the paths, sizes and modification times below ``base``: changes when a file was replaced, and
    reads none of them.
    """
    base = base.absolute()
    digest = hashlib.sha256(str(base.resolve()).encode())
    for path in files:
        status = path.stat()
        digest.update(
            f"{path.absolute().relative_to(base)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode()
        )
    return digest.hexdigest()
