"""Where data are looked for and where decoded copies go."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

import utils
from utils.data.errors import cannot_write

PROJECT = Path(utils.__file__).resolve().parents[1]
APPLICATION = "convolution-lab"


def data_root(root: str | Path | None = None) -> Path | None:
    """The folder of files that the user brought: ``root``, else ``CNNLAB_DATA``, else None.

    A relative path is counted from the working folder and, where there is no such folder, from the project.
    Raises ``ValueError`` if it is not a folder: a path that is given and wrong must not look like "no data".
    """
    given = root if root is not None else os.environ.get("CNNLAB_DATA", "").strip() or None
    if given is None:
        return None
    path = Path(given).expanduser()
    for candidate in (path, PROJECT / path):
        if os.path.isdir(candidate):
            return candidate.resolve()
    what = "the argument root" if root is not None else "the environment variable CNNLAB_DATA"
    problem = "is not a folder" if os.path.exists(path) else "does not exist"
    raise ValueError(
        f"{what} is {str(given)!r}, which {problem}; correct it, or unset it to do without your own files"
    )


def cache_folder() -> Path:
    """``CNNLAB_CACHE``, else the user's cache folder of this operating system; it is not created here."""
    given = os.environ.get("CNNLAB_CACHE", "").strip()
    if given:
        return Path(given).expanduser().resolve()
    return platformdirs.user_cache_path(APPLICATION, appauthor=False)


def decoded_folder() -> Path:
    """Decoded, memory-mapped copies, one folder each."""
    return cache_folder() / "decoded"


def downloads_folder() -> Path:
    """Downloaded files in their original layout; also looked at as a root."""
    return cache_folder() / "downloads"


def locks_folder() -> Path:
    """Lock files, by which two processes that start at once take turns."""
    return cache_folder() / "locks"


def make_folder(folder: Path) -> Path:
    """Create ``folder`` in the cache; ``PermissionError`` says which variable moves the cache elsewhere."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder
