"""What can go wrong with data, one class for each thing a reader would do differently about."""

from __future__ import annotations

import errno
from pathlib import Path

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class DatasetNotFound(FileNotFoundError):
    """Neither a decoded copy nor local files nor a download: the message names the three remedies."""


class CorruptFile(ValueError):
    """A file is there but damaged or incomplete: the message names it and says how to replace it."""


class UnsupportedFile(ValueError):
    """A file is sound, but of a kind that is not read here: the message says what to make of it."""


class NotACopy(ValueError):
    """A file that is named like a dataset holds something else."""


class DiskFull(OSError):
    """Decoding or downloading ran out of disk space: the message names the folder and the space needed."""


def cannot_read(path: Path, error: OSError) -> OSError:
    """The same kind of error in one sentence that names the file; Python's own may leave it out."""
    told = type(error)(f"{path} cannot be read ({error.strerror or error})")
    told.errno = error.errno
    return told


def cannot_write(folder: Path, error: OSError) -> DiskFull | PermissionError:
    """One sentence about a cache folder that takes no files: full, permissions, a read-only disk …"""
    kind = DiskFull if error.errno in FULL else PermissionError
    told = kind(
        f"the cache folder {folder} cannot be written ({error.strerror or error}); "
        "set CNNLAB_CACHE to a folder you can write to"
    )
    told.errno = error.errno
    return told
