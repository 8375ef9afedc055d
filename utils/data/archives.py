"""Reading folders, tar and zip archives in memory, so that nothing is ever written outside a folder.

Links are followed: in a folder wherever they lead, in an archive within the archive. A link that leads
nowhere is refused by name, because a picture that is silently left out changes the data.
"""

from __future__ import annotations

import gzip
import lzma
import os
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path, PurePosixPath

from utils.data.errors import CorruptFile, UnsupportedFile, cannot_read
from utils.data.pictures import is_picture

GZIPPED_TAR = (".tar.gz", ".tgz")
SUFFIXES = (*GZIPPED_TAR, ".tar", ".zip")
CHUNK = 1 << 20  # bytes read at a time
END_OF_TAR = bytes(1024)  # POSIX: two zero blocks of 512 bytes close a tar archive
LARGEST_FILE = 256 << 20  # bytes; a member that unpacks to more is no picture, and no batch of CIFAR
LONGEST_CHAIN = 40  # links that lead to links, as in Linux
ENCRYPTED = 0x1  # a bit in the flags of a member of a zip archive
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
DEFLATE64 = 9
DAMAGE = (
    *(EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, lzma.LZMAError),
    *(ValueError, struct.error, OverflowError, RuntimeError, KeyError, IndexError),
)


@dataclass(frozen=True)
class Index:
    """What an archive holds: names of files and folders, and of each link the file whose content it has."""

    files: tuple[str, ...]
    folders: tuple[str, ...]
    links: dict[str, str]


