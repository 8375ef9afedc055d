"""Reading folders, tar and zip archives in memory. Nothing is ever extracted, so nothing can be written
outside a folder.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zipfile
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path, PurePosixPath

from utils.data.errors import CorruptFile

GZIPPED_TAR = (".tar.gz", ".tgz")
SUFFIXES = (*GZIPPED_TAR, ".tar", ".zip")
CHUNK = 1 << 20  # bytes read at a time
END_OF_TAR = bytes(1024)  # POSIX: two zero blocks of 512 bytes close a tar archive


def is_archive(path: Path) -> bool:
    """Whether the name ends as an archive that can be read here."""
    return path.name.lower().endswith(SUFFIXES)


def stem(path: Path) -> str:
    """The name of an archive without its suffix, or the name of a folder."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def check_archive(path: Path) -> None:
    """Read an archive once from end to end and raise ``CorruptFile`` unless all of it is sound.

    Must come before reading a ``.tar.gz``: ``tarfile`` stops before the checksum of the gzip stream, and so
    reads flipped bytes without complaint.
    """
    with _explained(path):
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged:
                raise CorruptFile(f"{path} is damaged: its member {damaged!r} fails the checksum")
            return
        opener = gzip.open if path.name.lower().endswith(GZIPPED_TAR) else open
        tail = b""
        with opener(path, "rb") as stream:
            while chunk := stream.read(CHUNK):
                tail = (tail + chunk)[-len(END_OF_TAR) :]
        if tail != END_OF_TAR:
            raise CorruptFile(f"{path} is incomplete: the end mark of a tar archive is missing")


def list_files(path: Path) -> tuple[list[str], list[str]]:
    """Names of all files and of all folders in a folder or archive, with forward slashes, sorted; hidden ones
    left out.

    Raises ``CorruptFile`` for a name that leads out of the archive.
    """
    if path.is_dir():
        files, folders = [], []
        for place, below, names in os.walk(path):
            below[:] = [name for name in below if not name.startswith(".")]
            prefix = Path(place).relative_to(path).as_posix()
            prefix = "" if prefix == "." else prefix + "/"
            folders += [prefix + name for name in below]
            files += [prefix + name for name in names]
    else:
        with _explained(path):
            if path.name.lower().endswith(".zip"):
                with zipfile.ZipFile(path) as archive:
                    members = [
                        (info.filename, info.is_dir(), not info.is_dir()) for info in archive.infolist()
                    ]
            else:
                with tarfile.open(path) as archive:
                    members = [(member.name, member.isdir(), member.isfile()) for member in archive]
        for name, _, _ in members:
            _refuse_outside(path, name)
        folders = [_plain(name) for name, is_folder, _ in members if is_folder]
        files = [_plain(name) for name, _, is_file in members if is_file]
    files = sorted(filter(_visible, files))
    twice = next((name for name, following in pairwise(files) if name == following), None)
    if twice:
        raise CorruptFile(f"{path} holds the file {twice!r} twice")
    return files, sorted(filter(_visible, folders))


def read_files(path: Path, wanted: Container[str]) -> Iterator[tuple[str, bytes]]:
    """``(name, content)`` of each wanted file of a folder or archive, in the order of storage."""
    if path.is_dir():
        for name in list_files(path)[0]:
            if name in wanted:
                yield name, (path / name).read_bytes()
        return
    with _explained(path):
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    if _plain(info.filename) in wanted and not info.is_dir():
                        yield _plain(info.filename), archive.read(info)
        else:
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile() and _plain(member.name) in wanted:
                        yield _plain(member.name), archive.extractfile(member).read()


def _plain(name: str) -> str:
    return PurePosixPath(name).as_posix()  # without a leading "./" and a trailing "/"


def _visible(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _refuse_outside(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":"):
        raise CorruptFile(f"{path} is refused: its member {name!r} leads out of the archive")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the many exceptions of damaged archives into one ``CorruptFile`` that names the archive."""
    try:
        yield
    except (EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile) as error:
        raise CorruptFile(f"{path} is damaged or incomplete: {error}") from error
