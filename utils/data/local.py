"""Finding a named dataset among the files that are already here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from utils.data.archives import SUFFIXES, is_archive, list_files, stem
from utils.data.errors import DatasetNotFound
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
    return [folder for folder in (own, downloads_folder()) if folder is not None and folder.is_dir()]


def find_local(source: Source, root: str | Path | None = None) -> LocalCopy | None:
    """The first copy of ``source`` in a fixed order of layouts, or None. Its content is not read here."""
    if source.name.startswith(FOLDER_PREFIX):
        return _given_folder(source.name.removeprefix(FOLDER_PREFIX), root)
    for folder in roots(root):
        for path, layout in _candidates(source, folder):
            label = path.relative_to(folder).as_posix() if path != folder else folder.name
            return LocalCopy(path, layout, label, tuple(_files(path, layout)))
    return None


def _candidates(source: Source, root: Path) -> Iterator[tuple[Path, str]]:
    if source.layout == "idx":
        folder = root / FASHION_FOLDER
        if any(idx_path(folder, name) for name in FASHION_CONTENT):
            yield folder, "idx"
    elif source.layout == "cifar":
        folder = root / CIFAR_FOLDERS[source.name]
        if any((folder / name).is_file() for name in CIFAR_MEMBERS[source.name]):
            yield folder, "cifar"
        archive = root / source.files[0].path
        if archive.is_file():
            yield archive, "cifar"
        if source.classes:
            yield from ((path, "folders") for path in _copies(source, root))
    elif source.layout == "folders":
        for name in IMAGENETTE:
            if (root / name / "train").is_dir():
                yield root / name, "folders"
            yield from (
                (root / (name + end), "folders") for end in SUFFIXES if (root / (name + end)).is_file()
            )


def _copies(source: Source, root: Path) -> Iterator[Path]:
    """Class folders with exactly the classes of ``source``, and archives named after it
    ("cifar10-jpeg.tar.gz").
    """
    named = re.compile(re.sub(r"(\d+)$", r"[-_ ]?\1(?!\\d)", source.name), re.IGNORECASE)
    for folder in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
        if all(_subfolders(folder / split) == set(source.classes) for split in SPLIT_FOLDERS):
            yield folder
    for path in sorted(root.iterdir()):
        if path.is_file() and is_archive(path) and named.match(stem(path)) and not _other_format(path):
            yield path


def _other_format(path: Path) -> bool:
    """The official archives of CIFAR in its binary and Matlab versions are not class folders."""
    return bool(re.search(r"(binary|matlab)", path.name, re.IGNORECASE))


def _subfolders(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()


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
        yield from (
            child for child in sorted(path.iterdir()) if child.is_file() and not child.name.startswith(".")
        )