@dataclass(frozen=True)
class Member:
    """One entry of an archive; ``target`` is where a link leads, by the archive's own names."""

    name: str
    kind: str  # "file", "folder", "link" or what else it is
    target: str = ""


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
    reads flipped bytes without complaint. Raises ``UnsupportedFile`` for a zip archive that is encrypted or
    packed in a way Python cannot unpack.
    """
    with _explained(path):
        if _is_zip(path):
            with _open_zip(path) as archive:
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
    """Names of all files and folders of a folder or archive, with forward slashes, sorted, hidden ones not.

    Raises ``CorruptFile`` for a name that leads out of the archive, for a picture that is a link to nothing
    or not a file, and for a name that is there twice.
    """
    index = _index(path)
    return list(index.files), list(index.folders)


def first_files(path: Path, number: int = 100) -> list[str]:
    """The names of the first visible files of an archive, without reading all of it."""
    found: list[str] = []
    with _explained(path):
        for name, _, _ in _contents(path):
            if _visible(name):
                found.append(name)
            if len(found) >= number:
                break
    return found


def read_files(path: Path, wanted: Container[str]) -> Iterator[tuple[str, bytes]]:
    """``(name, content)`` of each wanted file of a folder or archive, in the order of storage."""
    index = _index(path)
    if path.is_dir():
        for name in index.files:
            if name in wanted:
                yield name, _read_file(path / name)
        return
    aliases: dict[str, list[str]] = {}
    for link, target in index.links.items():
        if link in wanted:
            aliases.setdefault(target, []).append(link)
    with _explained(path):
        for name, size, read in _contents(path):
            names = [name] * (name in wanted) + aliases.get(name, [])
            if not names:
                continue
            if size > LARGEST_FILE:
                raise CorruptFile(
                    f"{path} is refused: its member {name!r} unpacks to {size / 1e6:,.0f} MB, more than the "
                    f"{LARGEST_FILE / 1e6:,.0f} MB that a picture may have"
                )
            content = read()
            for each in names:
                yield each, content


def _contents(path: Path) -> Iterator[tuple]:
    """Name, size and a function that reads the content, of each file in an archive."""
    if _is_zip(path):
        with _open_zip(path) as archive:
            for info in archive.infolist():
                if _zip_kind(info) == "file":
                    yield _plain(_zip_name(info)), info.file_size, lambda info=info: archive.read(info)
    else:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    yield (
                        _plain(member.name),
                        member.size,
                        lambda member=member: _content(archive, member),
                    )


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    if file is None:
        raise ValueError(f"{member.name} is not a file of the archive")
    return file.read()


def _read_file(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise CorruptFile(
                f"{path} is refused: it has {size / 1e6:,.0f} MB, more than the "
                f"{LARGEST_FILE / 1e6:,.0f} MB that a picture may have"
            )
        return path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error


def _index(path: Path) -> Index:
    if path.is_dir():
        return _index_of_folder(path)
    status = path.stat()
    return _index_of_archive(path, status.st_size, status.st_mtime_ns)


def _index_of_folder(path: Path) -> Index:
    files: list[str] = []
    folders: list[str] = []
    _walk(path, "", files, folders, above=(path.resolve(),))
    return Index(tuple(sorted(files)), tuple(sorted(folders)), {})


def _walk(root: Path, prefix: str, files: list[str], folders: list[str], above: tuple[Path, ...]) -> None:
    """Collect what lies below ``root / prefix``; ``above`` are the folders on the way, against circles."""
    try:
        entries = sorted(os.scandir(root / prefix), key=lambda entry: entry.name)
    except OSError as error:
        if prefix.count("/") == 1 and not isinstance(error, FileNotFoundError):
            return  # beside the data, such as lost+found on a disk of its own: not ours
        raise cannot_read(root / prefix, error) from error
    for entry in entries:
        name = prefix + entry.name
        if not _visible(name):
            continue
        if os.path.isdir(entry.path):  # which, unlike entry.is_dir, does not raise for links in a circle
            folders.append(name)
            place = Path(entry.path).resolve()
            if place in above:
                raise CorruptFile(f"{root} is refused: {name!r} is a link to a folder that it lies in itself")
            _walk(root, name + "/", files, folders, (*above, place))
        elif os.path.isfile(entry.path):
            files.append(name)
        elif _matters(name):
            what = "a link to a file that is not there" if entry.is_symlink() else "not a file but a device"
            raise CorruptFile(f"{root} is refused: {name!r} is {what}")


@lru_cache(maxsize=8)  # listing a .tar.gz unpacks all of it
def _index_of_archive(path: Path, size: int, modified: int) -> Index:
    with _explained(path):
        members = _zip_members(path) if _is_zip(path) else _tar_members(path)
    for member in members:
        _refuse_outside(path, member.name)
    named = [(_plain(member.name), member) for member in members]
    files = [name for name, member in named if member.kind == "file" and _visible(name)]
    links = {name: member for name, member in named if member.kind == "link" and _visible(name)}
    both = sorted([*files, *links])
    twice = next((name for name, following in pairwise(both) if name == following), None)
    if twice:
        raise CorruptFile(f"{path} holds the file {twice!r} twice")
    folders = {name for name, member in named if member.kind == "folder"}
    for name, member in named:
        if member.kind not in ("file", "folder", "link") and _visible(name) and _matters(name):
            raise CorruptFile(f"{path} is refused: its member {name!r} is not a file but {member.kind}")
    aliases, linked = _follow(path, set(files), folders, links)
    every = sorted({*files, *aliases})
    return Index(tuple(every), tuple(sorted(filter(_visible, folders | linked))), aliases)


def _follow(
    path: Path, files: set[str], folders: set[str], links: dict[str, Member]
) -> tuple[dict[str, str], set[str]]:
    """Of each name that is there by a link, the file it means; and the folders that are there by links."""
    ends = {name: _end_of(name, {link: other.target for link, other in links.items()}) for name in links}
    content = {name: name for name in files}
    linked: set[str] = set()
    known = -1
    while known < len(content):  # a linked folder may hold links itself
        known = len(content)
        inside = {parent.as_posix() for name in content for parent in PurePosixPath(name).parents}
        inside |= folders | linked
        for name, target in ends.items():
            if target in content:
                content[name] = content[target]
            elif target in inside and not _around(target, name):
                below = target + "/"
                linked |= {name, *(name + each[len(target) :] for each in inside if each.startswith(below))}
                content |= {
                    name + each[len(target) :]: file
                    for each, file in content.items()
                    if each.startswith(below)
                }
    for name, member in links.items():
        if name not in content and name not in linked and _matters(name):
            where = "a folder that it lies in" if _around(ends[name], name) else "nothing in the archive"
            raise CorruptFile(
                f"{path} is refused: its member {name!r} is a link to {member.target!r}, {where}; "
                "pack it anew with links followed (tar --dereference)"
            )
    return {name: file for name, file in content.items() if name not in files}, linked


def _around(folder: str, name: str) -> bool:
    return folder == "." or f"{name}/".startswith(f"{folder}/")


def _end_of(target: str, links: dict[str, str]) -> str:
    """Where a chain of links ends; a folder on the way may be a link too."""
    for _ in range(LONGEST_CHAIN):
        steps = [target, *(parent.as_posix() for parent in PurePosixPath(target).parents)]
        step = next((step for step in steps if step in links), None)
        if step is None:
            return target
        target = posixpath.normpath(links[step] + target[len(step) :])
    return ""


def _tar_members(path: Path) -> list[Member]:
    members = []
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                members.append(Member(member.name, "file"))
            elif member.isdir():
                members.append(Member(member.name, "folder"))
            elif member.islnk():  # a hard link names another member from the top
                members.append(Member(member.name, "link", posixpath.normpath(member.linkname)))
            elif member.issym():
                members.append(Member(member.name, "link", _beside(member.name, member.linkname)))
            else:
                members.append(Member(member.name, "a device"))
    return members


def _zip_members(path: Path) -> list[Member]:
    members = []
    with _open_zip(path) as archive:
        for info in archive.infolist():
            name, kind = _zip_name(info), _zip_kind(info)
            target = ""
            if kind == "link":
                with archive.open(info) as stream:
                    target = _beside(name, stream.read(CHUNK).decode("utf-8", "surrogateescape"))
            members.append(Member(name, kind, target))
    return members


def _beside(name: str, target: str) -> str:
    """Where a symbolic link leads, counted from the top of its archive."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(_plain(name)), target))


