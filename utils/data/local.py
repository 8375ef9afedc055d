"""Finding a named dataset among the files that are already here."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from utils.data.archives import SUFFIXES, first_files, is_archive, list_files, stem
from utils.data.errors import CorruptFile, DatasetNotFound, UnsupportedFile, cannot_read
from utils.data.folders import data_root, downloads_folder
from utils.data.formats import idx_path
from utils.data.pictures import is_picture
from utils.data.sources import (
    CIFAR_FOLDERS,
    CIFAR_MEMBERS,
    FASHION_CONTENT,
    FASHION_FOLDER,
    FOLDER_PREFIX,
    Source,
)

IMAGENETTE = ("imagenette2-160", "imagenette2-320", "imagenette2")  # the first found is used
SPLIT_FOLDERS = ("train", "test")


@dataclass(frozen=True)
class LocalCopy:
    """A copy of a dataset on this machine.

    ``path`` is the file or folder to decode, in ``layout`` ("cifar", "idx" or "folders"); ``label`` names it
    without the machine's own folders; ``files`` are all files it consists of.
    """

    path: Path
    layout: str
    label: str
    files: tuple[Path, ...]

    @property
    def base(self) -> Path:
        """The folder that the names of ``files`` are counted from."""
        return self.path if self.path.is_dir() else self.path.parent


def roots(root: str | Path | None) -> list[Path]:
    """Folders in which named datasets are looked for, in order: the user's own, then our downloads."""
    own = data_root(root)
    return [folder for folder in (own, downloads_folder()) if folder is not None and _is_folder(folder)]


def find_local(
    source: Source, root: str | Path | None = None, aside: Container[str] = ()
) -> LocalCopy | None:
    """The first copy of ``source`` in a fixed order of layouts, or None; those labeled ``aside`` are none.

    Its content is not read here.
    """
    if source.name.startswith(FOLDER_PREFIX):
        return _given_folder(source.name.removeprefix(FOLDER_PREFIX), root)
    for folder in roots(root):
        for path, layout in _candidates(source, folder):
            label = path.relative_to(folder).as_posix() if path != folder else folder.name
            if label not in aside:
                return LocalCopy(path, layout, label, tuple(_files(path, layout)))
    return None


def left_aside(source: Source, root: str | Path | None = None) -> list[str]:
    """What lies among the data and is passed over, each with the reason."""
    reasons: list[str] = []
    for folder in roots(root):
        for path in _entries(folder):
            if source.classes and _is_named_after(path, source):
                reasons += filter(None, [_not_a_copy(path, source)])
            elif _is_folder(path) and not os.access(path, os.R_OK | os.X_OK):
                reasons.append(f"the folder {path} cannot be read")
    return reasons


def _candidates(source: Source, root: Path) -> Iterator[tuple[Path, str]]:
    if source.layout == "idx":
        folder = root / FASHION_FOLDER
        if any(idx_path(folder, name) for name in FASHION_CONTENT):
            yield folder, "idx"
    elif source.layout == "cifar":
        folder = root / CIFAR_FOLDERS[source.name]
        if any(os.path.isfile(folder / name) for name in CIFAR_MEMBERS[source.name]):
            yield folder, "cifar"
        archive = root / source.files[0].path
        if os.path.isfile(archive):
            yield archive, "cifar"
        if source.classes:
            yield from ((path, "folders") for path in _copies(source, root))
    elif source.layout == "folders":
        for name in IMAGENETTE:
            if _is_folder(root / name / "train"):
                yield root / name, "folders"
            for end in SUFFIXES:
                if os.path.isfile(root / (name + end)):
                    yield root / (name + end), "folders"


def _copies(source: Source, root: Path) -> Iterator[Path]:
    """Class folders with exactly the classes of ``source``, and archives named after it and full of them.

    Such as "cifar10-jpeg.tar.gz". What is there for other reasons, and what cannot be read, is passed over.
    """
    here = _entries(root)
    for folder in (root, *filter(_is_folder, here)):
        if all(_subfolders(folder / split) == set(source.classes) for split in SPLIT_FOLDERS):
            yield folder
    for path in here:
        if _is_named_after(path, source) and not _not_a_copy(path, source):
            yield path


def _is_named_after(path: Path, source: Source) -> bool:
    named = re.compile(re.sub(r"(\d+)$", r"[-_ ]?\1(?!\\d)", source.name), re.IGNORECASE)
    return (
        is_archive(path)
        and bool(named.match(stem(path)))
        and not _other_format(path)
        and path.name not in {PurePosixPath(remote.path).name for remote in source.files}
        and os.path.isfile(path)
    )


def _not_a_copy(path: Path, source: Source) -> str:
    """Why an archive that is named after ``source`` is none of its copies; empty if it may well be one."""
    try:
        status = path.stat()
        return _why_not_a_copy(path, source, status.st_size, status.st_mtime_ns)
    except OSError as error:
        return f"{path} cannot be read ({error.strerror or error})"


@lru_cache(maxsize=64)
def _why_not_a_copy(path: Path, source: Source, size: int, modified: int) -> str:
    """A look at a few names: the whole is checked on decoding."""
    try:
        found = {PurePosixPath(name).parts[-2] for name in first_files(path) if is_picture(name)}
    except (CorruptFile, UnsupportedFile) as error:
        return str(error)
    except IndexError:  # a picture in no folder
        found = set()
    if found and found <= set(source.classes):
        return ""
    what = f"it has pictures of {', '.join(sorted(found)[:3])}" if found else "it has no class folders"
    return f"{path} is not a copy of {source.title}: {what}"


def _other_format(path: Path) -> bool:
    """The official archives of CIFAR in its binary and Matlab versions are not class folders."""
    return bool(re.search(r"(binary|matlab)", path.name, re.IGNORECASE))


def _subfolders(folder: Path) -> set[str]:
    return {path.name for path in _entries(folder) if _is_folder(path)}


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; nothing if it is none, or cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # which, unlike Path.is_dir, does not raise where it may not look


def _given_folder(given: str, root: str | Path | None) -> LocalCopy:
    path = Path(given).expanduser()
    if not path.exists() and not path.is_absolute():
        own = data_root(root)
        if own is not None and (own / path).exists():
            path = own / path
    if not path.exists():
        raise DatasetNotFound(f"folder:{given}: there is no such folder or archive; check the path")
    if not path.is_dir() and not is_archive(path):
        raise ValueError(f"folder:{given}: not a folder and not an archive ({', '.join(SUFFIXES)})")
    return LocalCopy(path, "folders", path.name, tuple(_files(path, "folders")))


def _files(path: Path, layout: str) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif layout == "idx":
        yield from filter(None, (idx_path(path, name) for name in FASHION_CONTENT))
    elif layout == "folders":
        yield from (path / name for name in list_files(path)[0] if is_picture(name))
    else:
        try:
            here = sorted(path.iterdir())
        except OSError as error:
            raise cannot_read(path, error) from error
        yield from (child for child in here if os.path.isfile(child) and not child.name.startswith("."))
