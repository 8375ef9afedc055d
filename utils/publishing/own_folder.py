"""A folder that one command fills again and again: it removes what it wrote before, and nothing else.

The folder is marked by a list of the files that were written. What is not in the list is left alone, and a
folder without the list that holds anything is not written to.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

MARK = ".written-by-convolution-lab"
HEAD = "Written by `make {command}`, which removes and writes anew the files below, and no others."
NOT_PUBLISHED = {".git", ".venv", "__pycache__", ".ipynb_checkpoints", ".pytest_cache"}


def write_folder(folder: Path, files: Mapping[PurePosixPath, bytes], command: str) -> None:
    """Make the folder hold these files in place of those that the same command wrote there before.

    ``ValueError`` if the folder holds anything and was not made by this command; it is then left as it was.
    """
    old = written(folder, command)
    folder.mkdir(parents=True, exist_ok=True)
    for path in {*files, *old}:
        _inside(folder, path)  # before anything is written
    _mark(folder, {*files, *old}, command)  # whoever is interrupted has not lost what was begun
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_file() or place.read_bytes() != content:
            place.write_bytes(content)
    for path in old - set(files):
        (folder / path).unlink(missing_ok=True)
        _remove_empty(folder, path.parent)
    _mark(folder, set(files), command)


def written(folder: Path, command: str) -> set[PurePosixPath]:
    """The files that the command wrote into the folder; ``ValueError`` if the folder is somebody else's."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder")
    mark = folder / MARK
    if mark.is_file():
        head, *lines = mark.read_text(encoding="utf-8").splitlines()
        if head == HEAD.format(command=command):
            return {PurePosixPath(line) for line in lines if line}
    elif not folder.is_dir() or all(path.name == ".git" for path in folder.iterdir()):
        return set()  # nothing there yet, or a repository that was just made for it
    raise ValueError(
        f"{folder} is not empty and was not made by `make {command}`: delete it, or name another folder"
    )


def others_in(folder: Path, ours: set[PurePosixPath]) -> list[PurePosixPath]:
    """The files in the folder that would be published with ours: those of nobody's housekeeping."""
    if not folder.is_dir():
        return []
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    others = (PurePosixPath(path) for path in found if not NOT_PUBLISHED.intersection(path.parts))
    return sorted(path for path in others if path not in ours and path.name != MARK)


def _mark(folder: Path, files: set[PurePosixPath], command: str) -> None:
    lines = [HEAD.format(command=command), *sorted(str(path) for path in files)]
    (folder / MARK).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _inside(folder: Path, path: PurePosixPath) -> None:
    """``ValueError`` where a list that was edited, or a link, leads out of the folder."""
    if path.is_absolute() or not (folder / path).resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path} leads out of {folder}: nothing was written")


def _remove_empty(folder: Path, parent: PurePosixPath) -> None:
    while parent.parts and not any((folder / parent).iterdir()):
        (folder / parent).rmdir()
        parent = parent.parent