def _is_zip(path: Path) -> bool:
    return path.name.lower().endswith(".zip")


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose members can all be unpacked; ``UnsupportedFile`` else."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.flag_bits & ENCRYPTED:
                raise UnsupportedFile(
                    f"{path} is encrypted: {info.filename!r} needs a password; unpack it yourself and give "
                    "the folder"
                )
            if info.compress_type not in PACKINGS:
                way = "Deflate64" if info.compress_type == DEFLATE64 else f"way number {info.compress_type}"
                raise UnsupportedFile(
                    f"{path} cannot be read: {info.filename!r} is packed in a way that Python does not know "
                    f"({way}); unpack it and give the folder, or pack it as .tar.gz"
                )
        yield archive


def _zip_name(info: zipfile.ZipInfo) -> str:
    return info.filename.replace("\\", "/")  # the standard asks for /; .NET long wrote \


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if _zip_name(info).endswith("/"):
        return "folder"
    return "link" if stat.S_ISLNK(info.external_attr >> 16) else "file"


def _matters(name: str) -> bool:
    """Whether a name may be a picture or a class folder, so that leaving it out would change the data."""
    return is_picture(name) or "." not in PurePosixPath(name).name


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
    except (CorruptFile, UnsupportedFile):
        raise
    except OSError as error:
        if error.errno is not None:
            raise cannot_read(path, error) from error
        raise CorruptFile(f"{path} is damaged or incomplete: {error}") from error
    except DAMAGE as error:
        raise CorruptFile(f"{path} is damaged or incomplete: {error}") from error
